/**
 * Reads processes from /proc: bytes in, numbers out. proc(5), fs/proc/array.c, fs/proc/task_mmu.c
 *
 * @module
 */
import { Errno, KernelError, orErrno, primeErrno } from "../ffi/errno.ts";
import { asBuffer, closeFd, OpenFlag, preadFd, sizeT, tryOpenBytes } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";
import { Syscall } from "../ffi/symbols.ts";
import { isGone, PATH_BYTES_MAX, PATH_PREFIX, writePath } from "./proc_path.ts";
import { parseStatus } from "./proc_status.ts";
import { ascii, isDigit, numberAt, printable, skipWord, statField } from "./proc_text.ts";
import { sharesMm } from "./kcmp.ts";
import { type Proc, type ProcIdentity, type ProcStatus } from "../../pipeline/ports.ts";

/** Flag of a task that never leaves the kernel, include/linux/sched.h. */
export const PF_KTHREAD = 0x0020_0000;
// A line of supplementary groups can make the status long; no machine allows more than this.
const BUFFER_BYTES_MIN = 8192;
const BUFFER_BYTES_MAX = 2 * 1024 * 1024;
const FILE_STATUS = ascii("/status\0");
const FILE_STAT = ascii("/stat\0");
const FILE_OOM_SCORE_ADJ = ascii("/oom_score_adj\0");
const FILE_CGROUP = ascii("/cgroup\0");
const FILE_COMM = ascii("/comm\0");
const FILE_TASK = ascii("/task\0");
const FILE_NONE = ascii("\0");

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
   * Parent, process group or session of a process: fields 4, 5 and 6 of /proc/PID/stat.
   *
   * @returns 0 where it is none that is seen from here; -1 when the process is gone.
   */
  readRelation(pid: number, field: 4 | 5 | 6): number {
    const length = this.#read(pid, FILE_STAT, "stat");
    return length === 0 ? -1 : statField(this.#buffer, length, field);
  }

  /** Text of /proc/PID/cgroup, cgroups(7); undefined when the process is gone. */
  readCgroups(pid: number): string | undefined {
    const length = this.#read(pid, FILE_CGROUP, "cgroup");
    return length === 0 ? undefined : new TextDecoder().decode(this.#buffer.subarray(0, length));
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

  isFailure(error: unknown): boolean {
    return error instanceof KernelError;
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
        if (isDigit(first)) {
          if (found < out.length) out[found] = numberAt(buffer, entry + DIRENT_NAME_OFFSET);
          found++;
        }
        entry += buffer[entry + DIRENT_BYTES_OFFSET]! |
          buffer[entry + DIRENT_BYTES_OFFSET + 1]! << 8;
      }
    }
  }
}
