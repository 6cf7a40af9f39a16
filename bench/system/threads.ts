/**
 * CPU time of the threads of a process, by name.
 *
 * @module
 */

const TICKS_PER_SECOND = 100;

/** @returns Seconds; threads of one name together. */
export function threadTimes(pid: number): Map<string, number> {
  const times = new Map<string, number>();
  for (const { name: tid } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const path = `/proc/${pid}/task/${tid}`;
    try {
      const comm = Deno.readTextFileSync(`${path}/comm`).trim();
      times.set(comm, (times.get(comm) ?? 0) + secondsOf(path));
    } catch {
      // It has ended.
    }
  }
  return times;
}

function secondsOf(path: string): number {
  try {
    // Nanoseconds where the kernel has CONFIG_SCHED_INFO.
    const ns = Number(Deno.readTextFileSync(`${path}/schedstat`).split(" ")[0]);
    if (ns > 0) return ns / 1e9;
  } catch {
    // Ticks then.
  }
  return statSeconds(Deno.readTextFileSync(`${path}/stat`));
}

/** utime and stime of a line of /proc/PID/stat, whose name may hold anything. */
export function statSeconds(stat: string): number {
  const words = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(words[11]) + Number(words[12])) / TICKS_PER_SECOND;
}
