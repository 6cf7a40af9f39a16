import { ARM_EVERY_NS } from "../../pipeline/memory/timing.ts";
import { assert, assertEquals } from "@std/assert";
import { NO_LIMIT_PAGES } from "../../pipeline/books/books.ts";
import { attachRole } from "../../pipeline/memory/doorbell.ts";
import { CounterIndex, HeaderWord, Role, RoleWord } from "../../pipeline/memory/layout.ts";
import { attachCounters, SIDE_RING_RECORDS } from "../../pipeline/memory/memory.ts";
import { Desk } from "../_support/desk.ts";

const ANN = 1000;
const BOB = 1001;
const A = 0x1111;
const B = -0x2222;
const C = 0x3333;

/** Ann may have 1000 pages, 900 softly; her process 10 has mm A. Bob has 50 pages and no limit. */
function makeDesk(options: ConstructorParameters<typeof Desk>[0] = {}): Desk {
  const desk = new Desk(options);
  desk.limit(ANN, 1000, 900).proc(10, ANN, {}).proc(20, BOB, {}).step();
  desk.own(20, C, { anon: 50 }).own(10, A, { anon: 100 }).step();
  return desk;
}

function kinds(desk: Desk): string[] {
  return desk.step().orders().map(({ kind }) => kind);
}

Deno.test("below soft nothing is ordered", () => {
  const desk = makeDesk();
  desk.own(10, A, { anon: 900 });
  assertEquals(kinds(desk), []);
  assertEquals(desk.state(ANN), "ok");
});

Deno.test("at soft: armed at once, told once, and armed again after ten pages and 1 ms", () => {
  const desk = makeDesk();
  desk.own(10, A, { anon: 901 });
  assertEquals(kinds(desk), ["arm"]);
  assertEquals(desk.state(ANN), "soft");
  assertEquals(desk.reports("soft").map(({ values }) => values), [
    { uid: ANN, usagePages: 901, softPages: 900, hardPages: 1000 },
  ]);
  const { users } = desk.books;
  const slot = desk.books.findUser(ANN);
  desk.tick(ARM_EVERY_NS);
  for (let i = 1; i <= 9; i++) desk.own(10, A, { anon: 901 + i });
  users.armsDone[slot]!++;
  assertEquals(kinds(desk), []);
  desk.own(10, A, { anon: 911 });
  assertEquals(kinds(desk), ["arm"]);
  // The killer has not looked at that one yet.
  desk.tick(ARM_EVERY_NS);
  for (let i = 1; i <= 30; i++) desk.own(10, A, { anon: 911 + i });
  assertEquals(kinds(desk), []);
  users.armsDone[slot]!++;
  for (let anon = 942; anon <= 950; anon++) desk.own(10, A, { anon });
  assertEquals(kinds(desk), []);
  desk.own(10, A, { anon: 951 });
  assertEquals(kinds(desk), ["arm"]);
  // The killer is done, but that was just now.
  users.armsDone[slot]!++;
  for (let i = 1; i <= 30; i++) desk.own(10, A, { anon: 951 + i });
  assertEquals(kinds(desk), []);
  desk.tick(ARM_EVERY_NS);
  desk.own(10, A, { anon: 991 });
  assertEquals(kinds(desk), ["arm"]);
  assertEquals(desk.reports("soft"), []);
});

Deno.test("who dances on the soft line is told of once a second", () => {
  const desk = makeDesk();
  for (let i = 0; i < 50; i++) desk.own(10, A, { anon: 901 }).own(10, A, { anon: 800 });
  desk.step();
  assertEquals(desk.state(ANN), "ok");
  assertEquals(desk.reports("soft").length, 1);
  desk.tick(1e9);
  desk.own(10, A, { anon: 901 }).step();
  assertEquals(desk.reports("soft").length, 1);
});

Deno.test("past hard: one order to kill, and none more until the killer has answered", () => {
  const desk = makeDesk();
  desk.own(10, A, { anon: 1000 }).step().orders();
  desk.own(10, A, { anon: 1001 }).step();
  const [kill] = desk.orders();
  assertEquals([kill?.kind, kill?.uid], ["kill", ANN]);
  assertEquals(desk.state(ANN), "hard");
  for (let i = 0; i < 50; i++) desk.own(10, A, { anon: 1002 + i });
  assertEquals(kinds(desk), []);
  desk.recheck(kill!);
  assertEquals(kinds(desk), ["kill"], "still over");
  desk.own(10, A, { anon: 990 }).step();
  assertEquals(desk.state(ANN), "soft");
  desk.recheck(kill!);
  assertEquals(kinds(desk).filter((kind) => kind === "kill"), []);
  desk.own(10, A, { anon: 1001 });
  assertEquals(kinds(desk), ["kill"]);
});

Deno.test("pages that come as a whole count at once: birth, /proc, change of user", () => {
  const desk = makeDesk();
  desk.proc(30, ANN, { anon: 950 });
  assertEquals(kinds(desk), ["kill"], "/proc");
  const other = makeDesk();
  // Seen before its birth: nobody's, until the birth comes.
  other.own(31, B, { anon: 950 }).step();
  assertEquals(other.orders(), []);
  other.foreign(10, 0x7777, { anon: 1 }).fork(10, 31, other.nowNs - 500);
  assertEquals(kinds(other).includes("kill"), true, "birth");
  const third = makeDesk();
  third.own(20, C, { anon: 950 }).step();
  third.proc(20, ANN, { anon: 950 });
  assertEquals(kinds(third).includes("kill"), true, "change of user");
});

Deno.test("the state goes back when processes end, even if no event shrinks them", () => {
  const desk = makeDesk();
  desk.own(10, A, { anon: 1200 }).step();
  assertEquals(desk.state(ANN), "hard");
  desk.exit(10).free(10).step();
  assertEquals([desk.usage(ANN), desk.state(ANN)], [0, "ok"]);
});

Deno.test("new limits hold from the next step on", () => {
  const desk = makeDesk();
  desk.limit(ANN, 50);
  assertEquals(kinds(desk), ["kill"]);
  const higher = makeDesk();
  higher.own(10, A, { anon: 1100 }).step().orders();
  higher.limit(ANN, 5000).step();
  assertEquals(higher.state(ANN), "ok");
  higher.unlimit(ANN).own(10, A, { anon: 1 << 20 });
  assertEquals(kinds(higher), []);
  higher.limit(BOB, 40);
  assertEquals(kinds(higher), ["kill"], "a user that had no limit");
});

Deno.test("nobody is ordered for a user without a limit inside of a range", () => {
  const desk = new Desk();
  desk.limit(ANN - 10, 1000, 900, ANN + 10).limit(ANN, NO_LIMIT_PAGES, NO_LIMIT_PAGES);
  desk.proc(10, ANN, {}).own(10, A, { anon: 1 << 30 });
  assertEquals(kinds(desk), []);
  assertEquals(desk.books.users.hardPages[desk.books.findUser(ANN)], NO_LIMIT_PAGES);
  desk.unlimit(ANN);
  assertEquals(kinds(desk), ["kill"], "the range holds again");
});

Deno.test("a restarted killer gets the orders again, and the armed ones do not block new ones", () => {
  const desk = makeDesk();
  desk.own(10, A, { anon: 950 });
  assertEquals(kinds(desk), ["arm"]);
  const words = attachRole(desk.memory, Role.killer);
  Atomics.add(words, RoleWord.epoch, 1);
  desk.step();
  // The successor works off what its predecessor left: one more than accounting counts now.
  desk.books.users.armsDone[desk.books.findUser(ANN)]! += 2;
  for (let i = 1; i <= 20; i++) desk.own(10, A, { anon: 950 + i });
  assert(kinds(desk).includes("arm"));
  desk.own(10, A, { anon: 1001 });
  assertEquals(kinds(desk), ["kill"]);
  Atomics.add(words, RoleWord.epoch, 1);
  assertEquals(kinds(desk), ["kill"]);
});

Deno.test("a killer's ring that is full sheds orders; a later event orders again", () => {
  const desk = makeDesk();
  desk.limit(ANN, 10, 5).step();
  const [first] = desk.orders();
  // Nobody takes the orders: each answer makes another one, until the ring is full.
  for (let i = 0; i < SIDE_RING_RECORDS + 50; i++) {
    desk.recheck(first!);
    if (i % 1000 === 0) desk.step();
  }
  desk.step();
  assert(attachCounters(desk.memory, Role.accounting)[CounterIndex.ordersShed]! > 0);
  assertEquals(desk.orders().length, SIDE_RING_RECORDS);
  desk.own(10, A, { anon: 101 });
  assertEquals(kinds(desk), ["kill"]);
});

Deno.test("the nearer a user is to its limit, the shorter may events wait", () => {
  const desk = new Desk({ marginPages: 100 });
  desk.limit(ANN, 1000).limit(BOB, 50);
  const urgency = (): number => Atomics.load(desk.step().memory.header, HeaderWord.urgency);
  assertEquals(urgency(), 0);
  desk.proc(10, ANN, { anon: 100 }).own(10, A, { anon: 900 });
  assertEquals(urgency(), 0);
  for (const [pages, expected] of [[901, 1], [950, 1], [951, 2], [975, 2], [976, 3], [1500, 3]]) {
    assertEquals((desk.own(10, A, { anon: pages! }), urgency()), expected, `${pages} pages`);
  }
  for (const [pages, expected] of [[951, 2], [920, 1], [900, 0]]) {
    assertEquals((desk.own(10, A, { anon: pages! }), urgency()), expected, `back to ${pages}`);
  }
  desk.proc(20, BOB, { anon: 0 }).own(20, B, { anon: 1 });
  assertEquals(urgency(), 2, "a small limit is always near");
  desk.own(10, A, { anon: 990 });
  assertEquals(urgency(), 3, "the nearest counts");
  desk.limit(BOB, 5000).own(10, A, { anon: 901 });
  assertEquals(urgency(), 1, "a higher limit is far");
  desk.own(10, A, { anon: 990 }).unlimit(ANN);
  assertEquals(urgency(), 0, "and so is none");
  desk.limit(ANN, 1000);
  assertEquals(urgency(), 3);
  desk.exit(10).foreign(10, A, { anon: 0 });
  assertEquals(urgency(), 0);
});

Deno.test("past soft, events may still wait when hard is far", () => {
  const desk = new Desk({ marginPages: 100 });
  desk.limit(ANN, 1000, 500).proc(10, ANN, {}).own(10, A, { anon: 700 });
  assertEquals(kinds(desk), ["arm"]);
  assertEquals(desk.state(ANN), "soft");
  assertEquals(Atomics.load(desk.memory.header, HeaderWord.urgency), 0);
  desk.own(10, A, { anon: 400 }).step();
  assertEquals(desk.state(ANN), "ok");
});

Deno.test("a reader is woken from its nap when events may wait no longer", () => {
  const desk = new Desk({ marginPages: 100 });
  desk.limit(ANN, 1000).proc(10, ANN, {}).own(10, A, { anon: 900 }).step();
  const words = attachRole(desk.memory, Role.reader);
  const rings = (): number => Atomics.load(words, RoleWord.bell);
  const before = rings();
  desk.own(10, A, { anon: 901 }).step();
  assertEquals(rings(), before + 1);
  desk.own(10, A, { anon: 910 }).own(10, A, { anon: 900 }).step();
  assertEquals(rings(), before + 1, "not for longer naps, nor for the same");
});

Deno.test("while the first sweep is under way nobody is killed: not all are known yet", () => {
  const desk = new Desk();
  desk.limit(ANN, 1000);
  let during: unknown;
  desk.sweep(() => {
    desk.proc(10, ANN, { anon: 1200 }).step();
    during = desk.orders().filter(({ kind }) => kind === "kill");
    desk.proc(11, ANN, { anon: 1500 });
  }).step();
  assertEquals(during, []);
  assertEquals(desk.orders().filter(({ kind }) => kind === "kill").length, 1, "at its end");
  // Later sweeps keep nobody from being killed.
  const other = new Desk();
  other.limit(ANN, 1000);
  other.sweep(() => other.proc(10, ANN, { anon: 10 })).step();
  other.sweep(() => {
    other.proc(10, ANN, { anon: 10 });
    other.own(10, 70, { anon: 1200 }).step();
    during = other.orders().filter(({ kind }) => kind === "kill").length;
  }).step();
  assertEquals(during, 1);
});
