/**
 * How many rows of a table a user gets: at most half of the rows that others leave free, because one
 * user must not be able to fill a table.
 *
 * @module
 */
import type { SlotAllocator } from "../memory/table.ts";

/** Which table was full, in reports. */
export const TableNumber = {
  users: 1,
  processes: 2,
  tasks: 3,
  mms: 4,
  /** Address spaces and users in the memory of programs in the kernel. */
  kernelSlots: 5,
  kernelUsers: 6,
} as const;
export const TABLE_NAMES = [
  "",
  "users",
  "processes",
  "tasks",
  "mms",
  "kernel slots",
  "kernel users",
] as const;

/** Rows of each table that a user gets as long as there are any. */
const ROWS_GUARANTEED = 32;

/** Whether a user that has `own` rows of a table may have another, if there is one. */
function isWithinShare(slots: SlotAllocator, own: number): boolean {
  return own < ROWS_GUARANTEED || 2 * own < slots.capacity - (slots.used - own);
}

/** A row for a user that has `own`. @returns -1 when it has its share, or the table is full. */
export function takeRow(slots: SlotAllocator, own: number): number {
  return isWithinShare(slots, own) ? slots.allocate() : -1;
}

/** Whether {@link takeRow} would find one. */
export function hasRoom(slots: SlotAllocator, own: number): boolean {
  return slots.used < slots.capacity && isWithinShare(slots, own);
}
