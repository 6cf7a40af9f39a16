/**
 * HTTP on a Unix socket that goes on when connections could not be accepted. `Deno.serve` ends for good
 * once accept(2) has failed, as with EMFILE when no descriptor is left; here another one takes its place
 * as soon as it can be had.
 *
 * @module
 */

/** From a failure to the next try. */
const RETRY_MS = 200;

/** Where the successor of a socket is bound, before it takes its name. Never longer: that is bounded. */
export function nextPath(socketPath: string): string {
  return socketPath.replace(/[^/]*$/, "~");
}

export interface ControlListenerOptions {
  readonly socketPath: string;
  readonly handler: (request: Request) => Promise<Response>;
  /** Told once of each time that it has to be begun anew; must not throw. */
  readonly onError: (error: unknown) => void;
}

/** What accepts connections. */
export class ControlListener {
  private readonly options: ControlListenerOptions;
  private current: Serving;
  private readonly watching: Promise<void>;
  private readonly ended = Promise.withResolvers<void>();
  private isEnded = false;

  private constructor(options: ControlListenerOptions, first: Serving) {
    this.options = options;
    this.current = first;
    this.watching = this.watch();
  }

  /**
   * Makes the socket, mode 0600 from its first moment on.
   * @throws {Error} Of bind(2) or chmod(2).
   */
  static begin(options: ControlListenerOptions): ControlListener {
    return new ControlListener(options, serve(options.socketPath, options.handler));
  }

  /** As {@link begin}, in the place of a socket that is there: without a moment that has none. */
  static async replace(options: ControlListenerOptions): Promise<ControlListener> {
    return new ControlListener(options, await replaceBy(options));
  }

  /** Accepts no more, and drops the connections there are. */
  async end(): Promise<void> {
    this.isEnded = true;
    this.ended.resolve();
    this.current.abort.abort();
    await this.watching;
  }

  private async watch(): Promise<void> {
    for (;;) {
      try {
        await this.current.finished;
        return;
      } catch (error) {
        if (this.isEnded) return;
        this.options.onError(error);
      }
      if (!await this.beginAnew()) return;
    }
  }

  /** @returns false when it has been ended meanwhile. */
  private async beginAnew(): Promise<boolean> {
    this.current.abort.abort();
    for (;;) {
      await this.rest();
      if (this.isEnded) return false;
      try {
        this.current = await replaceBy(this.options);
      } catch {
        continue; // What failed before fails still.
      }
      if (this.isEnded) this.current.abort.abort();
      return true;
    }
  }

  private async rest(): Promise<void> {
    const passed = Promise.withResolvers<void>();
    const timer = setTimeout(passed.resolve, RETRY_MS);
    await Promise.race([passed.promise, this.ended.promise]);
    clearTimeout(timer);
  }
}

interface Serving {
  readonly abort: AbortController;
  /** Resolves when it was aborted, rejects when it cannot accept. */
  readonly finished: Promise<void>;
}

async function replaceBy({ socketPath, handler }: ControlListenerOptions): Promise<Serving> {
  const next = nextPath(socketPath);
  await Deno.remove(next).catch(() => {});
  const serving = serve(next, handler);
  try {
    await Deno.rename(next, socketPath);
  } catch (error) {
    serving.abort.abort();
    await serving.finished.catch(() => {});
    throw error;
  }
  return serving;
}

function serve(path: string, handler: ControlListenerOptions["handler"]): Serving {
  const abort = new AbortController();
  // `bind` makes the file; whoever connects between it and a chmod would be in.
  const umask = Deno.umask(0o177);
  try {
    // By its signal, not `shutdown()`: that waits for idle connections, and cannot be aborted.
    const { finished } = Deno.serve({ path, signal: abort.signal, onListen: () => {} }, handler);
    try {
      Deno.chmodSync(path, 0o600);
    } catch (error) {
      finished.catch(() => {});
      abort.abort();
      throw error;
    }
    return { abort, finished };
  } finally {
    Deno.umask(umask);
  }
}
