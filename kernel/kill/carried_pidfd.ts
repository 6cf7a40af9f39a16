/**
 * Pidfds that a process hands over to the program that it becomes. fcntl(2), proc(5)
 *
 * @module
 */
import { closeFd, readTextFile } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";

const F_DUPFD_CLOEXEC = 1030;

/**
 * Another descriptor of what a pidfd names, provided that it names this process: another thread may close
 * the one that is given at any time, and have its number for something else.
 *
 * @returns The descriptor, close-on-exec; -1: it is no pidfd of this process, or none can be had.
 */
export function keepPidfd(pidfd: number, pid: number): number {
  const fd = openLibc().fcntl(pidfd, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (pidOf(fd) === pid) return fd;
  closeFd(fd);
  return -1;
}

/** -1: it is no pidfd, or its process has been waited for. */
function pidOf(fd: number): number {
  try {
    const [, pid] = /^Pid:\s+(\d+)$/m.exec(readTextFile(`/proc/self/fdinfo/${fd}`)) ?? [];
    return pid === undefined ? -1 : Number(pid);
  } catch {
    return -1;
  }
}
