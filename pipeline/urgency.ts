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
/** More than one CPU can take within a nap and the time to notice its end, huge pages included. */
const MARGIN_BYTES_PER_CPU = 16 * 1024 * 1024;

/** Distance from the hard limit that counts as near, pages. */
export function marginPages(cpus: number, pageBytes: number): number {
  return Math.ceil(cpus * MARGIN_BYTES_PER_CPU / pageBytes);
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
