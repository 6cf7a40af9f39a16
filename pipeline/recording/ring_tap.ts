/**
 * Reads a ring beside its reader: it takes nothing out, and neither end knows of it. Who is too slow
 * finds that records were overwritten, and is told how many.
 *
 * @module
 */
import { RECORD_WORDS, RING_HEADER_BYTES, RingWord } from "../memory/layout.ts";
import type { RingPlace } from "../memory/ring.ts";

export class RingTap {
  /** Number of the record to be read next, modulo 2^32. */
  cursor: number;
  /** What {@link read} has copied. */
  readonly words: Int32Array<ArrayBuffer>;
  readonly doubles: Float64Array<ArrayBuffer>;
  /** Number of the first of these. */
  first = 0;
  count = 0;
  /** Records before these that were overwritten. */
  lost = 0;
  private readonly header: Int32Array;
  private readonly ring: Int32Array;
  private readonly records: number;
  private readonly agesMax: number;

  /**
   * @param unpublished Records that the writer may have begun to overwrite and not told of, at most.
   */
  constructor(memory: SharedArrayBuffer, { byteOffset, records }: RingPlace, unpublished: number) {
    const at = byteOffset + RING_HEADER_BYTES;
    this.header = new Int32Array(memory, byteOffset, RING_HEADER_BYTES / 4);
    this.ring = new Int32Array(memory, at, records * RECORD_WORDS);
    this.records = records;
    this.agesMax = records - unpublished;
    this.words = new Int32Array(records * RECORD_WORDS);
    this.doubles = new Float64Array(this.words.buffer);
    this.cursor = this.tail;
  }

  /** Records written so far, modulo 2^32. */
  get tail(): number {
    return Atomics.load(this.header, RingWord.tail);
  }

  /** Records that the ring's own reader has given back, modulo 2^32. */
  get head(): number {
    return Atomics.load(this.header, RingWord.head);
  }

  /**
   * Copies what was written since the last time.
   * @param until Number of the first record that is left for later; default: none is.
   */
  read(until = this.tail): void {
    this.lost = 0;
    this.count = 0;
    const from = this.skip(this.cursor, until);
    let count = (until - from) | 0;
    if (count <= 0) {
      this.cursor = from;
      this.first = from;
      return;
    }
    // In two pieces where it goes round the end.
    const start = (from & (this.records - 1)) * RECORD_WORDS;
    const piece = Math.min(count * RECORD_WORDS, this.ring.length - start);
    this.words.set(this.ring.subarray(start, start + piece));
    if (piece < count * RECORD_WORDS) {
      this.words.set(this.ring.subarray(0, count * RECORD_WORDS - piece), piece);
    }
    // What may have been overwritten while it was copied does not count.
    const sure = this.skip(from, until);
    const unsure = (sure - from) | 0;
    if (unsure > 0) {
      count = Math.max(0, count - unsure);
      this.words.copyWithin(0, unsure * RECORD_WORDS, (unsure + count) * RECORD_WORDS);
    }
    this.first = sure;
    this.count = count;
    this.cursor = (sure + count) | 0;
  }

  /** The first record from `from` on that cannot have been overwritten by now; counts the others. */
  private skip(from: number, until: number): number {
    const age = (this.tail - from) | 0;
    if (age <= this.agesMax) return from;
    const lost = Math.min(age - this.agesMax, Math.max(0, (until - from) | 0));
    this.lost += lost;
    return (from + lost) | 0;
  }
}
