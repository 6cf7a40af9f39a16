/**
 * Signals that cannot hit the wrong process: a pidfd names one process for as long as it is open,
 * whatever becomes of the number. pidfd_open(2), pidfd_send_signal(2), process_mrelease(2)
 *
 * @module
 */
import { openLibc } from "../ffi/libc.ts";
import { Errno, orErrno, primeErrno } from "../ffi/errno.ts";
import { asBuffer, closeFd, sizeT } from "../ffi/fd.ts";
import { POLLIN } from "../ffi/poll.ts";
import { ProcReader } from "../proc/proc.ts";
import { Syscall } from "../ffi/symbols.ts";

/**
 * Opens a process. The descriptor is close-on-exec by nature.
 *
 * @param pid A thread group's id (a thread's is EINVAL or, measured on 6.18, ENOENT).
 * @returns The pidfd, or minus the error number: ESRCH when there is no such process.
 */
export function pidfdOpen(pid: number): number {
  primeErrno();
  return orErrno(openLibc().pidfd_open(Syscall.pidfdOpen, pid, 0));
}

/**
 * Sends a signal. HOT.
 *
 * @param signal 0 only asks whether it could be sent.
 * @returns 0, or minus the error number: ESRCH when it has ended and been waited for.
 */
export function pidfdSendSignal(pidfd: number, signal: number): number {
  const result = openLibc().pidfd_send_signal(Syscall.pidfdSendSignal, pidfd, signal, null, 0);
  return orErrno(result);
}

/** Of pidfd_send_signal(2), Linux 6.9: to the process group that has the number of the pidfd's process. */
const PIDFD_SIGNAL_PROCESS_GROUP = 4;
const SIGKILL = 9;

/**
 * Ends a process that leads a group, and the group, be it that the leader has ended already.
 *
 * Before Linux 6.9 the group is named by its number: that is nobody else's while the leader has not been
 * waited for, or has only just been.
 *
 * @param pidfd Of the leader; negative: there is none.
 */
export function killGroup(pidfd: number, pid: number): void {
  if (!(pid > 1)) return;
  const libc = openLibc();
  if (pidfd >= 0) {
    const flags = PIDFD_SIGNAL_PROCESS_GROUP;
    primeErrno();
    const result = orErrno(
      libc.pidfd_send_signal(Syscall.pidfdSendSignal, pidfd, SIGKILL, null, flags),
    );
    // It may not lead a group yet.
    pidfdSendSignal(pidfd, SIGKILL);
    if (result !== -Errno.EINVAL) return;
  }
  libc.kill(-pid, SIGKILL);
}

/**
 * Frees the memory of a process that is being killed, from this thread, and returns when done.
 *
 * @returns 0, or minus the error number: EINVAL when it is not dying, ESRCH when its memory is gone,
 * EAGAIN when some of it was busy.
 */
export function processMrelease(pidfd: number): number {
  return orErrno(openLibc().process_mrelease(Syscall.processMrelease, pidfd, 0));
}

/**
 * As {@link processMrelease}, on a thread of Deno's pool. The pidfd must stay open until it resolves.
 *
 * @returns 0, or -1: errno belongs to the other thread and cannot be read.
 */
export function processMreleaseAsync(pidfd: number): Promise<number> {
  return openLibc().process_mrelease_async(Syscall.processMrelease, pidfd, 0);
}

// struct pollfd, as in poll.ts.
const pollOne = new Int32Array(2);
const ONE = sizeT(1);

/**
 * Whether all threads of the process have ended (it may wait for its parent still). HOT.
 *
 * Where poll(2) fails (ENOMEM, a filter of system calls), a process counts as ended once it has been
 * waited for: until then nobody else has its number.
 */
export function pidfdExited(pidfd: number): boolean {
  pollOne[0] = pidfd;
  pollOne[1] = POLLIN;
  const ready = openLibc().poll(asBuffer(pollOne), ONE, 0);
  if (ready < 0) return pidfdSendSignal(pidfd, 0) === -Errno.ESRCH;
  return ready === 1 && (pollOne[1]! >>> 16 & POLLIN) !== 0;
}

/** Whether the error of {@link pidfdOpen} says that there is no such process, and nothing else. */
export function saysGone(errno: number): boolean {
  // A thread's number is EINVAL, measured on 6.18 ENOENT: no process has it. One whose leader has
  // ended while other threads live is opened as any other.
  return errno === Errno.ESRCH || errno === Errno.ENOENT || errno === Errno.EINVAL;
}

/**
 * Sends a signal by number to the process of a pidfd, where {@link pidfdSendSignal} is refused by
 * something else than the process (a filter of system calls). While the process has not been waited
 * for, nobody else has its number.
 *
 * @returns 0, or minus the error number: ESRCH when it has ended.
 */
export function killByNumber(pidfd: number, pid: number, signal: number): number {
  if (!(pid > 0) || pidfdExited(pidfd)) return -Errno.ESRCH;
  primeErrno();
  return orErrno(openLibc().kill(pid, signal));
}

let reader: ProcReader | undefined;

/**
 * For kernels without pidfds (before 5.3): checks that the process is the one that was meant, then
 * kills by number. RACY: between the check and the signal, the process may end and its number go to
 * another one. The window is some microseconds, and numbers are handed out in turn, so it takes
 * pid_max forks within it; a pidfd has no window at all.
 *
 * @param startTicks Start time of the process that is meant, field 22 of /proc/PID/stat.
 * @returns 0, or minus the error number: ESRCH when the number is free, or another process's.
 */
export function killByPid(pid: number, startTicks: number, signal: number): number {
  // kill(2) takes 0 and negative numbers for groups, and -1 for everybody.
  if (!(pid > 0)) return -Errno.ESRCH;
  reader ??= new ProcReader();
  if (reader.readStartTicks(pid) !== startTicks) return -Errno.ESRCH;
  return orErrno(openLibc().kill(pid, signal));
}

/** Which of the calls this kernel has, and lets this process use. */
export interface PidfdSupport {
  readonly open: boolean;
  readonly sendSignal: boolean;
  readonly mrelease: boolean;
}

/** Tries each call on this very process, harmlessly. */
export function probePidfd(): PidfdSupport {
  const pidfd = pidfdOpen(openLibc().getpid());
  if (pidfd < 0) return { open: false, sendSignal: false, mrelease: false };
  try {
    return {
      open: true,
      sendSignal: pidfdSendSignal(pidfd, 0) === 0,
      // The call is there when it says that this process is not dying.
      mrelease: processMrelease(pidfd) === -Errno.EINVAL,
    };
  } finally {
    closeFd(pidfd);
  }
}
