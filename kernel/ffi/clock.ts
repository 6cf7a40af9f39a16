/**
 * The clock that the kernel stamps events with, after `trace_clock` was set to `mono`.
 *
 * @module
 */
import { openLibc } from "./libc.ts";
import { asBuffer } from "./fd.ts";

const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;
const WORD_SPAN = 0x1_0000_0000;
const NS_PER_S = 1_000_000_000;

/** CLOCK_MONOTONIC as a double. clock_gettime(2) */
export class MonotonicClock {
  // struct timespec { i64 seconds; i64 nanoseconds; }, little endian, read as words: no BigInt.
  readonly #words = new Uint32Array(4);

  /**
   * Nanoseconds since some moment before the boot. HOT: some 40 ns.
   *
   * Exact until the machine has been up for 104 days (2^53 ns), then even numbers only.
   */
  nowNs(): number {
    return this.#read(CLOCK_MONOTONIC);
  }

  /** How long the machine has been suspended since its boot, nanoseconds. clock_gettime(2) */
  suspendedNs(): number {
    const monotonicNs = this.#read(CLOCK_MONOTONIC);
    return Math.max(0, this.#read(CLOCK_BOOTTIME) - monotonicNs);
  }

  #read(clock: number): number {
    openLibc().clock_gettime(clock, asBuffer(this.#words));
    return (this.#words[1]! * WORD_SPAN + this.#words[0]!) * NS_PER_S + this.#words[2]!;
  }
}
