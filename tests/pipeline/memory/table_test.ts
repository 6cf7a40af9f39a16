import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../../../pipeline/memory/invariant.ts";
import { type Columns, LINE_BYTES, TABLE_HEADER_BYTES } from "../../../pipeline/memory/layout.ts";
import { attachColumns, SlotAllocator, tableBytes } from "../../../pipeline/memory/table.ts";
import { withSeeds } from "../../_support/random.ts";

const COLUMNS = {
  whenNs: "f64",
  next: "i32",
  generation: "i32",
  pages: "i32x4",
  times: "f64x4",
  growth: "f64x8",
} as const satisfies Columns;

function makeTable(
  capacity: number,
  byteOffset = LINE_BYTES,
): {
  memory: SharedArrayBuffer;
  columns: ReturnType<typeof attachColumns<typeof COLUMNS>>;
  slots: SlotAllocator;
} {
  const memory = new SharedArrayBuffer(byteOffset + tableBytes(COLUMNS, capacity));
  const columns = attachColumns(memory, byteOffset, COLUMNS, capacity);
  return { memory, columns, slots: new SlotAllocator(memory, byteOffset, columns) };
}

Deno.test("columns have the rows and lanes that were asked for, each on lines of its own", () => {
  const { columns, memory } = makeTable(5);
  const spans = Object.values(columns).map((column) => {
    assertEquals(column.byteOffset % LINE_BYTES, 0);
    return [column.byteOffset, column.byteOffset + column.byteLength] as const;
  });
  spans.sort((a, b) => a[0] - b[0]);
  assert(spans[0]![0] >= LINE_BYTES + TABLE_HEADER_BYTES);
  for (let i = 1; i < spans.length; i++) assert(spans[i]![0] >= spans[i - 1]![1]);
  assert(spans.at(-1)![1] <= memory.byteLength);
  assertEquals(columns.pages.length, 20);
  assertEquals(columns.growth.length, 40);
  assert(columns.whenNs instanceof Float64Array);
});

Deno.test("slots: never one twice, and every release makes old handles stale", () => {
  withSeeds(40, (random) => {
    const capacity = random.between(1, 20);
    const { columns, slots, memory } = makeTable(capacity);
    const live = new Map<number, number>();
    const stale: { slot: number; generation: number }[] = [];
    let owner = slots;
    for (let step = 0; step < 400; step++) {
      if (random.oneIn(2)) {
        const slot = owner.allocate();
        assertEquals(slot < 0, live.size === capacity);
        if (slot < 0) continue;
        assert(!live.has(slot) && slot < capacity);
        live.set(slot, columns.generation[slot]!);
      } else if (live.size > 0) {
        const slot = random.pick([...live.keys()]);
        stale.push({ slot, generation: live.get(slot)! });
        live.delete(slot);
        owner.release(slot);
      }
      assertEquals(owner.used, live.size);
      for (const slot of live.keys()) assert(slot < owner.highWater);
      if (random.oneIn(50)) owner = new SlotAllocator(memory, LINE_BYTES, columns);
      if (random.oneIn(100)) {
        for (const [slot, generation] of live) stale.push({ slot, generation });
        live.clear();
        owner.reset();
      }
    }
    for (const { slot, generation } of stale) assert(columns.generation[slot] !== generation);
  });
});

Deno.test("slots: what is no slot cannot be released", () => {
  const { slots } = makeTable(2);
  assertThrows(() => slots.release(2), InvariantError);
  assertThrows(() => slots.release(-1), InvariantError);
});
