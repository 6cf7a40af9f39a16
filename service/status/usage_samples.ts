/**
 * What each limited user was charged lately, one sample a second: how fast it grows, and its peak of the
 * hour. Read off the shared memory, so the event path has no part in it.
 *
 * @module
 */
import { UNKNOWN_UID } from "../../pipeline/books/books.ts";
import { chargedPages } from "../../pipeline/books/charge.ts";
import { NO_LIMIT_PAGES } from "../../pipeline/books/books.ts";
import { TABLE_HEADER_BYTES, TableWord, UserState } from "../../pipeline/memory/layout.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";

/** Of each user. */
export const SAMPLES_MAX = 8;

/** Of one user. */
export interface UsageSample {
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly atNs: number;
  /** Charged. */
  readonly usagePages: number;
}

export class UsageSamples {
  private readonly memory: Memory;
  private readonly header: Int32Array;
  /** By user slot: whose samples they are, how many there are in all, and the ring of them. */
  private readonly generation: Int32Array;
  private readonly count: Float64Array;
  private readonly pages: Float64Array;
  private readonly timesNs: Float64Array;

  constructor(memory: Memory) {
    const { users } = memory.plan.capacity;
    this.memory = memory;
    this.header = new Int32Array(memory.buffer, memory.plan.users, TABLE_HEADER_BYTES / 4);
    this.generation = new Int32Array(users).fill(-1);
    this.count = new Float64Array(users);
    this.pages = new Float64Array(users * SAMPLES_MAX);
    this.timesNs = new Float64Array(users * SAMPLES_MAX);
  }

  /**
   * Takes a sample of each limited user. Allocates nothing.
   *
   * @param nowNs CLOCK_MONOTONIC.
   * @param tell Told of each: its uid and what it is charged.
   */
  take(nowNs: number, tell?: (uid: number, usagePages: number) => void): void {
    const { users } = this.memory;
    const highWater = Atomics.load(this.header, TableWord.highWater);
    for (let slot = 0; slot < highWater; slot++) {
      if (Atomics.load(users.state, slot) === UserState.free) continue;
      if (Atomics.load(users.hardPages, slot) === NO_LIMIT_PAGES) continue;
      if (users.uid[slot] === UNKNOWN_UID) continue;
      if (this.generation[slot] !== users.generation[slot]) {
        this.generation[slot] = users.generation[slot]!;
        this.count[slot] = 0;
      }
      const at = slot * SAMPLES_MAX + this.count[slot]! % SAMPLES_MAX;
      const usagePages = chargedPages(users, slot);
      this.pages[at] = usagePages;
      this.timesNs[at] = nowNs;
      this.count[slot]!++;
      tell?.(users.uid[slot]! >>> 0, usagePages);
    }
  }

  /** The last samples of a user, the newest first. */
  of(userSlot: number): UsageSample[] {
    if (this.generation[userSlot] !== this.memory.users.generation[userSlot]) return [];
    const count = this.count[userSlot]!;
    return Array.from({ length: Math.min(count, SAMPLES_MAX) }, (_, index) => {
      const at = userSlot * SAMPLES_MAX + (count - 1 - index) % SAMPLES_MAX;
      return { atNs: this.timesNs[at]!, usagePages: this.pages[at]! };
    });
  }

  /**
   * How fast a user grows: from a sample that is half a second old at least.
   *
   * @returns Pages a second; negative when it shrinks, 0 while there is none.
   */
  growthPagesPerSecond(userSlot: number, usagePages: number, nowNs: number): number {
    if (this.generation[userSlot] !== this.memory.users.generation[userSlot]) return 0;
    const count = this.count[userSlot]!;
    for (let back = 1; back <= Math.min(count, SAMPLES_MAX); back++) {
      const at = userSlot * SAMPLES_MAX + (count - back) % SAMPLES_MAX;
      const seconds = (nowNs - this.timesNs[at]!) / 1e9;
      if (seconds < GROWTH_SECONDS_MIN) continue;
      return Math.round((usagePages - this.pages[at]!) / seconds * 10) / 10;
    }
    return 0;
  }
}

/** Over less time, growth is mostly chance. */
const GROWTH_SECONDS_MIN = 0.5;
