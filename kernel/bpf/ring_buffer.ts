/**
 * Reads the ring buffer that programs write records into, without a system call: its pages are mapped.
 * Documentation/bpf/ringbuf.rst, kernel/bpf/ringbuf.c
 *
 * @module
 */
import { mapFd } from "../ffi/mapping.ts";
import { pageBytes } from "../ffi/libc.ts";

const HEADER_BYTES = 8;
/** Of a header's first word: the record is being written; it is to be left out. */
const BUSY = 1 << 31;
const DISCARD = 1 << 30;
const LENGTH_MASK = DISCARD - 1;

export class RingBuffer {
  /** The data, as words and twice in a row, so that a record never wraps around. */
  readonly words: Int32Array;
  /** Positions are counts of bytes since the beginning. */
  private readonly consumed: BigUint64Array;
  private readonly produced: Int32Array;
  private readonly mask: number;
  /** As much of the consumer's position as tells where it is: 32 bits, and how often these wrapped. */
  private at = 0;
  private wraps = 0n;

  /**
   * @param fd Of the map.
   * @param bytes Its size.
   * @throws {KernelError}
   */
  constructor(fd: number, bytes: number) {
    const page = pageBytes();
    this.consumed = new BigUint64Array(mapFd(fd, page), 0, 1);
    const rest = mapFd(fd, page + 2 * bytes, "read", page);
    this.produced = new Int32Array(rest, 0, 1);
    this.words = new Int32Array(rest, page);
    this.mask = bytes - 1;
    const consumed = this.consumed[0]!;
    this.at = Number(consumed & 0xffffffffn) | 0;
    this.wraps = consumed >> 32n;
  }

  /**
   * Takes what there is, oldest first.
   * @param take Called with the index in {@link words} of each record; valid until it returns.
   * @param recordsMax At most so many.
   * @returns Records taken.
   */
  read(take: (word: number) => void, recordsMax = Infinity): number {
    let taken = 0;
    let moved = false;
    const end = Atomics.load(this.produced, 0);
    while (this.at !== end && taken < recordsMax) {
      const offset = (this.at >>> 0) & this.mask;
      const header = Atomics.load(this.words, offset >> 2);
      if ((header & BUSY) !== 0) break;
      const bytes = header & LENGTH_MASK;
      if ((header & DISCARD) === 0) {
        take((offset + HEADER_BYTES) >> 2);
        taken++;
      }
      const before = this.at >>> 0;
      this.at = (this.at + HEADER_BYTES + bytes + 7 & ~7) | 0;
      if (this.at >>> 0 < before) this.wraps++;
      moved = true;
    }
    // Once for all: what was taken may be written over from here on.
    if (moved) Atomics.store(this.consumed, 0, this.wraps << 32n | BigInt(this.at >>> 0));
    return taken;
  }
}
