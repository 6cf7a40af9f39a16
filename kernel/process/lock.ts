/**
 * One toom a machine: an exclusive lock that the kernel drops when its holder ends, however it ends.
 * flock(2)
 *
 * A lock of flock(2) is anybody's who can open the file, for reading even, and stays his as long as
 * he keeps the descriptor, whatever becomes of the file's mode. So the file is root's alone (0600),
 * and one that was ever somebody else's to open is not mended but replaced: of the new file nobody
 * can have a descriptor.
 *
 * @module
 */
import { Errno, errno, KernelError, primeErrno } from "../ffi/errno.ts";
import { closeFd, openFd, OpenFlag, preadFd, readTextFile, tryOpenFd, writeFd } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
const MODE = 0o600;
/** Anybody but the owner may open it. */
const LOOSE_BITS = 0o077;
/** Anybody but the owner may write to it. */
const WRITABLE_BITS = 0o022;
/** O_ACCMODE */
const ACCESS_BITS = 3;
/** Files that are replaced under one's hands; each turn means that another toom did so. */
const TRIES_MAX = 8;
const FD_CLOEXEC = 1;
const F_SETFD = 2;

/** The lock is ours until it is released, or the process ends. */
export class HeldLock {
  readonly #fd: number;
  readonly #mended: string | undefined;
  #isHeld = true;

  /** @param mended See {@link mended}. */
  constructor(fd: number, mended?: string) {
    this.#fd = fd;
    this.#mended = mended;
  }

  /** Its descriptor: who has it has the lock. */
  get fd(): number {
    return this.#fd;
  }

  /** What was wrong with the file that was found, and is mended; undefined: nothing. */
  get mended(): string | undefined {
    return this.#mended;
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    // Children that were forked without exec share the lock, so close alone might not drop it.
    openLibc().flock(this.#fd, LOCK_UN);
    closeFd(this.#fd);
  }
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
 * A file that is not this user's alone is replaced by a new one, unless an older toom has locked
 * it, which is told by its descriptor.
 *
 * @param path In a directory that only root writes to, such as /run.
 * @throws {KernelError} When the file cannot be opened or locked at all.
 */
export function acquireLock(path: string): HeldLock | ForeignLock {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const found = tryOpenFd(path, FLAGS, MODE);
    // A link is replaced itself; where it leads to is left alone.
    const problem = found === -Errno.ELOOP ? "it was a symbolic link" : problemOf(found, path);
    if (problem === undefined) {
      const lock = lockFile(path, found, undefined);
      if (lock !== undefined) return lock;
    } else {
      const lock = replace(path, found, problem);
      if (lock !== undefined) return lock;
    }
  }
  throw new KernelError("flock", Errno.EAGAIN, { path, detail: "the file changes all the time" });
}

/**
 * Goes on with a lock that this same process held before it became this program.
 *
 * @param fd Inherited; not to be inherited any further.
 */
export function adoptLock(fd: number): HeldLock {
  openLibc().fcntl(fd, F_SETFD, FD_CLOEXEC);
  return new HeldLock(fd);
}

const FLAGS = OpenFlag.O_RDWR | OpenFlag.O_CREAT | OpenFlag.O_NOFOLLOW;

/** Why a file is not one that only this user can have open; undefined when it is. */
function problemOf(fd: number, path: string): string | undefined {
  if (fd < 0) throw new KernelError("open", -fd, { path });
  const { isFile, mode, uid } = statFd(fd);
  if (!isFile) {
    closeFd(fd);
    throw new KernelError("open", Errno.EINVAL, { path, detail: "expected a regular file" });
  }
  if (uid !== Deno.uid()) return `it belonged to uid ${uid}`;
  if ((mode! & LOOSE_BITS) !== 0) return `its mode was 0${(mode! & 0o7777).toString(8)}`;
  return undefined;
}

/** @returns The lock, who has it, or undefined: the file is not that of the path any more. */
function lockFile(
  path: string,
  fd: number,
  mended: string | undefined,
): HeldLock | ForeignLock | undefined {
  const libc = openLibc();
  primeErrno();
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === -1) {
    const error = errno();
    const holderPid = readPid(fd);
    closeFd(fd);
    if (error === Errno.EAGAIN) return { holderPid };
    throw new KernelError("flock", error, { path });
  }
  if (!isAt(path, fd)) {
    closeFd(fd);
    return undefined;
  }
  writePid(path, fd);
  return new HeldLock(fd, mended);
}

/**
 * Puts a locked file of this user's own in the place of one that others can have open.
 *
 * Two that do so at the same time meet at the neighbour's name: only one has its lock, and who makes
 * a new neighbour does so after the first was renamed, and then finds the file mended.
 *
 * @param found The file there, to be closed; negative: it is a link.
 * @returns undefined: somebody else has replaced it meanwhile.
 */
function replace(
  path: string,
  found: number,
  problem: string,
): HeldLock | ForeignLock | undefined {
  const libc = openLibc();
  const inode = found < 0 ? undefined : statFd(found).ino;
  if (found >= 0) {
    const holderPid = ownHolder(found);
    closeFd(found);
    if (holderPid !== undefined) return { holderPid };
  }
  const next = `${path}.new`;
  const fd = openFd(next, FLAGS, MODE);
  const abandon = (): undefined => {
    if (isAt(next, fd)) Deno.removeSync(next);
    closeFd(fd);
  };
  if (problemOf(fd, next) !== undefined) {
    // Left behind by a umask or a hand; nothing that anybody relies on.
    abandon();
    return undefined;
  }
  primeErrno();
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === -1) {
    const holderPid = readPid(fd);
    closeFd(fd);
    return { holderPid };
  }
  if (!isAt(next, fd)) {
    closeFd(fd);
    return undefined;
  }
  const now = tryLstat(path);
  if (now === undefined || (inode === undefined ? !now.isSymlink : now.ino !== inode)) {
    return abandon();
  }
  writePid(next, fd);
  Deno.renameSync(next, path);
  return new HeldLock(fd, `${path}: ${problem}; replaced, as its lock was anybody's`);
}

/**
 * A process that has locked the file by a descriptor that writes to it, as toom's does; undefined:
 * others, or nobody. Who the process is says little, as a user can lock the file and then execute a
 * set-user-id program; but only its owner could open it for writing.
 */
function ownHolder(fd: number): number | undefined {
  const { ino, mode } = statFd(fd);
  if ((mode! & WRITABLE_BITS) !== 0) return undefined;
  for (const line of readTextFile("/proc/locks").split("\n")) {
    // 1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF
    const [, kind, , , pid, place] = line.split(/\s+/);
    if (kind !== "FLOCK" || place?.split(":")[2] !== String(ino)) continue;
    if (writesTo(`/proc/${pid}`, ino!)) return Number(pid);
  }
  return undefined;
}

/** Whether a process has locked a file by a descriptor for reading and writing. proc_pid_fdinfo(5) */
function writesTo(process: string, ino: number): boolean {
  try {
    for (const { name } of Deno.readDirSync(`${process}/fd`)) {
      const info = readTextFile(`${process}/fdinfo/${name}`);
      const flags = parseInt(/^flags:\s*([0-7]+)$/m.exec(info)?.[1] ?? "0", 8);
      const place = /^lock:.*\s[0-9a-f]+:[0-9a-f]+:(\d+)\s/m.exec(info)?.[1];
      if ((flags & ACCESS_BITS) === OpenFlag.O_RDWR && place === String(ino)) return true;
    }
  } catch {
    // It has ended, or closed the descriptor.
  }
  return false;
}

function statFd(fd: number): Deno.FileInfo {
  return Deno.statSync(`/proc/self/fd/${fd}`);
}

function tryLstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch {
    return undefined;
  }
}

/** Whether the path still leads to the open file. */
function isAt(path: string, fd: number): boolean {
  const there = tryLstat(path);
  const open = statFd(fd);
  return there !== undefined && there.ino === open.ino && there.dev === open.dev;
}

function writePid(path: string, fd: number): void {
  const pid = String(openLibc().getpid()).padStart(PID_WIDTH);
  const written = writeFd(fd, new TextEncoder().encode(`${pid}\n`));
  if (written >= 0) return;
  closeFd(fd);
  throw new KernelError("write", -written, { path });
}

function readPid(fd: number): number {
  const bytes = new Uint8Array(PID_WIDTH + 1);
  const count = preadFd(fd, bytes, 0);
  const text = new TextDecoder().decode(bytes.subarray(0, Math.max(count, 0))).trim();
  return /^\d+$/.test(text) ? Number(text) : 0;
}
