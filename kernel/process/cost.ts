/**
 * What toom itself costs, as the kernel has it. proc_pid_stat(5)
 *
 * @module
 */
import { readTextFile } from "../ffi/fd.ts";
import { clockTicksPerSecond } from "../ffi/libc.ts";

export interface ProcessCost {
  readonly cpuSeconds: number;
  /** Since 1970. */
  readonly startSeconds: number;
  readonly openFds: number;
}

/** Fields of a stat file behind the name, which is field 2: utime 14, stime 15, starttime 22. */
const UTIME = 14 - 3;
const START_TIME = 22 - 3;

/** As of now. Zeros where /proc cannot be read. */
export function processCost(): ProcessCost {
  try {
    const fields = statFields("/proc/self/stat");
    const ticks = clockTicksPerSecond();
    return {
      cpuSeconds: (Number(fields[UTIME]) + Number(fields[UTIME + 1])) / ticks,
      startSeconds: bootSeconds() + Number(fields[START_TIME]) / ticks,
      openFds: [...Deno.readDirSync("/proc/self/fd")].length - 1,
    };
  } catch {
    return { cpuSeconds: 0, startSeconds: 0, openFds: 0 };
  }
}

/** CPU time of a thread of this process, milliseconds; 0 when there is none. */
export function threadCpuMs(tid: number): number {
  try {
    const fields = statFields(`/proc/self/task/${tid}/stat`);
    const ticks = Number(fields[UTIME]) + Number(fields[UTIME + 1]);
    return ticks / clockTicksPerSecond() * 1000;
  } catch {
    return 0;
  }
}

function statFields(path: string): string[] {
  const stat = readTextFile(path);
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** When the machine has booted, since 1970. */
function bootSeconds(): number {
  return Number(/^btime (\d+)$/m.exec(readTextFile("/proc/stat"))?.[1] ?? 0);
}
