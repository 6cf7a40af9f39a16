/**
 * CPUs that the machine's programs run on, whatever mask the thread has that asks: workers are kept on
 * some of them, and who is started by such a one inherits its mask.
 *
 * @module
 */
import { readTextFile } from "../ffi/fd.ts";

const ONLINE_PATH = "/sys/devices/system/cpu/online";

/** How many CPUs a list such as `0-3,8` names; 0: it names none. cpuset(7), List format */
export function countCpus(list: string): number {
  let count = 0;
  for (const part of list.trim().split(",")) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (match !== null) count += Number(match[2] ?? match[1]) - Number(match[1]) + 1;
  }
  return count;
}

/** CPUs that are online; where the kernel does not tell, those of this thread. */
export function onlineCpus(): number {
  try {
    const count = countCpus(readTextFile(ONLINE_PATH));
    if (count > 0) return count;
  } catch {
    // No sysfs here.
  }
  return navigator.hardwareConcurrency;
}
