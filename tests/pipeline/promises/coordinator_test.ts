import { assert, assertEquals } from "@std/assert";
import { NO_LIMIT_PAGES } from "../../../pipeline/books/books.ts";
import { PASSES_MAX } from "../../../pipeline/promises/waiting_requests.ts";
import { HeaderWord } from "../../../pipeline/memory/layout.ts";
import { ReplyFlag, RequestType, Status } from "../../../pipeline/promises/tmalloc_message.ts";
import { ask, lastReply, PromiseWorld } from "../../_support/promises.ts";
import { type Random, withSeeds } from "../../_support/random.ts";

const UID = 1000;
const { reserve, query, claim, wait, declare, fork } = RequestType;

Deno.test("Coordinator grants iff committed + request <= hard", () => {
  const world = new PromiseWorld(UID, 100);
  const program = world.spawn(10);
  world.spawn(20);
  const first = ask(world, program, reserve, 60)!;
  assertEquals([first.status, first.pages, first.levelPages, first.committedPages], [
    0,
    60,
    70,
    90,
  ]);
  const second = ask(world, program, reserve, 11)!;
  assertEquals([second.status, second.flags], [Status.refused, 0]);
  assertEquals(ask(world, program, reserve, 31)!.flags, ReplyFlag.never);
  assertEquals(ask(world, program, reserve, 31, { minPages: 4 })!.pages, 10);
  assertEquals(ask(world, program, reserve, 1)!.status, Status.refused);
});

Deno.test("Coordinator publishes what was promised with the answer, and says that it changed", () => {
  const world = new PromiseWorld(UID, 100);
  const { books, memory } = world.desk;
  const program = world.spawn(10);
  world.sync();
  const promised = (): number => memory.users.promisedPages[books.findUser(UID)]!;
  const changes = (): number => memory.header[HeaderWord.promiseChanges]!;
  const before = changes();
  ask(world, program, reserve, 60);
  assertEquals([promised(), changes()], [60, before + 1]);
  assertEquals(ask(world, program, reserve, 60)!.status, Status.refused);
  assertEquals([promised(), changes()], [60, before + 1], "nothing was granted");
  world.touch(program, 20);
  world.sync();
  ask(world, program, reserve, 5);
  assertEquals([promised(), changes()], [45, before + 2], "what is used is charged");
});

Deno.test("Coordinator counts what is touched once, and what was never asked for too", () => {
  const world = new PromiseWorld(UID, 100);
  const program = world.spawn(10);
  ask(world, program, reserve, 50);
  world.touch(program, 30);
  world.sync();
  assertEquals(ask(world, program, query)!.committedPages, 60);
  // 20 more than it may: they were not asked for, and the next grant comes on top of them.
  program.residentPages += 40;
  world.desk.own(program.pid, program.mmId, { anon: program.residentPages });
  world.sync();
  assertEquals(ask(world, program, query)!.committedPages, 80);
  assertEquals(ask(world, program, reserve, 15)!.levelPages, 95);
});

Deno.test("Coordinator refuses a stale no only when the tables have caught up", () => {
  const world = new PromiseWorld(UID, 100);
  const program = world.spawn(10);
  ask(world, program, reserve, 80);
  world.touch(program, 80);
  world.sync();
  world.giveBack(program, 80);
  assertEquals(ask(world, program, reserve, 80), undefined, "it is looked at again");
  world.sync();
  world.turn(1e6);
  assertEquals([lastReply(world).status, lastReply(world).pages], [0, 80]);
  world.touch(program, 80);
  world.sync();
  world.giveBack(program, 80);
  ask(world, program, reserve, 80);
  world.turn(6e6);
  assertEquals(lastReply(world).status, Status.refused, "not for ever");
});

Deno.test("Coordinator answers waits in turn, and lets few pass", () => {
  const world = new PromiseWorld(UID, 1000);
  const holder = world.spawn(1);
  ask(world, holder, reserve, 900);
  const large = world.spawn(1);
  const small = world.spawn(1);
  assertEquals(ask(world, large, wait, 500, { timeoutMs: 1000 }), undefined);
  for (let i = 0; i < PASSES_MAX; i++) {
    assertEquals(ask(world, small, reserve, 1)!.status, 0, `passes ${i}`);
  }
  assertEquals(ask(world, small, reserve, 1)!.status, Status.refused, "no more");
  world.giveBack(holder, 600);
  world.turn(1e6);
  const answer = world.replies.find(({ connection }) => connection === large.connection)!.reply;
  assertEquals([answer.status, answer.pages], [0, 500]);
  assertEquals(ask(world, small, reserve, 1)!.status, 0);
});

Deno.test("Coordinator answers a wait at its deadline, and a hopeless one at once", () => {
  const world = new PromiseWorld(UID, 100);
  const holder = world.spawn(1);
  ask(world, holder, reserve, 90);
  const waiter = world.spawn(1);
  assertEquals(ask(world, waiter, wait, 50, { timeoutMs: 10 }), undefined);
  world.turn(5e6);
  assertEquals(world.replies.at(-1)!.connection, holder.connection);
  world.turn(6e6);
  assertEquals(lastReply(world).status, Status.timedOut);
  const hopeless = ask(world, waiter, wait, 100, { timeoutMs: 1000 })!;
  assertEquals([hopeless.status, hopeless.flags], [Status.refused, ReplyFlag.never]);
});

Deno.test("Coordinator keeps the state safe where claims were declared", () => {
  const world = new PromiseWorld(UID, 100);
  const first = world.spawn(1);
  const second = world.spawn(1);
  for (const program of [first, second]) {
    ask(world, program, reserve, 29);
    assertEquals(ask(world, program, claim, 70)!.claimPages, 70);
  }
  assertEquals(ask(world, first, reserve, 30)!.status, 0);
  const unsafe = ask(world, second, reserve, 1)!;
  assertEquals([unsafe.status, unsafe.flags], [Status.refused, 0], "then nobody could finish");
  assertEquals(ask(world, first, reserve, 11)!.status, Status.beyondClaim);
  assertEquals(ask(world, second, wait, 34, { timeoutMs: 1000 }), undefined);
  assertEquals(ask(world, first, reserve, 10)!.status, 0, "the first can finish");
  world.end(first);
  world.sync();
  world.turn(1e6);
  assertEquals(lastReply(world).status, 0, "then the second");
});

Deno.test("Coordinator refuses a claim that could not be met", () => {
  const world = new PromiseWorld(UID, 100);
  const first = world.spawn(1);
  const second = world.spawn(1);
  assertEquals(ask(world, first, claim, 101)!.flags, ReplyFlag.never);
  ask(world, first, reserve, 49);
  ask(world, first, claim, 90);
  ask(world, second, reserve, 9);
  assertEquals(ask(world, second, claim, 60)!.status, Status.ok);
  assertEquals(ask(world, second, reserve, 1)!.status, Status.refused, "the first needs 40");
  assertEquals(ask(world, second, claim, 0)!.claimPages, 0, "withdrawn");
  assertEquals(ask(world, first, claim, 0)!.claimPages, 0);
  assertEquals(ask(world, second, reserve, 40)!.status, Status.ok);
});

Deno.test("Coordinator tells a user its own numbers, whoever of it asks", () => {
  const world = new PromiseWorld(UID, 100);
  const silent = world.spawn(30);
  const numbers = (): number[] => {
    const { status, flags, pages, levelPages, residentPages, committedPages, hardPages } = ask(
      world,
      silent,
      query,
    )!;
    assertEquals([status, flags, levelPages, hardPages], [0, ReplyFlag.usage, 0, 100]);
    return [pages, residentPages, committedPages];
  };
  assertEquals(numbers(), [30, 30, 30], "nobody has ever asked");
  const asking = world.spawn(10);
  ask(world, asking, reserve, 20);
  assertEquals(numbers(), [40, 30, 60]);
  ask(world, asking, fork, 4);
  world.forkSharing(asking);
  world.sync();
  assertEquals(numbers(), [40, 30, 64], "what is shared counts once");
  assertEquals(
    world.coordinator.allocations.clients.size,
    1,
    "who only asks for numbers is not kept",
  );

  const newcomer = new PromiseWorld(UID, 100);
  const program = newcomer.login(7);
  assertEquals(ask(newcomer, program, query)!.pages, 7, "before the tables know of the user");
  assertEquals(lastReply(newcomer).committedPages, 7);
  newcomer.desk.unlimit(UID);
  const free = ask(newcomer, program, query)!;
  assertEquals([free.flags, free.pages], [ReplyFlag.unlimited, 0], "nobody counts it");
});

Deno.test("Coordinator grants nothing while the books are not to be trusted", () => {
  const world = new PromiseWorld(UID, 100);
  const program = world.spawn(1);
  const { header, users } = world.desk.memory;
  const row = world.desk.books.findUser(UID);
  users.doubtTsNs[row] = 1;
  Atomics.store(header, HeaderWord.degraded, 1);
  assertEquals(ask(world, program, reserve, 10), undefined);
  // This user was read since; others were not.
  users.doubtTsNs[row] = 0;
  world.turn(1e6);
  assertEquals(lastReply(world).status, 0);
  users.doubtTsNs[row] = 1;
  assertEquals(ask(world, program, reserve, 10), undefined);
  world.turn(1.1e9);
  assertEquals(lastReply(world).status, 0, "not for ever");
});

Deno.test("Coordinator takes over from one that died, and knows a process from its successor", () => {
  const world = new PromiseWorld(UID, 100);
  const kept = world.spawn(1);
  const execed = world.spawn(1);
  ask(world, kept, reserve, 30);
  ask(world, execed, reserve, 30);
  execed.execs++;
  world.startCoordinator();
  const other = world.spawn(1);
  assertEquals(ask(world, other, reserve, 68)!.status, Status.refused);
  assertEquals(ask(world, other, reserve, 67)!.status, 0);
  assertEquals(ask(world, kept, declare, 31)!.levelPages, 31);
  assertEquals(ask(world, execed, query)!.levelPages, 0);
});

Deno.test("Coordinator asks nothing of who has no limit, until it gets one", () => {
  const world = new PromiseWorld(UID, 100);
  world.desk.unlimit(UID);
  const program = world.spawn(1);
  const free = ask(world, program, reserve, 80)!;
  assertEquals([free.status, free.flags, free.pages], [0, ReplyFlag.unlimited, 80]);
  world.desk.limit(UID, NO_LIMIT_PAGES, NO_LIMIT_PAGES);
  const named = ask(world, program, query)!;
  assertEquals([named.status, named.flags], [0, ReplyFlag.unlimited], "a rule that says so");
  world.desk.limit(UID, 100).step();
  assertEquals(ask(world, program, reserve, 20)!.status, Status.refused);
  assertEquals(ask(world, program, reserve, 19)!.status, 0);
});

/** One step of a random life; pages asked for a fork: 0 a copy. */
function act(world: PromiseWorld, random: Random, forkPages: number): void {
  const programs = [...world.programs.values()];
  const program = random.pick(programs);
  const kind = random.below(20);
  if (kind < 5) world.touch(program, random.between(1, 60));
  else if (kind < 7) world.sync();
  else if (kind < 8) world.turn(random.pick([1e5, 1e6, 3e7, 3e8]));
  else if (kind < 9 && programs.length > 2) world.end(program);
  else if (program.isAsking) return;
  else if (kind < 12) {
    const pages = random.between(1, 200);
    world.ask(program, { type: reserve, pages, minPages: random.between(1, pages) });
  } else if (kind < 14) world.giveBack(program, random.between(1, 150));
  else if (kind < 15) {
    world.ask(program, { type: wait, pages: random.between(1, 300), timeoutMs: random.below(50) });
  } else if (kind < 16) world.ask(program, { type: claim, pages: random.below(700) });
  else if (kind < 18 && programs.length < 12) {
    const before = world.replies.length;
    world.ask(program, { type: fork, pages: forkPages });
    const reply = world.replies.slice(before)
      .find(({ connection }) => connection === program.connection)?.reply;
    if (reply?.status === Status.ok && forkPages === 0) world.fork(program);
    else if (reply?.status === Status.ok) {
      const child = world.forkSharing(program);
      if (random.oneIn(2)) {
        world.sync();
        if (random.oneIn(2)) world.exec(child);
      } else world.declare(child, program.levelPages);
    } else if (reply === undefined) world.reconnect(program); // It lost patience.
  } else if (kind < 19 && random.oneIn(3)) world.exec(program);
  else if (random.oneIn(10)) world.startCoordinator();
  else world.reconnect(program);
}

function liveAtRandom(forkPages: number): void {
  let granted = 0;
  let denied = 0;
  let fullest = 0;
  let shared = 0;
  withSeeds(300, (random) => {
    const world = new PromiseWorld(UID, 1000);
    for (let i = 0; i < 4; i++) world.spawn(random.between(1, 20));
    for (let i = 0; i < 400; i++) act(world, random, forkPages);
    fullest = Math.max(fullest, world.mostPages);
    shared = Math.max(shared, world.mostCountedPages);
    granted += world.granted;
    denied += world.denied;
    world.sync();
    const last = [...world.programs.values()][0]!;
    for (const program of [...world.programs.values()]) if (program !== last) world.end(program);
    world.sync();
    world.turn(2e9);
    world.reconnect(last);
    world.giveBack(last, last.reservedPages);
    world.sync();
    for (let i = 0; i < 3; i++) world.turn(1e9);
    const { residentPages } = last;
    const { committedPages } = ask(world, last, query)!;
    assert(committedPages - residentPages <= 20, `${committedPages} of ${residentPages} committed`);
    world.end(last);
    world.sync();
    assertEquals(world.coordinator.allocations.clients.size, 0, "nobody is promised anything");
    assertEquals(world.coordinator.allocations.users.size, 0);
  });
  assert(granted > 5000 && denied > 2000, `both happen: ${granted} and ${denied}`);
  assert(fullest > 900, `the limit is near: ${fullest}`);
  assert(forkPages === 0 || shared > 1100, `much is shared: ${shared}`);
}

Deno.test("who asks first never passes the limit, and in the end nothing is promised", () => {
  liveAtRandom(0);
});

Deno.test("nor who forks without room for copies, while nobody writes to what is shared", () => {
  liveAtRandom(5);
});
