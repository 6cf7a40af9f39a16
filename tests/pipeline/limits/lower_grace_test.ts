/** A limit that is lowered below what a user has: what counts when. */
import { assertEquals } from "@std/assert";
import { NO_LIMIT_PAGES } from "../../../pipeline/books/books.ts";
import { loweringsOf, putLowerings } from "../../../pipeline/limits/carried_lowerings.ts";
import { DegradedReason } from "../../../pipeline/messages/reports.ts";
import { Desk } from "../../_support/desk.ts";

const ANN = 1000;
const BOB = 1001;
const GRACE_NS = 60e9;

/** Ann has 500 pages in two processes, of 1000 that she may have. */
function desk(): Desk {
  const made = new Desk({ settings: { lowerGraceMs: 60_000 } });
  made.limit(ANN, 1000, 900).limit(BOB, 1000, 900);
  made.proc(10, ANN, { anon: 300 }).proc(11, ANN, { anon: 200 }).proc(20, BOB, { anon: 300 })
    .step();
  return made;
}

/** So much later. */
function pass(made: Desk, ns: number): void {
  made.tick(ns);
  made.step();
}

function kills(made: Desk): number[] {
  return made.orders().filter(({ kind }) => kind === "kill").map(({ uid }) => uid);
}

/** Hard and soft limit of a user as they count, pages. */
function counts(made: Desk, uid = ANN): number[] {
  const { users } = made.memory;
  const slot = users.uid.indexOf(uid);
  return [users.hardPages[slot]!, users.softPages[slot]!];
}

Deno.test("who has more than a lowered limit loses nobody before the grace is over", () => {
  const made = desk();
  made.limit(ANN, 400, 300).step();
  // The killer gets ready, but kills nobody.
  assertEquals(made.orders().map(({ kind }) => kind), ["arm"]);
  assertEquals(counts(made), [1000, 300]);
  pass(made, GRACE_NS - 1e9);
  assertEquals(kills(made), []);
  pass(made, 1.2e9);
  assertEquals(kills(made), [ANN]);
  assertEquals(counts(made), [400, 300]);
});

Deno.test("within the grace the former limit holds", () => {
  const made = desk();
  made.limit(ANN, 400, 300).step();
  made.own(10, 70, { anon: 750 }).step();
  assertEquals(kills(made), []);
  made.own(10, 70, { anon: 801 }).step();
  assertEquals(kills(made), [ANN]);
});

Deno.test("who has come below the new limit is held to it", () => {
  const made = desk();
  made.limit(ANN, 400, 300).step();
  made.own(11, 71, { anon: 50 }).step();
  pass(made, 0.2e9);
  assertEquals(counts(made), [400, 300]);
  made.own(10, 70, { anon: 401 }).step();
  assertEquals(kills(made), [ANN]);
});

Deno.test("another lowering does not prolong a grace, and raising the limit ends it", () => {
  const made = desk();
  made.limit(ANN, 400, 300).step();
  pass(made, GRACE_NS / 2);
  made.limit(ANN, 350, 300).step();
  assertEquals(counts(made), [1000, 300]);
  pass(made, GRACE_NS / 2 + 0.2e9);
  assertEquals(kills(made), [ANN]);

  const other = desk();
  other.limit(ANN, 400, 300).step();
  other.limit(ANN, 600, 550).step();
  assertEquals(counts(other), [600, 550]);
  pass(other, 2 * GRACE_NS);
  assertEquals(kills(other), []);
  // A new lowering has a grace of its own.
  other.limit(ANN, 400, 300).step();
  pass(other, GRACE_NS - 1e9);
  assertEquals(kills(other), []);
});

Deno.test("a limit that is to count at once does, and so does one without a grace", () => {
  const made = desk();
  made.limit(ANN, 400, 300, ANN, { isAtOnce: true }).step();
  assertEquals(kills(made), [ANN]);
  const none = new Desk();
  none.limit(ANN, 1000, 900).proc(10, ANN, { anon: 500 }).step();
  none.limit(ANN, 400, 300).step();
  assertEquals(kills(none), [ANN]);
});

Deno.test("a first limit has no grace, and neither has who was cleared in between", () => {
  const made = new Desk({ settings: { lowerGraceMs: 60_000 } });
  made.limit(ANN, 400, 300).proc(10, ANN, { anon: 500 }).step();
  assertEquals(kills(made), [ANN]);
  const other = desk();
  other.unlimit(ANN).step();
  other.limit(ANN, 400, 300).step();
  assertEquals(kills(other), [ANN]);
});

Deno.test("who is below a lowered limit has no grace, and others keep theirs", () => {
  const made = desk();
  made.limit(ANN, 400, 350).limit(BOB, 350, 320).step();
  assertEquals([counts(made), counts(made, BOB)], [[1000, 350], [350, 320]]);
  made.own(20, 80, { anon: 351 }).step();
  assertEquals(kills(made), [BOB]);
});

Deno.test("another accounting goes on with a grace, and ends it in time", () => {
  const made = desk();
  const read = (): Desk => made.proc(10, ANN, { anon: 300 }).proc(11, ANN, { anon: 200 });
  made.limit(ANN, 400, 300).step();
  pass(made, GRACE_NS / 2);
  made.startAccounting(DegradedReason.workerRestart);
  made.step();
  made.sweep(read).step();
  pass(made, 1e9);
  assertEquals([kills(made), counts(made)], [[], [1000, 300]]);
  pass(made, GRACE_NS / 2);
  assertEquals(kills(made), [ANN]);
});

Deno.test("a grace of a lowered limit outlasts a start-over, and ends when it was to end", () => {
  const before = desk();
  before.limit(ANN, 400, 300).step();
  pass(before, GRACE_NS / 2);
  const lowerings = loweringsOf(before.memory);
  assertEquals(lowerings.map(({ uid, hardPages }) => [uid, hardPages]), [[ANN, 1000]]);
  const made = new Desk({ settings: before.settings });
  made.nowNs = before.nowNs;
  putLowerings(made.memory, lowerings);
  made.limit(ANN, 400, 300).limit(BOB, 350, 320);
  made.startAccounting();
  made.step();
  assertEquals(loweringsOf(made.memory), lowerings, "a second start-over has it too");
  const read = (): Desk =>
    made.proc(10, ANN, { anon: 300 }).proc(11, ANN, { anon: 200 }).proc(20, BOB, { anon: 351 });
  made.sweep(read).step();
  assertEquals(kills(made), [BOB], "who had no grace has none");
  assertEquals(counts(made), [1000, 300]);
  pass(made, GRACE_NS / 2 - 1e9);
  assertEquals(kills(made), []);
  pass(made, 2e9);
  assertEquals([kills(made), counts(made)], [[ANN], [400, 300]]);
  assertEquals(loweringsOf(made.memory), []);
});

Deno.test("a grace of a lowered limit is over after a start-over for who came below, or has no limit", () => {
  const lowering = { uid: ANN, hardPages: 1000, untilNs: 1e15 };
  for (const rule of ["lowered", "raised", "none"]) {
    const made = new Desk();
    putLowerings(made.memory, [lowering]);
    if (rule === "lowered") made.limit(ANN, 400, 300);
    if (rule === "raised") made.limit(ANN, 2000, 1500);
    made.startAccounting();
    made.sweep(() => made.proc(10, ANN, { anon: 350 })).step();
    pass(made, 1e9);
    assertEquals([kills(made), loweringsOf(made.memory)], [[], []], rule);
    const hard = { lowered: 400, raised: 2000, none: NO_LIMIT_PAGES }[rule];
    assertEquals(counts(made)[0], hard, rule);
  }
});
