/**
 * Instances that toom processes left which ended without cleaning up.
 *
 * @module
 */
import { readTextFile } from "../ffi/fd.ts";
import { Errno, KernelError } from "../ffi/errno.ts";
import { ProcReader } from "../proc/proc.ts";
import { findTracefs } from "./tracefs.ts";
import { removeDirectory } from "./instance_files.ts";
import { parseInstanceName } from "./instance_name.ts";

/** What {@link removeDeadInstances} found. */
export interface DeadInstances {
  /** Names of those removed. */
  readonly removed: string[];
  /** Those whose owner lives. */
  readonly live: { readonly name: string; readonly pid: number }[];
  /**
   * Names of those that are in use although their owner is not to be seen: it lives in another
   * container (`hasOwner` of instance_owner.ts), or it is dead and somebody reads what it has left.
   */
  readonly busy: string[];
}

/** Whether the process of that pid, started at that time, still runs. */
export type IsAlive = (pid: number, startTicks: number) => boolean;

function isAliveInProc(): IsAlive {
  const reader = new ProcReader();
  return (pid, startTicks) => reader.readStartTicks(pid) === startTicks && !isZombie(pid);
}

/** Whether a process has ended, and its parent does not want to know. proc_pid_stat(5) */
function isZombie(pid: number): boolean {
  try {
    const stat = readTextFile(`/proc/${pid}/stat`);
    return /^\) [ZX]/.test(stat.slice(stat.lastIndexOf(")")));
  } catch {
    return true;
  }
}

/**
 * Removes what toom processes that ended without cleaning up have left, kill -9 included. Nothing
 * is written to them: one whose owner is in another container must go on recording. Instances with
 * any other form of name are not touched.
 *
 * @throws {KernelError} When one cannot be removed for a reason other than being in use, or gone.
 */
export function removeDeadInstances(
  isAlive: IsAlive = isAliveInProc(),
  tracefs: string = findTracefs(),
): DeadInstances {
  const found: DeadInstances = { removed: [], live: [], busy: [] };
  for (const { name } of Deno.readDirSync(`${tracefs}/instances`)) {
    const owner = parseInstanceName(name);
    if (owner === undefined) continue;
    if (isAlive(owner.pid, owner.startTicks)) {
      found.live.push({ name, pid: owner.pid });
      continue;
    }
    try {
      removeDirectory(`${tracefs}/instances/${name}`);
      found.removed.push(name);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      if (error.errno === Errno.EBUSY) found.busy.push(name);
      else if (error.errno !== Errno.ENOENT) throw error;
    }
  }
  return found;
}
