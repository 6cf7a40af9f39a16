/**
 * Keeping the process small: V8 sizes its young generation for programs that make much garbage,
 * malloc holds on to what compilers have freed, and a Deno that has started carries much code that
 * it will never run again.
 *
 * @module
 */
import { setFlagsFromString } from "node:v8";
import { readTextFile } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";

/** malloc.h */
const M_MMAP_THRESHOLD = -3;
const M_ARENA_MAX = -8;
const ARENAS_MAX = 2;
/** Pieces of this size, such as compilers ask for, go back to the kernel when they are freed. */
const MMAP_THRESHOLD_BYTES = 32 * 1024;
/** Each isolate's young generation: the hot paths make no garbage, the rest makes little. */
const SEMI_SPACE_MIB = 1;
/** asm-generic/mman-common.h */
const MADV_DONTNEED = 4;

/** Call before workers start; what this libc does not know is left out. */
export function keepHeapsSmall(): void {
  const libc = openLibc();
  libc.mallopt?.(M_ARENA_MAX, ARENAS_MAX);
  libc.mallopt?.(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
  setFlagsFromString(`--max-semi-space-size=${SEMI_SPACE_MIB}`);
  setFlagsFromString(`--min-semi-space-size=${SEMI_SPACE_MIB}`);
}

/** What `gc()` of V8's --expose-gc takes (src/extensions/gc-extension.h). */
type Collect = (options: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

/**
 * Collects what a start or a rehearsal has left behind, and gives the room back: an isolate that makes
 * no garbage afterwards would keep a megabyte or two. Takes tens of milliseconds. Does nothing without
 * --expose-gc. Only the flavor "last-resort" gives back what it frees; others take more for a while.
 */
export function collectGarbage(): void {
  const { gc } = globalThis as { gc?: Collect };
  gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
}

/** Gives free memory back to the kernel. Takes milliseconds. malloc_trim(3) */
export function trimHeap(): void {
  openLibc().malloc_trim?.(0n);
}

/** A read-only mapping of a file in /proc/PID/smaps: start, end. Shared are Deno's caches of code. */
const FILE_MAPPING = /^([0-9a-f]+)-([0-9a-f]+) r-[-x][ps] \S+ \S+ [1-9]\d* +\//;
/** Pages of it that are no longer the file's: what the linker has relocated. */
const CHANGED = /^Anonymous: +[1-9]/m;

/**
 * Lets go of code and constants that only the start needed: module loader, compilers, snapshots.
 * They stay in the page cache, and what is needed again comes back by itself, so rehearse after it
 * what must be quick. Locked pages stay, hence before `lockMemory()`. madvise(2)
 */
export function dropStartupCode(): void {
  const libc = openLibc();
  for (const mapping of readTextFile("/proc/self/smaps").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const parts = FILE_MAPPING.exec(mapping);
    if (parts === null || CHANGED.test(mapping)) continue;
    const start = BigInt(`0x${parts[1]}`);
    libc.madvise(start, BigInt(`0x${parts[2]}`) - start, MADV_DONTNEED);
  }
}
