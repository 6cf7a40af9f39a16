/**
 * How a process has ended, told by its pidfd, for somebody who is not its parent.
 *
 * Linux 6.15 keeps the status in the pidfd from when the parent has waited for the process
 * (PIDFD_GET_INFO, PIDFD_INFO_EXIT: include/uapi/linux/pidfd.h). Until then the process is a zombie, and
 * field 52 of its /proc/PID/stat has the status for root; a number that the pidfd says was not waited
 * for is still the process's own. proc_pid_stat(5)
 *
 * @module
 */
import { orErrno, primeErrno } from "../ffi/errno.ts";
import { asBuffer, readTextFile, sizeT } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";
import { STATE_ZOMBIE } from "../../pipeline/ports.ts";
import { pidfdSendSignal } from "./pidfd.ts";

/** struct pidfd_info as of 6.13, which later kernels take too: u64 mask, u64 cgroupid, 12 words. */
const INFO_BYTES = 64;
/** _IOWR(0xff, 11, struct pidfd_info) */
const PIDFD_GET_INFO = (3 << 30 | INFO_BYTES << 16 | 0xff << 8 | 11) >>> 0;
const PIDFD_INFO_EXIT = 1 << 3;
const EXIT_CODE_WORD = 15;
/** Field 52 of /proc/PID/stat; the first behind the name is field 3. */
const STAT_EXIT_CODE = 52 - 3;

/**
 * @param pid Of the process of the pidfd.
 * @returns As wait(2) has it (9: ended by SIGKILL; 256: exit(1)); -1 when nobody tells.
 */
export function exitStatusOf(pidfd: number, pid: number): number {
  const told = statusOfPidfd(pidfd);
  if (told >= 0) return told;
  const ofZombie = statusOfZombie(pid);
  // Its parent may have waited for it meanwhile, and the number be another's.
  if (ofZombie >= 0 && pidfdSendSignal(pidfd, 0) === 0) return ofZombie;
  return statusOfPidfd(pidfd);
}

/** As above, of a process that was waited for. @returns -1 before, and on kernels before 6.15. */
export function statusOfPidfd(pidfd: number): number {
  const words = new Uint32Array(new ArrayBuffer(INFO_BYTES));
  words[0] = PIDFD_INFO_EXIT;
  primeErrno();
  const result = orErrno(openLibc().ioctl(pidfd, sizeT(PIDFD_GET_INFO), asBuffer(words)));
  return result < 0 || (words[0]! & PIDFD_INFO_EXIT) === 0 ? -1 : words[EXIT_CODE_WORD]! & 0xffff;
}

function statusOfZombie(pid: number): number {
  try {
    const stat = readTextFile(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0]?.charCodeAt(0) === STATE_ZOMBIE ? Number(fields[STAT_EXIT_CODE]) : -1;
  } catch {
    return -1;
  }
}
