/**
 * Records of one ring as a recording has them, chunk behind chunk, taken one by one.
 *
 * @module
 */
import { RECORD_WORDS } from "../memory/layout.ts";

interface Part {
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  readonly count: number;
  readonly first: number;
}

export class RecordQueue {
  /** Number of the record that comes next, modulo 2^32. */
  next = 0;
  /** Of the record that {@link take} gave. */
  words: Int32Array = new Int32Array(0);
  doubles: Float64Array = new Float64Array(0);
  private readonly parts: Part[] = [];

  clear(): void {
    this.parts.length = 0;
  }

  /** @param first Number of the first of them. */
  put(words: Int32Array, doubles: Float64Array, count: number, first: number): void {
    if (count > 0) this.parts.push({ words, doubles, count, first });
  }

  /** The part in which the next record is. Those before it were in the keyframe already. */
  private part(): Part | undefined {
    for (;;) {
      const part = this.parts[0];
      if (part === undefined) return undefined;
      const at = (this.next - part.first) | 0;
      if (at < 0) this.next = part.first;
      else if (at >= part.count) this.parts.shift();
      else return part;
    }
  }

  /** Time of the next one; Infinity: there is none. */
  get peekNs(): number {
    const part = this.part();
    if (part === undefined) return Infinity;
    return part.doubles[(((this.next - part.first) | 0) * RECORD_WORDS) >> 1]!;
  }

  /** @returns First word of the next record in {@link words}; -1: there is none. */
  take(): number {
    const part = this.part();
    if (part === undefined) return -1;
    const at = (this.next - part.first) | 0;
    this.next = (this.next + 1) | 0;
    this.words = part.words;
    this.doubles = part.doubles;
    return at * RECORD_WORDS;
  }
}
