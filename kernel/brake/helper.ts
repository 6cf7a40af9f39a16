/**
 * A helper process with the ids of a user: see helper_program.ts.
 *
 * @module
 */
import { Errno, errno, KernelError, orErrno, primeErrno } from "../ffi/errno.ts";
import { asBuffer, closeFd, cString, readFd, sizeT, writeFd } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";
import { setFifo } from "../process/self_protection.ts";
import { POLLIN } from "../ffi/poll.ts";
import { HELPER_COMM } from "../process/helper_comm.ts";
import { helperProgram, REQUEST_BYTES } from "./helper_program.ts";

const AF_UNIX = 1;
/** SOCK_SEQPACKET | SOCK_CLOEXEC, the same on x86-64 and arm64. */
const SOCKET_TYPE = 5 | 0o2000000;
const MFD_CLOEXEC = 1;
/** Larger than any libc's posix_spawn_file_actions_t. */
const FILE_ACTIONS_BYTES = 512;
const SIGKILL = 9;
const WNOHANG = 1;
/** Who does not answer by then has been stopped; the first answer takes its start, too. */
const ANSWER_MS_MAX = 20;
const FIRST_ANSWER_MS_MAX = 200;

export class Helper {
  readonly pid: number;
  private readonly fd: number;
  private readonly bytes = new Uint8Array(REQUEST_BYTES);
  private readonly view = new DataView(this.bytes.buffer);

  private constructor(pid: number, fd: number) {
    this.pid = pid;
    this.fd = fd;
  }

  /**
   * Starts one.
   *
   * @param fifoPriority It goes before ordinary tasks, as does who waits for it; 0: it does not.
   * @throws {KernelError} */
  static start(uid: number, gid: number, fifoPriority = 0): Helper {
    const helper = Helper.startOrdinary(uid, gid);
    // When it has answered it is closed to its user.
    const limits = new BigUint64Array([1n << 30n, 1n << 30n]);
    if (helper.setLimit(helper.pid, limits, FIRST_ANSWER_MS_MAX) === undefined) {
      helper.close();
      throw new KernelError("prlimit", Errno.ETIMEDOUT, { detail: "a helper does not answer" });
    }
    if (fifoPriority > 0) setFifo(fifoPriority, helper.pid);
    return helper;
  }

  private static startOrdinary(uid: number, gid: number): Helper {
    const libc = openLibc();
    primeErrno();
    const fds = new Int32Array(2);
    if (libc.socketpair(AF_UNIX, SOCKET_TYPE, 0, asBuffer(fds)) !== 0) {
      throw new KernelError("socketpair", errno());
    }
    const [own, others] = fds as unknown as [number, number];
    let program = -1;
    try {
      program = orErrno(libc.memfd_create(asBuffer(cString(HELPER_COMM)), MFD_CLOEXEC));
      if (program < 0) throw new KernelError("memfd_create", -program);
      const text = helperProgram(uid, gid);
      const written = writeFd(program, text);
      if (written !== text.length) throw new KernelError("write", Math.max(0, -written));
      return new Helper(spawn(`/proc/self/fd/${program}`, others), own);
    } catch (error) {
      closeFd(own);
      throw error;
    } finally {
      closeFd(others);
      if (program >= 0) closeFd(program);
    }
  }

  /**
   * Sets RLIMIT_DATA of a process.
   *
   * @param limits Soft and hard, bytes; then what there was.
   * @returns 0, minus the error number, or undefined: it does not answer any more.
   */
  setLimit(
    pid: number,
    limits: BigUint64Array,
    timeoutMs = ANSWER_MS_MAX,
  ): number | undefined {
    const { view } = this;
    view.setInt32(0, pid, true);
    view.setInt32(4, 0, true);
    view.setBigUint64(8, limits[0]!, true);
    view.setBigUint64(16, limits[1]!, true);
    if (writeFd(this.fd, this.bytes) !== REQUEST_BYTES) return undefined;
    // struct pollfd { int fd; short events; short revents; }
    const words = new Int32Array([this.fd, POLLIN]);
    if (openLibc().poll(asBuffer(words), sizeT(1), timeoutMs) !== 1) return undefined;
    if (readFd(this.fd, this.bytes) !== REQUEST_BYTES) return undefined;
    limits[0] = view.getBigUint64(8, true);
    limits[1] = view.getBigUint64(16, true);
    return view.getInt32(4, true);
  }

  /** Ends it. */
  close(): void {
    closeFd(this.fd);
    const libc = openLibc();
    libc.kill(this.pid, SIGKILL);
    // It may have become another's only after this call.
    libc.waitpid(this.pid, null, 0);
  }
}

/** @returns The pid. @throws {KernelError} */
function spawn(path: string, stdin: number): number {
  const libc = openLibc();
  const actions = new Uint8Array(FILE_ACTIONS_BYTES);
  const pid = new Int32Array(1);
  libc.posix_spawn_file_actions_init(asBuffer(actions));
  try {
    libc.posix_spawn_file_actions_adddup2(asBuffer(actions), stdin, 0);
    const name = new Uint8Array(new ArrayBuffer(128));
    name.set(cString(HELPER_COMM));
    const argv = new BigUint64Array(new ArrayBuffer(128));
    argv[0] = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(name)));
    const environment = new BigUint64Array(new ArrayBuffer(128));
    const failure = libc.posix_spawn(
      asBuffer(pid),
      asBuffer(cString(path)),
      asBuffer(actions),
      null,
      asBuffer(argv),
      asBuffer(environment),
    );
    if (failure !== 0) throw new KernelError("posix_spawn", failure, { path });
    return pid[0]!;
  } finally {
    libc.posix_spawn_file_actions_destroy(asBuffer(actions));
  }
}

/** Takes note of the end of helpers that this process started before it started over. */
export function reapFormerHelpers(): void {
  for (const { name: tid } of Deno.readDirSync("/proc/self/task")) {
    for (const pid of childrenOf(tid)) {
      if (isDeadHelper(pid)) openLibc().waitpid(pid, null, WNOHANG);
    }
  }
}

function childrenOf(tid: string): number[] {
  try {
    const text = Deno.readTextFileSync(`/proc/self/task/${tid}/children`);
    return text.split(" ").filter((word) => word !== "").map(Number);
  } catch {
    return []; // The thread has ended, or this kernel does not tell.
  }
}

function isDeadHelper(pid: number): boolean {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/stat`).startsWith(`${pid} (${HELPER_COMM}) Z `);
  } catch {
    return false;
  }
}
