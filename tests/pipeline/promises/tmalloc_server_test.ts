import { assert, assertEquals, assertThrows } from "@std/assert";
import { CounterIndex } from "../../../pipeline/memory/layout.ts";
import { MESSAGES_PER_TURN } from "../../../pipeline/promises/connected_users.ts";
import { SHARE_NS_MAX, WINDOW_NS } from "../../../pipeline/promises/fairness.ts";
import { ACCEPT_PAUSE_NS } from "../../../pipeline/promises/listening.ts";
import {
  REQUEST_BYTES,
  RequestType,
  Status,
  writeRequest,
} from "../../../pipeline/promises/tmalloc_message.ts";
import {
  CONNECTIONS_MAX,
  CONNECTIONS_PER_USER_MAX,
} from "../../../pipeline/promises/tmalloc_server.ts";
import { FakeClient } from "../../_support/fake_sockets.ts";
import { Random } from "../../_support/random.ts";
import { ANN, BOB, HARD_PAGES, PAGE_BYTES, Stage } from "../../_support/tmalloc_stage.ts";

/** Handles when nobody is connected: two listeners, the bell, one set. */
const HANDLES_AT_REST = 4;

Deno.test("a request is answered in the turn that reads it", () => {
  const stage = new Stage();
  const client = stage.client().ask(RequestType.reserve, 10 * PAGE_BYTES, 77);
  stage.turns(2);
  assertEquals(client.replies.map(({ id, status, bytes }) => [id, status, bytes]), [
    [77, Status.ok, 10 * PAGE_BYTES],
  ]);
  assertEquals(stage.connections, 1);
});

Deno.test("a stream may be cut anywhere, and hold several requests", () => {
  const stage = new Stage();
  const whole = new FakeClient(0, 0).ask(RequestType.reserve, PAGE_BYTES, 1)
    .ask(RequestType.reserve, 2 * PAGE_BYTES, 2).sent;
  const bytes = new Uint8Array(2 * REQUEST_BYTES);
  whole.forEach((one, index) => bytes.set(one, index * REQUEST_BYTES));
  for (let cut = 1; cut < bytes.length; cut++) {
    const client = stage.client(ANN, true).send(bytes.subarray(0, cut)).send(bytes.subarray(cut));
    stage.settle();
    assertEquals(client.replies.map(({ id, status }) => [id, status]), [[1, 0], [2, 0]]);
    stage.end(client);
    stage.settle();
  }
  const client = stage.client(ANN, true);
  for (const byte of bytes) client.send(Uint8Array.of(byte));
  stage.settle();
  assertEquals(client.replies.map(({ id }) => id), [1, 2]);
});

Deno.test("what is no request closes its connection, with a counted reason, and no other", () => {
  const stage = new Stage();
  const honest = stage.client().ask(RequestType.reserve, PAGE_BYTES);
  stage.settle();
  const request = new FakeClient(0, 0).ask(RequestType.reserve, PAGE_BYTES).sent[0]!;
  const otherVersion = request.slice();
  otherVersion[0] = 0x77;
  const otherType = request.slice();
  otherType[2] = 0x77;
  const messages = {
    "short": request.subarray(0, 7),
    "oversized": new Uint8Array(REQUEST_BYTES + 9),
    "version": otherVersion,
    "malformed": otherType,
  } as const;
  for (const reason of ["short", "oversized", "version", "malformed"] as const) {
    const client = stage.client(BOB).send(messages[reason]);
    stage.settle();
    assert(client.isCutOff, reason);
    assertEquals(client.replies, []);
    assertEquals(stage.broken(reason), 1, reason);
  }
  const nobody = stage.client(BOB);
  nobody.hasCredentials = false;
  nobody.ask(RequestType.reserve, PAGE_BYTES);
  stage.settle();
  assert(nobody.isCutOff);
  assertEquals(stage.broken("no-credentials"), 1);
  honest.ask(RequestType.query, 0, 5);
  stage.settle();
  assertEquals(honest.replies.at(-1)!.id, 5);
  assertEquals(stage.connections, 1);
});

Deno.test("who does not read its answers is cut off", () => {
  const stage = new Stage();
  const mute = stage.client(BOB);
  mute.room = 3;
  for (let i = 0; i < 5; i++) mute.ask(RequestType.query, 0);
  stage.settle();
  assertEquals([mute.isCutOff, mute.replies.length, stage.broken("does-not-read")], [true, 3, 1]);
});

Deno.test("who closes leaves nothing behind, whatever it had sent", () => {
  const stage = new Stage();
  const clients = Array.from({ length: 30 }, (_, index) => stage.client(ANN + index % 3));
  clients.forEach((client, index) => {
    if (index % 2 === 0) client.ask(RequestType.reserve, PAGE_BYTES);
    if (index % 5 === 0) stage.end(client);
  });
  stage.settle();
  for (const client of clients) stage.end(client);
  stage.settle().sleep();
  assertEquals(stage.connections, 0);
  assertEquals(stage.sockets.items.size, HANDLES_AT_REST);
  assertEquals(stage.counters[CounterIndex.clients], 0);
  assert(clients.every(({ isCutOff }) => isCutOff));
});

Deno.test("the end of a process gives back what it was promised, without a word of it", () => {
  const stage = new Stage();
  const ann = stage.client().ask(RequestType.reserve, HARD_PAGES * PAGE_BYTES);
  const other = stage.client();
  stage.settle();
  assertEquals(ann.replies[0]!.status, Status.ok);
  const message = new Uint8Array(REQUEST_BYTES);
  const wait = { type: RequestType.wait, id: 1, bytes: 10 * PAGE_BYTES, timeoutMs: 60_000 };
  writeRequest(new DataView(message.buffer), wait);
  other.send(message);
  stage.settle().sleep();
  assertEquals(other.replies, []);
  stage.proc.entries.delete(ann.pid);
  stage.sockets.gonePids.add(ann.pid);
  stage.settle();
  assertEquals(other.replies.map(({ status }) => status), [Status.ok]);
  assertEquals(stage.sockets.count("process"), 1, "the one that lives");
});

Deno.test("a user has no more connections than its share, and all together no more than there are", () => {
  const stage = new Stage();
  stage.sockets.callNs = 0;
  const first = stage.client();
  for (let i = 1; i < CONNECTIONS_PER_USER_MAX + 10; i++) stage.again(first);
  // Nobody else is there, so nobody is refused for the time that it takes.
  stage.settle();
  assertEquals([stage.connections, stage.refused], [CONNECTIONS_PER_USER_MAX, 10]);
  for (let uid = 2000; uid < 2003; uid++) {
    stage.sockets.nowNs += 10 * WINDOW_NS;
    const one = stage.client(uid);
    for (let i = 1; i < CONNECTIONS_PER_USER_MAX; i++) {
      stage.again(one);
      if (i % 50 !== 0) continue;
      stage.settle();
      stage.sockets.nowNs += 10 * WINDOW_NS;
    }
    stage.settle();
  }
  assertEquals(stage.connections, CONNECTIONS_MAX);
});

Deno.test("a user with many connections is read no more in a turn than one with one", () => {
  const stage = new Stage();
  const flood = Array.from({ length: 100 }, () => stage.client(BOB));
  stage.settle();
  stage.sockets.nowNs += 10 * WINDOW_NS;
  const ann = stage.client();
  stage.settle();
  for (const client of flood) {
    for (let i = 0; i < 50; i++) client.ask(RequestType.query, 0);
  }
  for (let i = 0; i < 20; i++) {
    const before = flood.reduce((sum, { replies }) => sum + replies.length, 0);
    ann.ask(RequestType.query, 0, i);
    stage.turns(1);
    assertEquals(ann.replies.at(-1)!.id, i, "at once");
    const answered = flood.reduce((sum, { replies }) => sum + replies.length, 0) - before;
    assert(answered <= MESSAGES_PER_TURN, `${answered}`);
  }
});

Deno.test("who takes too much time pauses while others ask, and is served again afterwards", () => {
  const stage = new Stage();
  stage.sockets.callNs = 20_000;
  const bob = stage.client(BOB);
  const ann = stage.client();
  stage.settle();
  stage.sockets.nowNs = Math.ceil(stage.sockets.nowNs / WINDOW_NS + 2) * WINDOW_NS;
  for (let i = 0; i < 2000; i++) bob.ask(RequestType.query, 0, i);
  let served = 0;
  let spentNs = 0;
  for (let window = 0; window < 10; window++) {
    const untilNs = Math.floor(stage.sockets.nowNs / WINDOW_NS + 1) * WINDOW_NS;
    const before = bob.replies.length;
    const startNs = stage.sockets.nowNs;
    while (stage.sockets.nowNs < untilNs) {
      ann.ask(RequestType.query, 0);
      stage.turns(1);
    }
    served = bob.replies.length - before;
    spentNs = stage.sockets.nowNs - startNs;
    if (window > 0) assert(served * 2 * stage.sockets.callNs < 1.5 * SHARE_NS_MAX, `${served}`);
    assert(served > 0, "but it is served");
  }
  assert(spentNs > 0);
  const left = bob.replies.length;
  for (let i = 0; i < 400; i++) stage.server.turn(200);
  assert(bob.replies.length > left + 100, "alone it has all of the time");
});

Deno.test("without descriptors nobody is let in for a while, and who is in is served", () => {
  const stage = new Stage();
  const ann = stage.client().ask(RequestType.reserve, PAGE_BYTES);
  stage.settle();
  stage.sockets.handlesMax = stage.sockets.items.size;
  const late = stage.client(BOB).ask(RequestType.query, 0);
  stage.turns(3);
  assert(!stage.server.turn(0), "it does not spin for a listener that stays ready");
  ann.ask(RequestType.query, 0, 9);
  stage.turns(2);
  assertEquals(ann.replies.at(-1)!.id, 9);
  assertEquals(late.replies, []);
  stage.sockets.handlesMax = Infinity;
  const startNs = stage.sockets.nowNs;
  // Busy all the time.
  while (late.replies.length === 0 && stage.sockets.nowNs < startNs + 2 * ACCEPT_PAUSE_NS) {
    ann.ask(RequestType.query, 0);
    stage.turns(1);
  }
  assertEquals(late.replies.length, 1);
  assert(stage.sockets.nowNs - startNs < 1.1 * ACCEPT_PAUSE_NS);
});

Deno.test("a connection that cannot be listened to is closed, and counted", () => {
  const stage = new Stage();
  const before = stage.client();
  stage.settle();
  const handles = stage.sockets.items.size;
  stage.sockets.failsToAdd = (handle) => stage.sockets.items.get(handle)!.kind === "connection";
  const client = stage.client().ask(RequestType.query, 0);
  const stranger = stage.client(BOB).ask(RequestType.query, 0);
  stage.settle();
  assert(client.isCutOff && stranger.isCutOff && !before.isCutOff);
  assertEquals([stage.broken("no-resources"), stage.refused, stage.connections], [2, 0, 1]);
  assertEquals(stage.sockets.items.size, handles, "nothing is left");
  stage.sockets.failsToAdd = () => false;
  const later = stage.client(BOB).ask(RequestType.query, 0);
  stage.settle();
  assertEquals(later.replies.length, 1);
});

Deno.test("a user who cannot be listened to is let in later", () => {
  const stage = new Stage();
  stage.sockets.failsToAdd = (handle) => stage.sockets.items.get(handle)!.kind === "set";
  const client = stage.client().ask(RequestType.query, 0);
  stage.settle();
  assert(client.isCutOff);
  assertEquals(stage.broken("no-resources"), 1);
  assertEquals(stage.sockets.items.size, HANDLES_AT_REST);
  stage.sockets.failsToAdd = () => false;
  const later = stage.client().ask(RequestType.query, 0);
  stage.settle();
  assertEquals(later.replies.length, 1);
});

Deno.test("who pauses and cannot be listened to again is told so, on all connections", () => {
  const stage = new Stage();
  stage.sockets.callNs = 20_000;
  const ann = stage.client();
  const bobs = [stage.client(BOB), stage.client(BOB), stage.client(BOB)];
  stage.settle();
  stage.sockets.nowNs = Math.ceil(stage.sockets.nowNs / WINDOW_NS + 2) * WINDOW_NS;
  for (const bob of bobs) for (let i = 0; i < 2000; i++) bob.ask(RequestType.query, 0);
  stage.sockets.failsToAdd = () => true;
  for (let i = 0; i < 500; i++) {
    if (i % 20 === 0) ann.ask(RequestType.query, 0, i);
    stage.turns(1);
  }
  assert(bobs.every(({ isCutOff }) => isCutOff), "or they would wait for ever");
  assertEquals(stage.broken("no-resources"), 3);
  assertEquals([ann.replies.at(-1)!.id, stage.connections], [480, 1]);
  stage.sockets.failsToAdd = () => false;
  const bob = stage.client(BOB).ask(RequestType.query, 0);
  stage.sleep(20);
  assertEquals(bob.replies.length, 1);
});

Deno.test("listeners that cannot be heard again are tried until they can", () => {
  const stage = new Stage();
  const ann = stage.client();
  stage.settle();
  stage.sockets.handlesMax = stage.sockets.items.size;
  const late = [stage.client(), stage.client(ANN, true)];
  for (const one of late) one.ask(RequestType.query, 0);
  stage.settle();
  stage.sockets.handlesMax = Infinity;
  stage.sockets.failsToAdd = (handle) => handle === stage.sockets.listeners[1]!.handle;
  stage.sleep(250);
  assertEquals(late.map(({ replies }) => replies.length), [1, 0]);
  stage.sockets.failsToAdd = () => false;
  stage.sleep(250);
  assertEquals(late.map(({ replies }) => replies.length), [1, 1]);
  assert(!ann.isCutOff);
});

Deno.test("a successor closes what its predecessor held, and goes on with its promises", () => {
  const stage = new Stage();
  const ann = stage.client().ask(RequestType.reserve, 600 * PAGE_BYTES);
  stage.settle();
  assertEquals(ann.replies[0]!.status, Status.ok);
  stage.start();
  assert(ann.isCutOff);
  assertEquals(stage.sockets.items.size, HANDLES_AT_REST + 1, "and a watch of who holds something");
  const again = stage.again(ann).ask(RequestType.reserve, 600 * PAGE_BYTES);
  stage.settle().sleep(50);
  assertEquals(again.replies.map(({ status }) => status), [Status.refused]);
});

Deno.test("a client that is let in when the coordinator throws hears of it from the successor", () => {
  const stage = new Stage();
  const client = stage.client().ask(RequestType.reserve, PAGE_BYTES);
  const { sockets } = stage;
  const peerUid = sockets.peerUid.bind(sockets);
  sockets.peerUid = () => {
    throw new Error("no uid");
  };
  assertThrows(() => stage.turns(1), Error, "no uid");
  sockets.peerUid = peerUid;
  stage.start();
  assert(client.isCutOff);
  assertEquals(sockets.items.size, HANDLES_AT_REST);
});

Deno.test("a bell that rings has the waits looked at at once", () => {
  const stage = new Stage();
  stage.sleep(500);
  const startNs = stage.sockets.nowNs;
  stage.sockets.hasRung = true;
  assert(stage.server.turn(200));
  assert(stage.sockets.nowNs - startNs < 1e6);
  assertEquals(stage.sockets.hasRung, false);
});

for (let seed = 1; seed <= 20; seed++) {
  Deno.test(`hostile clients in any order get nowhere, an honest one is answered (seed ${seed})`, () => {
    const random = new Random(seed);
    const stage = new Stage();
    let honest = stage.client();
    stage.settle();
    const others: FakeClient[] = [];
    let asked = 0;
    let cutOff = 0;
    for (let round = 0; round < 600; round++) {
      const deed = random.below(9);
      const one = others[random.below(others.length || 1)];
      if (deed <= 1 || one === undefined) {
        const uid = [ANN, BOB, 3000 + random.below(3)][random.below(3)]!;
        const made = others.length > 0 && random.below(2) === 0
          ? stage.again(others[random.below(others.length)]!)
          : stage.client(uid, random.below(3) === 0);
        made.room = random.below(4) === 0 ? random.below(3) : Infinity;
        made.hasCredentials = random.below(10) > 0;
        others.push(made);
      } else if (deed === 2) {
        const bytes = new Uint8Array(random.below(80));
        for (let i = 0; i < bytes.length; i++) bytes[i] = random.below(256);
        if (bytes.length > 0) one.send(bytes);
      } else if (deed <= 5) {
        one.ask(random.below(8) as RequestType, random.below(2000) * PAGE_BYTES);
      } else if (deed === 6) one.close();
      else if (deed === 7) stage.end(one);
      else {
        const fails = random.below(3);
        stage.sockets.failsToAdd = fails === 0 ? () => random.below(2) === 0 : () => false;
        stage.sockets.handlesMax = fails === 1 ? stage.sockets.items.size + 2 : Infinity;
      }
      if (random.below(3) > 0) continue;
      honest.ask(RequestType.query, 0, ++asked);
      const isAnswered = (): boolean => honest.isCutOff || honest.replies.length === asked;
      for (let turn = 0; turn < 200 && !isAnswered(); turn++) stage.server.turn(1);
      assert(isAnswered(), `request ${asked}`);
      if (!honest.isCutOff) continue;
      assert(stage.broken("no-resources") > cutOff++, "only for want of resources");
      stage.sockets.failsToAdd = () => false;
      stage.sockets.handlesMax = Infinity;
      honest = stage.client();
      asked = 0;
    }
    stage.sockets.failsToAdd = () => false;
    stage.sockets.handlesMax = Infinity;
    for (const one of [...others, honest]) stage.end(one);
    for (let i = 0; i < 20; i++) stage.sleep(100);
    assertEquals(stage.connections, 0);
    assertEquals(stage.sockets.items.size, HANDLES_AT_REST);
    assert([...others, honest].every(({ isCutOff }) => isCutOff));
  });
}
