/**
 * What a process hands over to the program that it becomes: descriptors that stay open, and a text in
 * a file that has no name. fcntl(2), memfd_create(2)
 *
 * @module
 */
import { errno, KernelError, primeErrno } from "../ffi/errno.ts";
import { asBuffer, closeFd, cString, preadFd, readTextFile, writeFd } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";

const F_SETFD = 2;
const FD_CLOEXEC = 1;
/** MFD_CLOEXEC is 1; without it, it is inherited. */
const MFD_INHERITED = 0;
const READ_CHUNK_BYTES = 65_536;
/** Flag of a Unix socket that listens, in /proc/net/unix: __SO_ACCEPTCON. */
const LISTENING = 0x10000;

/** Whether a descriptor stays open when the process becomes another program. */
export function setInherited(fd: number, isInherited: boolean): void {
  primeErrno();
  if (openLibc().fcntl(fd, F_SETFD, isInherited ? 0 : FD_CLOEXEC) !== -1) return;
  throw new KernelError("fcntl", errno(), { detail: `descriptor ${fd}` });
}

/** Keeps a text in memory for the next program. @returns Its descriptor, inherited. */
export function keepText(name: string, text: string): number {
  primeErrno();
  const fd = openLibc().memfd_create(asBuffer(cString(name)), MFD_INHERITED);
  if (fd === -1) throw new KernelError("memfd_create", errno());
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) {
    const count = writeFd(fd, rest);
    if (count <= 0) {
      closeFd(fd);
      throw new KernelError("write", -count, { detail: "a file in memory" });
    }
    rest = rest.subarray(count);
  }
  return fd;
}

/** Reads what {@link keepText} has kept, and closes it. @throws {KernelError} */
export function takeText(fd: number): string {
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(READ_CHUNK_BYTES);
  let text = "";
  for (let offset = 0;;) {
    const count = preadFd(fd, chunk, offset);
    if (count < 0) throw new KernelError("pread", -count, { detail: `descriptor ${fd}` });
    if (count === 0) break;
    offset += count;
    text += decoder.decode(chunk.subarray(0, count), { stream: true });
  }
  closeFd(fd);
  return text + decoder.decode();
}

/**
 * The descriptor of this process by which a Unix socket listens that somebody else in it has opened;
 * undefined: there is none. proc_net(5)
 *
 * @param path As it was bound.
 */
export function listenerOf(path: string): number | undefined {
  for (const line of readTextFile("/proc/net/unix").split("\n")) {
    // 0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/toom/control.sock
    const [, , , flags, , , inode, ...rest] = line.split(" ").filter((word) => word !== "");
    if (rest.join(" ") !== path || (parseInt(flags!, 16) & LISTENING) === 0) continue;
    for (const { name } of Deno.readDirSync("/proc/self/fd")) {
      if (linkOf(`/proc/self/fd/${name}`) === `socket:[${inode}]`) return Number(name);
    }
  }
  return undefined;
}

function linkOf(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined; // The descriptor by which the folder was read.
  }
}
