/**
 * Hears of kills from the daemon's stream of events, so that they are shown when they happen and not a
 * second later. Where it cannot be had, the looks find them.
 *
 * @module
 */
import { CONTROL_PATH } from "../../service/control/control_api.ts";

const RETRY_MS = 2000;
const QUERY = "kinds=kill,killed,limit,ready";

export class KillWatch {
  private readonly abort = new AbortController();
  private readonly clients: readonly Deno.HttpClient[];
  private readonly watching: Promise<void>;

  /**
   * @param socketPaths The control socket, and that of those who may only read: whichever answers.
   * @param onKill Called after each kill and each end of a victim, now and then for nothing.
   */
  constructor(socketPaths: readonly string[], onKill: () => void) {
    this.clients = socketPaths.map((path) =>
      Deno.createHttpClient({ proxy: { transport: "unix", path } })
    );
    this.watching = this.watch(onKill);
  }

  private async watch(onKill: () => void): Promise<void> {
    const { signal } = this.abort;
    for (let turn = 0; !signal.aborted; turn++) {
      try {
        const response = await fetch(`http://localhost${CONTROL_PATH.events}?${QUERY}`, {
          client: this.clients[turn % this.clients.length]!,
          signal,
        });
        if (response.ok) { for await (const _ of response.body ?? []) onKill(); }
        else await response.body?.cancel();
      } catch {
        // The daemon has gone, or this is the end.
      }
      await pause(RETRY_MS, signal);
    }
  }

  async stop(): Promise<void> {
    this.abort.abort();
    await this.watching;
    for (const client of this.clients) client.close();
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
