/**
 * Priority of a start-over, and of a worker that takes another's place: something is not done until
 * that has started, on a machine that is short of CPU time, perhaps. So the program, or the worker,
 * begins with a real-time priority, which its threads inherit, and gives it up when it works.
 *
 * @module
 */
import { ProcReader } from "../../kernel/proc/proc.ts";
import {
  rtPriorityOf,
  setFifo,
  setFifoForAll,
  setOrdinary,
} from "../../kernel/process/self_protection.ts";
import { FIFO_PRIORITY } from "../../workers/priorities.ts";

/** From now on this thread, what it executes, and what that starts come before ordinary tasks. */
export function hurry(): void {
  // Without the right to it, toom starts over at the pace of all others.
  setFifoForAll(FIFO_PRIORITY.startOver);
}

/** Threads and processes that this thread starts from now on are ordinary. */
export function hurryAlone(): void {
  setFifo(FIFO_PRIORITY.startOver);
}

/** This thread is ordinary again; what it has started since {@link hurry} is not. */
export function calmThis(): void {
  setOrdinary();
}

/** Whoever still has the priority of {@link hurry} gives it up. */
export function calm(): void {
  for (const tid of new ProcReader().listTids(Deno.pid)) {
    if (rtPriorityOf(tid) === FIFO_PRIORITY.startOver) setOrdinary(tid);
  }
}
