/**
 * What the fake kernel is made of: pages, mms, processes, and the numbers that Linux has for them.
 *
 * @module
 */
import { Member } from "../../../pipeline/memory/layout.ts";

/** What clone(2) is called with by fork(3), vfork(2) and pthread_create(3), the low 32 bits. */
export const CLONE_FORK = 0x1200000;
export const CLONE_VFORK = 0x4100;
export const CLONE_THREADS = 0x3d0f00;
/** The default of toom: anon, swap and shmem. */
export const COUNT_MASK = 1 << Member.anon | 1 << Member.swap | 1 << Member.shmem;

/** A page, and how many mms have it. */
export interface FakePage {
  refs: number;
}

export interface FakeMm {
  readonly id: number;
  /** Where the stack of its program begins: a fork copies it, an exec makes another. */
  readonly stackStart: number;
  readonly pages: number[];
  /** The pages themselves, by member. */
  readonly held: FakePage[][];
  /** Processes that run on it. */
  users: number;
  /**
   * Users whom the books may have it under: of the process that it was made for, and of what that was
   * forked from or executed, before and after its changes of user.
   */
  readonly uids: Set<number>;
}

export interface FakeProcess {
  readonly pid: number;
  readonly bornNs: number;
  /** undefined: init, or its parent is gone. */
  parent: FakeProcess | undefined;
  uid: number;
  mm: FakeMm;
  tids: number[];
  /** The parent on whose mm it runs. */
  lender: FakeProcess | undefined;
  /** A vfork child has not let it go on yet. */
  suspended: boolean;
  state: "alive" | "zombie" | "freed";
  isProtected: boolean;
  oomScoreAdj: number;
  /** A signal is on its way. */
  diesAtNs: number;
  /** Page faults so far: pages that it touched for the first time, or copied. */
  minorFaults: number;
  /** Its leader has exited, other threads run. */
  isLeaderDead: boolean;
  /** RLIMIT_DATA, bytes: what it is, and what it, or whom it is forked from, has set itself. */
  softBytes: bigint;
  hardBytes: bigint;
  ownSoftBytes: bigint;
  ownHardBytes: bigint;
}

/** Pages of an mm that count. */
export function countedPages({ pages }: FakeMm, mask = COUNT_MASK): number {
  return pages.reduce((sum, count, member) => sum + ((mask >> member) & 1 ? count : 0), 0);
}
