/**
 * How fast the kernel gives memory to a process that touches as much as it can: huge pages, on one CPU.
 *
 * @module
 */
import { MonotonicClock } from "../ffi/clock.ts";
import { openLibc } from "../ffi/libc.ts";

/** linux/mman.h, x86-64 and arm64 */
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MADV_HUGEPAGE = 14;
/** Since Linux 5.14. */
const MADV_POPULATE_WRITE = 23;
const MAP_FAILED = 2n ** 64n - 1n;

const HUGE_PAGE_BYTES = 2 * 2 ** 20;
/** Too much to be found in a cache each time; so little that nothing comes between, mostly: the best counts. */
const PROBE_BYTES = 8 * HUGE_PAGE_BYTES;
const TRIES = 5;

/**
 * Takes 16 MiB five times, some 0.5 ms each, and gives them back. mmap(2), madvise(2)
 *
 * @returns Bytes a nanosecond in the best try; 0 where the kernel cannot be asked for it.
 */
export function probeGrowth(): number {
  const libc = openLibc();
  const clock = new MonotonicClock();
  let best = 0;
  for (let number = 0; number < TRIES; number++) {
    const bytes = BigInt(PROBE_BYTES + HUGE_PAGE_BYTES);
    const place = libc.mmap(null, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0n);
    const address = Deno.UnsafePointer.value(place);
    if (BigInt(address) === MAP_FAILED || address === 0n) return 0;
    const start = (address + BigInt(HUGE_PAGE_BYTES) - 1n) & ~(BigInt(HUGE_PAGE_BYTES) - 1n);
    libc.madvise(start, BigInt(PROBE_BYTES), MADV_HUGEPAGE);
    const beganNs = clock.nowNs();
    const failed = libc.madvise(start, BigInt(PROBE_BYTES), MADV_POPULATE_WRITE) !== 0;
    const tookNs = clock.nowNs() - beganNs;
    libc.munmap(address, bytes);
    if (failed) return 0;
    best = Math.max(best, PROBE_BYTES / Math.max(1, tookNs));
  }
  return best;
}
