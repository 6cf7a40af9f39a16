/**
 * What comes to accounting through a ring: the reading end, and a view of each kind of record.
 *
 * @module
 */
import type { RingConsumer } from "../memory/ring.ts";
import {
  EXEC,
  EXIT,
  FREE,
  GONE,
  INHERITED,
  KERNEL_KILL,
  LENDER,
  LOST,
  MEASURE_BEGIN,
  MEASURE_END,
  MEASURED,
  NEW_TASK,
  OOM_VICTIM,
  PRESSURE,
  PROC,
  PROC_PAGES,
  RECHECK,
  SWEEP_BEGIN,
  SWEEP_END,
  TASK,
  VERIFY_BEGIN,
  VERIFY_END,
  VICTIM_GONE,
} from "./records.ts";

// deno-lint-ignore explicit-function-return-type
export function makeInbox(ring: RingConsumer) {
  const { words } = ring;
  return {
    ring,
    newTask: NEW_TASK.view(words),
    exec: EXEC.view(words),
    exit: EXIT.view(words),
    free: FREE.view(words),
    lost: LOST.view(words),
    kernelKill: KERNEL_KILL.view(words),
    inherited: INHERITED.view(words),
    proc: PROC.view(words),
    procPages: PROC_PAGES.view(words),
    lender: LENDER.view(words),
    task: TASK.view(words),
    gone: GONE.view(words),
    sweepBegin: SWEEP_BEGIN.view(words),
    sweepEnd: SWEEP_END.view(words),
    measureBegin: MEASURE_BEGIN.view(words),
    measured: MEASURED.view(words),
    measureEnd: MEASURE_END.view(words),
    verifyBegin: VERIFY_BEGIN.view(words),
    verifyEnd: VERIFY_END.view(words),
    oomVictim: OOM_VICTIM.view(words),
    pressure: PRESSURE.view(words),
    victimGone: VICTIM_GONE.view(words),
    recheck: RECHECK.view(words),
  };
}

export type Inbox = ReturnType<typeof makeInbox>;
