import { assertEquals } from "@std/assert";
import { ProcFlag, SweepFlag } from "../../../pipeline/memory/layout.ts";
import { SWEEP_BEGIN } from "../../../pipeline/messages/records.ts";
import { Desk } from "../../_support/desk.ts";

const ANN = 1000;
const PARENT = 10;
const CHILD = 11;
const MM = 0xa;
const NEXT_MM = 0xb;

function makeDesk(): Desk {
  const desk = new Desk();
  desk.limit(ANN, 1000);
  return desk.proc(PARENT, ANN, {}).step().own(PARENT, MM, { anon: 500 }).step();
}

Deno.test("a process that gives its memory back while a sweep passes stays on the books", () => {
  const desk = makeDesk();
  desk.sweep(() => desk.exit(PARENT)).step();
  assertEquals(desk.usage(ANN), 500);
  desk.foreign(PARENT, MM, { anon: 200 }).step();
  assertEquals(desk.usage(ANN), 200);
  desk.sweep(() => {}).step();
  assertEquals(desk.usage(ANN), 200, "its exit was before, its last event was not long ago");
  desk.foreign(PARENT, MM, { anon: 0 }).step();
  assertEquals([desk.usage(ANN), desk.books.findProcess(PARENT)], [0, -1]);
  assertEquals(desk.reports().filter(({ name }) => name === "drift"), []);
});

Deno.test("a process whose end was not seen to its end is forgotten by a later sweep", () => {
  const desk = makeDesk();
  desk.exit(PARENT).step();
  desk.tick(2e9);
  desk.sweep(() => {}).step();
  assertEquals([desk.usage(ANN), desk.books.findProcess(PARENT)], [0, -1]);
});

Deno.test("what a process does to the mm of another counts, though its birth was not seen", () => {
  const desk = makeDesk();
  desk.proc(CHILD, ANN, { anon: 500 }, { flags: ProcFlag.borrows }).lender(CHILD, PARENT).step();
  assertEquals(desk.usage(ANN), 500);
  desk.own(CHILD, MM, { anon: 700 }).step();
  assertEquals(desk.usage(ANN), 700);
});

Deno.test("a crowd on one mm counts once, though some of it spoke before /proc told whose it is", () => {
  const desk = new Desk();
  desk.limit(ANN, 1000);
  // Accounting has started anew: the second claims the mm, and the third runs on the second's then.
  desk.own(CHILD, MM, { anon: 700 }).own(12, MM, { anon: 701 }).step();
  desk.proc(PARENT, ANN, { anon: 702 });
  for (const pid of [CHILD, 12]) {
    desk.proc(pid, ANN, { anon: 702 }, { flags: ProcFlag.borrows }).lender(pid, PARENT);
  }
  desk.step();
  assertEquals(desk.usage(ANN), 702);
  desk.own(12, MM, { anon: 710 }).own(CHILD, MM, { anon: 711 }).step();
  assertEquals(desk.usage(ANN), 711);
  assertEquals(desk.orders().map(({ kind }) => kind), []);
});

Deno.test("nor was the mm's name known before", () => {
  const desk = new Desk();
  desk.limit(ANN, 1000).proc(PARENT, ANN, { anon: 500 });
  desk.proc(CHILD, ANN, { anon: 500 }, { flags: ProcFlag.borrows }).lender(CHILD, PARENT).step();
  desk.own(CHILD, MM, { anon: 1001 }).step();
  assertEquals(desk.usage(ANN), 1001);
  assertEquals(desk.orders().map(({ kind }) => kind), ["kill"]);
  // And a third, told of by way of the second.
  desk.proc(12, ANN, { anon: 1001 }, { flags: ProcFlag.borrows }).lender(12, CHILD).step();
  desk.own(12, MM, { anon: 1010 }).step();
  assertEquals(desk.usage(ANN), 1010);
});

Deno.test("a reading from before the end of its lender does not take a process's mm", () => {
  const desk = makeDesk().vfork(PARENT, CHILD).step();
  const tsNs = desk.tick();
  desk.exit(PARENT).step();
  assertEquals([desk.pages(CHILD), desk.usage(ANN)], [500, 500]);
  desk.proc(CHILD, ANN, { anon: 500 }, { flags: ProcFlag.borrows, tsNs });
  desk.lender(CHILD, PARENT, tsNs).step();
  assertEquals([desk.pages(CHILD), desk.usage(ANN)], [500, 500]);
  desk.own(CHILD, MM, { anon: 510 }).step();
  assertEquals(desk.usage(ANN), 510);
});

Deno.test("a reading from after the end of its lender, of which no event told yet, leaves a process the mm", () => {
  const desk = makeDesk().vfork(PARENT, CHILD).step();
  const endNs = desk.tick();
  desk.proc(CHILD, ANN, { anon: 500 }).step();
  assertEquals(desk.usage(ANN), 500);
  desk.exit(PARENT, 1, endNs).step();
  assertEquals([desk.pages(CHILD), desk.usage(ANN)], [500, 500]);
});

Deno.test("a reading does not bring back a process whose end is all that events told of", () => {
  const desk = new Desk();
  desk.limit(ANN, 1000);
  const tsNs = desk.tick();
  // Accounting has started anew, and knows nobody when these arrive.
  desk.exit(PARENT).foreign(PARENT, MM, { file: 0 }).foreign(PARENT, MM, { anon: 0 }).step();
  desk.proc(PARENT, ANN, { anon: 500 }, { tsNs }).step();
  assertEquals(desk.usage(ANN), 0);
  desk.gone(PARENT).step();
  assertEquals(desk.books.findProcess(PARENT), -1);
});

Deno.test("a reading from after an exec, and of a child of its, which come before the exec's events", () => {
  const desk = makeDesk();
  const [buildNs, ownNs, execNs, vforkNs] = [1, 2, 3, 4].map(() => desk.tick());
  desk.proc(PARENT, ANN, { anon: 20 });
  desk.proc(CHILD, ANN, { anon: 20 }, { flags: ProcFlag.borrows }).lender(CHILD, PARENT).step();
  desk.foreign(PARENT, NEXT_MM, { anon: 1 }, buildNs).foreign(PARENT, MM, { anon: 0 }, ownNs);
  desk.own(PARENT, NEXT_MM, { anon: 20 }, ownNs).exec(PARENT, PARENT, execNs).step();
  assertEquals([desk.pages(PARENT), desk.pages(CHILD), desk.usage(ANN)], [20, 0, 20]);
  desk.vfork(PARENT, CHILD, vforkNs).step();
  assertEquals([desk.pages(PARENT), desk.pages(CHILD), desk.usage(ANN)], [20, 0, 20]);
  desk.own(CHILD, NEXT_MM, { anon: 25 }).step();
  assertEquals(desk.usage(ANN), 25);
});

Deno.test("who was born after an exec does not get the mm of before, though its birth is read first", () => {
  const desk = makeDesk();
  const [buildNs, ownNs] = [1, 2].map(() => desk.tick());
  desk.vfork(PARENT, CHILD).step();
  desk.foreign(PARENT, NEXT_MM, { anon: 1 }, buildNs).own(PARENT, NEXT_MM, { anon: 20 }, ownNs);
  desk.exec(PARENT, PARENT, ownNs).step();
  assertEquals([desk.pages(PARENT), desk.pages(CHILD), desk.usage(ANN)], [20, 0, 20]);
});

Deno.test("who borrowed before an exec gets the mm of before", () => {
  const desk = makeDesk().vfork(PARENT, CHILD).step();
  desk.foreign(PARENT, NEXT_MM, { anon: 1 }).own(PARENT, NEXT_MM, { anon: 20 }).exec(PARENT).step();
  assertEquals([desk.pages(PARENT), desk.pages(CHILD), desk.usage(ANN)], [20, 500, 520]);
});

Deno.test("who /proc says to borrow no more gets its lender's mm within 100 ms, and not after that", () => {
  for (const [waitNs, pages] of [[5e7, 500], [1.5e8, 20], [1.5e9, 20]] as const) {
    const desk = makeDesk().vfork(PARENT, CHILD).step();
    desk.proc(CHILD, ANN, { anon: 20 }).step();
    // The event of its exec, or of the end of its lender, was due in between.
    desk.tick(waitNs);
    desk.proc(CHILD, ANN, { anon: 20 }).step();
    assertEquals(desk.usage(ANN), 520);
    desk.exit(PARENT).step();
    assertEquals(desk.pages(CHILD), pages, `${waitNs} ns`);
    desk.foreign(PARENT, MM, { anon: 0 }).step();
    assertEquals(desk.usage(ANN), pages === 500 ? 0 : 20, "its lender's mm is over");
  }
});

Deno.test("who gets the mm of a lender that a sweep missed keeps what /proc said of it since", () => {
  // The events of its exec, and of the end of its lender, were lost.
  const desk = makeDesk().vfork(PARENT, CHILD).step();
  desk.proc(CHILD, ANN, { anon: 20 }).step();
  desk.sweep(() => desk.proc(CHILD, ANN, { anon: 20, file: 3 })).step();
  assertEquals([desk.pages(PARENT), desk.pages(CHILD), desk.usage(ANN)], [-1, 20, 20]);
  const slot = desk.books.findUser(ANN);
  assertEquals(desk.books.users.peakPages[slot], 520, "and it was never charged for both");
});

Deno.test("who gets its lender's mm keeps what that has done since /proc was read", () => {
  const desk = makeDesk().vfork(PARENT, CHILD).step();
  desk.proc(CHILD, ANN, { anon: 500 }).step().proc(CHILD, ANN, { anon: 500 }).step();
  desk.own(PARENT, MM, { anon: 510 }).exit(PARENT).step();
  assertEquals([desk.pages(PARENT), desk.pages(CHILD), desk.usage(ANN)], [-1, 510, 510]);
});

Deno.test("after a loss, what is being built is not over while its events may be on their way", () => {
  const desk = makeDesk().lost().step();
  desk.foreign(PARENT, NEXT_MM, { anon: 1 }).step();
  const execNs = desk.tick();
  desk.tick(30e6);
  // The reader is late: /proc has seen the new program, and no event of the last 30 ms was read.
  desk.proc(PARENT, ANN, { anon: 1 }).step();
  desk.exec(PARENT, PARENT, execNs).step();
  assertEquals(desk.books.findMm(MM), -1, "it runs on what it has built");
  desk.own(PARENT, NEXT_MM, { anon: 5 }).step();
  assertEquals(desk.pages(PARENT), 5);
  // With newer events it would have spoken again by now.
  desk.lost().step().foreign(PARENT, 0xc, { anon: 7 }).step();
  desk.tick(30e6);
  desk.own(PARENT, NEXT_MM, { anon: 6 }).step().proc(PARENT, ANN, { anon: 6 }).step();
  assertEquals([desk.pages(PARENT), desk.books.findMm(0xc)], [6, -1]);
});

Deno.test("what /proc says of who has left an mm by an exec is not said of its borrower's mm", () => {
  const desk = makeDesk().vfork(PARENT, CHILD).step();
  const [buildNs, ownNs, execNs, childNs] = [1, 2, 3, 4].map(() => desk.tick());
  desk.proc(PARENT, ANN, { anon: 5 }).step();
  desk.proc(PARENT, ANN, { anon: 5 }).step();
  desk.foreign(PARENT, NEXT_MM, { anon: 1 }, buildNs).own(PARENT, NEXT_MM, { anon: 5 }, ownNs);
  desk.exec(PARENT, PARENT, execNs).step();
  desk.own(CHILD, MM, { anon: 510 }, childNs).step();
  assertEquals([desk.pages(PARENT), desk.pages(CHILD)], [5, 510]);
});

Deno.test("a birth that is read after /proc said that the child runs on its own mm leaves it that", () => {
  const desk = makeDesk();
  const vforkNs = desk.tick();
  desk.proc(CHILD, ANN, { anon: 20 }).step();
  desk.vfork(PARENT, CHILD, vforkNs).step();
  assertEquals([desk.pages(PARENT), desk.pages(CHILD)], [500, 20]);
  desk.tick(2e8);
  desk.exit(PARENT).foreign(PARENT, MM, { anon: 0 }).step();
  assertEquals([desk.pages(CHILD), desk.usage(ANN)], [20, 20]);
});

Deno.test("who was read by a sweep that did not end is forgotten by one of the same number", () => {
  const desk = makeDesk();
  desk.sweeperPut(SWEEP_BEGIN, { number: 1, flags: SweepFlag.full, errorPages: 0 });
  desk.proc(PARENT, ANN, { anon: 500 }).proc(CHILD, ANN, { anon: 20 }).step();
  // The sweeper throws, and another takes its place. Meanwhile one has ended, which nobody told.
  desk.tick(2e9);
  desk.sweep(() => desk.proc(CHILD, ANN, { anon: 20 })).step();
  assertEquals([desk.books.findProcess(PARENT), desk.usage(ANN)], [-1, 20]);
});
