/**
 * /proc/meminfo. proc_meminfo(5)
 *
 * @module
 */
import { readTextFile } from "../ffi/fd.ts";

/** The machine's memory. */
export interface MemInfo {
  readonly totalBytes: number;
  /** What can be had without swapping, by the kernel's estimate. */
  readonly availableBytes: number;
}

/**
 * Reads /proc/meminfo.
 *
 * @throws {Error} When a line is missing (`MemAvailable` came with 3.14).
 */
export function readMemInfo(): MemInfo {
  const text = readTextFile("/proc/meminfo");
  return { totalBytes: memLine(text, "MemTotal"), availableBytes: memLine(text, "MemAvailable") };
}

function memLine(text: string, key: string): number {
  const kib = new RegExp(`^${key}: +(\\d+) kB$`, "m").exec(text)?.[1];
  if (kib === undefined) throw new Error(`Cannot read /proc/meminfo: no line "${key}"`);
  return Number(kib) * 1024;
}
