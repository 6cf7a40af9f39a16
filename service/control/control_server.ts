/**
 * The control API's server: HTTP over a Unix socket that only its owner may open.
 *
 * @module
 */
import { messageOf } from "../../kernel/ffi/thrown.ts";
import { BacklogRelay } from "./backlog_relay.ts";
import { ControlListener, type ControlListenerOptions } from "./control_listener.ts";
import { failure, handleControl, type HandlerOptions } from "./handlers.ts";
import { makePublicFolders } from "./public_folder.ts";

export interface ControlServerOptions extends HandlerOptions {
  readonly socketPath: string;
  /** Told of what went wrong inside; must not throw. */
  readonly onError: (error: unknown) => void;
}

/** Why there is no control socket: one line. */
export class ControlSocketError extends Error {
  override readonly name = "ControlSocketError";
}

/** How long requests under way may hold up the end. */
const STOP_MS = 300;

/** A server that answers until it is stopped. */
export class ControlServer {
  private readonly listener: Pick<ControlListener, "end">;
  private readonly requests: Requests;
  private readonly socketPath: string;

  private constructor(
    listener: Pick<ControlListener, "end">,
    requests: Requests,
    socketPath: string,
  ) {
    this.listener = listener;
    this.requests = requests;
    this.socketPath = socketPath;
  }

  /**
   * Opens the socket, mode 0600 from its first moment on. A socket that nobody answers on any more
   * is replaced; one that somebody answers on is left alone, as is what is no socket.
   *
   * @throws {ControlSocketError} When the socket cannot be had.
   */
  static async start(options: ControlServerOptions): Promise<ControlServer> {
    const { socketPath } = options;
    const requests: Requests = { open: 0, done: () => {} };
    try {
      makePublicFolders(socketPath);
      await removeStaleSocket(socketPath);
      return new ControlServer(
        ControlListener.begin(listenerOptions(options, requests)),
        requests,
        socketPath,
      );
    } catch (error) {
      if (error instanceof ControlSocketError) throw error;
      const reason = messageOf(error);
      throw new ControlSocketError(`Cannot open control socket ${socketPath}: ${reason}`, {
        cause: error,
      });
    }
  }

  /**
   * Goes on with the socket that this process listened on before it started over: another takes its
   * name, without a moment in which nobody listens, and whoever has connected meanwhile is answered.
   *
   * @param fd The socket; closed here.
   * @throws {ControlSocketError} When the socket cannot be had.
   */
  static async adopt(fd: number, options: ControlServerOptions): Promise<ControlServer> {
    const { socketPath } = options;
    const requests: Requests = { open: 0, done: () => {} };
    try {
      const listener = await ControlListener.replace(listenerOptions(options, requests));
      const relay = new BacklogRelay(fd, socketPath);
      const end = async (): Promise<void> => {
        await Promise.all([listener.end(), relay.stop()]);
      };
      return new ControlServer({ end }, requests, socketPath);
    } catch (error) {
      const reason = messageOf(error);
      throw new ControlSocketError(`Cannot go on with control socket ${socketPath}: ${reason}`, {
        cause: error,
      });
    }
  }

  /** Ends the server, within {@link STOP_MS} even if a client does not let go. */
  async stop(): Promise<void> {
    if (this.requests.open > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, STOP_MS);
        this.requests.done = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    await this.listener.end();
    // Newer Deno has removed it itself.
    await Deno.remove(this.socketPath).catch(() => {});
  }
}

/** Requests that are being answered. */
interface Requests {
  open: number;
  /** Called whenever the last one is done. */
  done: () => void;
}

function listenerOptions(
  options: ControlServerOptions,
  requests: Requests,
): ControlListenerOptions {
  return {
    socketPath: options.socketPath,
    handler: (request: Request) => answer(request, options, requests),
    onError: options.onError,
  };
}

/** Never throws: what goes wrong inside is told to the log, and the client knows that it did. */
async function answer(
  request: Request,
  options: ControlServerOptions,
  requests: Requests,
): Promise<Response> {
  requests.open++;
  try {
    return await handleControl(request, options);
  } catch (error) {
    options.onError(error);
    return failure(500, "internal error, see toom's log");
  } finally {
    if (--requests.open === 0) requests.done();
  }
}

async function removeStaleSocket(path: string): Promise<void> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (info.isSocket !== true) {
    throw new ControlSocketError(`Cannot open control socket ${path}: it exists and is no socket`);
  }
  try {
    const connection = await Deno.connect({ transport: "unix", path });
    connection.close();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    await Deno.remove(path);
    return;
  }
  throw new ControlSocketError(
    `Cannot open control socket ${path}: another toom answers on it, stop that one first`,
  );
}
