/**
 * Whether two tasks share memory. kcmp(2)
 *
 * @module
 */
import { openLibc } from "../ffi/libc.ts";
import { Syscall } from "../ffi/symbols.ts";

const KCMP_VM = 1;

/**
 * Whether two tasks run on one address space. kcmp(2)
 *
 * Tasks without any (zombies, kernel threads) count as sharing it, so ask of live ones only.
 *
 * @returns false also when one is gone, or the kernel cannot tell (CONFIG_KCMP).
 */
export function sharesMm(pidA: number, pidB: number): boolean {
  return openLibc().kcmp(Syscall.kcmp, pidA, pidB, KCMP_VM, 0n, 0n) === 0;
}

/**
 * As {@link sharesMm}, but true where the kernel cannot tell: false only when both tasks are there and
 * run on different address spaces.
 */
export function mayShareMm(pidA: number, pidB: number): boolean {
  return openLibc().kcmp(Syscall.kcmp, pidA, pidB, KCMP_VM, 0n, 0n) <= 0;
}
