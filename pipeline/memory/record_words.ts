/**
 * Records: what flows through the rings.
 *
 *   byte 0        8          12     16    20    24    28
 *        tsNs f64 | kind,cpu | tid  | a   | b   | c   | d   |
 *
 * @module
 */

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
  kernelKill: 28,
  inherited: 29,
  adopt: 30,
  kernelOver: 31,
  stepped: 32,
  acted: 33,
  answered: 34,
  lineTold: 35,
  tagged: 36,
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
 * must go although the user is not over, for the machine is short; `adopt`: somebody has gone, by a
 * program in the kernel (a record of its own); `look`: no order, the killer has looked after its victims.
 * Only recordings have the last two.
 */
export const OrderKind = { arm: 1, kill: 2, relieve: 4, adopt: 8, look: 16 } as const;
export const Trigger = { user: 1, kernel: 2, lastDefense: 3 } as const;
export type Trigger = typeof Trigger[keyof typeof Trigger];
export const TRIGGER_NAMES: Readonly<Record<number, string>> = {
  [Trigger.user]: "user",
  [Trigger.kernel]: "kernel",
  [Trigger.lastDefense]: "last-defense",
};
