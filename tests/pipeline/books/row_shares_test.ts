import { assertEquals } from "@std/assert";
import { hasRoom, takeRow } from "../../../pipeline/books/row_shares.ts";
import { attachMemory, createMemory, DEFAULT_CAPACITY } from "../../../pipeline/memory/memory.ts";
import { SlotAllocator } from "../../../pipeline/memory/table.ts";

function makeSlots(tasks: number): SlotAllocator {
  const memory = attachMemory(createMemory({ ...DEFAULT_CAPACITY, tasks, ringRecords: 1024 }));
  return new SlotAllocator(memory.buffer, memory.plan.tasks, memory.tasks);
}

/** Rows that a user gets who takes all that it can. */
function takeAll(slots: SlotAllocator): number {
  let own = 0;
  while (takeRow(slots, own) >= 0) own++;
  return own;
}

Deno.test("a user gets half of the rows that others leave free, and the next half of the rest", () => {
  const slots = makeSlots(1024);
  assertEquals([takeAll(slots), takeAll(slots)], [512, 256]);
});

Deno.test("a user gets 32 rows as long as there are any", () => {
  const slots = makeSlots(100);
  assertEquals([takeAll(slots), takeAll(slots), takeAll(slots)], [50, 32, 18]);
});

Deno.test("there is room exactly when a row can be taken", () => {
  const slots = makeSlots(100);
  for (let own = 0; own < 60; own++) {
    const room = hasRoom(slots, own);
    assertEquals(takeRow(slots, own) >= 0, room, `${own}`);
  }
  takeAll(slots);
  takeAll(slots);
  assertEquals([slots.used, hasRoom(slots, 0), takeRow(slots, 0)], [100, false, -1]);
});
