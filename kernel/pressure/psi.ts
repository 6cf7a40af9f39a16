/**
 * Pressure stall information: the kernel tells when tasks wait for memory too much.
 * Documentation/accounting/psi.rst
 *
 * @module
 */
import { Errno, errnoName } from "../ffi/errno.ts";
import { closeFd, cString, OpenFlag, tryOpenFd, writeFd } from "../ffi/fd.ts";

export const PSI_MEMORY_PATH = "/proc/pressure/memory";

/** What the trigger waits for. */
export interface PsiTriggerOptions {
  /** `some`: at least one task waited; `full`: all of them at once. */
  readonly kind?: "some" | "full";
  /** Time stalled within a window that fires, microseconds; below the window. */
  readonly stallUs: number;
  /** The window, microseconds, 500 000 to 10 000 000; fires at most once in it. */
  readonly windowUs: number;
}

/** An open trigger: poll `fd` for POLLPRI, close it to be rid of it. */
export type PsiTrigger = {
  readonly ok: true;
  readonly fd: number;
  /** What the kernel watches for; more than was asked for where only multiples of 2 s are allowed. */
  readonly stallUs: number;
  readonly windowUs: number;
} | {
  readonly ok: false;
  /** Why not, for the operator. */
  readonly reason: string;
};

/** The windows that a process without CAP_SYS_RESOURCE may have are multiples of this. */
const UNPRIVILEGED_WINDOW_US = 2_000_000;

/**
 * Opens a trigger on the whole machine's memory pressure.
 *
 * Without CAP_SYS_RESOURCE (which root may lack in a container) the window is widened to a multiple
 * of 2 s, and the stall with it, in proportion.
 *
 * @returns The descriptor, or the reason why this kernel gives none: never throws for that.
 */
export function openPsiTrigger(options: PsiTriggerOptions): PsiTrigger {
  const { kind = "some", stallUs, windowUs } = options;
  const first = tryTrigger(kind, stallUs, windowUs);
  if (first !== -Errno.EINVAL || windowUs % UNPRIVILEGED_WINDOW_US === 0) {
    return toTrigger(first, kind, stallUs, windowUs);
  }
  const wideUs = Math.ceil(windowUs / UNPRIVILEGED_WINDOW_US) * UNPRIVILEGED_WINDOW_US;
  const wideStallUs = Math.round(stallUs * wideUs / windowUs);
  const second = tryTrigger(kind, wideStallUs, wideUs);
  if (second < 0) return toTrigger(first, kind, stallUs, windowUs);
  return toTrigger(second, kind, wideStallUs, wideUs);
}

/** @returns The descriptor, or minus the error number. */
function tryTrigger(kind: string, stallUs: number, windowUs: number): number {
  const fd = tryOpenFd(PSI_MEMORY_PATH, OpenFlag.O_RDWR | OpenFlag.O_NONBLOCK);
  if (fd < 0) return fd;
  // The kernel overwrites the last byte with NUL, so one must be there to lose.
  const result = writeFd(fd, cString(`${kind} ${stallUs} ${windowUs}`));
  if (result >= 0) return fd;
  closeFd(fd);
  return result;
}

function toTrigger(fd: number, kind: string, stallUs: number, windowUs: number): PsiTrigger {
  if (fd >= 0) return { ok: true, fd, stallUs, windowUs };
  switch (-fd) {
    case Errno.ENOENT:
    case Errno.EOPNOTSUPP:
      return {
        ok: false,
        reason: "the kernel has no pressure stall information (boot with psi=1)",
      };
    case Errno.EINVAL:
      return {
        ok: false,
        reason:
          `the kernel refuses the trigger "${kind} ${stallUs} ${windowUs}": the window must be` +
          " 500000 to 10000000 us, the stall above 0 and at most the window",
      };
    default:
      return { ok: false, reason: `cannot use ${PSI_MEMORY_PATH}: ${errnoName(-fd)}` };
  }
}
