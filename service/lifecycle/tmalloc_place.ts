/**
 * The files of tmalloc: two sockets and the ledger, all in one folder.
 *
 *     tmalloc.sock          SOCK_SEQPACKET: what the C library uses
 *     tmalloc.sock.stream   SOCK_STREAM: the same messages, for languages that know no other
 *     tmalloc.ledger        who was promised what, for the next coordinator; root's alone
 *
 * The folder is open to everybody, as a socket in a closed one cannot be reached.
 *
 * @module
 */
import { messageOf } from "../../kernel/ffi/thrown.ts";
import { closeFd } from "../../kernel/ffi/fd.ts";
import { listenUnix, SocketType } from "../../kernel/sockets/seqpacket.ts";
import { STREAM_SUFFIX } from "../../pipeline/promises/tmalloc_message.ts";
import type { TmallocPlace } from "../../workers/protocol.ts";
import { closedFolderOf, makePublicFolders } from "../control/public_folder.ts";
import type { Journal } from "../journal/journal.ts";

/** Everybody may ask: who it is, the kernel tells. */
const SOCKET_MODE = 0o666;
const LEDGER_NAME = "tmalloc.ledger";
const LEDGER_MODE = 0o600;

/** Sockets that have listened all the time while toom started over. */
export type FormerSockets = Pick<TmallocPlace, "listenFd" | "streamListenFd">;

/**
 * Serves tmalloc on a path, as far as that can be had: enforcement does not depend on it.
 *
 * @param path undefined: it is not to be served.
 * @param former Sockets of this process before it started over.
 * @param open Closes the sockets later.
 * @returns undefined: it is not served.
 */
export function serveTmalloc(
  path: string | undefined,
  former: FormerSockets | undefined,
  journal: Journal,
  open: AsyncDisposableStack,
): TmallocPlace | undefined {
  if (path === undefined) return undefined;
  try {
    const place = former === undefined ? openTmallocPlace(path) : adoptTmallocPlace(former, path);
    open.defer(() => closeTmallocPlace(place, path));
    const closed = former === undefined ? closedFolderOf(path) : undefined;
    if (closed !== undefined) {
      const message = `only root can ask on ${path}: ${closed} keeps other users out`;
      journal.publish({ event: "config", message });
    }
    return place;
  } catch (error) {
    const message = `cannot serve tmalloc on ${path}: ${messageOf(error)}`;
    journal.publish({ event: "error", where: "tmalloc", message });
    return undefined;
  }
}

/** Opens the sockets; makes their folder where there is none. @throws {KernelError} */
export function openTmallocPlace(socketPath: string): TmallocPlace {
  const dirPath = socketPath.replace(/[^/]*$/, "");
  makePublicFolders(socketPath);
  const listenFd = listenUnix(socketPath, SOCKET_MODE, SocketType.seqpacket);
  try {
    const ledgerPath = dirPath + LEDGER_NAME;
    closeToOthers(ledgerPath);
    return {
      listenFd,
      streamListenFd: listenUnix(socketPath + STREAM_SUFFIX, SOCKET_MODE, SocketType.stream),
      ledgerPath,
    };
  } catch (error) {
    closeFd(listenFd);
    tryRemove(socketPath);
    throw error;
  }
}

/** A ledger that is there already may be open to others; a new one is made for root only. */
function closeToOthers(ledgerPath: string): void {
  try {
    Deno.chmodSync(ledgerPath, LEDGER_MODE);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** The place that this process had before it started over: its sockets have been open all the time. */
export function adoptTmallocPlace(
  fds: FormerSockets,
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
