/**
 * A file as memory: what is written there is still there when the process has been killed. mmap(2)
 *
 * @module
 */
import { openLibc } from "./libc.ts";
import { errno, KernelError, primeErrno } from "./errno.ts";
import { closeFd, openFd, OpenFlag } from "./fd.ts";

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;

/**
 * Maps a file, which is made for root only if there is none and has the wanted size afterwards.
 * It stays mapped for the life of the process.
 *
 * @throws {KernelError} With the path.
 */
export function mapSharedFile(path: string, bytes: number): ArrayBuffer {
  const libc = openLibc();
  const fd = openFd(path, OpenFlag.O_RDWR | OpenFlag.O_CREAT, 0o600);
  try {
    primeErrno();
    if (libc.ftruncate(fd, BigInt(bytes)) !== 0) {
      throw new KernelError("ftruncate", errno(), { path });
    }
    const pointer = libc.mmap(null, BigInt(bytes), PROT_READ_WRITE, MAP_SHARED, fd, 0n);
    // MAP_FAILED is -1.
    if (pointer === null || Deno.UnsafePointer.value(pointer) >= 2n ** 63n) {
      throw new KernelError("mmap", errno(), { path });
    }
    return Deno.UnsafePointerView.getArrayBuffer(pointer, bytes);
  } finally {
    closeFd(fd);
  }
}
