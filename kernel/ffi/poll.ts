/**
 * Waits for descriptors without allocating. poll(2)
 *
 * @module
 */
import { openLibc } from "./libc.ts";
import { Errno, errno, primeErrno } from "./errno.ts";
import { asBuffer, sizeT } from "./fd.ts";

/** Data can be read. */
export const POLLIN = 0x1;
/** Something exceptional: what a PSI trigger reports. */
export const POLLPRI = 0x2;
/** Always reported: an error on the descriptor. */
export const POLLERR = 0x8;
/** Always reported: the other end is gone. */
export const POLLHUP = 0x10;
/** Always reported: not an open descriptor. */
export const POLLNVAL = 0x20;

// struct pollfd { int fd; short events; short revents; }: two words, events in the low half of the
// second (both architectures are little endian).
const POLLFD_WORDS = 2;
const EVENTS_MASK = 0xffff;
const REVENTS_SHIFT = 16;

/** A fixed set of descriptors to wait for. */
export class PollSet {
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #capacity: number;
  #count = 0;
  #countSize = 0n;

  /** @param capacity The most descriptors that it will hold. */
  constructor(capacity: number) {
    primeErrno();
    this.#capacity = capacity;
    this.#words = new Int32Array(capacity * POLLFD_WORDS);
  }

  /** Number of descriptors in the set. */
  get count(): number {
    return this.#count;
  }

  /**
   * @param events {@link POLLIN}, {@link POLLPRI}, or both.
   * @returns Its index, for {@link revents} and {@link replace}.
   * @throws {RangeError} When the set is full.
   */
  add(fd: number, events: number): number {
    if (this.#count === this.#capacity) {
      throw new RangeError(`Cannot poll another descriptor: the set holds ${this.#capacity}`);
    }
    const index = this.#count++;
    this.#countSize = sizeT(this.#count);
    this.#words[index * POLLFD_WORDS + 1] = events & EVENTS_MASK;
    this.replace(index, fd);
    return index;
  }

  /** Puts another descriptor in a place; the kernel skips a negative one. HOT. */
  replace(index: number, fd: number): void {
    this.#words[index * POLLFD_WORDS] = fd;
    this.#words[index * POLLFD_WORDS + 1]! &= EVENTS_MASK;
  }

  /**
   * Sleeps until a descriptor is ready. HOT.
   *
   * @param timeoutMs At most this long; 0 looks without sleeping, -1 waits for ever.
   * @returns Descriptors ready; 0 after the time, or when a signal came; else minus the error number.
   */
  wait(timeoutMs: number): number {
    const ready = openLibc().poll(asBuffer(this.#words), this.#countSize, timeoutMs);
    if (ready !== -1) return ready;
    const error = errno();
    // The kernel did not touch revents: what an earlier wait left there must not be read again.
    for (let index = 0; index < this.#count; index++) {
      this.#words[index * POLLFD_WORDS + 1]! &= EVENTS_MASK;
    }
    return error === Errno.EINTR ? 0 : -error;
  }

  /** What the last {@link wait} found of a descriptor: 0, or bits such as {@link POLLIN}. HOT. */
  revents(index: number): number {
    return this.#words[index * POLLFD_WORDS + 1]! >>> REVENTS_SHIFT;
  }
}
