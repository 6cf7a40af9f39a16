/**
 * Whether events may wait. While every user is far from its limit, readers take what has gathered
 * every millisecond instead of each event as it comes: that costs the watched programs less, and
 * nobody can get from far to over within that time.
 *
 * Written by accounting, which rings the readers when the calm is over.
 *
 * @module
 */
import { Doorbell } from "./doorbell.ts";
import { HeaderWord, Role } from "./layout.ts";
import type { Memory } from "./memory.ts";
import { NO_LIMIT_PAGES } from "./books.ts";

/** How long a reader lets events gather while all is calm, milliseconds. */
export const CALM_NAP_MS = 1;
/**
 * What one CPU can take within a nap and the time to notice its end. Huge pages are the fastest: the
 * kernel clears 2 MiB in some 60 us, 33 MiB in a millisecond.
 */
const MARGIN_BYTES_PER_CPU = 48 * 1024 * 1024;
/** More of them take no more: 768 MiB in a millisecond is beyond the memory of any two sockets. */
const MARGIN_CPUS_MAX = 16;

/**
 * Distance from the hard limit that counts as near, pages.
 * @param cpus CPUs that the users' programs run on.
 */
export function marginPages(cpus: number, pageBytes: number): number {
  return Math.ceil(Math.min(cpus, MARGIN_CPUS_MAX) * MARGIN_BYTES_PER_CPU / pageBytes);
}

export class Urgency {
  /** By user slot: above this it is near. */
  readonly nearPages: Int32Array;
  /** By user slot: 1 while it is. */
  readonly isNear: Uint8Array;
  private readonly marginPages: number;
  private readonly header: Int32Array;
  private readonly readers: readonly Doorbell[];
  private count = 0;

  constructor(memory: Memory, marginPages: number) {
    const { users, readers } = memory.plan.capacity;
    this.nearPages = new Int32Array(users).fill(NO_LIMIT_PAGES);
    this.isNear = new Uint8Array(users);
    this.marginPages = marginPages;
    this.header = memory.header;
    this.readers = Array.from(
      { length: readers },
      (_, index) => new Doorbell(memory, Role.reader + index),
    );
    Atomics.store(this.header, HeaderWord.urgent, 0);
  }

  /** Takes over a user's limits; its state is to be looked at again afterwards. */
  limit(userSlot: number, hardPages: number, softPages: number): void {
    this.nearPages[userSlot] = hardPages === NO_LIMIT_PAGES
      ? NO_LIMIT_PAGES
      : Math.max(0, Math.min(softPages, hardPages - this.marginPages));
  }

  enter(userSlot: number): void {
    this.isNear[userSlot] = 1;
    if (this.count++ > 0) return;
    Atomics.store(this.header, HeaderWord.urgent, 1);
    for (const reader of this.readers) reader.ring();
  }

  /** Does nothing when it is not near. */
  leave(userSlot: number): void {
    if (this.isNear[userSlot] === 0) return;
    this.isNear[userSlot] = 0;
    if (--this.count === 0) Atomics.store(this.header, HeaderWord.urgent, 0);
  }
}
