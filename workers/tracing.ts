/**
 * The supervisor's tracefs instances and the pipes that the workers read: made, configured, opened,
 * and removed again.
 *
 * Two instances. `events` holds rss_stat and the life cycle of the limited users' tasks and of
 * nobody else's. `logins` holds every exec of the machine, and the kernel's own OOM kills.
 *
 * @module
 */
import { closeFd, openFd, OpenFlag } from "../kernel/fd.ts";
import { findTracefs, removeDeadInstances, TraceInstance } from "../kernel/tracefs.ts";
import { EXEC_TEXT_FILTER } from "../kernel/text_parser.ts";
import { ProcReader } from "../kernel/proc.ts";
import type { FormatTexts, TracePipe } from "./protocol.ts";
import { rawFormats } from "./formats.ts";
import { StartError } from "./errors.ts";

export interface TracingOptions {
  readonly source: "auto" | "raw" | "text";
  readonly readers: number;
  /** Kernel buffer of each CPU. */
  readonly bufferKib: number;
  readonly subbufKib: number | undefined;
  readonly pageBytes: number;
}

/** Room for the execs of each CPU: 16 000 of them. */
const LOGINS_BUFFER_KIB = 1024;

export class Tracing {
  readonly source: "raw" | "text";
  readonly tracefsPath: string;
  readonly events: TraceInstance;
  readonly formats: FormatTexts;
  readonly readerPipes: readonly (readonly TracePipe[])[];
  readonly loginSource: "raw" | "text";
  readonly loginPipes: readonly TracePipe[];
  /** Instances that a dead predecessor had left behind. */
  readonly removed: readonly string[];
  /** Why the raw source is not used although it was preferred. */
  readonly fallback: string | undefined;
  private readonly logins: TraceInstance;

  /**
   * @throws {StartError} When there is no tracefs or no rss_stat, or another toom is tracing.
   * @throws {KernelError}
   */
  constructor(options: TracingOptions) {
    this.tracefsPath = findTracefs();
    this.removed = removeDead(this.tracefsPath);
    this.events = TraceInstance.create("events", this.tracefsPath);
    this.logins = TraceInstance.create("logins", this.tracefsPath);
    try {
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
      const rawProblem = problemOfRaw(this.formats, options.pageBytes);
      this.source = chooseSource(options.source, rawProblem);
      this.fallback = options.source === "auto" ? rawProblem : undefined;
      this.readerPipes = this.openReaders(options.readers);
      // Pages even where the source is text: no file name can pose as an event in them.
      this.loginSource = rawProblem === undefined ? "raw" : "text";
      this.loginPipes = this.openLogins();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Starts recording. Before this nobody is on the list, so nothing is recorded but logins. */
  start(): void {
    const { events, logins } = this;
    events.writePids([]);
    // Should a limited user be root: never the readers themselves.
    events.writeNotracePids(new ProcReader().listTids(Deno.pid));
    events.enableEvent("kmem", "rss_stat");
    events.enableEvent("task", "task_newtask");
    // No exec here: its text line holds a file name, which may hold a forged line.
    events.enableEvent("sched", "sched_process_exit");
    events.enableEvent("sched", "sched_process_free");
    if (this.loginSource === "text") {
      logins.setFilter("sched", "sched_process_exec", EXEC_TEXT_FILTER);
    }
    logins.enableEvent("sched", "sched_process_exec");
    if (this.formats.oomVictim !== undefined) logins.enableEvent("oom", "mark_victim");
    events.setTracing(true);
    logins.setTracing(true);
  }

  /** Stops recording, closes the pipes and removes the instances. Never throws. */
  close(): void {
    for (const { fd } of (this.readerPipes ?? []).flat()) closeFd(fd);
    for (const { fd } of this.loginPipes ?? []) closeFd(fd);
    for (const instance of [this.events, this.logins]) {
      try {
        instance?.remove();
      } catch {
        // The next start removes it.
      }
    }
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

  private openLogins(): TracePipe[] {
    const { logins } = this;
    const flags = OpenFlag.O_RDONLY | OpenFlag.O_NONBLOCK;
    if (this.loginSource === "text") return [{ cpu: -1, fd: openFd(logins.pipePath, flags) }];
    return logins.cpus().map((cpu) => ({ cpu, fd: openFd(logins.cpuRawPipePath(cpu), flags) }));
  }

  /** Each reader has its share of the CPUs, as the kernel has one buffer a CPU. */
  private openReaders(readers: number): TracePipe[][] {
    const flags = OpenFlag.O_RDONLY | OpenFlag.O_NONBLOCK;
    if (this.source === "text" && readers === 1) {
      return [[{ cpu: -1, fd: openFd(this.events.pipePath, flags) }]];
    }
    const pipes: TracePipe[][] = Array.from({ length: readers }, () => []);
    this.events.cpus().forEach((cpu, index) => {
      const path = this.source === "raw"
        ? this.events.cpuRawPipePath(cpu)
        : this.events.cpuPipePath(cpu);
      pipes[index % readers]!.push({ cpu, fd: openFd(path, flags) });
    });
    return pipes;
  }
}

/** @returns Names of the instances that were removed. */
function removeDead(tracefsPath: string): readonly string[] {
  const { removed, live } = removeDeadInstances(undefined, tracefsPath);
  // A doctor's look at the machine is over in a moment and kills nobody.
  const [other] = live.filter(({ name }) => !name.endsWith("-doctor"));
  if (other !== undefined) {
    throw new StartError(
      `another toom is tracing on this kernel (pid ${other.pid}, instance ${other.name})`,
      "stop it first; two would kill twice",
    );
  }
  return removed;
}

/** Why pages cannot be decoded here; undefined when they can. */
function problemOfRaw(formats: FormatTexts, pageBytes: number): string | undefined {
  try {
    rawFormats({ formats, pageBytes });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function chooseSource(
  wanted: "auto" | "raw" | "text",
  rawProblem: string | undefined,
): "raw" | "text" {
  if (wanted === "raw" && rawProblem !== undefined) {
    throw new StartError(`the raw source does not work here: ${rawProblem}`, "use --source text");
  }
  return wanted === "text" || rawProblem !== undefined ? "text" : "raw";
}
