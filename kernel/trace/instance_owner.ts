/**
 * The owner of an instance has a file of it open, with a lock on it, for as long as it lives: the
 * kernel removes no instance of which a file is open, whatever container that was opened in. So
 * rmdir(2) alone asks whether there is an owner, and removes only what has none.
 *
 * @module
 */
import { closeFd, OpenFlag, tryOpenFd } from "../ffi/fd.ts";
import { Errno, errno, primeErrno } from "../ffi/errno.ts";
import { openLibc } from "../ffi/libc.ts";
import { findTracefs } from "./tracefs.ts";

/** The file that the owner keeps open, and locks. flock(2) */
const OWNED_FILE = "tracing_on";
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Becomes the owner of an instance.
 *
 * @returns The descriptor that proves it; negative: the error's number.
 */
export function own(instancePath: string): number {
  const fd = tryOpenFd(ownedFile(instancePath), OpenFlag.O_RDONLY);
  // Without the lock, others know that somebody is there, only not who.
  if (fd >= 0) openLibc().flock(fd, LOCK_EX | LOCK_NB);
  return fd;
}

export function ownedFile(instancePath: string): string {
  return `${instancePath}/${OWNED_FILE}`;
}

/**
 * Whether the owner of an instance lives, in whatever container: it has locked a file of it. Does not
 * tell of owners that know no such lock (toom 0.1), which have pipes open all the same.
 */
export function hasOwner(name: string, tracefs: string = findTracefs()): boolean {
  const fd = tryOpenFd(ownedFile(`${tracefs}/instances/${name}`), OpenFlag.O_RDONLY);
  if (fd < 0) return false;
  primeErrno();
  const refused = openLibc().flock(fd, LOCK_SH | LOCK_NB) === -1 && errno() === Errno.EAGAIN;
  closeFd(fd);
  return refused;
}
