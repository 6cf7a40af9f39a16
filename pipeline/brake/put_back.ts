/**
 * Puts back a limit that a process has set itself while it was being set by us: prlimit(2) gives the old
 * value, but cannot compare it first.
 *
 * @module
 */
import { type BrakeFacts, type BrakeKernel, type FoundLimits, SetResult } from "./brake_kernel.ts";

/** A process that sets its limit without end keeps one of those that it has set. */
const TRIES_MAX = 8;

/**
 * @param written What was set over it.
 * @param old What was found then, which is the process's own; changed.
 * @returns As the last call.
 */
export function putBack(
  kernel: BrakeKernel,
  pid: number,
  facts: BrakeFacts,
  written: bigint,
  old: FoundLimits,
): SetResult {
  let result: SetResult = SetResult.done;
  let last = written;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const own = old.softBytes;
    facts.hardBytes = old.hardBytes;
    result = kernel.setSoft(pid, facts, own, old);
    // Nobody has set anything in between; or the newest is to be put back in turn.
    if (result !== SetResult.done || old.softBytes === last) return result;
    last = own;
  }
  return result;
}
