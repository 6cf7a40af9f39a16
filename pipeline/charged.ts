/**
 * What is compared with limits, and what a process gives back when it ends: one place for both.
 *
 * @module
 */
import type { PROCESS_COLUMNS, USER_COLUMNS } from "./layout.ts";
import type { ColumnArrays } from "./table.ts";

/** Pages of a user that are compared with its limits. */
export function chargedPages(users: ColumnArrays<typeof USER_COLUMNS>, userSlot: number): number {
  return Atomics.load(users.usagePages, userSlot);
}

/** Pages that the user has less when a process ends. */
export function givesBackPages(
  processes: ColumnArrays<typeof PROCESS_COLUMNS>,
  processSlot: number,
): number {
  return processes.pages[processSlot]!;
}
