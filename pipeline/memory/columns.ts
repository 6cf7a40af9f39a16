/**
 * Tables, as structures of arrays. The element type of each column; the writer is accounting
 * unless the column says otherwise.
 *
 * @module
 */
import { LINE_BYTES } from "./line.ts";

export type ColumnType = "i32" | "f64" | "i32x4" | "f64x4" | "f64x8";
export type Columns = Readonly<Record<string, ColumnType>>;
/** Elements of a row in a column: row r starts at r * lanes. */
export const LANES: Readonly<Record<ColumnType, number>> = {
  i32: 1,
  f64: 1,
  i32x4: 4,
  f64x4: 4,
  f64x8: 8,
};

/** A user that has a limit, or owns a process that is traced. uid -1: not known yet. */
export const USER_COLUMNS = {
  crossedTsNs: "f64",
  /** Counted pages: the sum over its processes. A double, because the sum may pass 2^31 pages. */
  usagePages: "f64",
  /** The most that was charged at one time. */
  peakPages: "f64",
  /**
   * Share credit: of the counted pages, those that are counted more than once or that the kernel
   * can take back, at most. Charged = usagePages - creditPages; see charge.ts.
   */
  creditPages: "f64",
  /**
   * Of the credit, pages that may not be counted more than once any more, at most: those who ended or
   * gave pages back since the last measuring were charged for parts of them. Not for limits, for which
   * the charge is a lower bound, but for what may be promised.
   */
  orphanedPages: "f64",
  /** File and shmem pages that it has at least, each once: shares.ts. */
  shareablePages: "f64",
  /** Until then its former, higher hard limit counts; nanoseconds, 0: there is no grace. */
  graceUntilNs: "f64",
  /** Since when its books may be wrong, nanoseconds; 0 while they are exact. */
  doubtTsNs: "f64",
  uid: "i32",
  generation: "i32",
  hardPages: "i32",
  softPages: "i32",
  /** {@link UserState}. */
  state: "i32",
  processCount: "i32",
  taskCount: "i32",
  mmCount: "i32",
  /** Rows of processes that its limit leaves it; 0x7fffffff: the limit does not say. */
  processesMax: "i32",
  /** Processes that found no row because the user is at its ceiling; it is over its limit then. */
  excessProcesses: "i32",
  /** Weights of victim policies for its processes, packPolicy() of settings.ts; 0: as settings say. */
  victimPolicy: "i32",
  /** Counted members, bits 1 << Member. Of a row that has processes it does not change. */
  countMask: "i32",
  /** Raised whenever a process has become, or is about to become, this user's. */
  joins: "i32",
  /** Pages promised by the coordinator and not touched yet. Writer: coordinator. */
  promisedPages: "i32",
  /** Requests that wait for memory of this user. Writer: coordinator. */
  waits: "i32",
  /** Processes that came under the brake. Writer: sweeper. */
  refusals: "i32",
  /** Writer: killer. */
  kills: "i32",
  /** Orders to arm that the killer has looked at. Writer: killer. */
  armsDone: "i32",
  /** How its processes are killed: packPlan() of kill_plan.ts, and its grace. */
  plan: "i32",
  killGraceMs: "i32",
  /** Above so much nobody has a grace, pages. */
  ceilingPages: "i32",
  /** More kills than this within so many seconds are a storm; 0: never. */
  stormKills: "i32",
  stormSeconds: "i32",
  /** Processes that were asked to end and have a grace. Writer: killer. */
  asked: "i32",
  next: "i32",
} as const satisfies Columns;

export const UserState = { free: 0, ok: 1, soft: 2, hard: 3 } as const;
export const USER_STATE_NAMES = ["free", "ok", "soft", "hard"] as const;

/** Width and number of the buckets behind the victim policy `growing`. */
export const GROWTH_BUCKETS = 8;
export const GROWTH_BUCKET_NS = 125_000_000;

export const PROCESS_COLUMNS = {
  /** Time of the newest proof of life: fork, event or sweep. */
  seenTsNs: "f64",
  exitTsNs: "f64",
  bornTsNs: "f64",
  /** Counted members of all its mms. */
  pages: "f64",
  /** Of these, pages that others hold too or that the kernel can take back: its end frees the rest. */
  sharedPages: "f64",
  /** Its part of its user's credit. */
  creditPages: "f64",
  /** Pages at the start of each of the last buckets, a ring. */
  growth: "f64x8",
  tgid: "i32",
  generation: "i32",
  /** {@link ProcessState}. */
  state: "i32",
  userSlot: "i32",
  /** Tasks known to be alive. */
  taskCount: "i32",
  /** First of the list of its tasks, slot + 1; 0 none. */
  taskFirst1: "i32",
  /** The mm it runs on, slot + 1; 0 none. */
  mmSlot1: "i32",
  /** First of the list of all its mms, slot + 1. */
  mmFirst1: "i32",
  /** The process whose mm a borrower runs on, slot + 1. */
  lenderSlot1: "i32",
  lenderGeneration: "i32",
  startTicks: "i32",
  /** {@link ProcessFlag}. */
  flags: "i32",
  /** Of the sweeps that accounting has seen begin, the number of the one that saw it last. */
  sweepNumber: "i32",
  /** Bucket of the newest change, time / GROWTH_BUCKET_NS. */
  growthBucket: "i32",
  /** What rules say of it: ../rules/tag.ts. Writer: sweeper; accounting when it makes the row. */
  tag: "i32",
  /** {@link generation} + 1 while it asks before it allocates (tmalloc). Writer: coordinator. */
  asksGeneration1: "i32",
  /** {@link generation} + 1 while it is braked, and what it was left, pages. Writer: sweeper. */
  brakedGeneration1: "i32",
  brakeLeftPages: "i32",
  next: "i32",
} as const satisfies Columns;

export const ProcessState = { free: 0, alive: 1, exited: 2 } as const;
/**
 * Flags of a process row. Only accounting sets and clears them, in books/births.ts (B),
 * books/claims.ts (C), books/strangers.ts (S), books/ownership.ts (O), books/kinship.ts (K) and
 * books/proc_facts.ts (F); a new row begins with those it is made with.
 *
 *     flag        set when                                  cleared when
 *     borrower    B: born with CLONE_VM, no exec known;     K: it execs, or gets the lender's mm;
 *                 C, S: unannounced, on another's mm;       B: its birth comes, without CLONE_VM;
 *                 F: /proc says so, and nothing newer       F: /proc says that it does not
 *     unresolved  S: it acts, and nobody announced it       K resolve: it is born, or F reads it
 *     heir        K: its parent is unresolved or an heir    K resolve: of it, or of an ancestor
 *     hasHeirs    K: of the parent of an heir               K resolve: of it, or of an ancestor
 *     hasExeced   K: it execs, or runs on what it built;    F: /proc says that it borrows
 *                 K: mayInherit, and /proc says it again
 *     lends       K: of a lender, and an heir's parent      never: it lends, or has lent
 *     overflow    books.ts: at its making                   never
 *     forkUnseen  B: born, no fork seen to build, no exec   K: it execs
 *     mayInherit  K: /proc says that it borrows no more     K: it execs, or gets the lender's mm;
 *                                                           O: it runs on an mm; B: its birth comes;
 *                                                           F: /proc says that it borrows again;
 *                                                           K: /proc says the same a second later
 *
 * What those that occur together mean; `lends` may come with any but `overflow`:
 *
 *     none                   announced, or read from /proc; on an mm of its own
 *     borrower               on the mm of the process in lenderSlot1: vfork, posix_spawn
 *     unresolved             user unknown; the sweeper was asked for it
 *     unresolved, borrower   a thread or a borrower; its lender's user until it is resolved
 *     unresolved, hasExeced  as unresolved, on an mm of its own
 *     heir                   its parent's user, until that one is resolved (kinship.ts knows of whom)
 *     heir, borrower         the same, on the mm of the process in lenderSlot1
 *     heir, hasExeced        as heir, on an mm of its own
 *     hasHeirs               with unresolved or heir, and lends: others wait for its user
 *     hasExeced              on an mm of its own that is no copy of its parent's
 *     forkUnseen             on a copy of its parent's mm, of which no event told; so with heir
 *     mayInherit             it has execed, or has the mm of the process in lenderSlot1: not heard yet
 *
 * Never together: borrower and hasExeced; forkUnseen and borrower, unresolved or hasExeced; unresolved
 * and heir; mayInherit and borrower, unresolved, heir or hasExeced; overflow (no process: those of its
 * user that found no row) and any other.
 */
export const ProcessFlag = {
  borrower: 1,
  unresolved: 2,
  heir: 4,
  hasHeirs: 8,
  hasExeced: 16,
  lends: 32,
  overflow: 64,
  forkUnseen: 128,
  mayInherit: 256,
} as const;

export const TASK_COLUMNS = {
  bornTsNs: "f64",
  tid: "i32",
  generation: "i32",
  processSlot: "i32",
  /** An mm that this task is building (fork, exec), slot + 1; 0 none. */
  buildingMmSlot1: "i32",
  /** Neighbours in the list of its process's tasks, slot + 1. */
  nextOfProcess1: "i32",
  previousOfProcess1: "i32",
  next: "i32",
} as const satisfies Columns;

export const MM_COLUMNS = {
  /** Newest time of each member, and of the newest claim of ownership. */
  tsNs: "f64x4",
  ownerTsNs: "f64",
  /** When it was first heard of. */
  bornTsNs: "f64",
  /** When a task that is not known to run on it began to change it, and which. */
  foreignTsNs: "f64",
  /** Its part of its user's credit; and pages that would still be in use if it ended: shares.ts. */
  creditPages: "f64",
  sharedPages: "f64",
  /** Found by the measuring {@link measureNumber}, which puts them in force at its end. */
  measuredCreditPages: "f64",
  measuredSharedPages: "f64",
  measuredShareablePages: "f64",
  measuredMappedCreditPages: "f64",
  /** Credited since that measuring began. */
  laterCreditPages: "f64",
  /** File and shmem pages that it has mapped since that measuring began. */
  laterShareablePages: "f64",
  /** File and shmem pages that it is charged for, at most; their sum is users.shareablePages: shares.ts. */
  assignedPages: "f64",
  /** Credited pages that it has given back, and that may come back as swap entries. */
  trimmedPages: "f64",
  /** Credit that it keeps when the mm ends that it was forked from: shares.ts. */
  keptCreditPages: "f64",
  /** That mm while it lives, slot + 1; 0 none. */
  originSlot1: "i32",
  /** Mms that were forked from this one and live. */
  dependents: "i32",
  measureNumber: "i32",
  foreignTid: "i32",
  mmId: "i32",
  generation: "i32",
  /** {@link MmState}. */
  state: "i32",
  /** Its process, slot + 1; 0 none. */
  processSlot1: "i32",
  /** Task whose claim was checked last: the quick way past the task table. */
  lastTid: "i32",
  pages: "i32x4",
  /** Next mm of the same process, slot + 1. */
  sibling1: "i32",
  next: "i32",
} as const satisfies Columns;

/** `building`: made by fork or exec and not run on yet. `nameless`: read from /proc, id unknown. */
export const MmState = { free: 0, building: 1, live: 2, nameless: 3 } as const;

/**
 * Victims that are being killed, and candidates that are armed. Writer: killer. Kept here so that
 * a restarted killer finds the pidfds of its predecessor.
 */
export const VICTIM_COLUMNS = {
  killTsNs: "f64",
  /** When its identity was checked last. */
  checkedTsNs: "f64",
  /** When it was asked to end by another signal than SIGKILL, and until when it may; 0: it was not. */
  askedTsNs: "f64",
  graceUntilNs: "f64",
  pages: "f64",
  /** {@link VictimState}. */
  state: "i32",
  /** Of who was asked to end: whose it is. */
  uid: "i32",
  /** -1: of a toom before, and not found in the books yet. */
  userSlot: "i32",
  userGeneration: "i32",
  processSlot: "i32",
  processGeneration: "i32",
  pid: "i32",
  pidfd: "i32",
  /** The mm that it ran on when it was signalled, slot + 1; 0 none. Others may share it. */
  mmSlot1: "i32",
  mmGeneration: "i32",
  /** Processes beside it that ran on that mm and were signalled too. */
  sharers: "i32",
  /** 1: a dry run, nobody was signalled. */
  isDryRun: "i32",
  /** 1: it goes because it is in the unit of a victim. */
  isMember: "i32",
  /** {@link GraceOutcome}. */
  outcome: "i32",
} as const satisfies Columns;
/**
 * `stuck`: signalled, and neither gone nor giving memory back: what it has is not being freed. `asked`: it
 * was sent another signal than SIGKILL, and has a grace.
 */
export const VictimState = { free: 0, armed: 1, dying: 2, stuck: 3, asked: 4 } as const;
/**
 * How a grace has ended: there was none; by the end of the process itself; by SIGKILL when it was over, at
 * the ceiling, or because the machine was short; by the user coming below its limit.
 */
export const GraceOutcome = {
  none: 0,
  ended: 1,
  over: 2,
  ceiling: 3,
  pressure: 4,
  spared: 5,
} as const;
export type GraceOutcome = typeof GraceOutcome[keyof typeof GraceOutcome];
export const VICTIMS_MAX = 256;

/** Header of a table: count of slots in use, high-water mark, head of the free list (slot + 1). */
export const TableWord = { used: 0, highWater: 1, freeHead: 2 } as const;
export const TABLE_HEADER_BYTES = LINE_BYTES;
