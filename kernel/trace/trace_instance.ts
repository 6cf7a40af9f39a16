/**
 * Tracing instances: private corners of the kernel's tracing, made, set up and removed here.
 * Documentation/trace/ftrace.rst, "Instances"
 *
 * Only instances of this process are ever written to; of everything else in tracefs, toom reads at
 * most whether it is in use.
 *
 * @module
 */
import { closeFd, OpenFlag, readTextFile, writeTextFile } from "../ffi/fd.ts";
import { Errno, KernelError } from "../ffi/errno.ts";
import { openLibc } from "../ffi/libc.ts";
import { ProcReader } from "../proc/proc.ts";
import { findTracefs } from "./tracefs.ts";
import { asKernelError, exists, removeDirectory } from "./instance_files.ts";
import { instanceName, parseInstanceName } from "./instance_name.ts";
import { own, ownedFile } from "./instance_owner.ts";
import { FIXED_OPTIONS, readOption, setOption, setShared } from "./trace_options.ts";
import { parseTraceStats, type TraceStats } from "./trace_stats.ts";

/** Somebody who starts at the same time may remove what has no owner yet. */
const CREATE_TRIES_MAX = 5;

/**
 * A pid that no task can have, on any machine: the highest that `set_event_pid` accepts. With it in
 * the list, the list is never empty; an empty one would mean that everybody is traced.
 */
export const SENTINEL_PID = 1_073_741_823;

/** How an instance records. */
export interface TraceInstanceOptions {
  /** Room for each CPU, KiB. */
  readonly bufferKib: number;
  /** Size of a page of the ring buffer, KiB: a power of two of pages; the kernel's own if left out. */
  readonly subbufKib?: number;
  /** Children of traced tasks are traced too, and the dead leave the list of pids. */
  readonly eventFork: boolean;
  /** Text lines show irq flags, as most do. Default on. */
  readonly irqInfo?: boolean;
  /** Text lines name the process besides the thread. Costs at each context switch. Default off. */
  readonly recordTgid?: boolean;
  /** Text lines name the command; else they mostly say `<...>`. Default off. */
  readonly recordCmd?: boolean;
}

/** One instance. All its methods are synchronous; none is for the way of an event. */
export class TraceInstance {
  readonly name: string;
  /** Its directory. */
  readonly path: string;
  /** The directory of tracefs. */
  readonly tracefs: string;
  /** The owner's descriptor; -1: not the owner, or not any more. */
  #ownerFd = -1;
  #hadSentinel = true;

  private constructor(tracefs: string, name: string) {
    this.tracefs = tracefs;
    this.name = name;
    this.path = `${tracefs}/instances/${name}`;
  }

  /** The descriptor that proves that the instance has an owner; -1 of one that was only attached to. */
  get ownerFd(): number {
    return this.#ownerFd;
  }

  /**
   * Makes an instance of this process, recording nothing.
   *
   * @param purpose One word; a process has one instance for each.
   * @throws {KernelError} When it cannot be made, EEXIST included.
   */
  static create(purpose: string, tracefs: string = findTracefs()): TraceInstance {
    const pid = openLibc().getpid();
    const startTicks = new ProcReader().readStartTicks(pid);
    const instance = new TraceInstance(tracefs, instanceName({ pid, startTicks, purpose }));
    instance.#make();
    try {
      // It is born recording, though with no event on.
      instance.setTracing(false);
    } catch (error) {
      instance.remove();
      throw error;
    }
    return instance;
  }

  #make(): void {
    for (let tries = 1;; tries++) {
      try {
        Deno.mkdirSync(this.path);
      } catch (error) {
        throw asKernelError("mkdir", error, this.path);
      }
      const fd = own(this.path);
      if (fd >= 0) {
        this.#ownerFd = fd;
        return;
      }
      if (fd !== -Errno.ENOENT || tries === CREATE_TRIES_MAX) {
        throw new KernelError("open", -fd, { path: ownedFile(this.path) });
      }
    }
  }

  /** An instance that exists already, e.g. made by another thread of this process. */
  static attach(name: string, tracefs: string = findTracefs()): TraceInstance {
    if (parseInstanceName(name) === undefined) {
      throw new TypeError(`Cannot attach to ${JSON.stringify(name)}: not an instance of toom's`);
    }
    return new TraceInstance(tracefs, name);
  }

  /**
   * Sets everything that lines and pages depend on; empties the buffer. Call it while no pipe of the
   * instance is open. Events, pids and {@link setTracing} come after.
   *
   * Files and options that this kernel does not have are passed over.
   *
   * @throws {KernelError} Naming the file and the value that was refused.
   */
  configure(options: TraceInstanceOptions): void {
    this.setTracing(false);
    // First, since it empties the buffer; and the killer's clock must be the events' clock.
    this.#write("trace_clock", "mono");
    if (options.subbufKib !== undefined) {
      this.#writeIfThere("buffer_subbuf_size_kb", String(options.subbufKib));
    }
    this.#write("buffer_size_kb", String(options.bufferKib));
    // At the default of 50, poll on a CPU's own pipe waits for half a buffer.
    this.#writeIfThere("buffer_percent", "0");
    for (const [option, on] of FIXED_OPTIONS) setOption(this, option, on);
    setOption(this, "irq-info", options.irqInfo ?? true);
    setOption(this, "event-fork", options.eventFork);
    setShared(this, "record-tgid", options.recordTgid ?? false);
    setShared(this, "record-cmd", options.recordCmd ?? false);
  }

  /** Starts or stops recording: `tracing_on`. */
  setTracing(on: boolean): void {
    this.#write("tracing_on", on ? "1" : "0");
  }

  /**
   * Traces these tasks and no others: truncates `set_event_pid`, then writes.
   *
   * Between the two the kernel's list is empty and everybody is traced: call it while not recording,
   * or be ready for some strangers' events. {@link SENTINEL_PID} is always in the list, so an empty
   * `pids` means nobody. May take 40 ms.
   *
   * @param pids Ids of threads, not of processes.
   */
  writePids(pids: Iterable<number>): void {
    this.#write("set_event_pid", pidText([SENTINEL_PID, ...pids]), OpenFlag.O_TRUNC);
  }

  /** Adds tasks to those that are traced. May take 40 ms. */
  appendPids(pids: Iterable<number>): void {
    const text = pidText(pids);
    if (text !== "") this.#write("set_event_pid", text, OpenFlag.O_APPEND);
  }

  /**
   * The same on another thread. The kernel serializes these calls and {@link readPids}: while one is
   * under way another waits for it.
   */
  async appendPidsAsync(pids: Iterable<number>): Promise<void> {
    const path = `${this.path}/set_event_pid`;
    await Deno.writeTextFile(path, pidText(pids), { append: true, create: false });
  }

  /** What `set_event_pid` holds, {@link SENTINEL_PID} left out. Long lists cost milliseconds. */
  readPids(): number[] {
    const words = this.#read("set_event_pid").split("\n");
    const pids = words.filter((word) => /^\d+$/.test(word)).map(Number);
    this.#hadSentinel = pids.includes(SENTINEL_PID);
    return pids.filter((pid) => pid !== SENTINEL_PID);
  }

  /** Whether the list that was read last had {@link SENTINEL_PID}; false: somebody else wrote it. */
  get hadSentinel(): boolean {
    return this.#hadSentinel;
  }

  /** Puts {@link SENTINEL_PID} back into a list that somebody else wrote. */
  restoreSentinel(): void {
    this.appendPids([SENTINEL_PID]);
  }

  /**
   * Never traces these tasks, and with `event-fork` not their children either: for toom itself.
   *
   * @returns false when this kernel cannot (before 5.8).
   */
  writeNotracePids(pids: Iterable<number>): boolean {
    return this.#writeIfThere("set_event_notrace_pid", pidText(pids), OpenFlag.O_TRUNC);
  }

  /** Whether the kernel has an event. */
  hasEvent(system: string, event: string): boolean {
    return exists(`${this.path}/events/${system}/${event}/format`);
  }

  /** @throws {KernelError} ENOENT when the kernel has no such event. */
  enableEvent(system: string, event: string): void {
    this.#write(`events/${system}/${event}/enable`, "1");
  }

  disableEvent(system: string, event: string): void {
    this.#write(`events/${system}/${event}/enable`, "0");
  }

  /**
   * Records an event only where a condition on its fields holds; `"0"` takes the condition away.
   *
   * @throws {KernelError} When the kernel does not understand it: it then has NO filter any more, as
   * a bad filter removes the one before. Its error number says little; `detail` quotes the kernel.
   */
  setFilter(system: string, event: string, filter: string): void {
    const file = `events/${system}/${event}/filter`;
    try {
      this.#write(file, filter);
    } catch (error) {
      if (!(error instanceof KernelError) || error.call !== "write") throw error;
      const why = this.#read(file).trim();
      const detail = `filter ${JSON.stringify(filter)} refused: ${why}`;
      throw new KernelError("write", error.errno, { path: `${this.path}/${file}`, detail });
    }
  }

  /** Text for `parseEventFormat` of formats.ts. @throws {KernelError} ENOENT: no such event. */
  eventFormat(system: string, event: string): string {
    return this.#read(`events/${system}/${event}/format`);
  }

  /** The event's number in pages and in `raw` lines. */
  eventId(system: string, event: string): number {
    return Number(this.#read(`events/${system}/${event}/id`));
  }

  /** Text for `parseHeaderPage` of formats.ts; changes with `subbufKib`. */
  headerPage(): string {
    // Kernels whose sub-buffers are all one page have the file at the top level only.
    const own = "events/header_page";
    if (exists(`${this.path}/${own}`)) return this.#read(own);
    return readTextFile(`${this.tracefs}/${own}`);
  }

  /** CPUs that have a buffer, ascending: all that are possible, offline ones included. */
  cpus(): number[] {
    const cpus: number[] = [];
    for (const entry of Deno.readDirSync(`${this.path}/per_cpu`)) {
      const digits = /^cpu(\d+)$/.exec(entry.name)?.[1];
      if (digits !== undefined) cpus.push(Number(digits));
    }
    return cpus.sort((a, b) => a - b);
  }

  /** Counters of one CPU's buffer. */
  stats(cpu: number): TraceStats {
    return parseTraceStats(this.#read(`per_cpu/cpu${cpu}/stats`));
  }

  /** The pipe of text lines of all CPUs. */
  get pipePath(): string {
    return `${this.path}/trace_pipe`;
  }

  /** The pipe of text lines of one CPU. */
  cpuPipePath(cpu: number): string {
    return `${this.path}/per_cpu/cpu${cpu}/trace_pipe`;
  }

  /** The pipe of pages of one CPU. */
  cpuRawPipePath(cpu: number): string {
    return `${this.path}/per_cpu/cpu${cpu}/trace_pipe_raw`;
  }

  /**
   * Stops recording and removes the instance; only for the process that has made it.
   *
   * @throws {KernelError} EBUSY while a file of it is open.
   */
  remove(): void {
    if (this.#ownerFd >= 0) closeFd(this.#ownerFd);
    this.#ownerFd = -1;
    this.#write("tracing_on", "0");
    this.#write("events/enable", "0");
    removeDirectory(this.path);
  }

  /** Whether an option is on; undefined when this kernel does not have it. */
  option(name: string): boolean | undefined {
    return readOption(this, name);
  }

  #read(file: string): string {
    return readTextFile(`${this.path}/${file}`);
  }

  #write(file: string, text: string, flags = 0): void {
    writeTextFile(`${this.path}/${file}`, text, flags);
  }

  #writeIfThere(file: string, text: string, flags = 0): boolean {
    const there = exists(`${this.path}/${file}`);
    if (there) this.#write(file, text, flags);
    return there;
  }
}

function pidText(pids: Iterable<number>): string {
  let text = "";
  for (const pid of pids) text += `${pid}\n`;
  return text;
}
