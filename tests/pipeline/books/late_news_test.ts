/**
 * News that comes late, or ahead: of a parent whose user was not known, and of an mm that had ended.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { UNKNOWN_UID } from "../../../pipeline/books/books.ts";
import { ProcFlag } from "../../../pipeline/memory/layout.ts";
import { Desk } from "../../_support/desk.ts";

const ANN = 1000;
const BOB = 1001;
const A = 0x1111;
const B = -0x2222;
const C = 0x3333;

/** Ann's process 10 on mm A with 100 pages, Bob's process 20 on mm C with 50. */
function makeDesk(): Desk {
  const desk = new Desk();
  desk.proc(10, ANN, {}).proc(20, BOB, {}).step();
  return desk.own(10, A, { anon: 100 }).own(20, C, { anon: 50 }).step();
}

function assertUsage(desk: Desk, annPages: number, bobPages: number): void {
  desk.step();
  assertEquals([desk.usage(ANN), desk.usage(BOB)], [annPages, bobPages]);
}

Deno.test("a borrower has its parent's user, whosever mm that turns out to run on", () => {
  const desk = makeDesk();
  // Nobody announced 30; it runs on the mm of 20.
  desk.own(30, C, { anon: 51 }).vfork(30, 31).step();
  desk.proc(30, ANN, { anon: 51 }, { flags: ProcFlag.borrows }).lender(30, 20).step();
  desk.foreign(31, B, { anon: 1 }).own(31, B, { anon: 40 }).exec(31);
  assertUsage(desk, 140, 51);
  assertEquals(desk.pages(31), 40);
});

Deno.test("an mm_id comes back, though a reading was taken after that and came before it", () => {
  const desk = makeDesk();
  const [buildNs, endNs, execNs, nextNs, runNs] = [1, 2, 3, 4, 5].map(() => desk.tick());
  // 10 has executed a program, and 20 another one, in an mm with the id that 10 had before.
  desk.proc(10, ANN, { anon: 100 }).step();
  desk.foreign(10, B, { anon: 100 }, buildNs).foreign(10, A, { anon: 0 }, endNs);
  desk.exec(10, 10, execNs).step();
  desk.foreign(20, A, { anon: 1 }, nextNs).foreign(20, C, { anon: 0 }, runNs).exec(20, 20, runNs);
  assertUsage(desk, 100, 1);
  desk.own(20, A, { anon: 40 });
  assertUsage(desk, 100, 40);
});

Deno.test("what a borrower did before a sweep missed it leaves its lender an mm that it has not used", () => {
  const desk = new Desk().limit(ANN, 1000).proc(9, ANN, {});
  desk.step();
  desk.foreign(9, A, { anon: 6 }).fork(9, 10).vfork(10, 11).step();
  const [ownNs, exitNs] = [1, 2].map(() => desk.tick());
  desk.sweep(() => desk.proc(9, ANN, {}).proc(10, ANN, { anon: 6 })).step();
  assertEquals([desk.pages(10), desk.pages(11)], [6, -1]);
  desk.own(11, A, { anon: 7 }, ownNs).step();
  assertEquals([desk.pages(10), desk.usage(ANN), desk.usage(UNKNOWN_UID)], [7, 7, 0]);
  desk.exit(11, 1, exitNs).own(10, A, { anon: 8 }).step();
  assertEquals([desk.pages(10), desk.usage(ANN), desk.usage(UNKNOWN_UID)], [8, 8, 0]);
});

Deno.test("what /proc said of who was taken for its owner is not said of an mm", () => {
  const desk = makeDesk();
  const [runNs, execNs] = [1, 2].map(() => desk.tick());
  desk.proc(40, ANN, { anon: 60, file: 16 }).step();
  // 30, born of 40 by vfork, which was told to a predecessor, executes a program: heard of last.
  desk.own(30, B, { anon: 60 }, runNs).step();
  desk.proc(40, ANN, { anon: 60, file: 16 }).proc(30, ANN, { anon: 1 }).step();
  desk.exec(30, 30, execNs).step();
  desk.own(40, B, { anon: 61 }).step();
  const mm = desk.books.findMm(B);
  assertEquals([...desk.books.mms.pages.subarray(mm * 4, mm * 4 + 2)], [16, 61]);
  assertEquals(desk.pages(30), 1);
  assertUsage(desk, 162, 50);
});

Deno.test("what was written into a stranger's mm is not what the next life of its id is built of", () => {
  const desk = makeDesk();
  // B is of somebody whom nobody records: 10 writes to it, and it ends unseen.
  desk.foreign(10, B, { anon: 34 }).step();
  desk.foreign(20, B, { shmem: 9 }).fork(20, 21).own(21, B, { file: 16 });
  assertUsage(desk, 100, 59);
  assertEquals(desk.pages(21), 9);
});

Deno.test("what a task that nobody knows builds is not charged to who had the id before", () => {
  const desk = makeDesk().lost().step();
  // Of the next life of the id, built by a process that was not read yet; its owner has left it.
  desk.foreign(30, A, { anon: 160 }).step();
  const slot = desk.books.findUser(ANN);
  const { usagePages, creditPages } = desk.books.users;
  assertEquals([usagePages[slot], creditPages[slot]], [160, 60]);
});
