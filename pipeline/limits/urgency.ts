/**
 * How long events may wait. While every user is far from its limit, readers take what has gathered
 * in a while instead of each event as it comes: that costs the watched programs less, and nobody can
 * get past its limit within that time. The nearer the nearest user is, the shorter the while.
 *
 * Written by accounting, which rings the readers when it gets shorter.
 *
 * @module
 */
import { Doorbell } from "../memory/doorbell.ts";
import { HeaderWord, Role } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import { NO_LIMIT_PAGES } from "../books/books.ts";

/** By urgency, how long a reader lets events gather, milliseconds. At the last, not at all. */
export const NAPS_MS: readonly number[] = [1, 0.4, 0.15, 0];
const URGENCY_MAX = NAPS_MS.length - 1;

/**
 * What one CPU can take within the longest nap and the time to notice its end. Huge pages are the
 * fastest: the kernel clears 2 MiB in some 60 us, 33 MiB in a millisecond. At half of that distance
 * the next nap counts, at a quarter the one after it, and below each event.
 */
const MARGIN_BYTES_PER_CPU = 48 * 1024 * 1024;
/** More of them take no more: 768 MiB in a millisecond is beyond the memory of any two sockets. */
const MARGIN_CPUS_MAX = 16;

/**
 * Distance from the hard limit beyond which a user is far from it, pages.
 * @param cpus CPUs that the users' programs run on.
 */
export function marginPages(cpus: number, pageBytes: number): number {
  return Math.ceil(Math.min(cpus, MARGIN_CPUS_MAX) * MARGIN_BYTES_PER_CPU / pageBytes);
}

export class Urgency {
  /** By user slot: 0 far from its limit, to 3. */
  readonly byUser: Uint8Array;
  private readonly hardPages: Int32Array;
  private readonly marginPages: number;
  private readonly header: Int32Array;
  private readonly readers: readonly Doorbell[];
  /** Users of each urgency; those that are far are not counted. */
  private readonly counts = new Int32Array(URGENCY_MAX + 1);
  private published = 0;

  constructor(memory: Memory, marginPages: number) {
    const { users, readers } = memory.plan.capacity;
    this.byUser = new Uint8Array(users);
    this.hardPages = new Int32Array(users).fill(NO_LIMIT_PAGES);
    this.marginPages = marginPages;
    this.header = memory.header;
    this.readers = Array.from(
      { length: readers },
      (_, index) => new Doorbell(memory, Role.reader + index),
    );
    Atomics.store(this.header, HeaderWord.urgency, 0);
  }

  /**
   * Takes over a user's limit; it is to be looked at again afterwards.
   * @returns Up to here it is far from its limit, pages.
   */
  limit(userSlot: number, hardPages: number): number {
    this.hardPages[userSlot] = hardPages;
    return hardPages === NO_LIMIT_PAGES ? hardPages : Math.max(0, hardPages - this.marginPages);
  }

  /** A user has so many pages now. */
  look(userSlot: number, usagePages: number): void {
    const distancePages = this.hardPages[userSlot]! - usagePages;
    const { marginPages } = this;
    let urgency = 0;
    if (distancePages < marginPages) {
      urgency = 1;
      if (2 * distancePages < marginPages) urgency = 4 * distancePages < marginPages ? 3 : 2;
    }
    if (urgency !== this.byUser[userSlot]) this.change(userSlot, urgency);
  }

  /** Up to how many pages the urgency of a user stays what it was at the last look. */
  nextPages(userSlot: number): number {
    const urgency = this.byUser[userSlot]!;
    const hardPages = this.hardPages[userSlot]!;
    if (urgency === URGENCY_MAX || hardPages === NO_LIMIT_PAGES) return NO_LIMIT_PAGES;
    // It is 1 nearer than the margin, 2 nearer than a half and 3 nearer than a quarter of it.
    return hardPages - Math.ceil(this.marginPages / (1 << urgency));
  }

  /** It is nobody's row any more, or has no limit. */
  leave(userSlot: number): void {
    if (this.byUser[userSlot] !== 0) this.change(userSlot, 0);
  }

  private change(userSlot: number, urgency: number): void {
    const { counts } = this;
    counts[this.byUser[userSlot]!]!--;
    counts[urgency]!++;
    this.byUser[userSlot] = urgency;
    let highest = URGENCY_MAX;
    while (highest > 0 && counts[highest] === 0) highest--;
    if (highest === this.published) return;
    const isShorter = highest > this.published;
    this.published = highest;
    Atomics.store(this.header, HeaderWord.urgency, highest);
    if (isShorter) { for (const reader of this.readers) reader.ring(); }
  }
}
