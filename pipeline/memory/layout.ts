/**
 * Every number of the shared memory: the only file that knows where a word lies.
 *
 * One SharedArrayBuffer holds everything that the workers share:
 *
 *     header | roles | rings | reports | settings | users | processes | tasks | mms | maps | victims
 *     | owners
 *
 * Rules that hold for all of it (docs/INVARIANTS.md, "Shared memory"):
 *  - one writer a word, named beside the word; everybody else only reads;
 *  - payload words are plain, the word that publishes them is stored with `Atomics.store` last;
 *  - words of different writers lie at least {@link LINE_BYTES} apart.
 *
 * @module
 */
import { HEARTBEAT_MS } from "./timing.ts";

/** Distance between words of different writers: two cache lines, for the adjacent-line prefetcher. */
export const LINE_BYTES = 128;
export const LINE_WORDS = LINE_BYTES / 4;

/** First word of the header: "toom" in ASCII, big endian. */
export const MAGIC = 0x746f6f6d;
/** Raised with every change of this file that an older reader would misread. */
export const LAYOUT_VERSION = 5;

// ---------------------------------------------------------------------------------------------
// Records: what flows through the rings.
//
//   byte 0        8          12     16    20    24    28
//        tsNs f64 | kind,cpu | tid  | a   | b   | c   | d   |
// ---------------------------------------------------------------------------------------------

export const RECORD_BYTES = 32;
export const RECORD_WORDS = RECORD_BYTES / 4;
export const RECORD_F64S = RECORD_BYTES / 8;

/** Word offsets inside a record. The time is the first 8 bytes, as a double of nanoseconds. */
export const RecordWord = { kindCpu: 2, tid: 3, a: 4, b: 5, c: 6, d: 7 } as const;

/** `kindCpu` packs the kind (low 8 bits) and the cpu (the 23 bits above). */
export const KIND_MASK = 0xff;
export const CPU_SHIFT = 8;

/** What a record says: messages/records.ts has the fields of each. */
export const RecordKind = {
  rss: 1,
  newTask: 2,
  exec: 3,
  exit: 4,
  free: 5,
  lost: 6,
  proc: 7,
  procPages: 8,
  task: 9,
  gone: 10,
  sweepBegin: 11,
  sweepEnd: 12,
  oomVictim: 13,
  pressure: 14,
  victimGone: 15,
  order: 16,
  resolve: 17,
  resync: 18,
  measureBegin: 19,
  measured: 20,
  measureEnd: 21,
  verifyBegin: 22,
  verifyEnd: 23,
  verify: 24,
  measure: 25,
  lender: 26,
  recheck: 27,
} as const;
export type RecordKind = typeof RecordKind[keyof typeof RecordKind];

/** The kernel's numbering of RSS counters, include/linux/mm_types_task.h. */
export const Member = { file: 0, anon: 1, swap: 2, shmem: 3 } as const;
export const MEMBER_COUNT = 4;

/** `packed` of an rss record: member in the low 8 bits, then `curr`, then "the line named no mm". */
export const RSS_MEMBER_MASK = 0xff;
export const RSS_CURR = 0x100;
export const RSS_NO_MM_ID = 0x200;

/** Packs word c of an rss record. */
export function packRss(member: number, curr: number, noMmId: boolean): number {
  return member | (curr !== 0 ? RSS_CURR : 0) | (noMmId ? RSS_NO_MM_ID : 0);
}

/**
 * Flags in word d of a proc record. `borrows`: it runs on the mm of another process; `mayShare`: it was
 * forked and has not executed a program since, so its pages may be those of another process.
 */
export const ProcFlag = { borrows: 1, mayShare: 2 } as const;
const PROC_FLAG_BITS = 8;
const TWO_TO_32 = 2 ** 32;

/**
 * Word d of a proc record: flags, and above them what word c has no room for.
 * @param bornMs Birth, milliseconds of CLOCK_MONOTONIC, 0 to 2^56.
 */
export function packProc(flags: number, bornMs: number): number {
  return flags | (Math.floor(bornMs / TWO_TO_32) << PROC_FLAG_BITS);
}

/** Birth of a process in nanoseconds of CLOCK_MONOTONIC, by words c and d of its proc record. */
export function bornNsOf(c: number, d: number): number {
  return ((d >>> PROC_FLAG_BITS) * TWO_TO_32 + (c >>> 0)) * 1e6;
}
/** Bits of word a of sweepBegin and sweepEnd. */
export const SweepFlag = { full: 1, afterLoss: 2, initial: 4 } as const;
export const PressureReason = { psi: 1, minAvailable: 2 } as const;
/**
 * `arm`: rank and open; `kill`: somebody must go if the user is still over; `relieve`: somebody
 * must go although the user is not over, for the machine is short.
 */
export const OrderKind = { arm: 1, kill: 2, relieve: 4 } as const;
export const Trigger = { user: 1, kernel: 2, lastDefense: 3 } as const;
export type Trigger = typeof Trigger[keyof typeof Trigger];
export const TRIGGER_NAMES: Readonly<Record<number, string>> = {
  [Trigger.user]: "user",
  [Trigger.kernel]: "kernel",
  [Trigger.lastDefense]: "last-defense",
};

// ---------------------------------------------------------------------------------------------
// A ring: two lines of words, then the records.
//
//   line 0  tail            producer  records published, modulo 2^32
//           producerParked  producer  1 while it sleeps until `head` moves
//   line 1  head            consumer  records consumed, modulo 2^32
// ---------------------------------------------------------------------------------------------

export const RingWord = {
  tail: 0,
  producerParked: 1,
  head: LINE_WORDS,
} as const;
export const RING_HEADER_BYTES = 2 * LINE_BYTES;

// ---------------------------------------------------------------------------------------------
// Roles: one block of words for each worker.
// ---------------------------------------------------------------------------------------------

/** Index of each role's block; reader r has block `Role.reader + r`. */
export const Role = {
  supervisor: 0,
  accounting: 1,
  killer: 2,
  coordinator: 3,
  sweeper: 4,
  reader: 5,
} as const;
export const READERS_MAX = 64;
export const ROLES_MAX = Role.reader + READERS_MAX;

export function roleName(role: number): string {
  const names = ["supervisor", "accounting", "killer", "coordinator", "sweeper"];
  return names[role] ?? `reader${role - Role.reader}`;
}

/**
 * Words of a role's block. Line 0 is the supervisor's, line 1 the worker's own, line 2 is a bell
 * that anybody rings.
 */
export const RoleWord = {
  /** Supervisor: which incarnation may act; an older one that wakes up late must leave. */
  epoch: 0,
  /** Supervisor: 1 = end. */
  stop: 1,
  /** Supervisor: a fault to provoke, {@link Fault}. */
  fault: 2,
  /** Supervisor: raised to ask for an answer in `pong`. */
  ping: 3,
  /** Supervisor: raised to ask for a rehearsal; `rehearsed` follows. */
  rehearse: 4,
  /** Worker: {@link RoleState}. */
  state: LINE_WORDS,
  /** Worker: raised at least every {@link HEARTBEAT_MS}. */
  heartbeat: LINE_WORDS + 1,
  /** Worker: copy of `ping`. */
  pong: LINE_WORDS + 2,
  /** Worker: 1 while it sleeps on `bell`. */
  parked: LINE_WORDS + 3,
  /** Worker: its kernel thread id. */
  tid: LINE_WORDS + 4,
  /** Worker: epoch of the incarnation that wrote these words. */
  epochSeen: LINE_WORDS + 5,
  /** Worker: copy of `rehearse`. */
  rehearsed: LINE_WORDS + 6,
  /** Reader: raised at the beginning and the end of each turn of reading, so odd within one. */
  readTurn: LINE_WORDS + 7,
  /** Anybody: raised to wake the worker up. */
  bell: 2 * LINE_WORDS,
} as const;
export const ROLE_BLOCK_BYTES = 3 * LINE_BYTES;

export const RoleState = { absent: 0, starting: 1, running: 2, stopped: 3 } as const;
export const Fault = { none: 0, throw: 1, hang: 2 } as const;

/** Sockets, epolls and pidfds of the coordinator. */
export const DESCRIPTORS_MAX = 20_480;

/** Counters of a role: doubles, written by that role only; late by at most one batch. */
export const CounterIndex = {
  events: 0,
  lifecycle: 1,
  lost: 2,
  malformed: 3,
  foreign: 4,
  batches: 5,
  wakeups: 6,
  reportsShed: 7,
  /** Accounting: rss records older than what was already known. */
  stale: 8,
  /** Accounting: rss records that no process could be found for. */
  unattributed: 9,
  /** Accounting: mms, tasks, processes, users that found no slot. */
  tableFull: 10,
  /** Accounting: pages that sweeps had to correct, absolute sum. */
  driftPages: 11,
  sweeps: 12,
  kills: 13,
  killsFailed: 14,
  /** Killer: orders that were over when it looked. */
  spared: 15,
  arms: 16,
  bytesRead: 17,
  ringFull: 18,
  /** Accounting: time of the newest record applied, nanoseconds. */
  lastTsNs: 19,
  ordersShed: 20,
  /** Coordinator: requests answered, granted, refused; waits that came to their deadline. */
  requests: 21,
  granted: 22,
  denied: 23,
  timedOut: 24,
  /** Coordinator: connections closed at once, because there were too many. */
  connectionsRefused: 25,
  /** Coordinator: as of now. */
  connections: 32,
  clients: 33,
  waiting: 34,
  /** Sweeper: users whose sharing was measured, and the time that reading it took, nanoseconds. */
  measurings: 35,
  measureNs: 36,
  /** Sweeper: times that the kernel lost changes of user. */
  userChangesLost: 39,
  /** Coordinator: connections closed for each of {@link BROKEN_REASONS}. */
  broken: 40,
} as const;
export const COUNTER_COUNT = 48;
/** Why the coordinator closes a connection; the counter of each is `CounterIndex.broken` + index. */
export const BROKEN_REASONS = [
  "short",
  "oversized",
  "version",
  "malformed",
  "no-credentials",
  "does-not-read",
  /** The kernel gave no descriptor or memory to hear of it. */
  "no-resources",
] as const;
export type BrokenReason = typeof BROKEN_REASONS[number];

// ---------------------------------------------------------------------------------------------
// Reports: what workers tell the supervisor's journal. 768 bytes: 32 doubles, 128 bytes of text, then
// rows of doubles.
// ---------------------------------------------------------------------------------------------

export const REPORT_BYTES = 768;
export const REPORT_F64S = REPORT_BYTES / 8;
export const REPORT_TEXT_OFFSET_BYTES = 256;
export const REPORT_TEXT_BYTES_MAX = 128;
export const REPORT_ROWS_OFFSET_BYTES: number = REPORT_TEXT_OFFSET_BYTES + REPORT_TEXT_BYTES_MAX;
/** Doubles of all rows. */
export const REPORT_ROW_F64S: number = (REPORT_BYTES - REPORT_ROWS_OFFSET_BYTES) / 8;
export const REPORT_RING_RECORDS = 256;

// ---------------------------------------------------------------------------------------------
// Settings, and behind them the limits: written by the supervisor; see settings.ts.
// ---------------------------------------------------------------------------------------------

/** `sequence` is odd while the supervisor writes, even when the page is whole; see seqlock.ts. */
export const SettingsWord = {
  sequence: 0,
  ruleCount: 1,
  victimPolicy: 2,
  countMask: 3,
  flags: 4,
  intervalMs: 5,
  userProcessesMax: 6,
  minAvailableLow: 7,
  minAvailableHigh: 8,
  /** Rows of limits, {@link RULE_WORDS} each. */
  rules: LINE_WORDS,
} as const;
/** uidFirst, uidLast (both unsigned, inclusive), hardPages, softPages. */
export const RULE_WORDS = 4;

// ---------------------------------------------------------------------------------------------
// Owners: whom subordinate uids count for, written by the supervisor; see owners.ts.
// ---------------------------------------------------------------------------------------------

/** Raised with each publication; its lowest bit says which of the two banks holds. */
export const OwnersWord = { generation: 0, banks: LINE_WORDS } as const;
/** Behind a bank's count: uidFirst, uidLast (inclusive), ownerUid, all unsigned. */
export const OWNER_WORDS = 3;
export const OWNERS_MAX = 16_384;
export const OWNERS_BANK_WORDS: number = 1 + OWNERS_MAX * OWNER_WORDS;
/** 32-bit words of the shared region. */
export const OWNERS_REGION_WORDS: number = OwnersWord.banks + 2 * OWNERS_BANK_WORDS;

// ---------------------------------------------------------------------------------------------
// Tables, as structures of arrays. The element type of each column; the writer is accounting
// unless the column says otherwise.
// ---------------------------------------------------------------------------------------------

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
  /** File and shmem pages that it has at least, each once: shares.ts. */
  shareablePages: "f64",
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
  /** Processes that found no row because the user is at its ceiling; it is over its limit then. */
  excessProcesses: "i32",
  /** Raised whenever a process has become, or is about to become, this user's. */
  joins: "i32",
  /** Pages promised by the coordinator and not touched yet. Writer: coordinator. */
  promisedPages: "i32",
  /** Requests that wait for memory of this user. Writer: coordinator. */
  waits: "i32",
  /** Writer: killer. */
  kills: "i32",
  /** Orders to arm that the killer has looked at. Writer: killer. */
  armsDone: "i32",
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
  /** Number of the sweep that saw it last. */
  sweepNumber: "i32",
  /** Bucket of the newest change, time / GROWTH_BUCKET_NS. */
  growthBucket: "i32",
  next: "i32",
} as const satisfies Columns;

export const ProcessState = { free: 0, alive: 1, exited: 2 } as const;
/**
 * Flags of a process row. Only accounting sets and clears them, in books/attribution.ts (A),
 * books/kinship.ts (K) and books/proc_facts.ts (F); a new row begins with those it is made with.
 *
 *     flag        set when                                  cleared when
 *     borrower    A: born with CLONE_VM, no exec known;     K: it execs, or gets the lender's mm;
 *                 A: unannounced, on the mm of another;     A: its birth comes, without CLONE_VM;
 *                 F: /proc says so, and nothing newer       F: /proc says that it does not
 *     unresolved  A: it acts, and nobody announced it       K resolve: it is born, or F reads it
 *     heir        K: its parent is unresolved or an heir    K resolve: of it, or of an ancestor
 *     hasHeirs    K: of the parent of an heir               K resolve: of it, or of an ancestor
 *     hasExeced   K: it execs, or runs on what it built     F: /proc says that it borrows
 *     lends       K: of a lender, and an heir's parent      never: it lends, or has lent
 *     overflow    books.ts: at its making                   never
 *     forkUnseen  A: born, no fork seen to build, no exec   K: it execs
 *     mayInherit  K: /proc says that it borrows no more     K: it execs, or gets the lender's mm;
 *                                                           A: it claims an mm, or its birth comes;
 *                                                           F: /proc says that it borrows again
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
  /** Credited since that measuring began. */
  laterCreditPages: "f64",
  /** File and shmem pages that it has mapped since that measuring began. */
  laterShareablePages: "f64",
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
  pages: "f64",
  /** {@link VictimState}. */
  state: "i32",
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
} as const satisfies Columns;
/** `stuck`: signalled, and neither gone nor giving memory back: what it has is not being freed. */
export const VictimState = { free: 0, armed: 1, dying: 2, stuck: 3 } as const;
export const VICTIMS_MAX = 256;

/** Header of a table: count of slots in use, high-water mark, head of the free list (slot + 1). */
export const TableWord = { used: 0, highWater: 1, freeHead: 2 } as const;
export const TABLE_HEADER_BYTES = LINE_BYTES;

/** Words of the memory's header. */
export const HeaderWord = {
  magic: 0,
  version: 1,
  totalBytes: 2,
  readers: 3,
  ringRecords: 4,
  users: 5,
  processes: 6,
  tasks: 7,
  mms: 8,
  rules: 9,
  pageBytes: 10,
  pid: 11,
  /** Accounting: 1 while the books are not to be trusted. On a line of its own. */
  degraded: LINE_WORDS,
  /** Accounting: number of the last sweep whose end it has applied. */
  sweepDone: LINE_WORDS + 1,
  /** Accounting: how near the nearest user is to its limit, 0 far to 3; see urgency.ts. */
  urgency: LINE_WORDS + 2,
  /** Accounting: number of the measuring that it keeps apart what is credited for; see measuring.ts. */
  measureBegun: LINE_WORDS + 3,
  /** Sweeper: 1 when the first look at /proc has been sent. */
  discovered: 2 * LINE_WORDS,
  /** Killer: victims that are dying, and rows of the victims table below which all in use lie. */
  victimsDying: 3 * LINE_WORDS,
  victimsEnd: 3 * LINE_WORDS + 1,
} as const;
export const HEADER_BYTES = 4 * LINE_BYTES;
