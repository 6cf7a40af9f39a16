/**
 * A thread by which /proc tells of a process: its leader, as a rule. Of a process whose leader has
 * exited while other threads run, the kernel shows the leader as a zombie without memory, and what the
 * process has only under the number of another thread. pthread_exit(3)
 *
 * @module
 */
import { type Proc, type ProcStatus, STATE_DEAD, STATE_ZOMBIE } from "./ports.ts";

function hasEnded({ state }: ProcStatus): boolean {
  return state === STATE_ZOMBIE || state === STATE_DEAD;
}

/**
 * Reads a process by its leader, or by the first of its threads that lives.
 *
 * @param out Filled in; its contents are undefined when the result is 0.
 * @returns The thread, whose number /proc knows as it knows a process's; 0: the process has ended.
 */
export function readLivingThread(proc: Proc, pid: number, out: ProcStatus): number {
  if (!proc.readStatus(pid, out)) return 0;
  if (!hasEnded(out)) return pid;
  if (out.threads <= 1) return 0;
  for (const tid of proc.listTids(pid)) {
    if (tid !== pid && proc.readStatus(tid, out) && !hasEnded(out)) return tid;
  }
  return 0;
}
