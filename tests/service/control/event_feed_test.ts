/** Clients that follow what happens: quick ones, those that come back, slow ones, those that stop. */
import { assert, assertEquals } from "@std/assert";
import {
  EventFeed,
  FEED_READERS_MAX,
  type FeedReader,
  STUCK_MS,
} from "../../../service/control/event_feed.ts";
import type { JournalEvent } from "../../../service/journal/events.ts";
import { Journal } from "../../../service/journal/journal.ts";
import { withControl } from "../../_support/fake_control.ts";

const AT = new Date("2026-08-22T10:00:00.123Z");

interface Desk {
  readonly journal: Journal;
  readonly feed: EventFeed;
  nowMs: number;
}

function desk(entriesMax = 8, last = 0): Desk {
  const journal = new Journal({ nowNs: () => 9e9, now: () => AT }, last);
  const made: { nowMs: number } = { nowMs: 0 };
  const feed = new EventFeed({ instance: "run1", last, nowMs: () => made.nowMs, entriesMax });
  journal.subscribe(feed);
  return Object.assign(made, { journal, feed });
}

function drift(uid: number): JournalEvent {
  return { event: "drift", uid, pages: 1 };
}

/** Blocks of the stream: their fields by name. */
function blocks(bytes: Uint8Array): Record<string, string>[] {
  const texts = new TextDecoder().decode(bytes).split("\n\n");
  assertEquals(texts.pop(), "", "a block ends with an empty line");
  return texts.map((text) =>
    Object.fromEntries(text.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)))
  );
}

function numbersOf(reader: FeedReader): (number | string)[] {
  return blocks(reader.read()).map(({ data, event }) => event ?? JSON.parse(data!).number);
}

Deno.test("a client hears what happens from now on, with the number to come back with", () => {
  const { journal, feed } = desk();
  journal.publish(drift(1));
  const reader = feed.open({})!;
  assertEquals(blocks(reader.read()), [{
    retry: "1000",
    event: "hello",
    data: '{"instance":"run1","oldest":1,"last":1}',
  }]);
  journal.publish({ event: "config", message: "a\nid: 9\ndata: forged\u2028\u001b[2J" });
  const [block, ...more] = blocks(reader.read());
  assertEquals(more, []);
  assertEquals(block!["id"], "2@run1");
  assertEquals(JSON.parse(block!["data"]!), {
    number: 2,
    ts: AT.toISOString(),
    event: "config",
    message: "a\nid: 9\ndata: forged\u2028\u001b[2J",
  });
  // deno-lint-ignore no-control-regex
  assert(!/[\x00-\x1f\u2028]/.test(block!["data"]!), block!["data"]);
  assertEquals(reader.read().length, 0);
});

Deno.test("who comes back misses nothing that is remembered, and is told of the rest", () => {
  const { journal, feed } = desk(4, 100);
  for (let uid = 1; uid <= 3; uid++) journal.publish(drift(uid));
  const after = (number: number, instance?: string): (number | string)[] =>
    numbersOf(feed.open({ after: { number, ...(instance === undefined ? {} : { instance }) } })!);
  assertEquals(after(101), ["hello", 102, 103]);
  assertEquals(after(103, "run1"), ["hello"]);
  // Nothing was missed: what is remembered begins right behind it.
  assertEquals(after(100), ["hello", 101, 102, 103]);
  assertEquals(after(90), ["hello", "gap", 101, 102, 103]);
  assertEquals(feed.report().missed, 10);
  assertEquals(after(0), ["hello", 101, 102, 103]);
  // Of another run of toom, or of the future.
  assertEquals(after(102, "run0"), ["hello", "gap", 101, 102, 103]);
  assertEquals(after(5000), ["hello", "gap", 101, 102, 103]);
  const reader = feed.open({ after: { number: 102, instance: "run0" } })!;
  assertEquals(blocks(reader.read())[1], { event: "gap", data: '{"missed":null}' });
});

Deno.test("a client gets only the kinds and the user that it wants", () => {
  const { journal, feed } = desk();
  const kinds = feed.open({ kinds: ["config"] })!;
  const uid = feed.open({ uid: 7 })!;
  journal.publish(drift(7));
  journal.publish({ event: "config", message: "x" });
  journal.publish(drift(8));
  assertEquals([numbersOf(kinds), numbersOf(uid)], [["hello", 2], ["hello", 1]]);
});

Deno.test("a slow client misses what is forgotten, counted; it costs the others nothing", () => {
  const made = desk(8);
  const { journal, feed } = made;
  const slow = feed.open({})!;
  const quick = feed.open({})!;
  assertEquals([numbersOf(slow), numbersOf(quick)], [["hello"], ["hello"]]);
  for (let uid = 1; uid <= 20; uid++) {
    journal.publish(drift(uid));
    assertEquals(numbersOf(quick), [uid]);
  }
  assertEquals(numbersOf(slow), ["gap", 13, 14, 15, 16, 17, 18, 19, 20]);
  assertEquals(feed.report(), { clients: 2, total: 2, missed: 12, dropped: 0, refused: 0 });
  assertEquals(journal.report()[0], {
    name: "events",
    taken: 20,
    missed: 0,
    failed: 0,
    queued: 0,
  });
});

Deno.test("a client that does not read any more is dropped", async () => {
  const made = desk(8);
  const { journal, feed } = made;
  const stuck = feed.open({})!;
  numbersOf(stuck);
  for (let uid = 1; uid <= 20; uid++) journal.publish(drift(uid));
  assertEquals(feed.report().clients, 1, "not at once: it may only be busy");
  made.nowMs += STUCK_MS;
  journal.publish(drift(21));
  assertEquals(feed.report(), { clients: 0, total: 1, missed: 0, dropped: 1, refused: 0 });
  assertEquals(await stuck.next(), undefined);
});

Deno.test("no more clients than there may be", () => {
  const { feed } = desk();
  const readers = Array.from({ length: FEED_READERS_MAX }, () => feed.open({}));
  assert(readers.every((reader) => reader !== undefined));
  assertEquals(feed.open({}), undefined);
  readers[0]!.close();
  assert(feed.open({}) !== undefined);
  assertEquals(feed.report().refused, 1);
  feed.close();
  assertEquals(feed.report().clients, 0);
});

/** Follows events over a socket. */
async function follow(
  socketPath: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ response: Response; client: Deno.HttpClient }> {
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path: socketPath } });
  return { client, response: await fetch(`http://localhost${path}`, { client, headers }) };
}

/** Reads until a text has come. */
async function readUntil(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  wanted: string,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes(wanted)) {
    const { value, done } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  return text;
}

Deno.test("over the socket: a stream, and going on after the connection broke", async () => {
  await withControl(async ({ socketPath, backend }) => {
    const journal = new Journal({ nowNs: () => 9e9, now: () => AT });
    journal.subscribe(backend.feed);
    const { response, client } = await follow(socketPath, "/v1/events?kinds=drift,kill");
    assertEquals(response.status, 200);
    assertEquals(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
    const reader = response.body!.getReader();
    await readUntil(reader, "hello");
    journal.publish(drift(7));
    journal.publish({ event: "config", message: "x" });
    const text = await readUntil(reader, '"uid":7');
    const id = /id: (\S+)/.exec(text)![1]!;
    assertEquals(id, "1@fake");
    await reader.cancel();
    client.close();
    for (let n = 0; n < 3; n++) journal.publish(drift(8 + n));
    // The header wins over the address, as a browser repeats that.
    const again = await follow(socketPath, "/v1/events?after=0", { "last-event-id": id });
    const more = again.response.body!.getReader();
    const rest = await readUntil(more, '"uid":10');
    assertEquals([...rest.matchAll(/"number":(\d+)/g)].map(([, one]) => Number(one)), [2, 3, 4, 5]);
    await more.cancel();
    again.client.close();
  });
});

Deno.test("over the socket: a client that stops reading holds up nobody, and not the end", async () => {
  await withControl(async ({ socketPath, backend, server }) => {
    const journal = new Journal({ nowNs: () => 9e9, now: () => AT });
    journal.subscribe(backend.feed);
    const stuck = await Deno.connect({ transport: "unix", path: socketPath });
    await stuck.write(new TextEncoder().encode("GET /v1/events HTTP/1.1\r\nHost: toom\r\n\r\n"));
    const first = new Uint8Array(512);
    await stuck.read(first);
    const message = "x".repeat(4000);
    for (let n = 0; n < 5000; n++) journal.publish({ event: "config", message });
    const answer = await follow(socketPath, "/v1/status");
    assertEquals(answer.response.status, 200);
    await answer.response.body!.cancel();
    answer.client.close();
    const [events] = journal.report();
    assertEquals([events!.taken, events!.missed, events!.queued], [5000, 0, 0]);
    await server.stop();
    stuck.close();
  });
});

Deno.test("over the socket: what is asked wrongly is refused with what was expected", async () => {
  await withControl(async ({ socketPath }) => {
    const wrong = [
      ["/v1/events?after=x", "query: after: expected the id of an event such as 41 or 41@m3k9x2"],
      ["/v1/events?uid=-1", "query: uid: expected a uid"],
      ["/v1/events?uid=1&uid=2", 'query: expected "uid" once'],
    ];
    for (const [path, error] of wrong) {
      const { response, client } = await follow(socketPath, path!);
      assertEquals([response.status, (await response.json()).error], [400, error], path);
      client.close();
    }
    for (const path of ["/v1/events?kinds=nothing", "/v1/events?what=1"]) {
      const { response, client } = await follow(socketPath, path);
      assertEquals(response.status, 400, await response.text());
      client.close();
    }
  });
});
