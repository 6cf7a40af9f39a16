/**
 * One toom a machine: an exclusive lock that the kernel drops when its holder ends, however it ends.
 * flock(2)
 *
 * @module
 */
import { Errno, errno, KernelError } from "./errno.ts";
import { closeFd, openFd, OpenFlag, preadFd, writeFd } from "./fd.ts";
import { openLibc } from "./libc.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/** The lock is ours until it is released, or the process ends. */
export interface HeldLock {
  release(): void;
}

/** Somebody else has it. */
export interface ForeignLock {
  /** Who wrote its pid there; 0 when the file does not say. */
  readonly holderPid: number;
}

// As wide as any pid, so that a new one always covers the old one whole.
const PID_WIDTH = 10;

/**
 * Takes the lock, without waiting. The file is made when missing, and stays: removing it would let
 * two processes each lock a file of that name.
 *
 * @param path In a directory that only root writes to, such as /run.
 * @throws {KernelError} When the file cannot be opened or locked at all.
 */
export function acquireLock(path: string): HeldLock | ForeignLock {
  const libc = openLibc();
  const fd = openFd(path, OpenFlag.O_RDWR | OpenFlag.O_CREAT, 0o644);
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === -1) {
    const error = errno();
    const holderPid = readPid(fd);
    closeFd(fd);
    if (error === Errno.EAGAIN) return { holderPid };
    throw new KernelError("flock", error, { path });
  }
  const pid = String(libc.getpid()).padStart(PID_WIDTH);
  const written = writeFd(fd, new TextEncoder().encode(`${pid}\n`));
  if (written < 0) {
    closeFd(fd);
    throw new KernelError("write", -written, { path });
  }
  let held = true;
  return {
    release(): void {
      if (!held) return;
      held = false;
      // Children that were forked without exec share the lock, so close alone might not drop it.
      libc.flock(fd, LOCK_UN);
      closeFd(fd);
    },
  };
}

function readPid(fd: number): number {
  const bytes = new Uint8Array(PID_WIDTH + 1);
  const count = preadFd(fd, bytes, 0);
  const text = new TextDecoder().decode(bytes.subarray(0, Math.max(count, 0))).trim();
  return /^\d+$/.test(text) ? Number(text) : 0;
}
