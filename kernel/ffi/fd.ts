/**
 * File descriptors: open, read, write, close, and the eventfd that wakes a poll up.
 *
 * @module
 */
import { openLibc } from "./libc.ts";
import { Errno, errno, KernelError, orErrno, primeErrno } from "./errno.ts";

/** Flags of open(2). */
export const OpenFlag = {
  O_RDONLY: 0,
  O_WRONLY: 0o1,
  O_RDWR: 0o2,
  O_CREAT: 0o100,
  O_NOCTTY: 0o400,
  O_TRUNC: 0o1000,
  O_APPEND: 0o2000,
  O_NONBLOCK: 0o4000,
  O_CLOEXEC: 0o2000000,
  /** Of the few that differ between x86-64 and arm64. */
  O_NOFOLLOW: Deno.build.arch === "aarch64" ? 0o100000 : 0o400000,
} as const;

/** `EFD_CLOEXEC | EFD_NONBLOCK`, which are the flags of open(2). */
const EFD_FLAGS = OpenFlag.O_CLOEXEC | OpenFlag.O_NONBLOCK;

/** A view that a call may fill or send: its memory may be shared between workers. */
export type Bytes = Uint8Array<ArrayBufferLike>;

/**
 * The foreign-function types ask for unshared memory, though the call takes either (it only needs
 * the address); this says so once.
 */
export function asBuffer(bytes: ArrayBufferView<ArrayBufferLike>): BufferSource {
  return bytes as ArrayBufferView<ArrayBuffer>;
}

const encoder = new TextEncoder();

/**
 * A NUL-terminated string for a call.
 *
 * @throws {TypeError} When the text itself holds a NUL: the kernel would see less of it.
 */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) {
    throw new TypeError(`Cannot pass ${JSON.stringify(text)} to the kernel: it holds a NUL`);
  }
  return new Uint8Array(encoder.encode(`${text}\0`));
}

const SIZES_MAX = 64;
const sizes = new Map<number, bigint>();

/**
 * A `size_t` for a hot call: the same BigInt for the same number, so that nothing is allocated for
 * the few sizes that a worker uses over and over. See symbols.ts for why not a number.
 *
 * @param bytes A non-negative integer.
 */
export function sizeT(bytes: number): bigint {
  const known = sizes.get(bytes);
  if (known !== undefined) return known;
  const made = BigInt(bytes);
  if (sizes.size < SIZES_MAX) sizes.set(bytes, made);
  return made;
}

/**
 * Opens a file, for this process only: O_CLOEXEC is added. open(2)
 *
 * @param flags {@link OpenFlag}s.
 * @param mode Permissions of a file that O_CREAT makes.
 * @returns The descriptor.
 * @throws {KernelError} With the path.
 */
export function openFd(path: string, flags: number, mode = 0o600): number {
  const fd = tryOpenFd(path, flags, mode);
  if (fd < 0) throw new KernelError("open", -fd, { path });
  return fd;
}

/** As {@link openFd}, but a failure is a value: minus the error number. */
export function tryOpenFd(path: string, flags: number, mode = 0o600): number {
  return tryOpenBytes(cString(path), flags, mode);
}

/**
 * As {@link tryOpenFd}, of a path that is a NUL-terminated buffer already. HOT.
 *
 * @returns The descriptor, or minus the error number.
 */
export function tryOpenBytes(path: Bytes, flags: number, mode = 0): number {
  const fd = openWithoutSpare(path, flags, mode);
  return fd < 0 && findsDescriptor(fd) ? openWithoutSpare(path, flags, mode) : fd;
}

/** As {@link tryOpenBytes}, but takes no spare descriptor: for those who hold them. */
export function openWithoutSpare(path: Bytes, flags: number, mode: number): number {
  primeErrno();
  const fd = openLibc().open(asBuffer(path), flags | OpenFlag.O_CLOEXEC, mode);
  return fd === -1 ? -errno() : fd;
}

/** What can give a descriptor up, such as FdReserve of fd_reserve.ts. */
export interface SpareDescriptors {
  /** @returns false when there is none. */
  giveUp(): boolean;
}

let spare: SpareDescriptors | undefined;

/** From now on, calls of this thread that find no descriptor take one of these, and are repeated. */
export function useSpareDescriptors(descriptors: SpareDescriptors | undefined): void {
  spare = descriptors;
}

/**
 * Whether a call that failed may be repeated, as a spare descriptor of this thread was given up for it.
 * @param result Minus its error number.
 */
export function findsDescriptor(result: number): boolean {
  return (result === -Errno.EMFILE || result === -Errno.ENFILE) && spare !== undefined &&
    spare.giveUp();
}

/** Closes a descriptor. Errors are ignored: Linux frees the number in every case. close(2) */
export function closeFd(fd: number): void {
  openLibc().close(fd);
}

/**
 * Reads into all of `buffer`, which may lie in shared memory. HOT.
 *
 * To read at an offset, pass a view made beforehand: a view made here would be garbage on each call.
 *
 * @returns Bytes read, 0 at the end, or minus the error number (EINTR and EAGAIN included). read(2)
 */
export function readFd(fd: number, buffer: Bytes): number {
  return orErrno(openLibc().read(fd, asBuffer(buffer), sizeT(buffer.length)));
}

/**
 * Reads from an offset of the file without moving its position: what a file of /proc needs to be
 * made anew. HOT.
 *
 * @param offset Bytes from the start of the file.
 * @returns Bytes read, 0 at the end, or minus the error number. pread(2)
 */
export function preadFd(fd: number, buffer: Bytes, offset: number): number {
  return orErrno(openLibc().pread(fd, asBuffer(buffer), sizeT(buffer.length), sizeT(offset)));
}

/**
 * Writes all of `buffer` with one call. HOT.
 *
 * @returns Bytes written, which may be fewer, or minus the error number. write(2)
 */
export function writeFd(fd: number, buffer: Bytes): number {
  return orErrno(openLibc().write(fd, asBuffer(buffer), sizeT(buffer.length)));
}

const READ_CHUNK_BYTES = 16_384;

/**
 * Reads a whole file as bytes: for files of the kernel, whose size is not known beforehand.
 *
 * @throws {KernelError} With the path.
 */
export function readFile(path: string): Uint8Array<ArrayBuffer> {
  const fd = openFd(path, OpenFlag.O_RDONLY);
  try {
    let bytes = new Uint8Array(READ_CHUNK_BYTES);
    let length = 0;
    for (;;) {
      if (length === bytes.length) {
        const larger = new Uint8Array(bytes.length * 2);
        larger.set(bytes);
        bytes = larger;
      }
      const count = readFd(fd, bytes.subarray(length));
      if (count === 0) return bytes.subarray(0, length);
      if (count === -Errno.EINTR) continue;
      if (count < 0) throw new KernelError("read", -count, { path });
      length += count;
    }
  } finally {
    closeFd(fd);
  }
}

/** As {@link readFile}, as text; bytes that are not UTF-8 become U+FFFD. */
export function readTextFile(path: string): string {
  return new TextDecoder().decode(readFile(path));
}

/**
 * Writes a short text with one write(2), as the files of tracefs and /proc want it.
 *
 * @param flags {@link OpenFlag}s besides O_WRONLY: O_TRUNC or O_APPEND where the file tells them apart.
 * @throws {KernelError} With the path, and the text as detail.
 */
export function writeTextFile(path: string, text: string, flags = 0): void {
  const shown = text.length > 64 ? `${text.slice(0, 64)}…` : text;
  const detail = `writing ${JSON.stringify(shown)}`;
  const fd = tryOpenFd(path, OpenFlag.O_WRONLY | flags);
  if (fd < 0) throw new KernelError("open", -fd, { path, detail });
  try {
    let rest = encoder.encode(text);
    while (rest.length > 0) {
      const count = writeFd(fd, rest);
      if (count === -Errno.EINTR) continue;
      if (count <= 0) throw new KernelError("write", -count, { path, detail });
      rest = rest.subarray(count);
    }
  } finally {
    closeFd(fd);
  }
}

/**
 * A counter in the kernel that wakes whoever polls it. Any thread of the process may ring it, by
 * wrapping the same number. eventfd(2)
 */
export class EventFd implements Disposable {
  readonly fd: number;
  readonly #one = new Uint8Array(new BigUint64Array([1n]).buffer);
  readonly #count = new Uint8Array(8);

  /**
   * @param fd The descriptor of an eventfd made by another thread; a new one when left out.
   * @throws {KernelError} When the kernel gives none.
   */
  constructor(fd?: number) {
    primeErrno();
    this.fd = fd ?? openLibc().eventfd(0, EFD_FLAGS);
    if (this.fd === -1) throw new KernelError("eventfd", errno());
    sizeT(8);
  }

  /** Makes the descriptor readable. Never blocks: a counter that is full is readable already. HOT. */
  ring(): void {
    writeFd(this.fd, this.#one);
  }

  /** Makes it unreadable again. HOT. @returns Whether anybody had rung. */
  drain(): boolean {
    return readFd(this.fd, this.#count) === 8;
  }

  close(): void {
    closeFd(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
