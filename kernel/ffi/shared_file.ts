/**
 * A file as memory: what is written there is still there when the process has been killed. mmap(2)
 *
 * @module
 */
import { openLibc } from "./libc.ts";
import { errno, KernelError, primeErrno } from "./errno.ts";
import { closeFd, openFd, OpenFlag } from "./fd.ts";
import { mapFd } from "./mapping.ts";

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
    return mapFd(fd, bytes, "write", 0, path);
  } finally {
    closeFd(fd);
  }
}
