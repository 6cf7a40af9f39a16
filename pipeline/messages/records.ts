/**
 * What flows through the rings: the codec of each {@link RecordKind}. The table in docs/records.md is
 * made from this (`deno task docs`).
 *
 * A record has 32 bytes: its time (f64, nanoseconds of CLOCK_MONOTONIC), kind and CPU, and five words.
 *
 * @module
 */
import { RecordKind } from "../memory/layout.ts";
import { Codec, field } from "./codec.ts";

// ------------------------------------------------------------------ readers to accounting

export const RSS = new Codec(RecordKind.rss, "rss", "A member of an mm has another size", {
  tid: field("tid", "id", "the task that runs"),
  mmId: field("a", "id", "mm_id, a hash"),
  pages: field("b", "pages", "the new size, signed"),
  packed: field("c", "flags", "packRss(): member, curr, whether the line named no mm"),
  tgid: field("d", "id", "process of the task, 0 unknown"),
});

export const NEW_TASK = new Codec(RecordKind.newTask, "newTask", "task:task_newtask", {
  parentTid: field("tid", "id", "the task that made it"),
  childTid: field("a", "id", "the task that was made"),
  cloneFlags: field("b", "flags", "of clone(2), the low 32 bits"),
  parentTgid: field("d", "id", "process of the parent, 0 unknown"),
});

export const EXEC = new Codec(RecordKind.exec, "exec", "sched:sched_process_exec", {
  tid: field("tid", "id", "the task that runs"),
  pid: field("a", "id", "its number from now on"),
  oldPid: field("b", "id", "its number before"),
});

export const EXIT = new Codec(RecordKind.exit, "exit", "sched:sched_process_exit", {
  tid: field("tid", "id", "the task that runs"),
  pid: field("a", "id", "the task that ends"),
  groupDead: field("b", "flag", "1 the last of its process, 0 not, -1 unknown"),
});

export const FREE = new Codec(RecordKind.free, "free", "sched:sched_process_free", {
  tid: field("tid", "id", "the task that runs"),
  pid: field("a", "id", "the task whose number is free"),
});

export const LOST = new Codec(RecordKind.lost, "lost", "The kernel overwrote events", {
  events: field("a", "events", "how many, -1 unknown"),
});

export const KERNEL_KILL = new Codec(
  RecordKind.kernelKill,
  "kernelKill",
  "A program in the kernel has ended a process of a user that was over",
  {
    tid: field("tid", "id", "the process"),
    uid: field("a", "id", "the user"),
    victimPages: field("b", "pages", "that it had"),
    usagePages: field("c", "pages", "of the user, less what was pending"),
    tookNs: field("d", "ns", "from the page that crossed the line to the signal"),
  },
);

export const KERNEL_OVER = new Codec(
  RecordKind.kernelOver,
  "kernelOver",
  "A user is over, and no program in the kernel could end a process of it",
  {
    uid: field("tid", "id", "the user"),
    refusal: field("a", "number", "why; see kernel/bpf/programs/enforce.ts"),
    tgid: field("b", "id", "the process that took the page"),
  },
);

export const INHERITED = new Codec(
  RecordKind.inherited,
  "inherited",
  "A fork has built the mm of the newTask record before",
  {
    pages: field("tid", "pages", "that it copied"),
    uid: field("a", "id", "the user"),
  },
);

// ----------------------------------------------------------------- sweeper to accounting

export const PROC = new Codec(RecordKind.proc, "proc", "A process as /proc has it", {
  tgid: field("tid", "id", "the process"),
  uid: field("a", "id", "real uid, or the one that it counts for"),
  startTicks: field("b", "clock ticks", "start time since the boot, low 32 bits"),
  bornLow: field("c", "ms", "birth, CLOCK_MONOTONIC, low 32 bits"),
  packed: field("d", "flags", "packProc(): flags, and the rest of the birth"),
});

export const PROC_PAGES = new Codec(
  RecordKind.procPages,
  "procPages",
  "What the process of the proc record before has",
  {
    tgid: field("tid", "id", "the process"),
    filePages: field("a", "pages", "member file"),
    anonPages: field("b", "pages", "member anon"),
    swapPages: field("c", "pages", "member swap"),
    shmemPages: field("d", "pages", "member shmem"),
  },
);

export const LENDER = new Codec(
  RecordKind.lender,
  "lender",
  "On whose mm the process of the proc record before runs",
  {
    tgid: field("tid", "id", "the process"),
    lenderTgid: field("a", "id", "the other one"),
  },
);

export const TASK = new Codec(RecordKind.task, "task", "A thread as /proc has it", {
  tid: field("tid", "id", "the thread"),
  tgid: field("a", "id", "its process"),
});

export const GONE = new Codec(RecordKind.gone, "gone", "/proc has no such process, or task", {
  tid: field("tid", "id", "its number"),
  isUntraced: field("a", "flag", "1: no event may have told of its end"),
});

export const MEASURE_BEGIN = new Codec(
  RecordKind.measureBegin,
  "measureBegin",
  "The shared pages of a user are being measured",
  {
    number: field("tid", "number", "of the measuring"),
    uid: field("a", "id", "the user"),
  },
);

export const MEASURED = new Codec(RecordKind.measured, "measured", "A process was measured", {
  tgid: field("tid", "id", "the process"),
  mappedCreditPages: field("a", "pages", "of its credit, what it has of file and shmem"),
  sharedPages: field("b", "pages", "that its end would not free, at least"),
  creditPages: field("c", "pages", "its part of the user's credit, at least"),
  shareablePages: field("d", "pages", "its part of file and shmem pages, at least"),
});

export const MEASURE_END = new Codec(
  RecordKind.measureEnd,
  "measureEnd",
  "All processes of a user were measured",
  {
    number: field("tid", "number", "of the measuring"),
    uid: field("a", "id", "the user"),
  },
);

export const VERIFY_BEGIN = new Codec(
  RecordKind.verifyBegin,
  "verifyBegin",
  "The processes of a user in doubt are being read",
  { uid: field("tid", "id", "the user") },
);

export const VERIFY_END = new Codec(
  RecordKind.verifyEnd,
  "verifyEnd",
  "The processes of a user in doubt were read",
  { uid: field("tid", "id", "the user") },
);

export const SWEEP_BEGIN = new Codec(RecordKind.sweepBegin, "sweepBegin", "A sweep begins", {
  number: field("tid", "number", "of the sweep"),
  flags: field("a", "flags", "SweepFlag"),
  errorPages: field("b", "pages", "by which /proc may be wrong, a member"),
});

export const SWEEP_END = new Codec(RecordKind.sweepEnd, "sweepEnd", "A sweep has ended", {
  number: field("tid", "number", "of the sweep"),
  flags: field("a", "flags", "SweepFlag"),
});

export const OOM_VICTIM = new Codec(
  RecordKind.oomVictim,
  "oomVictim",
  "oom:mark_victim: the kernel kills a process",
  { pid: field("a", "id", "the process") },
);

export const PRESSURE = new Codec(RecordKind.pressure, "pressure", "The machine is short", {
  reason: field("a", "number", "PressureReason"),
  missingPages: field("b", "pages", "missing to the floor"),
});

// ------------------------------------------------------------------ killer to accounting

export const VICTIM_GONE = new Codec(
  RecordKind.victimGone,
  "victimGone",
  "A victim has given its memory back",
  {
    pid: field("tid", "id", "the victim"),
    processSlot: field("a", "row", "of the table of processes"),
    generation: field("b", "number", "of that row"),
  },
);

// ---------------------------- accounting to killer, its answer, accounting to sweeper

export const ORDER = new Codec(RecordKind.order, "order", "Somebody is to be armed or killed", {
  packed: field("a", "number", "packOrder(): OrderKind and Trigger"),
  userSlot: field("b", "row", "of the table of users"),
  generation: field("d", "number", "of that row"),
  culprit1: field("c", "row", "of the process that took a page last, + 1; 0 nobody knows"),
  leastPages: field("tid", "pages", "that a victim must give back at least, to relieve"),
});

const TRIGGER_SHIFT = 8;
const ORDER_KIND_MASK = 0xff;

/** OrderKind and Trigger of an order, in one word. */
export function packOrder(kind: number, trigger: number): number {
  return kind | trigger << TRIGGER_SHIFT;
}

export function orderKindOf(packed: number): number {
  return packed & ORDER_KIND_MASK;
}

export function orderTriggerOf(packed: number): number {
  return packed >> TRIGGER_SHIFT;
}

export const ADOPT = new Codec(
  RecordKind.adopt,
  "adopt",
  "A program in the kernel has ended a process: it is a victim like others from here on",
  {
    pid: field("tid", "id", "the process"),
    userSlot: field("a", "row", "of the table of users"),
    generation: field("b", "number", "of that row"),
    usagePages: field("c", "pages", "of the user, less what was pending"),
    tookNs: field("d", "ns", "from the page that crossed the line to the signal"),
  },
);

export const RECHECK = new Codec(
  RecordKind.recheck,
  "recheck",
  "The killer is done with an order",
  {
    userSlot: field("a", "row", "of the table of users"),
    generation: field("b", "number", "of that row"),
    isNobody: field("c", "flag", "1: nobody could be taken"),
  },
);

export const RESOLVE = new Codec(RecordKind.resolve, "resolve", "A task that nobody announced", {
  tid: field("tid", "id", "the task"),
});

export const RESYNC = new Codec(RecordKind.resync, "resync", "All of /proc is to be read", {});

export const VERIFY = new Codec(RecordKind.verify, "verify", "A user in doubt is to be read", {
  uid: field("tid", "id", "the user"),
});

export const MEASURE = new Codec(RecordKind.measure, "measure", "Whose credit decides by now", {
  uid: field("tid", "id", "the user"),
});

// ---------------------------------------- accounting, killer and sweeper to whoever records

export const STEPPED = new Codec(
  RecordKind.stepped,
  "stepped",
  "Accounting has taken records of a reader's ring, then of the sweeper's, then of the killer's",
  {
    reader: field("tid", "number", "of the reader, 0 for the first"),
    readerRecords: field("a", "records", "taken from its ring so far, modulo 2^32"),
    sweeperRecords: field("b", "records", "taken from the sweeper's ring so far, modulo 2^32"),
    settings: field("c", "number", "sequence of the page of settings that was in force"),
    killerRecords: field("d", "records", "taken from the killer's ring so far, modulo 2^32"),
  },
);

export const ACTED = new Codec(
  RecordKind.acted,
  "acted",
  "The killer has worked off an order, or has found that a victim is gone or stuck",
  {
    uid: field("tid", "id", "the user of the order"),
    orderAgeNs: field(
      "a",
      "ns",
      "from the order's time to the beginning of the act, at most 2^31 - 1",
    ),
    position: field(
      "b",
      "number",
      "AccountingPosition of pipeline/messages/role_log.ts when it began",
    ),
    order: field("c", "number", "OrderKind"),
  },
);

export const ANSWERED = new Codec(
  RecordKind.answered,
  "answered",
  "The kernel has told the killer something about a process that is not the rule",
  {
    pid: field("tid", "id", "the process"),
    question: field("a", "number", "Question of pipeline/kill/logged_kernel.ts"),
    answer: field("b", "number", "as pipeline/kill/kill_kernel.ts has it"),
    about: field("c", "id", "of sharesMm: the other process"),
  },
);

export const LINE_TOLD = new Codec(
  RecordKind.lineTold,
  "lineTold",
  "What programs in the kernel know of a user has changed",
  {
    uid: field("tid", "id", "the user"),
    state: field("a", "number", "LineState of pipeline/kill/kernel_trigger.ts"),
  },
);

export const TAGGED = new Codec(
  RecordKind.tagged,
  "tagged",
  "What rules say of a process has changed",
  {
    pid: field("tid", "id", "the process"),
    tag: field("a", "number", "pipeline/rules/tag.ts, with 0 in place of the generation"),
    position: field(
      "b",
      "number",
      "AccountingPosition of pipeline/messages/role_log.ts at that time",
    ),
  },
);

/** One for each {@link RecordKind}, in the order of docs/records.md: by who writes them. */
export const CODECS: readonly Codec[] = [
  RSS,
  NEW_TASK,
  EXEC,
  EXIT,
  FREE,
  LOST,
  KERNEL_KILL,
  KERNEL_OVER,
  INHERITED,
  PROC,
  PROC_PAGES,
  LENDER,
  TASK,
  GONE,
  MEASURE_BEGIN,
  MEASURED,
  MEASURE_END,
  VERIFY_BEGIN,
  VERIFY_END,
  SWEEP_BEGIN,
  SWEEP_END,
  OOM_VICTIM,
  PRESSURE,
  VICTIM_GONE,
  ORDER,
  ADOPT,
  RECHECK,
  RESOLVE,
  RESYNC,
  VERIFY,
  MEASURE,
  STEPPED,
  ACTED,
  ANSWERED,
  LINE_TOLD,
  TAGGED,
];
