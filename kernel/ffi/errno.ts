/**
 * Error numbers of the kernel: reading them, their names, and the one error that carries them.
 *
 * The numbers are those of asm-generic/errno-base.h and errno.h, the same on x86-64 and arm64.
 *
 * @module
 */
import { openLibc } from "./libc.ts";

/** The error numbers that toom tells apart, or is likely to show. errno(3) */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EPIPE: 32,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EPROTO: 71,
  EMSGSIZE: 90,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  ENOBUFS: 105,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
} as const;

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(Errno).map(([name, number]) => [number, name]),
);

/** `"ENOENT"` for 2; `"errno 999"` for a number without a name here. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}

let location: Int32Array | undefined;

/** Maps this thread's errno. Apart from {@link errno}, so that the hot function stays small. */
function mapErrno(): Int32Array {
  const pointer = openLibc().__errno_location();
  if (pointer === null) throw new Error("Cannot map errno: __errno_location() gave NULL");
  location = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(pointer, 4));
  return location;
}

/**
 * The error number of this thread's last failed call. HOT.
 *
 * Read it directly after the call, with nothing in between: the runtime makes system calls of its
 * own. The first use in a thread must not be the one that counts, as opening libc and mapping errno
 * may change it: whatever opens a descriptor here calls {@link primeErrno} first. V8 may still take a
 * lock in between, though seldom; {@link settledErrno} is for calls whose error is shown to people.
 * Never meaningful after a `nonblocking` call, which ran on another thread.
 */
export function errno(): number {
  return (location ?? mapErrno())[0]!;
}

/**
 * Maps errno now, so that the next {@link errno} is a plain read of memory, and has both readers
 * compiled: V8 compiles a function on its first call, and takes locks for it. The first lock of a
 * process that it has to wait for opens /sys/devices/system/cpu/cpu0/tsc_freq_khz, and where that does
 * not exist, errno was ENOENT instead of the call's own in 2 % of such reads.
 */
export function primeErrno(): void {
  if (location !== undefined) return;
  mapErrno();
  orErrno(-1);
}

/**
 * Turns a libc result into the kernel's own manner: the value, or minus the error number. HOT.
 *
 * @param result What the call returned, -1 on failure.
 */
export function orErrno(result: number): number {
  return result === -1 ? -errno() : result;
}

/** How often {@link settledErrno} calls at most. */
const MOST_TRIES = 4;

/**
 * As {@link orErrno}, for a call that changes nothing when it fails and is not hot: it is repeated
 * until two failures in turn give the same error number, so that one which V8 has overwritten in
 * between is not taken for the call's own.
 *
 * @param call Makes the call; -1 on failure.
 */
export function settledErrno(call: () => number): number {
  primeErrno();
  let last = orErrno(call());
  for (let tries = 1; last < 0 && tries < MOST_TRIES; tries++) {
    const next = orErrno(call());
    if (next === last) break;
    last = next;
  }
  return last;
}

/**
 * Whether a read that failed may work the next time: nothing there yet, interrupted, or no memory for
 * a page at this moment. @param result Minus the error number.
 */
export function isPassing(result: number): boolean {
  return result === -Errno.EAGAIN || result === -Errno.EINTR || result === -Errno.ENOMEM;
}

/** What {@link KernelError} may say beyond the call and its error. */
export interface KernelErrorContext {
  /** The file that it was about. */
  readonly path?: string;
  /** What was wanted, or how to mend it. */
  readonly detail?: string;
}

/** A system call failed in a way that its caller could not expect. */
export class KernelError extends Error {
  override readonly name = "KernelError";
  /** The call, e.g. `"open"`. */
  readonly call: string;
  /** The error number, positive. */
  readonly errno: number;
  /** Its name, e.g. `"ENOENT"`. */
  readonly errnoName: string;
  readonly path: string | undefined;
  readonly detail: string | undefined;

  /**
   * @param call The system call.
   * @param errno The error number, positive.
   */
  constructor(call: string, errno: number, context: KernelErrorContext = {}) {
    const where = context.path === undefined ? "" : ` ${JSON.stringify(context.path)}`;
    const more = context.detail === undefined ? "" : `: ${context.detail}`;
    super(`Cannot ${call}${where}: ${errnoName(errno)}${more}`);
    this.call = call;
    this.errno = errno;
    this.errnoName = errnoName(errno);
    this.path = context.path;
    this.detail = context.detail;
  }
}
