/**
 * What a descriptor stands for, as memory. mmap(2)
 *
 * @module
 */
import { openLibc } from "./libc.ts";
import { errno, KernelError, primeErrno } from "./errno.ts";

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;

/**
 * Maps what a descriptor stands for. It stays mapped for the life of the process, and the descriptor
 * may be closed.
 *
 * @param bytes A whole number of pages, or the size of the file.
 * @param access Whether it may be written to as well.
 * @param offsetBytes A whole number of pages.
 * @param path For the error.
 * @throws {KernelError} With the path.
 */
export function mapFd(
  fd: number,
  bytes: number,
  access: "read" | "write" = "write",
  offsetBytes = 0,
  path?: string,
): ArrayBuffer {
  const libc = openLibc();
  primeErrno();
  const protection = access === "write" ? PROT_READ | PROT_WRITE : PROT_READ;
  const pointer = libc.mmap(
    null,
    BigInt(bytes),
    protection,
    MAP_SHARED,
    fd,
    BigInt(offsetBytes),
  );
  // MAP_FAILED is -1.
  if (pointer === null || Deno.UnsafePointer.value(pointer) >= 2n ** 63n) {
    throw new KernelError("mmap", errno(), path === undefined ? {} : { path });
  }
  return Deno.UnsafePointerView.getArrayBuffer(pointer, bytes);
}

/** Address of memory that {@link mapFd} has mapped, for other threads: see {@link memoryAt}. */
export function addressOf(memory: ArrayBuffer): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(new Uint8Array(memory)));
}

/**
 * Memory that another thread of this process has mapped. Mapped once, its pages count once.
 *
 * @param address By {@link addressOf}; it must stay mapped.
 */
export function memoryAt(address: bigint, bytes: number): ArrayBuffer {
  return Deno.UnsafePointerView.getArrayBuffer(Deno.UnsafePointer.create(address)!, bytes);
}
