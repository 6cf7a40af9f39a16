/**
 * The memory of the books in the kernel: arrays that programs and this process both have mapped.
 * Offsets in bytes. All numbers are little endian; pages are signed 64-bit numbers.
 *
 * @module
 */

/** How large the arrays are; programs are assembled for one shape. */
export interface BooksShape {
  /** Address spaces that there is room for: a power of two. */
  readonly slots: number;
  /** CPUs that this machine may have. */
  readonly cpus: number;
  /** Bits of the counted members; where these are said by user, of all that may count for one. */
  readonly countMask: number;
  /** What counts is said by user: {@link User.countMask}. Left out: {@link countMask} counts for all. */
  readonly isPerUser?: boolean;
}

/** Names of the maps. */
export const BooksMap = {
  control: "toom_control",
  users: "toom_users",
  slots: "toom_slots",
  keys: "toom_keys",
  seen: "toom_seen",
  offsets: "toom_offsets",
  perCpu: "toom_per_cpu",
  records: "toom_records",
} as const;

/** Address spaces whose keys lie together in one cache line, where one may be found. */
export const WAYS = 8;
export const KEY_BYTES = 8;
/**
 * Of a key: an address, which is even, or 0 for a free slot. The lowest bit says that the slot is being
 * filled or emptied.
 */
export const KEY_BUSY = 1;

/** One address space: two cache lines, of which events of all CPUs change the second. */
export const Slot = {
  bytes: 128,
  /** Shift from the offset of a key to that of its slot. */
  shiftFromKey: 4,
  /** u32: real uid of its owner, index of the user, process. */
  uid: 0,
  user: 4,
  tgid: 8,
  /** u32: {@link SlotState}, bits. */
  state: 12,
  /** s64: what was added to its user's pending pages. */
  credited: 16,
  /** u32: how often the slot was given away; with its index it names one address space and no later. */
  generation: 24,
  /** s64 for each member: the common count of its counter when it was booked last. */
  last: 32,
  /** s64 for each member: its pages. */
  pages: 64,
  /** s32 for each member: its pages when they were recorded last. */
  recorded: 104,
  /** s64: of these, what a fork or exec has built so far, and its user is not charged with yet. */
  inherited: 96,
} as const;

/** What an address space is in, besides being used. */
export const SlotState = {
  /** Its process was ended: what it has is pending. */
  dying: 1,
  /** A fork or exec is building it: a fork copies what its parent has been charged with. */
  building: 2,
} as const;

/** What each CPU has booked of each slot: s32 for each member. */
export const SEEN_BYTES = 16;

/** Limited users with processes at the same time, a power of two: the first is nobody's. */
export const USERS_MAX = 2048;

/** What a program does about a user that is over. */
export const Mode = {
  /** It keeps the books. */
  book: 0,
  /** It tells this process. */
  wake: 1,
  /** It ends the candidate, and tells this process. */
  kill: 2,
} as const;

/** One user. */
export const User = {
  bytes: 256,
  shift: 8,
  // Written by this process.
  /** u32 */
  uid: 0,
  /** u32: index of the next user whose uid has the same lower bits; 0 none. */
  next: 4,
  /** u32: {@link Mode} */
  mode: 8,
  /** u32: index of the user that it is charged to; its own, but for subordinate uids. */
  account: 12,
  /** s64: over it the user is over its hard limit: hard and share credit. */
  limitPages: 16,
  /** s64: above it pages are recorded. */
  recordAbovePages: 24,
  /** u64: process in the lower half, index of its slot in the upper; 0 none. */
  candidate: 32,
  /** u32: 1 while each page is to be recorded, wherever the user is. */
  recordAll: 40,
  /** u32: bits of the members that count for it, where the shape says so; of the others a slot has none. */
  countMask: 44,
  // A cache line of its own: changed by each event.
  /** s64 */
  totalPages: 64,
  // Changed by kills.
  /** s64: pages of those that are being freed. */
  pendingPages: 128,
  /**
   * s64: what forks have built, and this process has not taken into account by the limit. Programs add to
   * it, and take back what turned out not to be inherited; this process takes off what it was told of.
   */
  inheritedPages: 200,
  /** u64: 1 while a program decides about the user. */
  busy: 136,
  /** u64 */
  kills: 144,
  /** u64: kills that the kernel refused, and the last result. */
  refusals: 152,
  lastError: 160,
  /** u64: decisions that a full sum did not confirm. */
  unconfirmed: 168,
  /** u64: slots in use. */
  slots: 176,
  /** u64: address spaces for which there was no slot. */
  full: 184,
  /** u64: when this process was told last that the user is over; CLOCK_MONOTONIC, nanoseconds. */
  toldNs: 192,
} as const;

/** That a user is over is told at most so often, while the program may not end anybody; nanoseconds. */
export const TELL_EVERY_NS = 1_000_000;

/** Counters of all users, and the heads of the users' lists. */
export const Control = {
  /** u64 each. */
  enrolled: 0,
  left: 8,
  /** Slots whose sum was not 0 when their address space had ended, and the last such sum. */
  leftNonZero: 16,
  leftSum: 24,
  full: 32,
  /** Records for which the ring buffer had no room. */
  recordsShed: 40,
  /** u32: 1 while the reader waits, and nobody has woken it. */
  readerWaits: 48,
  /** u32: 1 when a page was booked and not recorded. */
  unrecorded: 52,
  /** u32: descriptor of the link of the program at rss_stat, and 1; 0 while it is not attached. */
  rssLink: 56,
  /** u32: 1 when this process wants each page to be booked at once. */
  wantsAttach: 60,
  /** u32: rows of users from this one on were never used; written by this process. */
  usersEnd: 64,
  /** u16: index of the first user for each {@link headOf} a uid. */
  heads: 72,
} as const;
/** How many lists of users there are, as bits. */
export const HEAD_BITS = 13;
export const HEAD_BYTES = 2;
/** 2^32 divided by the golden ratio, a prime: uids of containers lie 65536 apart, and spread too. */
export const HEAD_SPREAD = 0x9e3779b1;
export const CONTROL_BYTES = Control.heads + HEAD_BYTES * (1 << HEAD_BITS);
/** A list of users is followed so far. */
export const CHAIN_MAX = 8;

/** Which list a uid is in, 0 to 2^HEAD_BITS - 1. */
export function headOf(uid: number): number {
  return Math.imul(uid, HEAD_SPREAD) >>> 32 - HEAD_BITS;
}

/** What a record is about. */
export const BpfRecordKind = {
  /** A member of an mm has another size. */
  page: 1,
  /** An mm has ended. */
  mmEnd: 2,
  /** A program has ended a process. */
  killed: 3,
  /** A user is over, and no program has ended anybody. */
  over: 4,
  newTask: 5,
  exec: 6,
  exit: 7,
  free: 8,
} as const;

/** A record of the ring buffer. */
export const BpfRecord = {
  bytes: 64,
  /** u64: CLOCK_MONOTONIC, nanoseconds. */
  tsNs: 0,
  /** u32 */
  kind: 8,
  cpu: 12,
  /** u32: who ran, a task and its process. */
  tid: 16,
  tgid: 20,
  /** u32: the user. */
  uid: 24,
  /** u32: of a page the member, and {@link PAGE_CURR}. */
  member: 28,
  /** u32: of an mm its generation and slot, see {@link mmIdOf}. */
  mmId: 32,
  /** u32: of a kill the victim's process; of a task the other task's number. */
  other: 36,
  /** s64: of a page the member's pages; of a kill the victim's. */
  pages: 40,
  /** s64: of the user; where it is over, without what is pending. */
  totalPages: 48,
  /** s64: of a kill how long it took, nanoseconds; of an over the refusal; flags of a clone. */
  result: 56,
} as const;

/** Of a page: whose mm it is runs at this moment. */
export const PAGE_CURR = 0x100;

/** Names an address space: the slot's index in the lower bits, and its generation above. */
export function mmIdOf(shape: BooksShape, generation: number, slot: number): number {
  return generation << Math.log2(shape.slots) | slot;
}

/** Index of the slot of an mm by its id. */
export function slotOfMmId(shape: BooksShape, mmId: number): number {
  return mmId & shape.slots - 1;
}

/** Members that are counted, ascending. */
export function countedMembers(shape: BooksShape): number[] {
  return [0, 1, 2, 3].filter((member) => (shape.countMask >> member & 1) !== 0);
}

/**
 * What the program is given that is run when a process was signalled: u32 each. Here, as the workers that
 * run it need none of what makes programs.
 */
export const DyingContext = { bytes: 16, slot: 0, tgid: 4, user: 8 } as const;
