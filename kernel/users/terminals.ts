/**
 * Terminals of users, and messages to them in the manner of write(1): only to who lets others write
 * (mesg(1)), and never waiting.
 *
 * @module
 */
import { closeFd, OpenFlag, tryOpenFd, writeFd } from "../ffi/fd.ts";

const PTS_PATH = "/dev/pts";
/** Consoles and serial lines. */
const CONSOLE = /^tty(S|AMA|USB)?\d+$/;
/** What mesg(1) gives and takes: writing by the group tty. */
const GROUP_WRITES = 0o020;
const FLAGS = OpenFlag.O_WRONLY | OpenFlag.O_NONBLOCK | OpenFlag.O_NOCTTY | OpenFlag.O_NOFOLLOW;

/** Whom a uid counts for. */
type OwnerOf = (uid: number) => number;

const ITSELF: OwnerOf = (uid) => uid;

/** Whether a file is a terminal of a user who lets others write to it. */
function takesMessages(path: string, uid: number, ownerOf: OwnerOf): boolean {
  try {
    const { isCharDevice, uid: own, mode } = Deno.statSync(path);
    return isCharDevice === true && own !== null && ownerOf(own) === uid &&
      ((mode ?? 0) & GROUP_WRITES) !== 0;
  } catch {
    return false; // It was closed meanwhile.
  }
}

/** Paths of terminals of a user, and of all who count for it, that take messages; at most `countMax`. */
export function terminalsOf(
  uid: number,
  countMax: number,
  ownerOf: OwnerOf = ITSELF,
): readonly string[] {
  const found: string[] = [];
  for (const path of terminalPaths()) {
    if (found.length === countMax) break;
    if (takesMessages(path, uid, ownerOf)) found.push(path);
  }
  return found;
}

function terminalPaths(): readonly string[] {
  const names = (path: string): string[] => {
    try {
      return [...Deno.readDirSync(path)].map(({ name }) => name);
    } catch {
      return []; // A container may have none.
    }
  };
  return [
    ...names(PTS_PATH).filter((name) => /^\d+$/.test(name)).map((name) => `${PTS_PATH}/${name}`),
    ...names("/dev").filter((name) => CONSOLE.test(name)).map((name) => `/dev/${name}`),
  ];
}

/**
 * Writes to a terminal if it takes all of it at once. One that is stopped (Ctrl-S) or not read takes
 * nothing.
 *
 * @param uid Whose it must still be.
 * @returns Whether it did.
 */
export function writeTerminal(
  path: string,
  uid: number,
  bytes: Uint8Array<ArrayBuffer>,
  ownerOf: OwnerOf = ITSELF,
): boolean {
  const fd = tryOpenFd(path, FLAGS);
  if (fd < 0) return false;
  try {
    // The number may have come to another user since it was looked at.
    return takesMessages(`/proc/self/fd/${fd}`, uid, ownerOf) &&
      writeFd(fd, bytes) === bytes.length;
  } finally {
    closeFd(fd);
  }
}
