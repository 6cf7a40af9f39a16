/** Whether the kernel tells of memory, and of nobody but those on the list. */
import { messageOf } from "../ffi/thrown.ts";
import { Errno, KernelError } from "../ffi/errno.ts";
import { readTextFile } from "../ffi/fd.ts";
import { type EventFormat, parseEventFormat } from "../trace/formats.ts";
import { gettid, pageBytes } from "../ffi/libc.ts";
import { ProcReader } from "../proc/proc.ts";
import { findTracefs } from "../trace/tracefs.ts";
import { hasOwner } from "../trace/instance_owner.ts";
import { parseInstanceName } from "../trace/instance_name.ts";
import { TraceInstance } from "../trace/trace_instance.ts";
import { type Examiner, Lacking, NEW_KERNEL_MEND, ROOT_MEND } from "./examiner.ts";
import { Trial } from "./trial.ts";

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

/** Tries out tracing, on an instance of its own that it removes. */
export async function checkEvents(examiner: Examiner, notes: string[]): Promise<void> {
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
    notes.push(
      noteOf(name, owner.pid, proc.readStartTicks(owner.pid) === owner.startTicks, tracefs),
    );
  }
}

function noteOf(name: string, pid: number, isSeen: boolean, tracefs: string): string {
  if (isSeen) return `a toom is tracing: pid ${pid}, instance ${name}`;
  return hasOwner(name, tracefs)
    ? `a toom is tracing in another container: instance ${name}`
    : `a dead toom left the instance ${name}; the next start removes it, if nobody uses it`;
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
