/**
 * What a user is charged: its counted pages less its share credit, a lower bound of what it holds.
 *
 * For threads that read the tables while accounting writes them. Accounting changes the two words
 * one after the other; a credit that is the same before and after the sum was read belongs to it.
 *
 * @module
 */
import type { Memory } from "../memory/memory.ts";

/** The columns of the users table that make up a charge. */
export type ChargeColumns = Pick<Memory["users"], "usagePages" | "creditPages">;

/** Readings before the last one is taken as it is: accounting writes a credit far less often. */
const READS_MAX = 4;

/** Charged pages of a user, 0 or more. Allocates nothing. */
export function chargedPages(users: ChargeColumns, userSlot: number): number {
  const { usagePages, creditPages } = users;
  let credit = creditPages[userSlot]!;
  if (credit === 0) return usagePages[userSlot]!;
  let usage = 0;
  for (let reads = 0; reads < READS_MAX; reads++) {
    usage = usagePages[userSlot]!;
    const after = creditPages[userSlot]!;
    if (after === credit) break;
    credit = after;
  }
  return Math.max(0, usage - credit);
}

/** The columns of the processes table that say what an end frees. */
export type ProcessColumns = Pick<Memory["processes"], "pages" | "sharedPages" | "creditPages">;

/** Pages that are in use no more when a process ends, and nobody else: 0 or more. */
export function givesBackPages(processes: ProcessColumns, processSlot: number): number {
  return Math.max(0, processes.pages[processSlot]! - processes.sharedPages[processSlot]!);
}

/**
 * What a user is charged for a process: its pages less its credit. Of several processes that end
 * together this is what their ends free, at least when all end that share with them: 0 or more.
 */
export function ownPages(processes: ProcessColumns, processSlot: number): number {
  return Math.max(0, processes.pages[processSlot]! - processes.creditPages[processSlot]!);
}
