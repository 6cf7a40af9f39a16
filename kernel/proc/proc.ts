/**
 * Reads processes from /proc: bytes in, numbers out. proc(5), fs/proc/array.c, fs/proc/task_mmu.c
 *
 * @module
 */
import { Errno, KernelError, orErrno, primeErrno } from "../ffi/errno.ts";
import {
  asBuffer,
  closeFd,
  OpenFlag,
  preadFd,
  readTextFile,
  sizeT,
  tryOpenBytes,
} from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";
import { Syscall } from "../ffi/symbols.ts";
import { type Proc, type ProcIdentity, type ProcStatus } from "../../pipeline/ports.ts";

const NEWLINE = 10;
const SPACE = 32;
const MINUS = 45;
const DIGIT_0 = 48;
const DIGIT_9 = 57;
const CLOSING_PARENTHESIS = 41;

/** Flag of a task that never leaves the kernel, include/linux/sched.h. */
export const PF_KTHREAD = 0x0020_0000;
/** Pid of kthreadd, the parent of all kernel threads. */
const KTHREADD_PID = 2;

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const KEY_STATE = ascii("State:");
const KEY_TGID = ascii("Tgid:");
const KEY_PPID = ascii("PPid:");
const KEY_UID = ascii("Uid:");
const KEY_KTHREAD = ascii("Kthread:");
const KEY_VM_SIZE = ascii("VmSize:");
const KEY_RSS_ANON = ascii("RssAnon:");
const KEY_RSS_FILE = ascii("RssFile:");
const KEY_RSS_SHMEM = ascii("RssShmem:");
const KEY_VM_SWAP = ascii("VmSwap:");
const KEY_THREADS = ascii("Threads:");

function startsWith(bytes: Uint8Array, at: number, key: Uint8Array): boolean {
  for (let index = 0; index < key.length; index++) {
    if (bytes[at + index] !== key[index]) return false;
  }
  return true;
}

/** Position of the first byte from `at` on that is no blank. */
function skipBlanks(bytes: Uint8Array, at: number): number {
  while (bytes[at] === SPACE || bytes[at] === 9) at++;
  return at;
}

/** The decimal number at `at`, after blanks; a sign is understood. No digits: 0. */
function numberAt(bytes: Uint8Array, at: number): number {
  at = skipBlanks(bytes, at);
  const negative = bytes[at] === MINUS;
  if (negative) at++;
  let value = 0;
  for (let digit = bytes[at]!; digit >= DIGIT_0 && digit <= DIGIT_9; digit = bytes[++at]!) {
    value = value * 10 + (digit - DIGIT_0);
  }
  return negative ? -value : value;
}

/** Position after the number or word at `at`, blanks before it included. */
function skipWord(bytes: Uint8Array, at: number): number {
  at = skipBlanks(bytes, at);
  while (bytes[at] !== SPACE && bytes[at] !== 9 && bytes[at] !== NEWLINE && at < bytes.length) at++;
  return at;
}

/**
 * Parses the text of /proc/PID/status.
 *
 * The first line holds the name, which its owner chooses: it is skipped. The kernel escapes newlines
 * and backslashes in it (proc_task_name), so it cannot forge a line.
 *
 * Whether it is a kernel thread says the line `Kthread` (6.11 and later); before, a kernel thread is
 * known by its parent kthreadd and by having no `VmSize`.
 *
 * @param bytes The text, of which `length` bytes count; the byte after them must not be a digit.
 */
export function parseStatus(bytes: Uint8Array, length: number, out: ProcStatus): void {
  let kthread = -1;
  let hasMemory = false;
  out.tgid =
    out.ppid =
    out.realUid =
    out.effectiveUid =
    out.state =
    out.threads =
      0;
  out.rssAnonKib =
    out.rssFileKib =
    out.rssShmemKib =
    out.vmSwapKib =
      0;
  for (let line = nextLine(bytes, 0, length); line < length; line = nextLine(bytes, line, length)) {
    switch (bytes[line]) {
      case 0x53: // S
        if (startsWith(bytes, line, KEY_STATE)) {
          out.state = bytes[skipBlanks(bytes, line + KEY_STATE.length)]!;
        }
        break;
      case 0x54: // T
        if (startsWith(bytes, line, KEY_TGID)) out.tgid = numberAt(bytes, line + KEY_TGID.length);
        else if (startsWith(bytes, line, KEY_THREADS)) {
          out.threads = numberAt(bytes, line + KEY_THREADS.length);
          // Nothing that counts comes after it.
          line = length;
        }
        break;
      case 0x50: // P
        if (startsWith(bytes, line, KEY_PPID)) out.ppid = numberAt(bytes, line + KEY_PPID.length);
        break;
      case 0x55: // U
        if (startsWith(bytes, line, KEY_UID)) {
          out.realUid = numberAt(bytes, line + KEY_UID.length);
          out.effectiveUid = numberAt(bytes, skipWord(bytes, line + KEY_UID.length));
        }
        break;
      case 0x4b: // K
        if (startsWith(bytes, line, KEY_KTHREAD)) {
          kthread = numberAt(bytes, line + KEY_KTHREAD.length);
        }
        break;
      case 0x52: // R
        if (startsWith(bytes, line, KEY_RSS_ANON)) {
          out.rssAnonKib = numberAt(bytes, line + KEY_RSS_ANON.length);
        } else if (startsWith(bytes, line, KEY_RSS_FILE)) {
          out.rssFileKib = numberAt(bytes, line + KEY_RSS_FILE.length);
        } else if (startsWith(bytes, line, KEY_RSS_SHMEM)) {
          out.rssShmemKib = numberAt(bytes, line + KEY_RSS_SHMEM.length);
        }
        break;
      case 0x56: // V
        if (startsWith(bytes, line, KEY_VM_SIZE)) hasMemory = true;
        else if (startsWith(bytes, line, KEY_VM_SWAP)) {
          out.vmSwapKib = numberAt(bytes, line + KEY_VM_SWAP.length);
        }
        break;
    }
  }
  out.hasMemory = hasMemory;
  out.kthread = kthread === -1
    ? !hasMemory && (out.tgid === KTHREADD_PID || out.ppid === KTHREADD_PID)
    : kthread === 1;
}

function nextLine(bytes: Uint8Array, line: number, length: number): number {
  const newline = bytes.indexOf(NEWLINE, line);
  return newline === -1 ? length : newline + 1;
}

// A line of supplementary groups can make the status long; no machine allows more than this.
const BUFFER_BYTES_MIN = 8192;
const BUFFER_BYTES_MAX = 2 * 1024 * 1024;
const PATH_BYTES_MAX = 64;
const PATH_PREFIX = ascii("/proc/");
const FILE_STATUS = ascii("/status\0");
const FILE_STAT = ascii("/stat\0");
const FILE_OOM_SCORE_ADJ = ascii("/oom_score_adj\0");
const FILE_COMM = ascii("/comm\0");
const FILE_TASK = ascii("/task\0");
const FILE_NONE = ascii("\0");

/** Writes `/proc/PID/FILE` into a buffer without making a string. */
function writePath(path: Uint8Array, pid: number, file: Uint8Array): void {
  path.set(PATH_PREFIX);
  let digits = 1;
  for (let rest = pid; rest >= 10; rest = Math.trunc(rest / 10)) digits++;
  let at = PATH_PREFIX.length + digits;
  path.set(file, at);
  for (let rest = pid; digits > 0; digits--, rest = Math.trunc(rest / 10)) {
    path[--at] = DIGIT_0 + rest % 10;
  }
}

/** Errors by which /proc says that a process is gone. */
function isGone(result: number): boolean {
  return result === -Errno.ENOENT || result === -Errno.ESRCH;
}

const KCMP_VM = 1;

// struct linux_dirent64 { u64 inode; i64 offset; u16 bytes; u8 type; char name[]; }
const DIRENT_BYTES_OFFSET = 16;
const DIRENT_NAME_OFFSET = 19;

/**
 * Reads processes with one buffer that it reuses: not for two threads at once, nothing is allocated
 * by {@link readStatus}, {@link readStartTicks}, {@link readFlags} and {@link listPids}.
 *
 * A process that is gone is a return value. Everything else, such as too many open files, throws
 * {@link KernelError}.
 */
export class ProcReader implements Proc {
  #buffer = new Uint8Array(BUFFER_BYTES_MIN);
  readonly #path = new Uint8Array(PATH_BYTES_MAX);

  constructor() {
    primeErrno();
  }

  /**
   * @param pid A process, or any thread: then `tgid` says whose, and `state` is the thread's own.
   * @param out Filled in; its contents are undefined when the result is false.
   * @returns false when it is gone.
   */
  readStatus(pid: number, out: ProcStatus): boolean {
    const length = this.#read(pid, FILE_STATUS, "status");
    if (length === 0) return false;
    parseStatus(this.#buffer, length, out);
    return true;
  }

  /**
   * Start time of a process in clock ticks since the boot: with the pid, it names one process for
   * good. Field 22 of /proc/PID/stat.
   *
   * @returns -1 when it is gone.
   */
  readStartTicks(pid: number): number {
    const length = this.#read(pid, FILE_STAT, "stat");
    return length === 0 ? -1 : statField(this.#buffer, length, 22);
  }

  /**
   * Tells one process, and one program in it, from all others.
   *
   * @param out Filled in when the result is true.
   * @returns false when it is gone.
   */
  readIdentity(pid: number, out: ProcIdentity): boolean {
    const length = this.#read(pid, FILE_STAT, "stat");
    if (length === 0) return false;
    out.ppid = statField(this.#buffer, length, 4);
    out.startTicks = statField(this.#buffer, length, 22);
    out.stackStart = statField(this.#buffer, length, 28);
    return true;
  }

  /**
   * Page faults that needed no I/O, of all threads since the process began. Field 10 of
   * /proc/PID/stat.
   *
   * @returns -1 when it is gone.
   */
  readMinorFaults(pid: number): number {
    const length = this.#read(pid, FILE_STAT, "stat");
    return length === 0 ? -1 : statField(this.#buffer, length, 10);
  }

  /**
   * Flags of a task, such as {@link PF_KTHREAD}. Field 9 of /proc/PID/stat.
   *
   * @returns -1 when it is gone.
   */
  readFlags(pid: number): number {
    const length = this.#read(pid, FILE_STAT, "stat");
    return length === 0 ? -1 : statField(this.#buffer, length, 9);
  }

  /** -1000 (never kill) to 1000; undefined when the process is gone. */
  readOomScoreAdj(pid: number): number | undefined {
    const length = this.#read(pid, FILE_OOM_SCORE_ADJ, "oom_score_adj");
    return length === 0 ? undefined : numberAt(this.#buffer, 0);
  }

  /**
   * Name of a process, fit to be shown: its owner chooses any 15 bytes, see {@link printable}.
   *
   * @returns undefined when the process is gone.
   */
  readComm(pid: number): string | undefined {
    const length = this.#read(pid, FILE_COMM, "comm");
    return length === 0 ? undefined : printable(this.#buffer.subarray(0, length - 1));
  }

  /**
   * The processes of the machine, without their other threads.
   *
   * @param out Filled from the start, ascending.
   * @returns How many there are. If this is more than `out.length`, the rest was left out.
   */
  listPids(out: Int32Array): number {
    // The directory /proc itself: what follows the number is cut off with the number.
    this.#path.set(PATH_PREFIX);
    this.#path[PATH_PREFIX.length] = 0;
    return this.#list(out, "/proc");
  }

  /** Threads of a process, ascending; empty when it is gone. */
  listTids(pid: number): number[] {
    let out = new Int32Array(64);
    for (;;) {
      writePath(this.#path, pid, FILE_TASK);
      const count = this.#list(out, `/proc/${pid}/task`);
      if (count <= out.length) return [...out.subarray(0, count)];
      out = new Int32Array(count * 2);
    }
  }

  /**
   * Children of a process's main thread; empty when there are none, it is gone, or the kernel does
   * not tell (CONFIG_PROC_CHILDREN).
   */
  listChildren(pid: number): number[] {
    const length = this.#read(pid, ascii(`/task/${pid}/children\0`), "children");
    const children: number[] = [];
    for (let at = 0; at < length; at = skipWord(this.#buffer, at) + 1) {
      const child = numberAt(this.#buffer, at);
      if (child > 0) children.push(child);
    }
    return children;
  }

  sharesMm(pidA: number, pidB: number): boolean {
    return sharesMm(pidA, pidB);
  }

  /** Whether there is a directory for that pid, thread or process. */
  exists(pid: number): boolean {
    writePath(this.#path, pid, FILE_NONE);
    const fd = tryOpenBytes(this.#path, OpenFlag.O_RDONLY);
    if (fd >= 0) closeFd(fd);
    return fd >= 0;
  }

  /** Text of a file of a process in `#buffer`; 0 bytes when the process is gone. */
  #read(pid: number, file: Uint8Array, name: string): number {
    writePath(this.#path, pid, file);
    const fd = tryOpenBytes(this.#path, OpenFlag.O_RDONLY);
    if (fd < 0) {
      if (isGone(fd)) return 0;
      throw new KernelError("open", -fd, { path: `/proc/${pid}/${name}` });
    }
    for (;;) {
      const length = preadFd(fd, this.#buffer, 0);
      if (length === -Errno.EINTR) continue;
      // One read is the whole text, unless the buffer was too small for it.
      if (length === this.#buffer.length && length < BUFFER_BYTES_MAX) {
        this.#buffer = new Uint8Array(length * 2);
        continue;
      }
      closeFd(fd);
      if (length >= 0) return length;
      if (isGone(length)) return 0;
      throw new KernelError("read", -length, { path: `/proc/${pid}/${name}` });
    }
  }

  /** Names of the directory at `#path` that are numbers. */
  #list(out: Int32Array, shownPath: string): number {
    const fd = tryOpenBytes(this.#path, OpenFlag.O_RDONLY);
    if (fd < 0) {
      if (isGone(fd)) return 0;
      throw new KernelError("open", -fd, { path: shownPath });
    }
    const buffer = this.#buffer;
    const room = sizeT(buffer.length);
    let found = 0;
    for (;;) {
      const length = orErrno(openLibc().getdents64(Syscall.getdents64, fd, asBuffer(buffer), room));
      if (length === -Errno.EINTR) continue;
      if (length <= 0) {
        closeFd(fd);
        if (length === 0 || isGone(length)) return found;
        throw new KernelError("getdents64", -length, { path: shownPath });
      }
      for (let entry = 0; entry < length;) {
        const first = buffer[entry + DIRENT_NAME_OFFSET]!;
        // Names of /proc that begin with a digit are pids, all of them.
        if (first >= DIGIT_0 && first <= DIGIT_9) {
          if (found < out.length) out[found] = numberAt(buffer, entry + DIRENT_NAME_OFFSET);
          found++;
        }
        entry += buffer[entry + DIRENT_BYTES_OFFSET]! |
          buffer[entry + DIRENT_BYTES_OFFSET + 1]! << 8;
      }
    }
  }
}

/**
 * A field of /proc/PID/stat by the number of the manual page, 4 and up. The name in field 2 may hold
 * anything, parentheses and blanks included, so fields are counted from the last parenthesis.
 */
function statField(bytes: Uint8Array, length: number, field: number): number {
  let at = bytes.lastIndexOf(CLOSING_PARENTHESIS, length - 1) + 1;
  for (let skipped = 3; skipped < field; skipped++) at = skipWord(bytes, at);
  return numberAt(bytes, at);
}

/** Text of bytes: printable ASCII as it is, backslashes doubled, all else as `\n`, `\t` or `\xNN`. */
export function printable(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    if (byte === 0x5c) text += "\\\\";
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else if (byte === NEWLINE) text += "\\n";
    else if (byte === 9) text += "\\t";
    else text += `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return text;
}

/**
 * Whether two tasks run on one address space. kcmp(2)
 *
 * Tasks without any (zombies, kernel threads) count as sharing it, so ask of live ones only.
 *
 * @returns false also when one is gone, or the kernel cannot tell (CONFIG_KCMP).
 */
export function sharesMm(pidA: number, pidB: number): boolean {
  return openLibc().kcmp(Syscall.kcmp, pidA, pidB, KCMP_VM, 0n, 0n) === 0;
}

/**
 * As {@link sharesMm}, but true where the kernel cannot tell: false only when both tasks are there and
 * run on different address spaces.
 */
export function mayShareMm(pidA: number, pidB: number): boolean {
  return openLibc().kcmp(Syscall.kcmp, pidA, pidB, KCMP_VM, 0n, 0n) <= 0;
}

/** Enough for the lines up to `Uid`: the escaped name and seven numbers. */
const STATUS_HEAD_BYTES = 512;

/**
 * A process's status kept open, for the last look before a kill. As a pidfd, it stays with one
 * process: when that is gone, reading fails, whoever has the number now.
 */
export class StatusHandle implements Disposable {
  #fd: number;
  readonly #head = new Uint8Array(STATUS_HEAD_BYTES);

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * @returns undefined when the process is gone.
   * @throws {KernelError} When its status cannot be opened for another reason.
   */
  static open(pid: number): StatusHandle | undefined {
    const path = new Uint8Array(PATH_BYTES_MAX);
    writePath(path, pid, FILE_STATUS);
    const fd = tryOpenBytes(path, OpenFlag.O_RDONLY);
    if (fd >= 0) return new StatusHandle(fd);
    if (isGone(fd)) return undefined;
    throw new KernelError("open", -fd, { path: `/proc/${pid}/status` });
  }

  /**
   * Its real uid at this moment. HOT.
   *
   * @returns 0 to 4294967295, or minus the error number: ESRCH when the process is gone.
   */
  realUid(): number {
    const length = preadFd(this.#fd, this.#head, 0);
    if (length <= 0) return length === 0 ? -Errno.ESRCH : length;
    for (
      let line = nextLine(this.#head, 0, length);
      line < length;
      line = nextLine(this.#head, line, length)
    ) {
      if (startsWith(this.#head, line, KEY_UID)) {
        return numberAt(this.#head, line + KEY_UID.length);
      }
    }
    return -Errno.ENODATA;
  }

  close(): void {
    if (this.#fd >= 0) closeFd(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The machine's memory. */
export interface MemInfo {
  readonly totalBytes: number;
  /** What can be had without swapping, by the kernel's estimate. */
  readonly availableBytes: number;
}

/**
 * Reads /proc/meminfo.
 *
 * @throws {Error} When a line is missing (`MemAvailable` came with 3.14).
 */
export function readMemInfo(): MemInfo {
  const text = readTextFile("/proc/meminfo");
  return { totalBytes: memLine(text, "MemTotal"), availableBytes: memLine(text, "MemAvailable") };
}

function memLine(text: string, key: string): number {
  const kib = new RegExp(`^${key}: +(\\d+) kB$`, "m").exec(text)?.[1];
  if (kib === undefined) throw new Error(`Cannot read /proc/meminfo: no line "${key}"`);
  return Number(kib) * 1024;
}
