/**
 * What a process shares with others, by /proc/PID/smaps_rollup: the kernel walks all its page tables,
 * some 12 ms for each GiB mapped in pages of 4 KiB, so the reading runs on a thread of Deno's pool.
 * Documentation/filesystems/proc.rst, fs/proc/task_mmu.c
 *
 * @module
 */
import { KernelError } from "../ffi/errno.ts";
import { asBuffer, closeFd, OpenFlag, readTextFile, sizeT, tryOpenFd } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";
import type { RollupKib } from "../../pipeline/books/smaps_shares.ts";

/** The text is some 1000 bytes. */
const TEXT_BYTES_MAX = 4096;

/** Parses the text of smaps_rollup; what the kernel does not print is 0. */
export function parseSmapsRollup(text: string): RollupKib {
  const kib = new Map<string, number>();
  for (const line of text.split("\n")) {
    const match = /^([A-Za-z_]+):\s+(\d+) kB$/.exec(line);
    if (match !== null) kib.set(match[1]!, Number(match[2]));
  }
  const of = (name: string): number => kib.get(name) ?? 0;
  return {
    anonymousKib: of("Anonymous"),
    pssAnonKib: of("Pss_Anon"),
    pssFileKib: of("Pss_File"),
    pssShmemKib: of("Pss_Shmem"),
    swapKib: of("Swap"),
    swapPssKib: of("SwapPss"),
    lazyFreeKib: of("LazyFree"),
    privateKib: of("Private_Clean") + of("Private_Dirty"),
    sharedKib: of("Shared_Clean") + of("Shared_Dirty"),
  };
}

/**
 * Reads what a process shares.
 *
 * @returns undefined when it is gone, ends at this moment, or may not be read.
 */
export async function readSmapsRollup(pid: number): Promise<RollupKib | undefined> {
  const fd = tryOpenFd(`/proc/${pid}/smaps_rollup`, OpenFlag.O_RDONLY);
  if (fd < 0) return undefined;
  try {
    const bytes = new Uint8Array(TEXT_BYTES_MAX);
    const room = sizeT(bytes.length);
    const length = await openLibc().pread_async(fd, asBuffer(bytes), room, sizeT(0));
    return length <= 0
      ? undefined
      : parseSmapsRollup(new TextDecoder().decode(bytes.subarray(0, length)));
  } finally {
    closeFd(fd);
  }
}

/** Whether this kernel tells what is shared, with parts by kind: CONFIG_PROC_PAGE_MONITOR, 5.4. */
export function canReadSmaps(): boolean {
  try {
    return parseSmapsRollup(readTextFile("/proc/self/smaps_rollup")).pssAnonKib > 0;
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}
