/**
 * Root becoming another user, for good.
 *
 * Only libc can do it: the kernel changes one thread, libc the whole process.
 *
 * @module
 */
import { errno, KernelError, primeErrno } from "../ffi/errno.ts";
import { sizeT } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";

/**
 * Gives up root: this process and all its threads belong to the user from now on.
 *
 * @param uid Becomes the group too, the only one.
 * @throws {KernelError} When it may not: the process is then in no state to go on with.
 */
export function becomeUser(uid: number): void {
  const libc = openLibc();
  primeErrno();
  if (libc.setgroups(sizeT(0), null) !== 0) throw new KernelError("setgroups", errno());
  if (libc.setgid(uid) !== 0) throw new KernelError("setgid", errno());
  if (libc.setuid(uid) !== 0) throw new KernelError("setuid", errno());
}
