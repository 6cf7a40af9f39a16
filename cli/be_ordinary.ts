/**
 * A process that the daemon has started and that is no part of the way to a kill.
 *
 * @module
 */
import { setNice } from "../kernel/process/self_protection.ts";

/** An ordinary process, behind those of the users. */
const NICE = 10;

/** The daemon's own protection is not inherited: the kernel may take this process as any other. */
export function beOrdinary(): void {
  setNice(NICE);
  try {
    Deno.writeTextFileSync("/proc/self/oom_score_adj", "0");
  } catch {
    // Then it is as well protected as the daemon.
  }
}
