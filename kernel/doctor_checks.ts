/**
 * Tries out, on this machine and now, everything that toom needs of it. Each try is harmless, and
 * what it changes of this process is put back.
 *
 * @module
 */
import { RECORD_BYTES, RecordKind, RecordWord, RSS_NO_MM_ID } from "../pipeline/layout.ts";
import { RecordWriter } from "../pipeline/record_writer.ts";
import { ringBytes, RingConsumer, RingProducer } from "../pipeline/ring.ts";
import { Errno, KernelError } from "./errno.ts";
import { asBuffer, closeFd, openFd, OpenFlag, readTextFile } from "./fd.ts";
import { type EventFormat, parseEventFormat, parseHeaderPage } from "./formats.ts";
import { gettid, openLibc, pageBytes } from "./libc.ts";
import { probePidfd } from "./pidfd.ts";
import { ProcConnector } from "./proc_connector.ts";
import { ProcReader, ProcStatus } from "./proc.ts";
import { openPsiTrigger } from "./psi.ts";
import { makeRawFormats, type RawFormats } from "./raw_parser.ts";
import { RawSource } from "./raw_source.ts";
import { lockMemory, type Protection, setFifo, setOomScoreAdj } from "./self_protection.ts";
import { Syscall } from "./symbols.ts";
import { TextSource } from "./text_source.ts";
import { findTracefs, parseInstanceName, TraceInstance } from "./tracefs.ts";

/** What one try gave. */
export interface Finding {
  readonly name: string;
  /** `optional`: it is not there, and toom goes without. */
  readonly status: "ok" | "missing" | "optional";
  /** What was found. */
  readonly detail: string;
  /** What to do about it; undefined when all is well. */
  readonly mend: string | undefined;
}

/** What the whole examination gave. */
export interface Examination {
  readonly findings: readonly Finding[];
  /** Things worth knowing that are neither good nor bad. */
  readonly notes: readonly string[];
}

/** Thrown inside of a try: what is wrong, and the mend where it is not the check's own. */
class Lacking extends Error {
  readonly mend: string | undefined;

  constructor(problem: string, mend?: string) {
    super(problem);
    this.mend = mend;
  }
}

interface Check {
  readonly name: string;
  readonly optional?: boolean;
  /** When nothing better is known. */
  readonly mend: string;
  /** Checks that must have gone well. */
  readonly after?: readonly string[];
  /** @returns The detail. */
  readonly run: () => string | Promise<string>;
}

const ROOT_MEND = "run as root: sudo toom doctor";
const NEW_KERNEL_MEND = "use a newer kernel";

/** Runs checks one by one, none of which can end the examination. */
class Examiner {
  readonly findings: Finding[] = [];
  private readonly well = new Set<string>();

  async check({ name, optional, mend, after, run }: Check): Promise<void> {
    const lacking = after?.find((other) => !this.well.has(other));
    let problem: unknown;
    if (lacking !== undefined) {
      problem = new Lacking(`not checked: needs ${lacking}`, `see ${lacking}`);
    } else {
      try {
        const detail = await run();
        this.well.add(name);
        this.findings.push({ name, status: "ok", detail, mend: undefined });
        return;
      } catch (error) {
        problem = error;
      }
    }
    this.findings.push({
      name,
      status: optional === true ? "optional" : "missing",
      detail: problem instanceof Error ? problem.message : String(problem),
      mend: mendOf(problem) ?? mend,
    });
  }
}

function mendOf(problem: unknown): string | undefined {
  if (problem instanceof Lacking) return problem.mend;
  if (problem instanceof Deno.errors.NotCapable) return "give Deno its permissions: deno run -A";
  return undefined;
}

/**
 * Tries everything out. Takes about a second, leaves nothing behind, and never throws.
 *
 * @param lockPath The lock file of a toom that runs.
 */
export async function examine(lockPath: string): Promise<Examination> {
  const examiner = new Examiner();
  const notes: string[] = [];
  await checkProcess(examiner);
  await checkEvents(examiner, notes);
  await checkKilling(examiner);
  await checkProtection(examiner);
  await checkTriggers(examiner);
  try {
    const holder = lockHolder(lockPath);
    if (holder !== undefined) notes.push(`a toom is running: pid ${holder} holds ${lockPath}`);
  } catch {
    // Only a note.
  }
  return { findings: examiner.findings, notes };
}

// -------------------------------------------------------------------------- this process

/** capabilities(7) */
const Capability = {
  DAC_OVERRIDE: 1,
  KILL: 5,
  NET_ADMIN: 12,
  IPC_LOCK: 14,
  SYS_PTRACE: 19,
  SYS_ADMIN: 21,
  SYS_NICE: 23,
  SYS_RESOURCE: 24,
} as const;

async function checkProcess(examiner: Examiner): Promise<void> {
  await examiner.check({
    name: "ffi",
    mend: "give Deno its permissions: deno run -A",
    run: () => {
      if (Deno.build.os !== "linux") throw new Lacking("this is not Linux", "use Linux");
      openLibc();
      return `libc opened, ${Deno.build.arch}, pages of ${pageBytes()} bytes`;
    },
  });
  await examiner.check({
    name: "root",
    mend: ROOT_MEND,
    run: () => {
      const uid = Deno.uid();
      if (uid !== 0) throw new Lacking(`uid ${uid}: cannot trace or end other users' processes`);
      return "uid 0";
    },
  });
  await examiner.check({
    name: "capabilities",
    after: ["ffi"],
    mend: "run as root with CAP_KILL, in a container: --cap-add KILL",
    run: () => {
      const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(readTextFile("/proc/self/status"))?.[1];
      const bits = BigInt(`0x${hex ?? "0"}`);
      const absent = Object.entries(Capability)
        .filter(([, bit]) => (bits >> BigInt(bit) & 1n) === 0n).map(([name]) => `CAP_${name}`);
      if (absent.includes("CAP_KILL")) throw new Lacking(`absent: ${absent.join(", ")}`);
      // What the others are for is tried out below.
      return absent.length === 0 ? "all that toom uses" : `CAP_KILL; absent: ${absent.join(", ")}`;
    },
  });
  await examiner.check({
    name: "proc",
    after: ["ffi"],
    mend: "mount /proc without hidepid, or run as root with CAP_SYS_PTRACE",
    run: () => {
      const pids = new Int32Array(65_536);
      const proc = new ProcReader();
      const count = proc.listPids(pids);
      if (!proc.readStatus(1, new ProcStatus())) throw new Lacking("other processes are hidden");
      return `${count} processes are seen`;
    },
  });
}

// -------------------------------------------------------------------------- tracing

const LIFECYCLE = [
  ["task", "task_newtask"],
  ["sched", "sched_process_exec"],
  ["sched", "sched_process_exit"],
  ["sched", "sched_process_free"],
] as const;
/** Room for all that a child of ours does. */
const BUFFER_KIB = 4096;
const TOUCHED_BYTES = 8 * 1024 * 1024;
/** More than malloc ever keeps for the next one (M_MMAP_THRESHOLD, mallopt(3)): new pages each time. */
const FRESH_BYTES = 64 * 1024 * 1024;

async function checkEvents(examiner: Examiner, notes: string[]): Promise<void> {
  let tracefs = "";
  await examiner.check({
    name: "tracefs",
    after: ["ffi"],
    mend: `${ROOT_MEND}; without tracefs: mount -t tracefs tracefs /sys/kernel/tracing`,
    run: () => {
      tracefs = findTracefs();
      noteInstances(tracefs, notes);
      return tracefs;
    },
  });
  await examiner.check({
    name: "rss_stat",
    after: ["tracefs"],
    mend: "use Linux 5.5 or newer with CONFIG_TRACEPOINTS and CONFIG_FTRACE",
    run: () => {
      const { id, fields } = readEvent(tracefs, "kmem", "rss_stat");
      const lacking = ["mm_id", "curr", "member", "size"].filter((name) => !fields.has(name));
      if (lacking.length > 0) throw new Lacking(`kmem:rss_stat lacks ${lacking.join(", ")}`);
      return `kmem:rss_stat has id ${id} and its four fields`;
    },
  });
  await examiner.check({
    name: "life-cycle",
    after: ["tracefs"],
    mend: "use Linux 5.5 or newer with CONFIG_TRACEPOINTS and CONFIG_FTRACE",
    run: () =>
      LIFECYCLE.map(([system, event]) => readEvent(tracefs, system, event).name).join(", "),
  });
  let instance: TraceInstance | undefined;
  let trial: Trial | undefined;
  await examiner.check({
    name: "instance",
    after: ["rss_stat", "life-cycle"],
    mend: "use Linux 5.5 or newer, and leave tracefs writable (lockdown, container)",
    run: () => {
      instance = TraceInstance.create("doctor", tracefs);
      instance.configure({ bufferKib: BUFFER_KIB, eventFork: true });
      return "made, with clock mono and event-fork";
    },
  });
  try {
    await checkTrial(examiner, () => trial = new Trial(instance!));
  } finally {
    trial?.close();
    try {
      instance?.remove();
    } catch (error) {
      notes.push(`the next start of toom removes what could not be now: ${String(error)}`);
    }
  }
}

async function checkTrial(examiner: Examiner, makeTrial: () => Trial): Promise<void> {
  let trial!: Trial;
  await examiner.check({
    name: "sentinel",
    after: ["instance"],
    mend: NEW_KERNEL_MEND,
    run: () => {
      trial = makeTrial();
      trial.start([]);
      touchMemory();
      const { rssEvents } = trial.take();
      if (rssEvents > 0) throw new Lacking(`${rssEvents} events though nobody is to be traced`);
      return "with nobody but the sentinel on the list, nobody is traced";
    },
  });
  await examiner.check({
    name: "pid-filter",
    after: ["sentinel"],
    mend: NEW_KERNEL_MEND,
    run: () => {
      const tid = gettid();
      trial.start([tid]);
      touchMemory();
      const { emitters, born } = trial.take();
      const own = emitters.get(tid) ?? 0;
      if (own === 0) throw new Lacking("no event though this process touched memory");
      // A thread that this one has started meanwhile is traced too, as it should be.
      const others = [...emitters.keys()].filter((other) => other !== tid && !born.has(other));
      if (others.length > 0) throw new Lacking(`events of others: ${others.join(", ")}`);
      return `${own} events of this process and of nobody else`;
    },
  });
  await examiner.check({
    name: "raw-pages",
    optional: true,
    after: ["pid-filter"],
    mend: "nothing: toom reads text instead, which costs more; tell its authors",
    run: () => {
      if (trial.rawProblem !== undefined) throw new Lacking(trial.rawProblem);
      if (trial.malformed > 0) {
        throw new Lacking(`${trial.malformed} pages or events are malformed`);
      }
      return `read and decoded, ${trial.cpus} CPUs`;
    },
  });
  await examiner.check({
    name: "mm-ids",
    after: ["pid-filter"],
    mend: "wait until the kernel's random numbers are ready, then start toom",
    run: () => {
      if (trial.nameless > 0) throw new Lacking(`${trial.nameless} events have mm_id 0`);
      return "events name their address space";
    },
  });
  await examiner.check({
    name: "event-fork",
    after: ["pid-filter"],
    mend: "use Linux 4.8 or newer; give Deno its permissions: deno run -A",
    run: async () => {
      trial.start([gettid()]);
      const pid = await runChild();
      const { emitters, born } = trial.take();
      const events = emitters.get(pid) ?? 0;
      if (!born.has(pid)) throw new Lacking("the birth of a child was not seen");
      if (events === 0) throw new Lacking("a child of a traced process is not traced");
      return `a child was born and followed: ${events} events`;
    },
  });
}

function readEvent(tracefs: string, system: string, event: string): EventFormat {
  const path = `${tracefs}/events/${system}/${event}/format`;
  try {
    return parseEventFormat(readTextFile(path));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    if (error.errno === Errno.ENOENT) {
      throw new Lacking(`the kernel has no event ${system}:${event}`);
    }
    throw new Lacking(error.message, ROOT_MEND);
  }
}

function noteInstances(tracefs: string, notes: string[]): void {
  const path = `${tracefs}/instances`;
  const proc = new ProcReader();
  let names: string[];
  try {
    names = Array.from(Deno.readDirSync(path), ({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new Lacking(`${path} cannot be read: ${messageOf(error)}`, ROOT_MEND);
  }
  for (const name of names.sort()) {
    const owner = parseInstanceName(name);
    if (owner === undefined) continue;
    const alive = proc.readStartTicks(owner.pid) === owner.startTicks;
    notes.push(
      alive
        ? `a toom is tracing: pid ${owner.pid}, instance ${name}`
        : `a dead toom left the instance ${name}; the next start removes it`,
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Touches fresh pages, on this thread. */
function touchMemory(): void {
  const bytes = new Uint8Array(FRESH_BYTES);
  const step = pageBytes();
  for (let at = 0; at < TOUCHED_BYTES; at += step) bytes[at] = 1;
}

/** Runs a short child to its end. @returns Its pid. */
async function runChild(): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["--version"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await child.status;
  return child.pid;
}

/** What a trial has recorded since it was asked last. */
interface Take {
  readonly rssEvents: number;
  /** rss_stat events by emitter. */
  readonly emitters: ReadonlyMap<number, number>;
  /** Children of task_newtask. */
  readonly born: ReadonlySet<number>;
}

const RING_RECORDS = 4096;

/** Reads an instance as a reader does: raw pages where they can be decoded, else lines. */
class Trial {
  /** Why pages cannot be decoded. */
  rawProblem: string | undefined;
  /** Events without an mm_id. */
  nameless = 0;
  readonly cpus: number;
  private readonly instance: TraceInstance;
  private readonly fds: readonly number[];
  private readonly producer: RingProducer;
  private readonly consumer: RingConsumer;
  private readonly source: RawSource | TextSource;
  private rssEvents = 0;
  private emitters = new Map<number, number>();
  private born = new Set<number>();

  constructor(instance: TraceInstance) {
    this.instance = instance;
    const cpus = instance.cpus();
    this.cpus = cpus.length;
    const memory = new SharedArrayBuffer(ringBytes(RING_RECORDS, RECORD_BYTES));
    const place = { byteOffset: 0, records: RING_RECORDS, recordBytes: RECORD_BYTES };
    this.producer = new RingProducer(memory, place);
    this.consumer = new RingConsumer(memory, place);
    const drain = (): void => this.drain();
    const writer = new RecordWriter(this.producer, drain);
    const formats = this.rawFormats();
    const flags = OpenFlag.O_RDONLY | OpenFlag.O_NONBLOCK;
    const pipes = formats === undefined
      ? [{ cpu: -1, fd: openFd(instance.pipePath, flags) }]
      : cpus.map((cpu) => ({ cpu, fd: openFd(instance.cpuRawPipePath(cpu), flags) }));
    this.fds = pipes.map(({ fd }) => fd);
    this.source = formats === undefined
      ? new TextSource(pipes, pageBytes(), writer, drain)
      : new RawSource(pipes, formats, writer, drain);
    instance.writePids([]);
    instance.enableEvent("kmem", "rss_stat");
    instance.enableEvent("task", "task_newtask");
  }

  /** Traces these tasks from now on. */
  start(tids: readonly number[]): void {
    this.instance.setTracing(false);
    this.instance.writePids(tids);
    this.instance.setTracing(true);
  }

  get malformed(): number {
    let sum = 0;
    for (const { counters } of this.source.parsers) sum += counters.malformed;
    return sum;
  }

  /** Reads all that there is. Not recording meanwhile, as reading touches memory too. */
  take(): Take {
    this.instance.setTracing(false);
    while (this.source.read() > 0) this.drain();
    this.drain();
    const { rssEvents, emitters, born } = this;
    this.rssEvents = 0;
    this.emitters = new Map();
    this.born = new Set();
    return { rssEvents, emitters, born };
  }

  close(): void {
    for (const fd of this.fds) closeFd(fd);
  }

  private rawFormats(): RawFormats | undefined {
    const { instance } = this;
    try {
      return makeRawFormats({
        headerPage: parseHeaderPage(instance.headerPage()),
        rssStat: parseEventFormat(instance.eventFormat("kmem", "rss_stat")),
        newTask: parseEventFormat(instance.eventFormat("task", "task_newtask")),
        pageBytes: pageBytes(),
      });
    } catch (error) {
      this.rawProblem = messageOf(error);
      return undefined;
    }
  }

  private drain(): void {
    this.producer.publish();
    const { words } = this.consumer;
    for (let word = this.consumer.next(); word >= 0; word = this.consumer.next()) {
      const kind = words[word + RecordWord.kindCpu]! & 0xff;
      const tid = words[word + RecordWord.tid]!;
      if (kind === RecordKind.newTask) this.born.add(words[word + RecordWord.a]!);
      if (kind !== RecordKind.rss) continue;
      this.rssEvents++;
      this.emitters.set(tid, (this.emitters.get(tid) ?? 0) + 1);
      const unnamed = (words[word + RecordWord.c]! & RSS_NO_MM_ID) !== 0;
      if (unnamed || words[word + RecordWord.a] === 0) this.nameless++;
    }
    this.consumer.release();
  }
}

// -------------------------------------------------------------------------- killing

async function checkKilling(examiner: Examiner): Promise<void> {
  await examiner.check({
    name: "pidfd",
    after: ["ffi"],
    mend: "use Linux 5.3 or newer, and let seccomp pass pidfd_open and pidfd_send_signal",
    run: () => {
      const { open, sendSignal } = probePidfd();
      if (!open) throw new Lacking("pidfd_open(2) fails");
      if (!sendSignal) throw new Lacking("pidfd_send_signal(2) fails");
      return "pidfd_open and pidfd_send_signal work";
    },
  });
  await examiner.check({
    name: "process_mrelease",
    optional: true,
    after: ["pidfd"],
    mend: "use Linux 5.15 or newer: without it, a victim's memory comes back a little later",
    run: () => {
      if (!probePidfd().mrelease) throw new Lacking("process_mrelease(2) fails");
      return "process_mrelease works";
    },
  });
}

// -------------------------------------------------------------------------- self-protection

async function checkProtection(examiner: Examiner): Promise<void> {
  const protection = (name: string, detail: string, run: () => Protection): Promise<void> =>
    examiner.check({
      name,
      optional: true,
      after: ["ffi"],
      mend: ROOT_MEND,
      run: () => {
        const result = run();
        if (!result.ok) throw new Lacking(result.reason, result.mend);
        return detail;
      },
    });
  await protection("oom_score_adj", "can be -1000", tryOomScoreAdj);
  await protection("memory-lock", "code can be kept in memory", tryLockMemory);
  await protection("sched-fifo", "real-time scheduling is allowed", tryFifo);
}

function tryOomScoreAdj(): Protection {
  const before = Number(readTextFile("/proc/self/oom_score_adj"));
  const result = setOomScoreAdj(-1000);
  if (result.ok) setOomScoreAdj(before);
  return result;
}

/** munlockall(2) goes through the table's alias of syscall(2), whose other arguments it ignores. */
const MUNLOCKALL = Deno.build.arch === "aarch64" ? 231 : 152;

function tryLockMemory(): Protection {
  const isLocked = !/^VmLck:\s+0 kB$/m.test(readTextFile("/proc/self/status"));
  const result = lockMemory();
  if (!isLocked) openLibc().mlock2(MUNLOCKALL, 0n, 0n, 0);
  return result;
}

const SCHED_OTHER = 0;
/** Field 41 of /proc/PID/stat, counted behind the name. */
const STAT_POLICY = 41 - 3;

function tryFifo(): Protection {
  const stat = readTextFile("/proc/thread-self/stat");
  const policy = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[STAT_POLICY];
  // A thread that is under another policy already must keep it.
  if (policy !== String(SCHED_OTHER)) return { ok: true };
  const result = setFifo(1);
  if (result.ok) {
    const none = asBuffer(new Int32Array([0]));
    openLibc().sched_setscheduler(Syscall.schedSetscheduler, 0, SCHED_OTHER, none);
  }
  return result;
}

// -------------------------------------------------------------------------- triggers

async function checkTriggers(examiner: Examiner): Promise<void> {
  await examiner.check({
    name: "psi",
    optional: true,
    after: ["ffi"],
    mend:
      "boot with psi=1 (CONFIG_PSI), as root: without it, only the timer sees a machine in need",
    run: () => {
      const trigger = openPsiTrigger({ stallUs: 150_000, windowUs: 1_000_000 });
      if (!trigger.ok) throw new Lacking(trigger.reason);
      closeFd(trigger.fd);
      return `memory pressure wakes toom, window ${trigger.windowUs / 1000} ms`;
    },
  });
  await examiner.check({
    name: "uid-events",
    optional: true,
    after: ["ffi"],
    mend: "use Linux 6.6 or newer with CONFIG_PROC_EVENTS, as root with CAP_NET_ADMIN: without " +
      "it, a change of user is seen by the timer",
    run: () => {
      const result = ProcConnector.open();
      if (!result.ok) throw new Lacking(result.reason);
      result.connector.close();
      return "the kernel tells of changes of uid";
    },
  });
}

/** Pid that holds a lock of flock(2) on a file, by /proc/locks; asking does not disturb it. */
function lockHolder(path: string): number | undefined {
  let file: Deno.FileInfo;
  try {
    file = Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  for (const line of readTextFile("/proc/locks").split("\n")) {
    // 1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF
    const [, kind, , , pid, place] = line.split(/\s+/);
    const inode = place?.split(":")[2];
    if (kind === "FLOCK" && inode === String(file.ino)) return Number(pid);
  }
  return undefined;
}
