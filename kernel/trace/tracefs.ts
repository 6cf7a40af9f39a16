/**
 * Tracing instances: private corners of the kernel's tracing, made, set up and removed here.
 * Documentation/trace/ftrace.rst, "Instances"
 *
 * Only instances of this process are ever written to; of everything else in tracefs, toom reads at
 * most whether it is in use. The owner of an instance has a file of it open, with a lock on it, for
 * as long as it lives: the kernel removes no instance of which a file is open, whatever container
 * that was opened in. So rmdir(2) alone asks whether there is an owner, and removes only what has none.
 *
 * @module
 */
import { Errno, errno, KernelError, primeErrno } from "../ffi/errno.ts";
import {
  asBuffer,
  closeFd,
  cString,
  OpenFlag,
  readTextFile,
  tryOpenFd,
  writeTextFile,
} from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";
import { ProcReader } from "../proc/proc.ts";

/** Where tracefs belongs since 4.1. */
const TRACEFS_PATH = "/sys/kernel/tracing";
const DEBUGFS_TRACEFS_PATH = "/sys/kernel/debug/tracing";
/** The file that the owner keeps open, and locks. flock(2) */
const OWNED_FILE = "tracing_on";
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
/** Somebody who starts at the same time may remove what has no owner yet. */
const CREATE_TRIES_MAX = 5;

/**
 * A pid that no task can have, on any machine: the highest that `set_event_pid` accepts. With it in
 * the list, the list is never empty; an empty one would mean that everybody is traced.
 */
export const SENTINEL_PID = 1_073_741_823;

/** Mount points of tracefs in the text of /proc/mounts, the customary one first. */
export function tracefsMounts(mounts: string): string[] {
  const found: string[] = [];
  for (const line of mounts.split("\n")) {
    const [, point, type] = line.split(" ");
    if (type !== "tracefs" || point === undefined) continue;
    // Blanks and the like in a path are written in octal, proc_pid_mounts(5).
    found.push(
      point.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8))),
    );
  }
  const rank = (point: string): number =>
    [TRACEFS_PATH, DEBUGFS_TRACEFS_PATH].indexOf(point) + 1 || 3;
  return found.sort((a, b) => rank(a) - rank(b));
}

/**
 * The directory of tracefs; mounts it at /sys/kernel/tracing when it is nowhere.
 *
 * @throws {KernelError} When there is none and it cannot be mounted; `detail` says how to mend it.
 */
export function findTracefs(): string {
  const [mounted] = tracefsMounts(readTextFile("/proc/mounts"));
  if (mounted !== undefined) return mounted;
  primeErrno();
  const type = cString("tracefs");
  const target = cString(TRACEFS_PATH);
  const none = cString("");
  const result = openLibc().mount(
    asBuffer(type),
    asBuffer(target),
    asBuffer(type),
    0n,
    asBuffer(none),
  );
  if (result === 0) return TRACEFS_PATH;
  const error = errno();
  const unsupported = error === Errno.ENODEV || error === Errno.ENOENT;
  throw new KernelError("mount", error, {
    path: TRACEFS_PATH,
    detail: unsupported
      ? "this kernel has no tracefs (CONFIG_TRACING)"
      : `run as root with CAP_SYS_ADMIN, or first: mount -t tracefs tracefs ${TRACEFS_PATH}`,
  });
}

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

/** What a CPU's buffer counts, `per_cpu/cpuN/stats`. */
export interface TraceStats {
  /** Events waiting to be read. */
  readonly entries: number;
  /** Events lost because the buffer was full of unread ones. */
  readonly overrun: number;
  /** Events lost because one interrupted another too deeply. */
  readonly commitOverrun: number;
  /** New events not recorded: always 0 with `overwrite`. */
  readonly dropped: number;
  /** Events read so far. */
  readonly read: number;
}

/** Parses `per_cpu/cpuN/stats`; lines that are missing count as 0. */
export function parseTraceStats(text: string): TraceStats {
  const value = (key: string): number => {
    const digits = new RegExp(`^${key}: (\\d+)$`, "m").exec(text)?.[1];
    return digits === undefined ? 0 : Number(digits);
  };
  return {
    entries: value("entries"),
    overrun: value("overrun"),
    commitOverrun: value("commit overrun"),
    dropped: value("dropped events"),
    read: value("read events"),
  };
}

/** The process that an instance belongs to. */
export interface InstanceOwner {
  readonly pid: number;
  /** Start time, clock ticks: tells it from later processes of the same pid. */
  readonly startTicks: number;
  readonly purpose: string;
}

const INSTANCE_NAME = /^toom-(\d+)-(\d+)-([A-Za-z0-9_]+)$/;

/** Name of an instance: `toom-<pid>-<startTicks>-<purpose>`. */
export function instanceName(owner: InstanceOwner): string {
  const name = `toom-${owner.pid}-${owner.startTicks}-${owner.purpose}`;
  if (!INSTANCE_NAME.test(name)) {
    throw new TypeError(`Cannot name an instance ${JSON.stringify(name)}: purpose is one word`);
  }
  return name;
}

/** The reverse of {@link instanceName}; undefined for names that are not toom's. */
export function parseInstanceName(name: string): InstanceOwner | undefined {
  const parts = INSTANCE_NAME.exec(name);
  if (parts === null) return undefined;
  return { pid: Number(parts[1]), startTicks: Number(parts[2]), purpose: parts[3]! };
}

// All options that change what the reader gets. A new instance has those of the top level, which may
// be anything. The order does not matter.
const FIXED_OPTIONS: readonly (readonly [string, boolean])[] = [
  ["context-info", true],
  ["overwrite", true],
  ["annotate", true],
  ["latency-format", false],
  ["verbose", false],
  ["raw", false],
  ["hex", false],
  ["bin", false],
  ["fields", false],
  ["block", false],
  ["stacktrace", false],
  ["userstacktrace", false],
  ["markers", false],
  ["copy_trace_marker", false],
  ["pause-on-trace", false],
  ["disable_on_free", false],
];

/** Whether an option, as `trace_options` names it, is one that {@link TraceInstance.configure} sets. */
export function isSetOption(option: string): boolean {
  const name = option.replace(/^no(?=.)/, "");
  return FIXED_OPTIONS.some(([fixed]) => fixed === name || fixed === option) ||
    name === "irq-info" || name === "event-fork";
}

/** One instance. All its methods are synchronous; none is for the way of an event. */
export class TraceInstance {
  readonly name: string;
  /** Its directory. */
  readonly path: string;
  readonly #tracefs: string;
  /** The owner's descriptor; -1: not the owner, or not any more. */
  #ownerFd = -1;
  #hadSentinel = true;

  private constructor(tracefs: string, name: string) {
    this.#tracefs = tracefs;
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
    const path = `${this.path}/${OWNED_FILE}`;
    for (let tries = 1;; tries++) {
      try {
        Deno.mkdirSync(this.path);
      } catch (error) {
        throw asKernelError("mkdir", error, this.path);
      }
      const fd = tryOpenFd(path, OpenFlag.O_RDONLY);
      if (fd >= 0) {
        // Without the lock, others know that somebody is there, only not who.
        openLibc().flock(fd, LOCK_EX | LOCK_NB);
        this.#ownerFd = fd;
        return;
      }
      if (fd !== -Errno.ENOENT || tries === CREATE_TRIES_MAX) {
        throw new KernelError("open", -fd, { path });
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
    for (const [option, on] of FIXED_OPTIONS) this.#setOption(option, on);
    this.#setOption("irq-info", options.irqInfo ?? true);
    this.#setOption("event-fork", options.eventFork);
    this.#setShared("record-tgid", options.recordTgid ?? false);
    this.#setShared("record-cmd", options.recordCmd ?? false);
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
    return readTextFile(`${this.#tracefs}/${own}`);
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
    const words = this.#read("trace_options").split(/\s+/);
    if (words.includes(name)) return true;
    return words.includes(`no${name}`) ? false : undefined;
  }

  #setOption(name: string, on: boolean): void {
    const now = this.option(name);
    if (now === undefined || now === on) return;
    this.#write("trace_options", on ? name : `no${name}`);
  }

  /**
   * Sets an option whose machinery is common to all instances. Switching one off here switches it off
   * for every event that anybody has on (trace_event_enable_cmd_record), so where somebody else is
   * tracing it stays as it is: readers of lines must understand both.
   */
  #setShared(name: string, on: boolean): void {
    if (!on && this.option(name) === true && this.#othersTrace()) return;
    this.#setOption(name, on);
  }

  #othersTrace(): boolean {
    const idle = (path: string): boolean => {
      try {
        return readTextFile(`${path}/events/enable`).trim() === "0";
      } catch (error) {
        if (error instanceof KernelError) return true; // Removed meanwhile.
        throw error;
      }
    };
    if (!idle(this.#tracefs)) return true;
    for (const { name } of Deno.readDirSync(`${this.#tracefs}/instances`)) {
      if (name !== this.name && !idle(`${this.#tracefs}/instances/${name}`)) return true;
    }
    return false;
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

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Deno's file errors as the one of this folder. */
function asKernelError(call: string, error: unknown, path: string): unknown {
  if (!(error instanceof Error)) return error;
  const number = / \(os error (\d+)\)/.exec(error.message)?.[1];
  return number === undefined ? error : new KernelError(call, Number(number), { path });
}

function removeDirectory(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    throw asKernelError("rmdir", error, path);
  }
}

/**
 * Whether the owner of an instance lives, in whatever container: it has locked a file of it. Does not
 * tell of owners that know no such lock (toom 0.1), which have pipes open all the same.
 */
export function hasOwner(name: string, tracefs: string = findTracefs()): boolean {
  const fd = tryOpenFd(`${tracefs}/instances/${name}/${OWNED_FILE}`, OpenFlag.O_RDONLY);
  if (fd < 0) return false;
  primeErrno();
  const refused = openLibc().flock(fd, LOCK_SH | LOCK_NB) === -1 && errno() === Errno.EAGAIN;
  closeFd(fd);
  return refused;
}

/** What {@link removeDeadInstances} found. */
export interface DeadInstances {
  /** Names of those removed. */
  readonly removed: string[];
  /** Those whose owner lives. */
  readonly live: { readonly name: string; readonly pid: number }[];
  /**
   * Names of those that are in use although their owner is not to be seen: it lives in another
   * container ({@link hasOwner}), or it is dead and somebody reads what it has left.
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
