/**
 * The shared memory of one daemon, sized by its options.
 *
 * @module
 */
import { HeaderWord } from "../../pipeline/memory/layout.ts";
import { RULES_MAX } from "../../pipeline/limits/limits.ts";
import {
  attachMemory,
  createMemory,
  DEFAULT_CAPACITY,
  type Memory,
} from "../../pipeline/memory/memory.ts";
import type { SupervisorOptions } from "./options.ts";

const FIRST_SWEEP_MS_MAX = 30_000;

export function makeMemory(options: SupervisorOptions): Memory {
  return attachMemory(createMemory({
    ...DEFAULT_CAPACITY,
    readers: options.readerCount,
    users: options.usersMax,
    processes: options.processesMax,
    tasks: options.processesMax * 4,
    mms: options.processesMax * 2,
    rules: RULES_MAX,
    pageBytes: options.pageBytes,
  }, Deno.pid));
}

/** Waits until those who were there before are known. @throws {Error} When that takes too long. */
export async function firstSweep(memory: Memory): Promise<void> {
  const deadlineMs = performance.now() + FIRST_SWEEP_MS_MAX;
  while (Atomics.load(memory.header, HeaderWord.sweepDone) === 0) {
    if (performance.now() > deadlineMs) {
      throw new Error("Cannot start: the first look at /proc did not end in time");
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
