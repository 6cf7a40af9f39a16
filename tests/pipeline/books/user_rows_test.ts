import { assertEquals } from "@std/assert";
import { Books } from "../../../pipeline/books/books.ts";
import { COUNTER_COUNT, ProcessState } from "../../../pipeline/memory/layout.ts";
import { attachMemory, createMemory, type Memory } from "../../../pipeline/memory/memory.ts";
import { type RowList, UserRows } from "../../../pipeline/books/user_rows.ts";
import { SMALL } from "../../_support/desk.ts";
import { COUNT_MASK } from "../../sim/kernel/tasks.ts";
import { withSeeds } from "../../_support/random.ts";

function makeBooks(): { books: Books; memory: Memory } {
  const memory = attachMemory(createMemory({ ...SMALL, users: 4, processes: 64 }));
  const counters = new Float64Array(COUNTER_COUNT);
  const books = new Books(memory, counters, {
    countMask: COUNT_MASK,
    creditsShares: true,
    userProcessesMax: SMALL.processes,
    onFull: () => {},
    onUser: () => {},
    onCredit: () => {},
  });
  return { books, memory };
}

/** Rows of a list that are the user's still. */
function living({ rows, count }: RowList, books: Books, userSlot: number): number[] {
  const { state, userSlot: owner } = books.processes;
  return [...rows.subarray(0, count)].filter((row) =>
    owner[row] === userSlot && state[row] !== ProcessState.free
  );
}

Deno.test("the rows of a user are all that are its own, and each once, whatever happens", () => {
  withSeeds(60, (random) => {
    const { books, memory } = makeBooks();
    const userRows = new UserRows(memory);
    const { processes } = books;
    for (let step = 1; step < 300; step++) {
      const rows = Array.from({ length: books.processSlots.highWater }, (_, row) => row);
      const alive = rows.filter((row) => processes.state[row] !== ProcessState.free);
      const row = random.pick([-1, ...alive]);
      // More uids than rows of users: rows are taken over.
      const uid = 1000 + random.below(6);
      const choice = random.below(100);
      if (choice === 0) books.reset();
      else if (row < 0 || choice < 50) books.addProcess(step, uid, 0, step);
      else if (choice < 75) books.moveProcess(row, uid);
      else books.removeProcess(row);
      if (random.oneIn(3)) continue;
      for (let userSlot = 0; userSlot < books.userSlots.highWater; userSlot++) {
        const list = userRows.of(userSlot);
        const own = Array.from({ length: books.processSlots.highWater }, (_, row) => row)
          .filter((row) =>
            processes.userSlot[row] === userSlot && processes.state[row] !== ProcessState.free
          );
        assertEquals(living(list, books, userSlot).sort((a, b) => a - b), own);
        assertEquals(userRows.isCurrent(list, userSlot), true);
      }
    }
  });
});

Deno.test("a list is current until somebody joins, and is kept when somebody leaves", () => {
  const { books, memory } = makeBooks();
  const userRows = new UserRows(memory);
  const first = books.addProcess(10, 1000, 0, 1);
  const second = books.addProcess(20, 1001, 0, 1);
  const ann = books.findUser(1000);
  const list = userRows.of(ann);
  assertEquals([list.count, userRows.isCurrent(list, ann)], [1, true]);
  books.addProcess(11, 1001, 0, 2);
  books.removeProcess(first);
  assertEquals(userRows.isCurrent(list, ann), true, "others' births and a death are no news");
  books.moveProcess(second, 1000);
  assertEquals(userRows.isCurrent(list, ann), false);
  assertEquals(living(userRows.of(ann), books, ann), [second]);
});
