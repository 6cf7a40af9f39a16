import { VERIFY_BEGIN, VERIFY_END } from "../../../pipeline/messages/records.ts";
import { assert, assertEquals } from "@std/assert";
import { RecordKind } from "../../../pipeline/memory/layout.ts";
import { Desk } from "../../_support/desk.ts";

const ANN = 1000;
const BOB = 1001;

function isInDoubt(desk: Desk, uid: number): boolean {
  return desk.books.users.doubtTsNs[desk.books.findUser(uid)]! !== 0;
}

function kills(desk: Desk): number[] {
  return desk.orders().filter(({ kind }) => kind === "kill").map(({ uid }) => uid);
}

function asked(desk: Desk, kind: number): number[] {
  return desk.asked.filter((query) => query.kind === kind).map(({ tid }) => tid);
}

/** ANN has 900 and 100 of 1000 pages, BOB 50 of 1000; then events are lost. */
function makeDesk(): Desk {
  const desk = new Desk();
  desk.limit(ANN, 1000, 990).limit(BOB, 1000);
  desk.proc(10, ANN, { anon: 900 }).proc(11, ANN, { anon: 90 }).proc(20, BOB, { anon: 50 }).step();
  return desk.lost().step();
}

Deno.test("I4: a user over its limit by books in doubt is read before anybody is killed", () => {
  // Process 10 has freed 790 pages in an event that was lost.
  const desk = makeDesk();
  desk.own(11, 0xb, { anon: 200 }).step();
  assertEquals([kills(desk), asked(desk, RecordKind.verify)], [[], [ANN]]);
  desk.sweeperPut(VERIFY_BEGIN, { uid: ANN }).proc(10, ANN, { anon: 110 });
  desk.proc(11, ANN, { anon: 200 }).sweeperPut(VERIFY_END, { uid: ANN }).step();
  assertEquals([kills(desk), desk.usage(ANN), isInDoubt(desk, ANN)], [[], 310, false]);
});

Deno.test("I4: who is over by what /proc says loses a process as soon as that is known", () => {
  const desk = makeDesk();
  desk.own(11, 0xb, { anon: 200 }).step();
  desk.sweeperPut(VERIFY_BEGIN, { uid: ANN }).proc(10, ANN, { anon: 900 });
  desk.proc(11, ANN, { anon: 200 }).sweeperPut(VERIFY_END, { uid: ANN }).step();
  assertEquals([kills(desk), desk.usage(ANN)], [[ANN], 1100]);
});

Deno.test("I4: doubt is a user's own: one is read, the other stays in doubt", () => {
  const desk = makeDesk();
  assert(isInDoubt(desk, ANN) && isInDoubt(desk, BOB));
  desk.own(11, 0xb, { anon: 200 }).step();
  desk.sweeperPut(VERIFY_BEGIN, { uid: ANN }).gone(10).gone(11);
  desk.sweeperPut(VERIFY_END, { uid: ANN }).step();
  assertEquals([isInDoubt(desk, ANN), isInDoubt(desk, BOB)], [false, true]);
  // A user that joins after the loss is not in doubt at all.
  desk.limit(1002, 100).proc(30, 1002, {}).step().own(30, 0x30, { anon: 1 }).step();
  desk.own(30, 0x30, { anon: 101 }).step();
  assertEquals(kills(desk), [1002]);
});

Deno.test("I4: a reading that began before a loss does not end the doubt; another is asked for", () => {
  const desk = makeDesk();
  desk.own(11, 0xb, { anon: 200 }).step();
  desk.sweeperPut(VERIFY_BEGIN, { uid: ANN }).proc(10, ANN, { anon: 900 }).step();
  desk.lost().step();
  desk.proc(11, ANN, { anon: 200 }).sweeperPut(VERIFY_END, { uid: ANN }).step();
  assertEquals(kills(desk), []);
  assertEquals(asked(desk, RecordKind.verify), [ANN, ANN]);
});

Deno.test("I4: a whole sweep ends all doubts, and compares all users", () => {
  const desk = makeDesk();
  desk.own(11, 0xb, { anon: 200 }).step();
  desk.sweep(() => {
    desk.proc(10, ANN, { anon: 900 }).proc(11, ANN, { anon: 200 }).proc(20, BOB, { anon: 50 });
  }).step();
  assertEquals([isInDoubt(desk, ANN), isInDoubt(desk, BOB), kills(desk)], [false, false, [ANN]]);
});

Deno.test("I4: after a restart of accounting nobody dies by books that are only half read", () => {
  const desk = makeDesk();
  desk.startAccounting();
  desk.step().proc(10, ANN, { anon: 1100 }).step();
  assertEquals([kills(desk), asked(desk, RecordKind.verify)], [[], [ANN]]);
});
