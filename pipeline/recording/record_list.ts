/**
 * Records one behind the other, as many as come.
 *
 * @module
 */
import { RECORD_WORDS, RecordWord } from "../memory/layout.ts";

export class RecordList {
  words: Int32Array<ArrayBuffer>;
  /** The same memory. */
  doubles: Float64Array<ArrayBuffer>;
  count = 0;

  /** @param room Records at the beginning; it grows. */
  constructor(room = 1024) {
    this.words = new Int32Array(room * RECORD_WORDS);
    this.doubles = new Float64Array(this.words.buffer);
  }

  clear(): void {
    this.count = 0;
  }

  private makeRoom(records: number): void {
    const words = (this.count + records) * RECORD_WORDS;
    if (words <= this.words.length) return;
    const larger = new Int32Array(Math.max(words, this.words.length * 2));
    larger.set(this.words.subarray(0, this.count * RECORD_WORDS));
    this.words = larger;
    this.doubles = new Float64Array(larger.buffer);
  }

  put(
    tsNs: number,
    kindCpu: number,
    tid: number,
    a: number,
    b: number,
    c: number,
    d: number,
  ): void {
    this.makeRoom(1);
    const word = this.count++ * RECORD_WORDS;
    this.doubles[word >> 1] = tsNs;
    this.words[word + RecordWord.kindCpu] = kindCpu;
    this.words[word + RecordWord.tid] = tid;
    this.words[word + RecordWord.a] = a;
    this.words[word + RecordWord.b] = b;
    this.words[word + RecordWord.c] = c;
    this.words[word + RecordWord.d] = d;
  }

  /** Appends records of another place. */
  putAll(words: Int32Array, count: number): void {
    this.makeRoom(count);
    this.words.set(words.subarray(0, count * RECORD_WORDS), this.count * RECORD_WORDS);
    this.count += count;
  }
}
