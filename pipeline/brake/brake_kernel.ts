/**
 * What the brake needs of the world: the limits of processes, and a file that remembers what was
 * lowered.
 *
 * @module
 */

/** RLIM_INFINITY, include/uapi/asm-generic/resource.h */
export const UNLIMITED = 0xffff_ffff_ffff_ffffn;

/** What the brake reads of a process. Reuse one. */
export class BrakeFacts {
  /** Clock ticks since the boot: with the pid, which process. */
  startTicks = 0;
  /** Real uid and gid; `isMixed`: saved or effective ones differ from them. */
  uid = 0;
  gid = 0;
  isMixed = false;
  /** Private writable mappings, which RLIMIT_DATA limits; what of them is touched or swapped out. KiB. */
  dataKib = 0;
  touchedKib = 0;
  /** RLIMIT_DATA, bytes; {@link UNLIMITED}. Only of {@link BrakeKernel.readLimits}. */
  softBytes: bigint = UNLIMITED;
  hardBytes: bigint = UNLIMITED;
}

/** What came of {@link BrakeKernel.setSoft}. */
export const SetResult = {
  done: 0,
  /** The process is gone. */
  gone: 1,
  /** Not allowed, or no helper could be had. */
  refused: 2,
} as const;
export type SetResult = typeof SetResult[keyof typeof SetResult];

/** Limits that a call has found. Reuse one. */
export class FoundLimits {
  softBytes: bigint = UNLIMITED;
  hardBytes: bigint = UNLIMITED;
}

/** None of it throws; none of it waits for more than some milliseconds. */
export interface BrakeKernel {
  /** Reads sizes and ids of a process. @returns false: it is gone, or cannot be read. */
  readSizes(pid: number, out: BrakeFacts): boolean;
  /** Reads its limits. @returns As {@link readSizes}. */
  readLimits(pid: number, out: BrakeFacts): boolean;
  /** @returns Clock ticks since the boot; -1: it is gone. */
  readStartTicks(pid: number): number;
  /**
   * Sets the soft RLIMIT_DATA of a process.
   *
   * @param facts Of {@link readSizes}: whose it is. `hardBytes` is set again, as the call sets both.
   * @param old Filled in when it is done: what there was.
   */
  setSoft(pid: number, facts: BrakeFacts, softBytes: bigint, old: FoundLimits): SetResult;
  /** Does beforehand what the first {@link setSoft} of a process with these ids would have to wait for. */
  prepare(facts: BrakeFacts): void;
  /** All processes of the machine, as {@link Proc.listPids}. */
  listPids(out: Int32Array): number;
  /** Name of a process, raw bytes; empty when it is gone. */
  comm(pid: number): Uint8Array;
}

/** A number of clock ticks at least as large as that of each process that is there by now. */
export interface TickClock {
  nowTicks(): number;
}

/** What was lowered, for whoever comes after a crash. */
export interface BrakeRecord {
  /** Families of this boot that were not ended. */
  readonly left: readonly RecordedFamily[];
  /** Does beforehand what the first {@link begin} would have to wait for. */
  prepare(): void;
  /** Writes down a family before anything of it is lowered. @returns false: that cannot be done. */
  begin(family: RecordedFamily): boolean;
  /** Nothing of it is lowered any more. */
  end(id: number): void;
}

/** A process that was lowered, and all that inherit from it. */
export interface RecordedFamily {
  /** The mark in the lowered values: marks.ts. */
  readonly id: number;
  /** What the value was before, bytes. */
  readonly softBytes: bigint;
  /** Born at this time or later, or the one below: who has the mark otherwise has set it itself. */
  readonly sinceTicks: number;
  readonly pid: number;
  readonly startTicks: number;
}

/** All of it; undefined where processes cannot be braked. */
export interface BrakeWorld {
  readonly kernel: BrakeKernel;
  readonly record: BrakeRecord;
  readonly ticks: TickClock;
}
