/**
 * A family on a desk: what a user is charged for, forks and measurings, for tests of shared memory.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { HeaderWord } from "../../pipeline/memory/layout.ts";
import { MEASURE_BEGIN, MEASURE_END, MEASURED } from "../../pipeline/messages/records.ts";
import { Desk } from "./desk.ts";

export const ANN = 1000;
export const BOB = 1001;
export const ROOT = 10;
export const A = 0xa;

/** Charged pages of a user. */
export function charged(desk: Desk, uid = ANN): number {
  const slot = desk.books.findUser(uid);
  const { usagePages, creditPages } = desk.books.users;
  return slot < 0 ? 0 : usagePages[slot]! - creditPages[slot]!;
}

/** What the end of a process would free. */
export function privatePages(desk: Desk, tgid: number): number {
  const slot = desk.books.findProcess(tgid);
  const { pages, sharedPages } = desk.books.processes;
  return pages[slot]! - sharedPages[slot]!;
}

/** A process of ANN with so many anonymous pages. */
export function makeDesk(pages: number, hardPages = 1000): Desk {
  const desk = new Desk();
  desk.limit(ANN, hardPages).limit(BOB, hardPages);
  return desk.proc(ROOT, ANN, {}).step().own(ROOT, A, { anon: pages }).step();
}

/** A fork as the kernel tells of it: the child's mm is built by its parent, which then names it. */
export function fork(desk: Desk, parent: number, child: number, mmId: number, pages: number): Desk {
  for (let built = 1; built < pages; built += 100) desk.foreign(parent, mmId, { anon: built });
  return desk.foreign(parent, mmId, { anon: pages }).fork(parent, child).step();
}

/** A measuring of ANN. `found`: tgid, shared pages, credit, part of shareable pages. */
export function measure(desk: Desk, number: number, found: readonly (readonly number[])[]): Desk {
  desk.sweeperPut(MEASURE_BEGIN, { number, uid: ANN }).step();
  assertEquals(desk.memory.header[HeaderWord.measureBegun], number);
  for (const [tgid, shared, credit, shareable = 0] of found) {
    desk.sweeperPut(MEASURED, {
      tgid: tgid!,
      sharedPages: shared!,
      creditPages: credit!,
      mappedCreditPages: 0,
      shareablePages: shareable,
    });
  }
  return desk.sweeperPut(MEASURE_END, { number, uid: ANN }).step();
}
