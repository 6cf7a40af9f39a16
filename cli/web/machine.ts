/**
 * The machine around toom, and what the page itself costs. From /proc, without foreign functions, which
 * this process gives up. proc_meminfo(5), proc_pid_stat(5)
 *
 * @module
 */

export interface MachineReport {
  readonly name: string;
  readonly totalBytes: number;
  /** What can be had without swapping, by the kernel's estimate. */
  readonly availableBytes: number;
  readonly cpus: number;
  /** CPU time of this process so far, milliseconds. */
  readonly pageCpuMs: number;
  /** What this process has resident. */
  readonly pageRssBytes: number;
}

/** USER_HZ, of all machines that toom runs on. */
const TICK_MS = 10;
/** Fields of stat behind the name: utime is the 14th, stime follows. */
const UTIME = 14 - 3;

/** As of now; what cannot be read is 0. */
export class MachineReader {
  private readonly name: string;
  private readonly cpus: number;

  constructor() {
    this.name = Deno.hostname();
    this.cpus = navigator.hardwareConcurrency;
  }

  read(): MachineReport {
    const memory = textOf("/proc/meminfo");
    const bytesOf = (key: string): number =>
      Number(new RegExp(`^${key}: +(\\d+) kB$`, "m").exec(memory)?.[1] ?? 0) * 1024;
    const stat = textOf("/proc/self/stat");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return {
      name: this.name,
      totalBytes: bytesOf("MemTotal"),
      availableBytes: bytesOf("MemAvailable"),
      cpus: this.cpus,
      pageCpuMs: (Number(fields[UTIME]) + Number(fields[UTIME + 1]) || 0) * TICK_MS,
      pageRssBytes: Deno.memoryUsage().rss,
    };
  }
}

function textOf(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
