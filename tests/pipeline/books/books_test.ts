import { assert, assertEquals, assertThrows } from "@std/assert";
import { Books, NO_LIMIT_PAGES } from "../../../pipeline/books/books.ts";
import { InvariantError } from "../../../pipeline/memory/invariant.ts";
import {
  COUNTER_COUNT,
  CounterIndex,
  Member,
  MEMBER_COUNT,
  MmState,
} from "../../../pipeline/memory/layout.ts";
import { attachMemory, createMemory } from "../../../pipeline/memory/memory.ts";
import { SMALL } from "../../_support/desk.ts";
import { COUNT_MASK } from "../../sim/kernel/tasks.ts";
import { withSeeds } from "../../_support/random.ts";

/** @param maskOf What counts for a uid, where it is not what counts for all. */
function makeBooks(
  mask = COUNT_MASK,
  maskOf: (uid: number) => number = () => mask,
): { books: Books; counters: Float64Array; full: number[] } {
  const counters = new Float64Array(COUNTER_COUNT);
  const full: number[] = [];
  const memory = attachMemory(createMemory(SMALL));
  const books: Books = new Books(memory, counters, {
    countMask: mask,
    creditsShares: true,
    userProcessesMax: SMALL.processes,
    onFull: (table) => full.push(table),
    onUser: (slot) => books.setCountMask(slot, maskOf(memory.users.uid[slot]!)),
    onCredit: () => {},
  });
  return { books, counters, full };
}

Deno.test("I3 holds through any sequence of changes", () => {
  withSeeds(60, (random) => {
    const masks = [COUNT_MASK, 0xf, 2, 1];
    const isAlike = random.oneIn(2);
    const { books } = makeBooks(
      random.pick(masks),
      ...(isAlike ? [] : [(uid: number) => masks[uid % masks.length]!]),
    );
    const { processes, mms } = books;
    const slots = (column: Int32Array, high: number): number[] =>
      Array.from({ length: high }, (_, slot) => slot).filter((slot) => column[slot] !== 0);
    for (let step = 0; step < 500; step++) {
      const live = slots(processes.state, books.processSlots.highWater);
      const liveMms = slots(mms.state, books.mmSlots.highWater);
      const tsNs = 1e9 + step * 1e6;
      const what = random.below(12);
      if (what < 2 || live.length === 0) {
        const pid = 100 + step;
        books.addProcess(pid, 1000 + random.below(12), 0, tsNs);
      } else if (what < 4 || liveMms.length === 0) {
        const mm = books.addMm(step + 1, MmState.live, random.pick(live), tsNs);
        if (mm >= 0) processes.mmSlot1[mms.processSlot1[mm]! - 1] = mm + 1;
      } else if (what < 7) {
        const newer = random.between(-2e6, 2e6);
        books.setMember(
          random.pick(liveMms),
          random.below(MEMBER_COUNT),
          random.below(500),
          tsNs + newer,
        );
      } else if (what === 7) books.moveMm(random.pick(liveMms), random.pick(live));
      else if (what === 8) books.removeMm(random.pick(liveMms));
      else if (what === 9) books.moveProcess(random.pick(live), 1000 + random.below(12));
      else if (what === 10) books.rebirth(random.pick(liveMms), tsNs);
      else if (random.oneIn(2)) books.removeProcess(random.pick(live));
      else books.addTask(random.between(1, 20), random.pick(live), tsNs);
      books.checkSums();
      for (const slot of live) assert(processes.taskCount[slot]! >= 0);
    }
    for (const slot of slots(processes.state, books.processSlots.highWater)) {
      books.removeProcess(slot);
    }
    books.checkSums();
    assertEquals([books.processSlots.used, books.taskSlots.used, books.mmSlots.used], [0, 0, 0]);
  });
});

Deno.test("who comes to another user counts by that user's members, and goes back to what it was", () => {
  const { books } = makeBooks(COUNT_MASK, (uid) => uid === 1000 ? COUNT_MASK : 1 << Member.file);
  const { users, processes } = books;
  const process = books.addProcess(10, 1000, 0, 1);
  const mm = books.addMm(7, MmState.live, process, 1);
  const pages = [[Member.file, 5], [Member.anon, 70], [Member.swap, 11], [
    Member.shmem,
    3,
  ]] as const;
  for (const [member, size] of pages) books.setMember(mm, member, size, 2);
  const other = books.addProcess(20, 1001, 0, 1);
  const have = (): readonly number[] => {
    books.checkSums();
    return [0, 1].map((slot) => users.usagePages[slot]!).concat(processes.pages[process]!);
  };
  assertEquals(have(), [84, 0, 84]);
  assertEquals(users.creditPages[0], 0);
  books.moveProcess(process, 1001);
  assertEquals(have(), [0, 5, 5]);
  // Nobody knows who has these pages too.
  assertEquals(users.creditPages[1], 5);
  books.moveProcess(process, 1000);
  assertEquals(have(), [84, 0, 84]);
  assertEquals(users.creditPages[0], 84);
  books.moveMm(mm, other);
  assertEquals(have(), [0, 5, 0]);
  books.setMember(mm, Member.anon, 90, 3);
  books.setMember(mm, Member.file, 6, 3);
  assertEquals(have(), [0, 6, 0]);
  books.moveMm(mm, process);
  assertEquals(have(), [104, 0, 104]);
});

Deno.test("checkSums() finds a page too many, in a process and in a user", () => {
  const { books } = makeBooks();
  const process = books.addProcess(10, 1000, 0, 1);
  const mm = books.addMm(7, MmState.live, process, 1);
  books.setMember(mm, 1, 30, 2);
  books.checkSums();
  books.processes.pages[process]!++;
  assertThrows(() => books.checkSums(), InvariantError, "I3: process 10");
  books.processes.pages[process]!--;
  books.users.usagePages[0]!++;
  assertThrows(() => books.checkSums(), InvariantError, "I3: uid 1000");
});

Deno.test("setMember() ignores older news, and counts only counted members", () => {
  const { books, counters } = makeBooks(1 << 1);
  const mm = books.addMm(7, MmState.live, books.addProcess(10, 1000, 0, 1), 1);
  assertEquals(books.setMember(mm, 1, 30, 100), 30);
  assertEquals(books.setMember(mm, 1, 99, 99), 0);
  assertEquals(counters[CounterIndex.stale], 1);
  assertEquals(books.setMember(mm, 1, 10, 100), -20, "the same time is not older");
  assertEquals(books.setMember(mm, 0, 1000, 200), 0);
  assertEquals(books.users.usagePages[0], 10);
  assertEquals(books.users.peakPages[0], 30);
});

Deno.test("whole mms that come and go name their users, each once; many name all", () => {
  const { books } = makeBooks();
  const take = (): number[] => {
    const slots: number[] = [];
    for (let slot = books.takeTouched(); slot >= 0; slot = books.takeTouched()) slots.push(slot);
    return slots.sort();
  };
  const from = books.addProcess(10, 1000, 0, 1);
  const to = books.addProcess(11, 1001, 0, 1);
  const mm = books.addMm(7, MmState.live, from, 1);
  books.setMember(mm, 1, 30, 2);
  assertEquals(take(), []);
  books.moveMm(mm, to);
  books.moveMm(mm, from);
  assert(books.anyTouched);
  assertEquals(take(), [0, 1]);
  assert(!books.anyTouched);
  books.moveProcess(from, 1002);
  assertEquals(take(), [0, 2]);
  books.removeProcess(from);
  assertEquals(take(), [2]);
  for (let uid = 0; uid < SMALL.users; uid++) {
    const process = books.addProcess(50 + uid, 1000 + uid, 0, 1);
    books.setMember(books.addMm(100 + uid, MmState.live, process, 1), 1, 5, 2);
    books.moveProcess(process, 1000 + (uid + 1) % SMALL.users);
  }
  assertEquals(take().length, SMALL.users);
});

Deno.test("a user without a process gives its row up to another; handles of the old go stale", () => {
  const { books, full } = makeBooks();
  const slots = Array.from({ length: SMALL.users }, (_, i) => books.userOf(1000 + i));
  const keeper = books.addProcess(10, 1003, 0, 1);
  books.users.kills[slots[0]!] = 9;
  const generation = books.users.generation[slots[0]!]!;
  const slot = books.userOf(2000);
  assertEquals(slot, slots[0]);
  assert(books.users.generation[slot] !== generation);
  assertEquals([books.users.uid[slot], books.users.kills[slot]], [2000, 0]);
  assertEquals(books.users.hardPages[slot], NO_LIMIT_PAGES);
  assertEquals(books.findUser(1000), -1);
  assertEquals(books.findUser(1003), books.processes.userSlot[keeper]);
  for (let i = 0; i < SMALL.users; i++) books.addProcess(20 + i, 3000 + i, 0, 1);
  assert(full.length > 0);
  assertEquals(books.findUser(1003), books.processes.userSlot[keeper]);
});

Deno.test("reset() keeps users, their peaks and their rows, and nothing else", () => {
  const { books } = makeBooks();
  const process = books.addProcess(10, 1000, 0, 1);
  books.addTask(10, process, 1);
  books.setMember(books.addMm(7, MmState.live, process, 1), 1, 30, 2);
  const generation = books.processes.generation[process];
  books.reset();
  books.checkSums();
  assertEquals([books.findProcess(10), books.findTask(10), books.findMm(7)], [-1, -1, -1]);
  const slot = books.findUser(1000);
  assertEquals([books.users.usagePages[slot], books.users.peakPages[slot]], [0, 30]);
  assert(books.processes.generation[process] !== generation);
  assertEquals(books.addProcess(10, 1000, 0, 1), 0);
});

Deno.test("a task that changes its process must claim its mm again", () => {
  const { books } = makeBooks();
  const [one, other] = [books.addProcess(10, 1000, 0, 1), books.addProcess(11, 1000, 0, 1)];
  books.addTask(31, one, 1);
  const mm = books.addMm(7, MmState.live, one, 1);
  books.mms.lastTid[mm] = 31;
  books.addTask(31, other, 2);
  assertEquals(books.mms.lastTid[mm], 0);
  assertEquals([books.processes.taskCount[one], books.processes.taskCount[other]], [0, 1]);
  assertEquals(books.processOfTid(31), other);
});
