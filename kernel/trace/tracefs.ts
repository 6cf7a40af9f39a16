/**
 * Where tracefs is.
 *
 * @module
 */
import { Errno, errno, KernelError, primeErrno } from "../ffi/errno.ts";
import { asBuffer, cString, readTextFile } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";

/** Where tracefs belongs since 4.1. */
const TRACEFS_PATH = "/sys/kernel/tracing";
const DEBUGFS_TRACEFS_PATH = "/sys/kernel/debug/tracing";
/** Mount points of tracefs in the text of /proc/mounts, the customary one first. */
export function tracefsMounts(mounts: string): string[] {
  const found: string[] = [];
  for (const line of mounts.split("\n")) {
    const [, point, type] = line.split(" ");
    if (type !== "tracefs" || point === undefined) continue;
    // Blanks and the like in a path are written in octal, proc_pid_mounts(5).
    found.push(
      point.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8))),
    );
  }
  const rank = (point: string): number =>
    [TRACEFS_PATH, DEBUGFS_TRACEFS_PATH].indexOf(point) + 1 || 3;
  return found.sort((a, b) => rank(a) - rank(b));
}

/**
 * The directory of tracefs; mounts it at /sys/kernel/tracing when it is nowhere.
 *
 * @throws {KernelError} When there is none and it cannot be mounted; `detail` says how to mend it.
 */
export function findTracefs(): string {
  const [mounted] = tracefsMounts(readTextFile("/proc/mounts"));
  if (mounted !== undefined) return mounted;
  primeErrno();
  const type = cString("tracefs");
  const target = cString(TRACEFS_PATH);
  const none = cString("");
  const result = openLibc().mount(
    asBuffer(type),
    asBuffer(target),
    asBuffer(type),
    0n,
    asBuffer(none),
  );
  if (result === 0) return TRACEFS_PATH;
  const error = errno();
  const unsupported = error === Errno.ENODEV || error === Errno.ENOENT;
  throw new KernelError("mount", error, {
    path: TRACEFS_PATH,
    detail: unsupported
      ? "this kernel has no tracefs (CONFIG_TRACING)"
      : `run as root with CAP_SYS_ADMIN, or first: mount -t tracefs tracefs ${TRACEFS_PATH}`,
  });
}
