/**
 * Waits for a descriptor without holding up the event loop. poll(2)
 *
 * @module
 */
import { asBuffer, sizeT } from "./fd.ts";
import { openLibc } from "./libc.ts";
import { POLLIN } from "./poll.ts";

/**
 * Waits, on a thread of Deno's pool, until there is something to read.
 *
 * @param timeoutMs At most so long; -1 for ever.
 * @returns Whether there is; false too when a signal came.
 */
export async function readableWithin(fd: number, timeoutMs: number): Promise<boolean> {
  // struct pollfd { int fd; short events; short revents; }
  const words = new Int32Array([fd, POLLIN]);
  return await openLibc().poll_async(asBuffer(words), sizeT(1), timeoutMs) > 0;
}
