/**
 * The supervisor's tracefs instances and the pipes that the workers read: made, configured, opened,
 * and removed again.
 *
 * Two instances. `events` holds rss_stat and the life cycle of the limited users' tasks and of
 * nobody else's. `logins` holds every exec of the machine, and the kernel's own OOM kills.
 *
 * @module
 */
import { messageOf } from "../../kernel/ffi/thrown.ts";
import { Errno, KernelError } from "../../kernel/ffi/errno.ts";
import { closeFd, openFd, OpenFlag, readFile } from "../../kernel/ffi/fd.ts";
import type { BpfSourceSpec } from "../../kernel/bpf/bpf_source.ts";
import { KernelBooks, possibleCpus } from "../../kernel/bpf/kernel_books.ts";
import type { KernelUser } from "../../kernel/bpf/kernel_users.ts";
import { Btf, KERNEL_BTF_PATH } from "../../kernel/bpf/types/btf.ts";
import { kernelLayout } from "../../kernel/bpf/types/kernel_layout.ts";
import { findTracefs } from "../../kernel/trace/tracefs.ts";
import { hasOwner } from "../../kernel/trace/instance_owner.ts";
import { parseInstanceName } from "../../kernel/trace/instance_name.ts";
import { removeDeadInstances } from "../../kernel/trace/dead_instances.ts";
import { TraceInstance } from "../../kernel/trace/trace_instance.ts";
import { EXEC_TEXT_FILTER } from "../../kernel/trace/text_parser.ts";
import { ProcReader } from "../../kernel/proc/proc.ts";
import { type GuardedFile, guardedFiles } from "../../kernel/trace/guarded_files.ts";
import type { DiscoverySpec } from "../../kernel/discovery/sweeper_world.ts";
import { type FormatTexts, rawFormats } from "../../kernel/trace/raw_formats.ts";
import type { PipesSpec, TracePipe } from "../../kernel/trace/trace_source.ts";
import type { Journal } from "../journal/journal.ts";
import { StartError } from "./errors.ts";

export interface TracingOptions {
  readonly source: "auto" | "bpf" | "raw" | "text";
  /** Bits of the counted members. */
  readonly countMask: number;
  /** For some users others count. */
  readonly countsOwn: boolean;
  readonly readers: number;
  /** Kernel buffer of each CPU. */
  readonly bufferKib: number;
  readonly subbufKib: number | undefined;
  readonly pageBytes: number;
  /** Descriptors of the instances that this process had before it started over. */
  readonly formerFds?: readonly number[];
}

/** Room for address spaces in the kernel's books; each CPU has 16 bytes of each. */
const SLOTS_MAX = 65_536;
const SLOTS_MIN = 8192;
const SLOT_CPUS_MAX = 2 ** 20;
/**
 * Of the programs' ring buffer: 7 000 records. Pages are told one by one only above soft, so that it need
 * not be as large as the kernel's buffers.
 */
const RECORD_BYTES = 2 ** 19;
/** Room for the execs of each CPU: 16 000 of them. */
const LOGINS_BUFFER_KIB = 1024;
/** What is recorded of traced tasks. No exec: its text line holds a file name, perhaps a forged line. */
const TRACED_EVENTS = [
  ["kmem", "rss_stat"],
  ["task", "task_newtask"],
  ["sched", "sched_process_exit"],
  ["sched", "sched_process_free"],
] as const;
const NO_FILTER = "0";
/** Instances of one purpose that somebody else reads while toom starts over, again and again. */
const FORMER_MAX = 16;
const ALL_MEMBERS = 15;
/** Purposes of the two instances, the last word of their names. */
const EVENTS = "events";
const LOGINS = "logins";

export class Tracing {
  readonly source: "bpf" | "raw" | "text";
  readonly tracefsPath: string;
  readonly events: TraceInstance;
  readonly formats: FormatTexts;
  /** What each reader reads. */
  readonly readers: readonly (PipesSpec | Omit<BpfSourceSpec, "wakeFd">)[];
  /** Programs that record in place of the instance of events. */
  private readonly books: KernelBooks | undefined;
  readonly loginPipes: PipesSpec;
  /** Instances that a dead predecessor had left behind. */
  readonly removed: readonly string[];
  /** Why sources are not used that would be preferred. */
  private readonly fallbacks: string[] = [];
  readonly logins: TraceInstance;
  private readonly instances: TraceInstance[] = [];
  private readonly fds: number[] = [];

  /** Whether users may differ in what counts for them: programs in the kernel are made for it, or are none. */
  get countsPerUser(): boolean {
    return this.books === undefined || this.books.shape.isPerUser === true;
  }

  /** What programs in the kernel keep of a user; undefined: nothing. */
  kernelUser(uid: number): KernelUser | undefined {
    const users = this.books?.users;
    const index = users?.find(uid) ?? 0;
    return index === 0 ? undefined : users!.read(index);
  }

  /**
   * @throws {StartError} When there is no tracefs or no rss_stat, or another toom is tracing.
   * @throws {KernelError}
   */
  constructor(options: TracingOptions) {
    this.tracefsPath = findTracefs();
    // Up to here they had an owner, so that nobody else began to trace.
    for (const fd of options.formerFds ?? []) closeFd(fd);
    const former = removeFormer(this.tracefsPath);
    this.removed = removeDead(this.tracefsPath, former);
    try {
      this.events = this.create(EVENTS);
      this.logins = this.create(LOGINS);
      // Somebody may have begun at the same moment, and each found nobody. Who came last sees both.
      removeDead(this.tracefsPath, [...former, ...this.instances.map(({ name }) => name)]);
      if (!this.events.hasEvent("kmem", "rss_stat")) {
        throw new StartError(
          "this kernel has no tracepoint kmem:rss_stat",
          "use Linux 5.5 or newer with CONFIG_FTRACE and CONFIG_TRACEPOINTS",
        );
      }
      this.events.configure({
        bufferKib: options.bufferKib,
        ...(options.subbufKib === undefined ? {} : { subbufKib: options.subbufKib }),
        eventFork: true,
      });
      this.logins.configure({ bufferKib: LOGINS_BUFFER_KIB, eventFork: false });
      this.formats = this.readFormats();
      const { formats } = this;
      const { pageBytes } = options;
      const rawProblem = problemOfRaw(formats, pageBytes);
      const bpf = options.source === "auto" || options.source === "bpf"
        ? openBooks(options)
        : undefined;
      this.books = typeof bpf === "string" ? undefined : bpf;
      this.source = chooseSource(options.source, bpf, rawProblem);
      const { source } = this;
      if (options.source === "auto") {
        if (typeof bpf === "string") this.fallbacks.push(`not bpf: ${bpf}`);
        if (source === "text") this.fallbacks.push(`not raw: ${rawProblem}`);
      }
      if (this.books !== undefined) {
        // Nobody writes into the instance of events. While a pipe of it is open, it has an owner.
        this.open(this.events.pipePath);
        this.readers = [{ source: "bpf", books: this.books.spec }];
      } else {
        const source = this.source === "text" ? "text" : "raw";
        this.readers = this.openReaders(source, options.readers).map((pipes) => ({
          source,
          pipes,
          formats,
          pageBytes,
        }));
      }
      // Pages even where the source is text: no file name can pose as an event in them.
      const loginSource = rawProblem === undefined ? "raw" : "text";
      const pipes = this.openLogins(loginSource);
      this.loginPipes = { source: loginSource, pipes, formats, pageBytes };
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Starts recording. Before this nobody is on the list, so nothing is recorded but logins. */
  start(): void {
    const { events, logins, books } = this;
    if (books === undefined) {
      events.writePids([]);
      // Should a limited user be root: never the readers themselves.
      events.writeNotracePids(new ProcReader().listTids(Deno.pid));
      for (const [system, event] of TRACED_EVENTS) events.enableEvent(system, event);
    }
    if (this.loginPipes.source === "text") {
      logins.setFilter("sched", "sched_process_exec", EXEC_TEXT_FILTER);
    }
    logins.enableEvent("sched", "sched_process_exec");
    if (this.formats.oomVictim !== undefined) logins.enableEvent("oom", "mark_victim");
    events.setTracing(books === undefined);
    logins.setTracing(true);
  }

  /** What the sweeper needs; after {@link start}. */
  discoverySpec(): DiscoverySpec {
    return {
      logins: this.loginPipes,
      instanceName: this.events.name,
      tracefsPath: this.tracefsPath,
      books: this.books?.spec,
      guardedFiles: this.guarded(),
      statsFds: this.statsFds(),
    };
  }

  /** What nobody else may change from now on. */
  private guarded(): GuardedFile[] {
    const traced = TRACED_EVENTS.map(([system, event]) => ({ system, event, filter: NO_FILTER }));
    const filter = this.loginPipes.source === "text" ? EXEC_TEXT_FILTER : NO_FILTER;
    const execs = [{ system: "sched", event: "sched_process_exec", filter }];
    if (this.formats.oomVictim !== undefined) {
      execs.push({ system: "oom", event: "mark_victim", filter: NO_FILTER });
    }
    const open = (path: string): number => this.open(path);
    return [
      // Nothing is recorded there otherwise, it only shows that a toom is here.
      ...(this.books === undefined ? guardedFiles(this.events, EVENTS, traced, true, open) : []),
      ...guardedFiles(this.logins, LOGINS, execs, false, open),
    ];
  }

  /** What the kernel counts of each CPU; none where text is read, see {@link ReaderGuard}. */
  private statsFds(): number[] {
    if (this.source !== "raw") return [];
    const { events } = this;
    return events.cpus().map((cpu) => this.open(`${events.path}/per_cpu/cpu${cpu}/stats`));
  }

  /** Tells what was found, and what is done without. */
  announce(journal: Journal): void {
    for (const name of this.removed) {
      journal.publish({ event: "config", message: `removed the instance ${name} of a dead toom` });
    }
    for (const reason of this.fallbacks) {
      const message = `uses the ${this.source} source, ${reason}`;
      journal.publish({ event: "config", message });
    }
  }

  /** Stops recording, closes the pipes and removes the instances. Never throws. */
  close(): void {
    this.books?.[Symbol.dispose]();
    for (const fd of this.fds.splice(0)) closeFd(fd);
    for (const instance of this.instances.splice(0)) {
      try {
        instance.remove();
      } catch {
        // The next start removes it.
      }
    }
  }

  private create(purpose: string): TraceInstance {
    const instance = createFree(purpose, this.tracefsPath);
    this.instances.push(instance);
    return instance;
  }

  private open(path: string): number {
    const fd = openFd(path, OpenFlag.O_RDONLY | OpenFlag.O_NONBLOCK);
    this.fds.push(fd);
    return fd;
  }

  private readFormats(): FormatTexts {
    const { events } = this;
    return {
      headerPage: events.headerPage(),
      rssStat: events.eventFormat("kmem", "rss_stat"),
      newTask: events.eventFormat("task", "task_newtask"),
      exec: events.eventFormat("sched", "sched_process_exec"),
      exit: events.eventFormat("sched", "sched_process_exit"),
      free: events.eventFormat("sched", "sched_process_free"),
      oomVictim: events.hasEvent("oom", "mark_victim")
        ? events.eventFormat("oom", "mark_victim")
        : undefined,
    };
  }

  private openLogins(source: "raw" | "text"): TracePipe[] {
    const { logins } = this;
    if (source === "text") return [{ cpu: -1, fd: this.open(logins.pipePath) }];
    this.open(logins.pipePath);
    return logins.cpus().map((cpu) => ({ cpu, fd: this.open(logins.cpuRawPipePath(cpu)) }));
  }

  /** Each reader has its share of the CPUs, as the kernel has one buffer a CPU. */
  private openReaders(source: "raw" | "text", readers: number): TracePipe[][] {
    if (source === "text" && readers === 1) {
      return [[{ cpu: -1, fd: this.open(this.events.pipePath) }]];
    }
    // Never read: while it is open nobody else can open a pipe of text, and take events away.
    if (source === "raw") this.open(this.events.pipePath);
    const pipes: TracePipe[][] = Array.from({ length: readers }, () => []);
    this.events.cpus().forEach((cpu, index) => {
      const path = source === "raw"
        ? this.events.cpuRawPipePath(cpu)
        : this.events.cpuPipePath(cpu);
      pipes[index % readers]!.push({ cpu, fd: this.open(path) });
    });
    return pipes;
  }
}

/** Whether an instance is one that decides about kills. */
function isOfEvents(name: string): boolean {
  return parseInstanceName(name)!.purpose.startsWith(EVENTS);
}

/**
 * Removes the instances that this process had before it started over.
 *
 * @returns Names of those that cannot be removed, as somebody reads them: they record no more.
 */
function removeFormer(tracefsPath: string): string[] {
  const pid = Deno.pid;
  const startTicks = new ProcReader().readStartTicks(pid);
  const left: string[] = [];
  for (const { name } of Deno.readDirSync(`${tracefsPath}/instances`)) {
    const owner = parseInstanceName(name);
    if (owner?.pid !== pid || owner.startTicks !== startTicks) continue;
    try {
      TraceInstance.attach(name, tracefsPath).remove();
    } catch {
      left.push(name);
    }
  }
  return left;
}

/** An instance of the purpose; of a name with a number behind it where the name is still taken. */
function createFree(purpose: string, tracefsPath: string): TraceInstance {
  for (let number = 1;; number++) {
    try {
      return TraceInstance.create(number === 1 ? purpose : `${purpose}_${number}`, tracefsPath);
    } catch (error) {
      const isTaken = error instanceof KernelError && error.errno === Errno.EEXIST;
      if (!isTaken || number === FORMER_MAX) throw error;
    }
  }
}

/**
 * Removes what dead tooms have left, and makes sure that none lives that would kill twice.
 *
 * @param own Instances of this process.
 * @returns Names of the instances that were removed.
 */
function removeDead(tracefsPath: string, own: readonly string[]): readonly string[] {
  const { removed, live, busy } = removeDeadInstances(undefined, tracefsPath);
  // Other instances, as of a doctor's look at the machine, kill nobody.
  const other = live.find(({ name }) => !own.includes(name) && isOfEvents(name));
  if (other !== undefined) {
    throw new StartError(
      `another toom is tracing on this kernel (pid ${other.pid}, instance ${other.name})`,
      "stop it first; two would kill twice",
    );
  }
  const used = busy.find(isOfEvents);
  if (used !== undefined && hasOwner(used, tracefsPath)) {
    throw new StartError(
      `another toom is tracing on this kernel, in another container (instance ${used})`,
      "stop it first; two would kill twice",
    );
  }
  if (used !== undefined) {
    throw new StartError(
      `another toom may be tracing on this kernel: the instance ${used} is in use, and by whom is ` +
        "not to be seen from here",
      `end who has a file of it open (on the host: ls -l /proc/[0-9]*/fd | grep ${used})`,
    );
  }
  return removed;
}

/** Why pages cannot be decoded here; undefined when they can. */
function problemOfRaw(formats: FormatTexts, pageBytes: number): string | undefined {
  try {
    rawFormats(formats, pageBytes);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** Room for address spaces: the more CPUs, the less. A power of two. */
function slotsFor(cpus: number): number {
  const slots = 2 ** Math.floor(Math.log2(SLOT_CPUS_MAX / cpus));
  return Math.max(SLOTS_MIN, Math.min(SLOTS_MAX, slots));
}

/** @returns Why this kernel cannot, in a line, if it cannot. */
function openBooks({ countMask, countsOwn, readers }: TracingOptions): KernelBooks | string {
  if (readers > 1) return "it has one reader";
  try {
    const cpus = possibleCpus();
    const layout = kernelLayout(new Btf(readFile(KERNEL_BTF_PATH)));
    const sizes = { slots: slotsFor(cpus), cpus };
    const shape = countsOwn
      ? { ...sizes, countMask: ALL_MEMBERS, isPerUser: true }
      : { ...sizes, countMask };
    const books = new KernelBooks(layout, shape, RECORD_BYTES);
    try {
      // Now, because a kernel that refuses this is to be read otherwise. Nobody is near yet.
      books.attach();
      books.seed();
    } catch (error) {
      books[Symbol.dispose]();
      throw error;
    }
    return books;
  } catch (error) {
    return messageOf(error);
  }
}

function chooseSource(
  wanted: TracingOptions["source"],
  bpf: KernelBooks | string | undefined,
  rawProblem: string | undefined,
): "bpf" | "raw" | "text" {
  if (wanted === "bpf" && typeof bpf === "string") {
    throw new StartError(`the bpf source does not work here: ${bpf}`, "use --source raw");
  }
  if (bpf !== undefined && typeof bpf !== "string") return "bpf";
  if (wanted === "raw" && rawProblem !== undefined) {
    throw new StartError(`the raw source does not work here: ${rawProblem}`, "use --source text");
  }
  return wanted === "text" || rawProblem !== undefined ? "text" : "raw";
}
