/**
 * Those who had connected to a socket before its successor took its name: they are accepted here, and
 * what they say goes on to the successor, and back. `Deno.serve` cannot go on with a socket that
 * listens already.
 *
 * @module
 */
import { isPassing } from "../../kernel/ffi/errno.ts";
import { closeFd, readFd } from "../../kernel/ffi/fd.ts";
import { acceptConnection, sendMessage } from "../../kernel/sockets/seqpacket.ts";

/** Who waits behind so many has to ask again. */
const CONNECTIONS_MAX = 256;
/** A connection that does nothing more is closed then. */
const CONNECTION_MS_MAX = 10_000;
const CHUNK_BYTES = 16_384;
const POLL_MS = 2;

export class BacklogRelay {
  private readonly path: string;
  private readonly under = new Set<Promise<void>>();
  private isOver = false;

  /**
   * Takes all who wait, and closes the socket that they wait on.
   *
   * @param listenFd A stream socket that listens and that no path leads to any more.
   * @param path Where its successor answers.
   */
  constructor(listenFd: number, path: string) {
    this.path = path;
    for (let count = 0; count < CONNECTIONS_MAX; count++) {
      const fd = acceptConnection(listenFd);
      if (fd < 0) break;
      const relayed = this.relay(fd).finally(() => this.under.delete(relayed));
      this.under.add(relayed);
    }
    closeFd(listenFd);
  }

  /** Ends what is under way. */
  async stop(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.under);
  }

  private async relay(fd: number): Promise<void> {
    const deadlineMs = performance.now() + CONNECTION_MS_MAX;
    const isOver = (): boolean => this.isOver || performance.now() > deadlineMs;
    try {
      using server = await Deno.connect({ transport: "unix", path: this.path });
      const answers = sendAnswers(server, fd, isOver);
      let isAnswered = false;
      void answers.then(() => isAnswered = true);
      await passRequests(fd, server, () => isAnswered || isOver());
      while (!isAnswered && !isOver()) await delay();
    } catch {
      // One of both has gone: the other sees its connection end.
    } finally {
      closeFd(fd);
    }
  }
}

/** Until the client says no more. */
async function passRequests(
  fd: number,
  server: Deno.UnixConn,
  isOver: () => boolean,
): Promise<void> {
  const chunk = new Uint8Array(new ArrayBuffer(CHUNK_BYTES));
  while (!isOver()) {
    const count = readFd(fd, chunk);
    if (count > 0) {
      for (let done = 0; done < count;) done += await server.write(chunk.subarray(done, count));
    } else if (isPassing(count)) await delay();
    else {
      await server.closeWrite();
      return;
    }
  }
}

/** Until the server closes. Never throws. */
async function sendAnswers(
  server: Deno.UnixConn,
  fd: number,
  isOver: () => boolean,
): Promise<void> {
  const chunk = new Uint8Array(new ArrayBuffer(CHUNK_BYTES));
  try {
    for (let count = await server.read(chunk); count !== null; count = await server.read(chunk)) {
      for (let done = 0; done < count && !isOver();) {
        const sent = sendMessage(fd, chunk.subarray(done, count));
        if (sent > 0) done += sent;
        else if (isPassing(sent)) await delay();
        else return;
      }
      if (isOver()) return;
    }
  } catch {
    // Closed from this side: it is over.
  }
}

function delay(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
