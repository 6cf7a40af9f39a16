import { assert, assertEquals } from "@std/assert";
import { UNKNOWN_UID } from "../../../pipeline/books/books.ts";
import { attachCounters } from "../../../pipeline/memory/memory.ts";
import {
  CounterIndex,
  Member,
  ProcFlag,
  RecordKind,
  Role,
} from "../../../pipeline/memory/layout.ts";
import { Desk } from "../../_support/desk.ts";

const ANN = 1000;
const BOB = 1001;
/** Mm ids; one is negative, as half of the real ones are. */
const A = 0x1111;
const B = -0x2222;
const C = 0x3333;

/** Ann's process 10 on mm A with 100 pages, Bob's process 20 on mm C with 50. */
function makeDesk(options: ConstructorParameters<typeof Desk>[0] = {}): Desk {
  const desk = new Desk(options);
  desk.proc(10, ANN, {}).proc(20, BOB, {}).step();
  return desk.own(10, A, { anon: 100 }).own(20, C, { anon: 50 }).step();
}

function assertUsage(desk: Desk, annPages: number, bobPages = 50): void {
  desk.step();
  assertEquals(desk.usage(ANN), annPages, "Ann");
  assertEquals(desk.usage(BOB), bobPages, "Bob");
  assertEquals(desk.usage(UNKNOWN_UID), 0, "nobody");
}

Deno.test("a child whose exec /proc saw before its events came leaves its parent the mm", () => {
  const desk = new Desk().limit(ANN, 1000).proc(10, ANN, {});
  desk.step();
  desk.own(10, A, { anon: 7 }).vfork(10, 11).step();
  const tsNs = desk.tick();
  desk.tick(2e6);
  desk.proc(11, ANN, { anon: 1 }, { tsNs }).step();
  // From between the time that the reading carries and the reading itself.
  desk.foreign(11, B, { anon: 1 }, tsNs + 1e5);
  desk.own(11, A, { anon: 8 }, tsNs + 2e5).own(11, A, { anon: 7 }, tsNs + 3e5);
  desk.exec(11, 11, tsNs + 4e5).step();
  assertEquals([desk.pages(10), desk.pages(11), desk.usage(ANN)], [7, 1, 8]);
  // What comes after that is its own.
  desk.own(11, B, { anon: 5 }).own(10, A, { anon: 9 }).step();
  assertEquals([desk.pages(10), desk.pages(11)], [9, 5]);
});

Deno.test("nor does it take an mm that its parent was forked with and has not used yet", () => {
  const desk = new Desk().limit(ANN, 1000).proc(9, ANN, {});
  desk.step();
  desk.foreign(9, A, { anon: 6 }).fork(9, 10).vfork(10, 11).step();
  const tsNs = desk.tick();
  desk.tick(2e6);
  desk.proc(11, ANN, { anon: 1 }, { tsNs }).step();
  desk.foreign(11, B, { anon: 1 }, tsNs + 1e5);
  desk.own(11, A, { anon: 7 }, tsNs + 2e5).own(11, A, { anon: 6 }, tsNs + 3e5);
  desk.exec(11, 11, tsNs + 4e5).step();
  assertEquals([desk.pages(10), desk.pages(11)], [6, 1]);
});

Deno.test("nor does it take that when a sweep has missed it before its exec is heard of", () => {
  const desk = new Desk().limit(ANN, 1000).proc(10, ANN, {});
  desk.step();
  desk.own(10, A, { anon: 7 }).vfork(10, 11).step();
  const [buildNs, ownNs, runNs, exitNs, freeNs] = [1, 2, 3, 4, 5].map(() => desk.tick());
  desk.sweep(() => desk.proc(10, ANN, { anon: 7 })).step();
  assertEquals([desk.pages(10), desk.pages(11)], [7, -1]);
  desk.foreign(11, B, { anon: 1 }, buildNs).own(11, A, { anon: 8 }, ownNs);
  desk.own(11, A, { anon: 7 }, ownNs).own(11, B, { file: 30 }, runNs).exec(11, 11, runNs).step();
  assertEquals([desk.pages(10), desk.pages(11), desk.usage(ANN)], [7, 1, 7]);
  desk.exit(11, 1, exitNs).foreign(11, B, { file: 0 }, freeNs).foreign(11, B, { anon: 0 }, freeNs);
  desk.step();
  assertEquals([desk.pages(10), desk.pages(11), desk.usage(ANN)], [7, -1, 7]);
});

Deno.test("fork: the mm is built under the parent's tid and goes to the child", () => {
  const desk = makeDesk();
  assertUsage(desk, 100);
  desk.foreign(10, B, { anon: 40 });
  assertUsage(desk, 140);
  assertEquals(desk.pages(10), 140, "while it is built, the builder has it");
  desk.foreign(10, B, { anon: 100 }).fork(10, 11);
  assertUsage(desk, 200);
  assertEquals([desk.pages(10), desk.pages(11)], [100, 100]);
  desk.own(11, B, { file: 16 }).own(11, B, { anon: 110 }).own(10, A, { anon: 101 });
  assertUsage(desk, 211);
  desk.exit(11).foreign(11, B, { file: 0 }).foreign(11, B, { anon: 3 });
  assertUsage(desk, 104);
  assertEquals(desk.pages(11), 3, "the dead keep what is still being freed");
  desk.foreign(11, B, { anon: 0 });
  assertUsage(desk, 101);
  assertEquals(desk.pages(11), -1);
  desk.free(11);
  assertUsage(desk, 101);
});

Deno.test("a fork that fails leaves nothing, and the next child does not get its mm", () => {
  const desk = makeDesk();
  desk.foreign(10, B, { anon: 40 }).foreign(10, B, { anon: 0 });
  assertUsage(desk, 100);
  desk.vfork(10, 11);
  assertUsage(desk, 100);
  assertEquals(desk.pages(11), 0);
});

Deno.test("exec: the old mm goes, the new one stays", () => {
  const desk = makeDesk();
  desk.foreign(10, B, { anon: 1 }).own(10, A, { anon: 101 }).own(10, A, { anon: 100 });
  assertUsage(desk, 101);
  desk.foreign(10, A, { anon: 0 });
  assertUsage(desk, 1);
  desk.own(10, B, { anon: 7 }).exec(10).own(10, B, { anon: 9 });
  assertUsage(desk, 9);
});

Deno.test("exec of which the old mm's teardown was not seen: the new one replaces it", () => {
  const desk = makeDesk();
  desk.foreign(10, B, { anon: 1 }).own(10, B, { anon: 5 }).exec(10);
  assertUsage(desk, 5);
});

Deno.test("vfork and posix_spawn: the parent's memory stays the parent's, through exec or exit", () => {
  for (const ends of ["exec", "exit"] as const) {
    const desk = makeDesk();
    desk.vfork(10, 11).own(11, A, { anon: 101 });
    assertUsage(desk, 101);
    assertEquals([desk.pages(10), desk.pages(11)], [101, 0]);
    if (ends === "exit") {
      desk.exit(11).free(11).own(10, A, { anon: 102 });
      assertUsage(desk, 102);
      assertEquals(desk.pages(11), -1);
      continue;
    }
    desk.foreign(11, B, { anon: 1 }).own(11, A, { anon: 100 }).own(11, B, { file: 20 }).exec(11);
    assertUsage(desk, 101);
    desk.own(11, B, { anon: 30 }).own(10, A, { anon: 90 });
    assertUsage(desk, 120);
    assertEquals([desk.pages(10), desk.pages(11)], [90, 30]);
  }
});

Deno.test("a lender that dies leaves its mm to the borrower", () => {
  const desk = makeDesk();
  desk.vfork(10, 11).vfork(10, 12).exit(10).own(11, A, { anon: 105 }).free(10);
  assertUsage(desk, 105);
  assertEquals(desk.pages(10), -1);
  assertEquals(desk.pages(11) + desk.pages(12), 105);
  desk.exit(11).free(11).step();
  assertEquals(desk.pages(12), 105, "the second borrower has it now");
  desk.exit(12).foreign(12, A, { anon: 0 });
  assertUsage(desk, 0);
});

Deno.test("64 threads on one mm are one process", () => {
  const desk = makeDesk();
  for (let i = 0; i < 63; i++) desk.thread(10, 100 + i);
  for (let i = 0; i < 63; i++) desk.own(100 + i, A, { anon: 101 + i });
  assertUsage(desk, 163);
  assertEquals(desk.pages(10), 163);
  assertEquals(desk.books.processes.taskCount[desk.books.findProcess(10)], 64);
  assertEquals(desk.asked, []);
  for (let i = 0; i < 63; i++) desk.exit(100 + i, 0).free(100 + i);
  assertUsage(desk, 163);
  desk.exit(10).foreign(10, A, { anon: 0 });
  assertUsage(desk, 0);
});

Deno.test("threads that nobody announced change no owner, and become tasks by birth or /proc", () => {
  const desk = makeDesk();
  for (let i = 0; i < 20; i++) desk.own(100 + i, A, { anon: 101 + i });
  assertUsage(desk, 120);
  assertEquals(desk.pages(10), 120);
  assertEquals(desk.asked.length, 20);
  for (let i = 0; i < 10; i++) desk.thread(10, 100 + i);
  const tids = Array.from({ length: 11 }, (_, i) => i === 0 ? 10 : 109 + i);
  desk.proc(10, ANN, { anon: 120 }, { tids }).step();
  assertEquals(desk.books.processes.taskCount[desk.books.findProcess(10)], 21);
  for (let i = 0; i < 20; i++) assertEquals(desk.pages(100 + i), -1, "no process of its own");
  assertUsage(desk, 120);
});

Deno.test("exec by a thread that is not the leader", () => {
  const desk = makeDesk();
  desk.thread(10, 31).thread(10, 32).own(31, A, { anon: 110 });
  desk.foreign(31, B, { anon: 1 }).own(31, A, { anon: 111 });
  desk.exit(32, 0).free(32).exit(10, 0);
  desk.own(10, A, { anon: 110 }).foreign(10, A, { anon: 0 }).own(10, B, { anon: 4 }).exec(10, 31);
  assertUsage(desk, 4);
  assertEquals(desk.pages(10), 4);
  assertEquals(desk.books.findTask(31), -1);
  desk.own(10, B, { anon: 6 }).exit(10).foreign(10, B, { anon: 0 });
  assertUsage(desk, 0);
  assertEquals(desk.pages(10), -1);
});

Deno.test("a leader that exits before its threads takes nothing with it", () => {
  for (const groupDead of [0, -1]) {
    const desk = makeDesk();
    desk.thread(10, 31).exit(10, groupDead).own(31, A, { anon: 120 });
    assertUsage(desk, 120);
    desk.exit(31, groupDead === 0 ? 1 : -1).foreign(31, A, { anon: 0 });
    assertUsage(desk, 0);
    assertEquals(desk.pages(10), -1);
  }
});

Deno.test("an mm_id comes back for another process and another user", () => {
  const desk = makeDesk();
  desk.exit(10).foreign(10, A, { anon: 0 });
  assertUsage(desk, 0);
  desk.foreign(20, A, { anon: 50 }).fork(20, 21).own(21, A, { anon: 60 });
  assertUsage(desk, 0, 110);
  desk.free(10);
  assertUsage(desk, 0, 110);
});

Deno.test("an mm_id that comes back before the teardown of its last life was read", () => {
  const desk = makeDesk();
  const endNs = desk.tick(1000);
  desk.tick(200_000);
  desk.foreign(20, A, { anon: 30 }).foreign(20, A, { anon: 50 }).fork(20, 21).step();
  desk.exit(10, 1, endNs).foreign(10, A, { file: 0, anon: 0 }, endNs + 500).step();
  desk.own(21, A, { anon: 60 });
  assertUsage(desk, 0, 110);
  desk.free(10);
  assertUsage(desk, 0, 110);
});

Deno.test("process_vm_writev and reclaim change the victim's size, not its owner", () => {
  const desk = makeDesk();
  desk.foreign(20, A, { anon: 108 }).foreign(77, A, { anon: 90, swap: 18 });
  assertUsage(desk, 108);
  desk.own(10, A, { anon: 91 });
  assertUsage(desk, 109);
  assertEquals(desk.pages(10), 109);
});

Deno.test("a stranger's change of a large mm that nobody named is nobody's", () => {
  const desk = makeDesk();
  desk.proc(30, ANN, { anon: 5000 }).step();
  desk.foreign(20, B, { anon: 5001 });
  assertUsage(desk, 5100);
  const counters = attachCounters(desk.memory, Role.accounting);
  assertEquals(counters[CounterIndex.unattributed], 1);
});

Deno.test("older news of another CPU is ignored, member by member", () => {
  const desk = makeDesk();
  const laterNs = desk.nowNs + 5000;
  desk.own(10, A, { anon: 150 }, laterNs).own(10, A, { anon: 149 }, laterNs - 1000);
  desk.own(10, A, { shmem: 7 }, laterNs - 2000);
  assertUsage(desk, 157);
  assertEquals(attachCounters(desk.memory, Role.accounting)[CounterIndex.stale], 1);
});

Deno.test("sizes below zero count as none", () => {
  const desk = makeDesk();
  desk.own(10, A, { anon: -3 });
  assertUsage(desk, 0);
  desk.own(10, A, { anon: 12 });
  assertUsage(desk, 12);
});

Deno.test("only the counted members count", () => {
  for (
    const [mask, expected] of [
      [1 << Member.anon, 10],
      [1 << Member.file | 1 << Member.anon | 1 << Member.shmem, 1111],
      [0xf, 1211],
    ] as const
  ) {
    const desk = new Desk({ settings: { countMask: mask } });
    desk.proc(10, ANN, {}).step();
    desk.own(10, A, { file: 1, anon: 10, swap: 100, shmem: 1100 }).step();
    assertEquals(desk.usage(ANN), expected, `mask ${mask}`);
  }
});

Deno.test("events without mm_id speak of the task's own mm; foreign ones are nobody's", () => {
  const desk = new Desk();
  desk.proc(10, ANN, {}).proc(20, BOB, {}).step();
  desk.nameless(10, 30).nameless(20, 50).nameless(10, 33).nameless(10, 99, 0);
  assertUsage(desk, 33);
  desk.own(10, 0, { anon: 40 });
  assertUsage(desk, 40);
  desk.exit(10).free(10);
  assertUsage(desk, 0);
});

// ------------------------------------------------------------------------ there before toom

Deno.test("a process from before: the first event names the mm that /proc told of", () => {
  const desk = new Desk();
  desk.proc(20, BOB, { anon: 50 });
  desk.proc(10, ANN, { file: 9, anon: 80, swap: 5, shmem: 15 });
  assertUsage(desk, 100);
  desk.own(10, A, { anon: 81 });
  assertUsage(desk, 101);
  desk.exit(10).foreign(10, A, { file: 0 }).foreign(10, A, { anon: 0, swap: 0, shmem: 0 });
  assertUsage(desk, 0);
});

Deno.test("a process from before that execs: nothing is carried over", () => {
  const desk = new Desk();
  desk.proc(20, BOB, { anon: 50 }).proc(10, ANN, { anon: 80, shmem: 20 });
  desk.step();
  desk.foreign(10, B, { anon: 1 }).own(10, B, { anon: 3 }).exec(10);
  assertUsage(desk, 3);
});

Deno.test("a process from before that exits before it ever spoke", () => {
  for (const isTornDown of [true, false]) {
    const desk = new Desk();
    desk.proc(20, BOB, { anon: 50 }).proc(10, ANN, { anon: 80, shmem: 20 }).step();
    desk.exit(10);
    if (isTornDown) {
      desk.foreign(10, A, { shmem: 0 });
      assertUsage(desk, 80);
      desk.foreign(10, A, { anon: 0 });
      assertUsage(desk, 0);
    }
    desk.free(10);
    assertUsage(desk, 0);
  }
});

Deno.test("a reading that is older than events changes nothing that they told", () => {
  const desk = makeDesk();
  const beforeNs = desk.nowNs - 1500;
  desk.own(10, A, { anon: 150 }).step();
  desk.proc(10, ANN, { anon: 70 }, { tsNs: beforeNs });
  assertUsage(desk, 150);
});

Deno.test("a reading that is applied after the exit brings no ghost back", () => {
  const desk = makeDesk();
  const beforeNs = desk.tick();
  desk.exit(10).foreign(10, A, { anon: 0 }).step();
  desk.proc(10, ANN, { anon: 100 }, { tsNs: beforeNs });
  assertUsage(desk, 0);
  assertEquals(desk.pages(10), -1);
});

Deno.test("a process that ends between the two records of its reading", () => {
  const desk = makeDesk();
  const { sweeperRing, readerRings } = desk.memory.plan;
  assert(sweeperRing.byteOffset !== readerRings[0]!.byteOffset);
  const tsNs = desk.tick();
  desk.proc(10, ANN, { anon: 100 }, { tsNs });
  desk.exit(10).foreign(10, A, { anon: 0 });
  // The batch of one record: first the exit, then half of the reading, and so on.
  for (let i = 0; i < 20; i++) desk.accounting.step(desk.nowNs, 1);
  assertUsage(desk, 0);
});

Deno.test("a reading from before an exec is not of the mm after it", () => {
  const desk = makeDesk();
  const beforeNs = desk.tick();
  desk.foreign(10, B, { anon: 1 }).foreign(10, A, { anon: 0 }).step();
  desk.proc(10, ANN, { anon: 100, shmem: 30 }, { tsNs: beforeNs });
  assertUsage(desk, 1);
  desk.own(10, B, { anon: 5 }).exec(10).step();
  desk.proc(10, ANN, { anon: 100, shmem: 30 }, { tsNs: beforeNs });
  assertUsage(desk, 5);
});

Deno.test("a change of user moves all pages", () => {
  const desk = makeDesk();
  desk.proc(10, BOB, { anon: 100 });
  assertUsage(desk, 0, 150);
  desk.own(10, A, { anon: 110 });
  assertUsage(desk, 0, 160);
});

Deno.test("a borrower from before toom has no pages of its own", () => {
  const desk = new Desk();
  const flags = ProcFlag.borrows;
  desk.proc(20, BOB, { anon: 50 }).proc(10, ANN, { anon: 100 });
  desk.proc(11, ANN, { anon: 100 }, { flags });
  assertUsage(desk, 100);
  // Whose mm it speaks of is not known yet.
  desk.own(11, A, { anon: 101 });
  assertUsage(desk, 100);
  desk.own(10, A, { anon: 102 }).own(11, A, { anon: 103 });
  assertUsage(desk, 103);
  desk.foreign(11, B, { anon: 1 }).own(11, B, { anon: 6 }).exec(11);
  assertUsage(desk, 109);
  assertEquals([desk.pages(10), desk.pages(11)], [103, 6]);
});

Deno.test("/proc may say that a process shares its parent's mm after it was thought to own it", () => {
  const desk = new Desk();
  desk.own(11, A, { anon: 100 }).step();
  desk.proc(20, BOB, { anon: 50 }).proc(10, ANN, { anon: 100 });
  desk.proc(11, ANN, { anon: 100 }, { flags: ProcFlag.borrows });
  assertUsage(desk, 100);
});

Deno.test("a tid that nobody knows is asked about, and found", () => {
  const desk = makeDesk();
  desk.own(33, B, { anon: 40 }).step();
  assertEquals(desk.usage(UNKNOWN_UID), 40);
  assertEquals(desk.asked, [{ kind: RecordKind.resolve, tid: 33 }]);
  desk.proc(33, ANN, { anon: 40 });
  assertUsage(desk, 140);
  desk.own(34, 0x5555, { anon: 9 }).step().gone(34);
  assertUsage(desk, 140);
});

Deno.test("a pid that comes back: the new process starts from nothing", () => {
  const desk = makeDesk();
  // Its exit was not seen.
  desk.foreign(20, B, { anon: 50 }).fork(20, 10);
  assertUsage(desk, 0, 100);
  desk.proc(20, BOB, { anon: 50 }, { startTicks: 777 });
  assertUsage(desk, 0, 100);
});

Deno.test("a process from before toom whose last thread is not its leader", () => {
  const desk = new Desk();
  desk.proc(20, BOB, { anon: 50 }).proc(10, ANN, { anon: 80, shmem: 20 }, { tids: [10, 31] });
  desk.step().exit(10, 0).exit(31, 1).foreign(31, A, { anon: 0 });
  assertUsage(desk, 20);
  desk.foreign(31, A, { shmem: 0 });
  assertUsage(desk, 0);
  assertEquals([desk.pages(10), desk.pages(31), desk.books.taskSlots.used], [-1, -1, 1]);
});

Deno.test("what a process did before a sweep missed it still counts", () => {
  const desk = makeDesk();
  let bornNs = 0;
  desk.sweep(() => {
    desk.proc(20, BOB, { anon: 50 });
    bornNs = desk.tick();
  }).step();
  assertEquals(desk.pages(10), -1);
  desk.foreign(10, B, { anon: 100 }, bornNs).fork(10, 11, bornNs + 10);
  desk.own(11, B, { anon: 104 });
  assertUsage(desk, 104);
});
