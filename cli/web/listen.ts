/**
 * Where the page listens: a port of this machine, or a Unix socket that only its owner may open.
 *
 * @module
 */
import { type Answer, HttpServer } from "./http_server.ts";
import type { WebAddress } from "../../service/config/web_address.ts";
import { webAddressText } from "../../service/config/web_address.ts";

/** Why the page cannot be served there: one line. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

export interface PageListener {
  /** What a browser calls it; undefined: it is a Unix socket. */
  readonly origin: string | undefined;
  readonly server: HttpServer;
  /** Accepts no more, and drops the connections there are. */
  close(): Promise<void>;
}

/** @throws {ListenError} */
export async function listenForPages(address: WebAddress, answer: Answer): Promise<PageListener> {
  try {
    if (address.kind === "tcp") {
      const { hostname, port } = address;
      const listener = Deno.listen({ hostname, port, transport: "tcp" });
      const text = webAddressText({ ...address, port: listener.addr.port });
      const server = new HttpServer(listener, answer);
      return { origin: `http://${text}`, server, close: () => server.close() };
    }
    const { path } = address;
    await removeStale(path);
    const server = new HttpServer(listenForOwner(path), answer);
    const close = async (): Promise<void> => {
      await server.close();
      await Deno.remove(path).catch(() => {});
    };
    return { origin: undefined, server, close };
  } catch (error) {
    if (error instanceof ListenError) throw error;
    throw new ListenError(`Cannot listen on ${webAddressText(address)}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** The file is never anybody else's, not even between its making and a chmod. */
function listenForOwner(path: string): Deno.UnixListener {
  const umask = Deno.umask(0o177);
  try {
    return Deno.listen({ path, transport: "unix" });
  } finally {
    Deno.umask(umask);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return "another program listens there; if it is toom web, its link is printed by toom web --link";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "permission denied: only root may take a port below 1024, try --listen 9185";
  }
  return error instanceof Error ? error.message : String(error);
}

/** A socket on which nobody answers any more makes room; everything else stays. */
async function removeStale(path: string): Promise<void> {
  try {
    const { isSocket } = await Deno.lstat(path);
    if (isSocket !== true) throw new ListenError(`Cannot listen on ${path}: it is no socket`);
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    await Deno.remove(path);
    return;
  }
  throw new ListenError(`Cannot listen on ${path}: another program answers there`);
}
