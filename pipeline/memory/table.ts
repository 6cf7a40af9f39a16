/**
 * A table of fixed capacity on shared memory, stored as a structure of arrays, with slots that
 * carry generations: a handle (slot, generation) of a row that was freed is recognised as stale.
 *
 * One owner allocates, frees and writes (but for the columns that columns.ts gives to others);
 * everybody may read columns, and must be prepared for a row to change under its eyes.
 *
 * @module
 */
import {
  type Columns,
  type ColumnType,
  LANES,
  LINE_BYTES,
  TABLE_HEADER_BYTES,
  TableWord,
} from "./layout.ts";
import { invariant } from "./invariant.ts";

/** The typed array of each column. */
export type ColumnArrays<C extends Columns> = {
  readonly [K in keyof C]: C[K] extends "f64" | "f64x4" | "f64x8" ? Float64Array : Int32Array;
};

function isDouble(type: ColumnType): boolean {
  return type === "f64" || type === "f64x4" || type === "f64x8";
}

function columnBytes(type: ColumnType, capacity: number): number {
  const bytes = capacity * LANES[type] * (isDouble(type) ? 8 : 4);
  return Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;
}

/** Bytes of a table: its header and its columns, each on lines of its own. */
export function tableBytes(columns: Columns, capacity: number): number {
  let bytes = TABLE_HEADER_BYTES;
  for (const type of Object.values(columns)) bytes += columnBytes(type, capacity);
  return bytes;
}

/** Maps the columns of a table onto shared memory. */
export function attachColumns<C extends Columns>(
  memory: SharedArrayBuffer,
  byteOffset: number,
  columns: C,
  capacity: number,
): ColumnArrays<C> {
  let at = byteOffset + TABLE_HEADER_BYTES;
  // Not one by one, `arrays[name] = ...`: V8 keeps an object with that many computed names as a hash
  // table, and each access to a column is a lookup then, which makes an event cost half as much again.
  const arrays = Object.fromEntries(
    Object.entries(columns).map(([name, type]) => {
      const length = capacity * LANES[type];
      const array = isDouble(type)
        ? new Float64Array(memory, at, length)
        : new Int32Array(memory, at, length);
      at += columnBytes(type, capacity);
      return [name, array];
    }),
  );
  return arrays as ColumnArrays<C>;
}

/** Hands out the slots of one table. The owner's tool. */
export class SlotAllocator {
  private readonly header: Int32Array;
  private readonly next: Int32Array;
  private readonly generation: Int32Array;
  readonly capacity: number;

  constructor(
    memory: SharedArrayBuffer,
    byteOffset: number,
    columns: { readonly next: Int32Array; readonly generation: Int32Array },
  ) {
    this.header = new Int32Array(memory, byteOffset, TABLE_HEADER_BYTES / 4);
    this.next = columns.next;
    this.generation = columns.generation;
    this.capacity = columns.next.length;
  }

  /** Rows in use. */
  get used(): number {
    return Atomics.load(this.header, TableWord.used);
  }

  /** Slots at and above this were never used: a scan may stop here. */
  get highWater(): number {
    return Atomics.load(this.header, TableWord.highWater);
  }

  /** Forgets all rows; generations go on, so that old handles stay stale. */
  reset(): void {
    const highWater = this.highWater;
    for (let slot = 0; slot < highWater; slot++) {
      this.generation[slot] = (this.generation[slot]! + 1) | 0;
    }
    Atomics.store(this.header, TableWord.used, 0);
    Atomics.store(this.header, TableWord.freeHead, 0);
    Atomics.store(this.header, TableWord.highWater, 0);
  }

  /** A free slot, -1 when the table is full. Its columns hold whatever they held. */
  allocate(): number {
    let slot = this.header[TableWord.freeHead]! - 1;
    if (slot >= 0) {
      this.header[TableWord.freeHead] = this.next[slot]!;
    } else {
      slot = this.header[TableWord.highWater]!;
      if (slot >= this.capacity) return -1;
      Atomics.store(this.header, TableWord.highWater, slot + 1);
    }
    this.header[TableWord.used]!++;
    return slot;
  }

  /** Gives a slot back and makes its handles stale. */
  release(slot: number): void {
    invariant(slot >= 0 && slot < this.capacity, `slots: ${slot} is not a slot`);
    this.generation[slot] = (this.generation[slot]! + 1) | 0;
    this.next[slot] = this.header[TableWord.freeHead]!;
    this.header[TableWord.freeHead] = slot + 1;
    this.header[TableWord.used]!--;
  }
}
