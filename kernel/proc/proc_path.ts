/**
 * Paths of /proc written into a buffer, and the errors by which it says that a process is gone.
 *
 * @module
 */
import { Errno } from "../ffi/errno.ts";
import { ascii } from "./proc_text.ts";

const DIGIT_0 = 48;
export const PATH_BYTES_MAX = 64;
export const PATH_PREFIX = ascii("/proc/");

/** Writes `/proc/PID/FILE` into a buffer without making a string. */
export function writePath(path: Uint8Array, pid: number, file: Uint8Array): void {
  path.set(PATH_PREFIX);
  let digits = 1;
  for (let rest = pid; rest >= 10; rest = Math.trunc(rest / 10)) digits++;
  let at = PATH_PREFIX.length + digits;
  path.set(file, at);
  for (let rest = pid; digits > 0; digits--, rest = Math.trunc(rest / 10)) {
    path[--at] = DIGIT_0 + rest % 10;
  }
}

/** Errors by which /proc says that a process is gone. */
export function isGone(result: number): boolean {
  return result === -Errno.ENOENT || result === -Errno.ESRCH;
}
