/**
 * Which CPUs the calling thread may run on. sched_setaffinity(2)
 *
 * @module
 */
import { errno, errnoName, primeErrno } from "../ffi/errno.ts";
import { asBuffer, sizeT } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";
import type { Protection } from "./self_protection.ts";

/** Bytes of the kernel's largest cpu mask (CONFIG_NR_CPUS up to 8192). */
const MASK_BYTES = 1024;

/** CPUs that the calling thread may run on, ascending; its cpuset and affinity at start. */
export function allowedCpus(): number[] {
  primeErrno();
  const mask = new Uint8Array(MASK_BYTES);
  const result = openLibc().sched_getaffinity(0, sizeT(MASK_BYTES), asBuffer(mask));
  if (result === -1) return [];
  const cpus: number[] = [];
  for (let cpu = 0; cpu < MASK_BYTES * 8; cpu++) {
    if ((mask[cpu >> 3]! >> (cpu & 7) & 1) === 1) cpus.push(cpu);
  }
  return cpus;
}

/**
 * Keeps the calling thread, and the threads that it starts from now on, on some CPUs.
 * @param cpus At least one.
 */
export function pinThread(cpus: readonly number[]): Protection {
  primeErrno();
  const mask = new Uint8Array(MASK_BYTES);
  for (const cpu of cpus) mask[cpu >> 3]! |= 1 << (cpu & 7);
  const result = openLibc().sched_setaffinity(0, sizeT(MASK_BYTES), asBuffer(mask));
  if (result !== -1) return { ok: true };
  return {
    ok: false,
    reason: `sched_setaffinity: ${errnoName(errno())}`,
    mend: `let toom run on CPU ${cpus.join(", ")}`,
  };
}
