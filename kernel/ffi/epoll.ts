/**
 * Waits for many descriptors. epoll(7)
 *
 * @module
 */
import { openLibc } from "./libc.ts";
import { Errno, errno, KernelError, orErrno, primeErrno } from "./errno.ts";
import { asBuffer, closeFd, OpenFlag } from "./fd.ts";

export const EPOLLIN = 0x1;
export const EPOLLRDHUP = 0x2000;

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;

// struct epoll_event { u32 events; u64 data; }, without a hole between the two on x86-64 only.
const EVENT_WORDS = Deno.build.arch === "x86_64" ? 3 : 4;
const DATA_WORD = Deno.build.arch === "x86_64" ? 1 : 2;

export class Epoll {
  readonly fd: number;
  private readonly events: Int32Array;
  private readonly eventsMax: number;
  private readonly one = new Int32Array(EVENT_WORDS);

  /**
   * @param eventsMax The most that one {@link wait} tells of.
   * @throws {KernelError} When the kernel gives none.
   */
  constructor(eventsMax: number) {
    primeErrno();
    this.fd = openLibc().epoll_create1(OpenFlag.O_CLOEXEC);
    if (this.fd === -1) throw new KernelError("epoll_create1", errno());
    this.eventsMax = eventsMax;
    this.events = new Int32Array(EVENT_WORDS * eventsMax);
  }

  /**
   * Adds a descriptor.
   *
   * @param events {@link EPOLLIN} and so on; level-triggered.
   * @param key What {@link key} tells of it, 32 bits.
   * @returns 0, or minus the error number.
   */
  add(fd: number, events: number, key: number): number {
    this.one[0] = events;
    this.one[DATA_WORD] = key;
    return orErrno(openLibc().epoll_ctl(this.fd, EPOLL_CTL_ADD, fd, asBuffer(this.one)));
  }

  /** Takes a descriptor out; one that is closed everywhere leaves by itself. */
  remove(fd: number): void {
    openLibc().epoll_ctl(this.fd, EPOLL_CTL_DEL, fd, asBuffer(this.one));
  }

  /**
   * Sleeps until a descriptor is ready. HOT.
   *
   * @param timeoutMs At most this long; 0 looks without sleeping.
   * @returns How many are ready, for {@link key}; 0 also when a signal came.
   * @throws {KernelError}
   */
  wait(timeoutMs: number): number {
    const count = openLibc().epoll_wait(
      this.fd,
      asBuffer(this.events),
      this.eventsMax,
      timeoutMs,
    );
    if (count >= 0) return count;
    const error = errno();
    if (error === Errno.EINTR) return 0;
    throw new KernelError("epoll_wait", error);
  }

  /** Key of a ready descriptor, `index` below what {@link wait} gave. HOT. */
  key(index: number): number {
    return this.events[index * EVENT_WORDS + DATA_WORD]!;
  }

  close(): void {
    closeFd(this.fd);
  }
}
