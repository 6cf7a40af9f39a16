/**
 * A hash map from 32-bit keys to slots in a fixed piece of shared memory: open addressing, linear
 * probing, deletion by shifting back, so that it neither allocates nor decays.
 *
 * One owner writes and reads; other threads must not look inside.
 *
 * @module
 */
import { invariant } from "./invariant.ts";

/** Pairs for a number of entries: a power of two at most half full. */
function pairCount(capacity: number): number {
  let pairs = 16;
  while (pairs < 2 * capacity) pairs *= 2;
  return pairs;
}

/** Bytes that a map of `capacity` entries needs. */
export function intMapBytes(capacity: number): number {
  return pairCount(capacity) * 8;
}

export class IntMap {
  /** Pairs of key and slot + 1; a second word of 0 marks an empty pair. */
  private readonly pairs: Int32Array;
  private readonly mask: number;
  private readonly capacity: number;
  private count = 0;

  constructor(memory: SharedArrayBuffer, byteOffset: number, capacity: number) {
    const count = pairCount(capacity);
    this.pairs = new Int32Array(memory, byteOffset, 2 * count);
    this.mask = count - 1;
    this.capacity = capacity;
  }

  get size(): number {
    return this.count;
  }

  clear(): void {
    this.pairs.fill(0);
    this.count = 0;
  }

  /** Home of a key: pids are sequential and mm_ids are hashes; a multiplication spreads both. */
  private home(key: number): number {
    const mixed = Math.imul(key, 0x9e3779b1);
    return (mixed ^ (mixed >>> 15)) & this.mask;
  }

  /** Slot of a key, -1 when it is not there. */
  get(key: number): number {
    const { pairs, mask } = this;
    let at = this.home(key);
    for (;;) {
      const slot1 = pairs[2 * at + 1]!;
      if (slot1 === 0) return -1;
      if (pairs[2 * at] === key) return slot1 - 1;
      at = (at + 1) & mask;
    }
  }

  /** Adds or replaces an entry. The owner never holds more than `capacity` of them. */
  set(key: number, slot: number): void {
    const { pairs, mask } = this;
    let at = this.home(key);
    for (;;) {
      const slot1 = pairs[2 * at + 1]!;
      if (slot1 === 0) break;
      if (pairs[2 * at] === key) {
        pairs[2 * at + 1] = slot + 1;
        return;
      }
      at = (at + 1) & mask;
    }
    invariant(this.count < this.capacity, `map: more than ${this.capacity} entries`);
    pairs[2 * at] = key;
    pairs[2 * at + 1] = slot + 1;
    this.count++;
  }

  /** Removes an entry. @returns Whether it was there. */
  delete(key: number): boolean {
    const { pairs, mask } = this;
    let at = this.home(key);
    for (;;) {
      if (pairs[2 * at + 1] === 0) return false;
      if (pairs[2 * at] === key) break;
      at = (at + 1) & mask;
    }
    // Close the gap: every entry behind it that may move nearer to its home does (Knuth 6.4, R).
    let gap = at;
    let probe = at;
    for (;;) {
      probe = (probe + 1) & mask;
      const slot1 = pairs[2 * probe + 1]!;
      if (slot1 === 0) break;
      const home = this.home(pairs[2 * probe]!);
      if (((probe - home) & mask) >= ((probe - gap) & mask)) {
        pairs[2 * gap] = pairs[2 * probe]!;
        pairs[2 * gap + 1] = slot1;
        gap = probe;
      }
    }
    pairs[2 * gap + 1] = 0;
    this.count--;
    return true;
  }
}
