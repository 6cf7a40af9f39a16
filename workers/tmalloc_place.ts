/**
 * The files of tmalloc: two sockets and the ledger, all in one folder.
 *
 *     tmalloc.sock          SOCK_SEQPACKET: what the C library uses
 *     tmalloc.sock.stream   SOCK_STREAM: the same messages, for languages that know no other
 *     tmalloc.ledger        who was promised what, for the next coordinator
 *
 * @module
 */
import { closeFd } from "../kernel/fd.ts";
import { listenUnix, SocketType } from "../kernel/seqpacket.ts";
import { STREAM_SUFFIX } from "../pipeline/tmalloc_message.ts";
import type { TmallocPlace } from "./protocol.ts";

/** Everybody may ask: who it is, the kernel tells. */
const SOCKET_MODE = 0o666;
const LEDGER_NAME = "tmalloc.ledger";

/** Opens the sockets. @throws {KernelError} */
export function openTmallocPlace(socketPath: string): TmallocPlace {
  const dirPath = socketPath.replace(/[^/]*$/, "");
  if (dirPath !== "") Deno.mkdirSync(dirPath, { recursive: true, mode: 0o755 });
  const listenFd = listenUnix(socketPath, SOCKET_MODE, SocketType.seqpacket);
  try {
    return {
      listenFd,
      streamListenFd: listenUnix(socketPath + STREAM_SUFFIX, SOCKET_MODE, SocketType.stream),
      ledgerPath: dirPath + LEDGER_NAME,
    };
  } catch (error) {
    closeFd(listenFd);
    tryRemove(socketPath);
    throw error;
  }
}

/** The place that this process had before it started over: its sockets have been open all the time. */
export function adoptTmallocPlace(
  fds: Pick<TmallocPlace, "listenFd" | "streamListenFd">,
  socketPath: string,
): TmallocPlace {
  return { ...fds, ledgerPath: socketPath.replace(/[^/]*$/, "") + LEDGER_NAME };
}

/** Closes the sockets. The ledger stays: who holds promises may live when toom comes back. */
export function closeTmallocPlace(place: TmallocPlace, socketPath: string): void {
  closeFd(place.listenFd);
  closeFd(place.streamListenFd);
  for (const path of [socketPath, socketPath + STREAM_SUFFIX]) tryRemove(path);
}

function tryRemove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // Somebody else has removed it.
  }
}
