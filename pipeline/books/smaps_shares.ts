/**
 * From what the kernel says of a process's page tables to its part of its user's credit: shares.ts.
 *
 * @module
 */
import { Member } from "../memory/layout.ts";
import type { MemberMask } from "../memory/settings.ts";

/** Fields of /proc/PID/smaps_rollup, KiB. Documentation/filesystems/proc.rst */
export interface RollupKib {
  /** Anonymous pages, and its part of them: each page divided by the processes that map it. */
  readonly anonymousKib: number;
  readonly pssAnonKib: number;
  readonly pssFileKib: number;
  readonly pssShmemKib: number;
  readonly swapKib: number;
  readonly swapPssKib: number;
  /** Freed by madvise(MADV_FREE), and not taken back by the kernel or written to since. */
  readonly lazyFreeKib: number;
  /** Pages of any kind that nobody else maps, and that others map too. */
  readonly privateKib: number;
  readonly sharedKib: number;
}

/** Fields of /proc/PID/status, KiB. */
export interface StatusKib {
  readonly rssFileKib: number;
  readonly rssShmemKib: number;
  readonly vmSwapKib: number;
}

export interface SharesContext {
  /** Counted members. */
  readonly countMask: MemberMask;
  readonly pageBytes: number;
}

/** What a measuring finds of a process, pages. */
export interface ProcessShares {
  /** Pages that its end would not free, at least. */
  readonly sharedPages: number;
  /** Counted pages less its part of them, and what it has freed lazily. */
  readonly creditPages: number;
  /** Of these, what it has of file and shmem. */
  readonly mappedCreditPages: number;
  /** Its part of the counted file and shmem pages that it maps. */
  readonly shareablePages: number;
  readonly lazyPages: number;
}

/**
 * @param before Its status before the page tables were walked, and after: of a counter that moved
 *   meanwhile the larger value counts, as a credit may be too high but never too low.
 */
export function sharesOf(
  rollup: RollupKib,
  before: StatusKib,
  after: StatusKib,
  { countMask, pageBytes }: SharesContext,
): ProcessShares {
  const counts = (member: number): number => (countMask >> member) & 1;
  const kibPerPage = pageBytes / 1024;
  const rssFileKib = Math.max(before.rssFileKib, after.rssFileKib);
  const rssShmemKib = Math.max(before.rssShmemKib, after.rssShmemKib);
  // The rollup's swap holds swapped shmem too, which is nobody's counter.
  const swapKib = Math.min(rollup.swapKib, Math.max(before.vmSwapKib, after.vmSwapKib));
  const anon = counts(Member.anon) * Math.max(0, rollup.anonymousKib - rollup.pssAnonKib);
  const swap = counts(Member.swap) * Math.max(0, swapKib - rollup.swapPssKib);
  const file = counts(Member.file) * Math.max(0, rssFileKib - rollup.pssFileKib);
  const shmem = counts(Member.shmem) * Math.max(0, rssShmemKib - rollup.pssShmemKib);
  // Of what it mapped after its page tables were walked accounting knows by itself.
  const mapped = Math.min(file + shmem, rollup.sharedKib);
  // A lazily freed page that is shared counts in full in each of its processes. A shared page adds a
  // half at least to what is shared, so at most twice of that is not this process's alone.
  const lazy = counts(Member.anon) * Math.max(0, rollup.lazyFreeKib - 2 * anon);
  const creditKib = anon + swap + mapped + lazy;
  const mappedKib = counts(Member.anon) * rollup.anonymousKib +
    counts(Member.file) * rssFileKib + counts(Member.shmem) * rssShmemKib;
  const sharedKib = Math.max(creditKib, mappedKib - rollup.privateKib + swap + lazy);
  const shareableKib = counts(Member.file) * rollup.pssFileKib +
    counts(Member.shmem) * rollup.pssShmemKib;
  return {
    sharedPages: Math.ceil(sharedKib / kibPerPage),
    creditPages: Math.ceil(creditKib / kibPerPage),
    mappedCreditPages: Math.ceil(mapped / kibPerPage),
    shareablePages: Math.ceil(shareableKib / kibPerPage),
    lazyPages: Math.ceil(lazy / kibPerPage),
  };
}
