/**
 * The socket on which members of a group may read the control API, and change nothing. Its own mode lets
 * nobody else in; who asks, the kernel says (SO_PEERCRED).
 *
 * They are no administrators: so connections, requests and what waits are bounded, for all and for each
 * user, and a request is a GET of a few lines. The platform's server bounds none of these.
 *
 * @module
 */
import { isPassing } from "../../kernel/ffi/errno.ts";
import { closeFd, readFd } from "../../kernel/ffi/fd.ts";
import {
  acceptConnection,
  listenUnix,
  peerUid,
  sendMessage,
  SocketType,
} from "../../kernel/sockets/seqpacket.ts";

export interface ReadSocketOptions {
  readonly path: string;
  /** Members of it may connect. */
  readonly gid: number;
  /** Answers a GET. */
  readonly answer: (request: Request) => Promise<Response>;
  /** Told of what went wrong inside; must not throw. */
  readonly onError: (error: unknown) => void;
}

/** Root and the group may connect. */
const SOCKET_MODE = 0o660;
const TURN_MS = 50;
/** Connections that are taken in one turn: what answers cost stays a small part of this thread's time. */
const ACCEPTS_PER_TURN_MAX = 4;
export const READ_CONNECTIONS_MAX = 64;
export const USER_CONNECTIONS_MAX = 16;
const HEAD_BYTES_MAX = 8192;
/** By then a request must be there. */
const REQUEST_MS_MAX = 5000;
/** A client that takes nothing for so long is dropped. */
const STALL_MS_MAX = 10_000;

interface Connection {
  readonly fd: number;
  readonly uid: number;
  /** Its answer is under way: what it says now does not matter, but that it goes does. */
  cancel: (() => void) | undefined;
}

export class ReadSocket {
  private readonly options: ReadSocketOptions;
  private readonly fd: number;
  private readonly connections = new Set<Connection>();
  private readonly serving = new Set<Promise<void>>();
  private readonly timer: ReturnType<typeof setInterval>;
  private readonly scratch = new Uint8Array(new ArrayBuffer(HEAD_BYTES_MAX));
  private waiting: (() => void)[] = [];
  private isClosed = false;

  /** @throws {KernelError} When there is no socket to be had. */
  constructor(options: ReadSocketOptions) {
    this.options = options;
    const { path, gid } = options;
    // Nobody's until it is the group's: whoever connects before it listens is refused.
    this.fd = listenUnix(path, 0, SocketType.stream);
    try {
      Deno.chownSync(path, 0, gid);
      Deno.chmodSync(path, SOCKET_MODE);
    } catch (error) {
      closeFd(this.fd);
      throw error;
    }
    this.timer = setInterval(() => this.turn(), TURN_MS);
  }

  /** Takes who waits, and lets those go on who waited for the other end. Never waits. */
  private turn(): void {
    for (let count = 0; count < ACCEPTS_PER_TURN_MAX; count++) {
      const fd = acceptConnection(this.fd);
      if (fd < 0) break;
      this.take(fd);
    }
    for (const connection of this.connections) {
      if (connection.cancel !== undefined && this.hasGone(connection)) connection.cancel();
    }
    const waiting = this.waiting;
    this.waiting = [];
    for (const goOn of waiting) goOn();
  }

  private take(fd: number): void {
    const uid = peerUid(fd);
    const ofUser = [...this.connections].filter((one) => one.uid === uid).length;
    const isFull = this.connections.size >= READ_CONNECTIONS_MAX || ofUser >= USER_CONNECTIONS_MAX;
    if (uid < 0 || isFull) {
      sendMessage(fd, headBytes(503, {}));
      closeFd(fd);
      return;
    }
    const connection: Connection = { fd, uid, cancel: undefined };
    this.connections.add(connection);
    const served = this.serve(connection).finally(() => {
      closeFd(fd);
      this.connections.delete(connection);
      this.serving.delete(served);
    });
    this.serving.add(served);
  }

  private hasGone({ fd }: Connection): boolean {
    const count = readFd(fd, this.scratch);
    return count === 0 || (count < 0 && !isPassing(count));
  }

  /** Never rejects. */
  private async serve(connection: Connection): Promise<void> {
    try {
      const head = await this.readHead(connection.fd);
      if (head === undefined) return;
      const request = requestOf(head);
      await this.send(
        connection,
        request instanceof Request ? await this.options.answer(request) : request,
      );
    } catch (error) {
      this.options.onError(error);
    }
  }

  /** @returns undefined: it has gone, or takes too long. */
  private async readHead(fd: number): Promise<string | undefined> {
    const deadlineMs = performance.now() + REQUEST_MS_MAX;
    const chunk = new Uint8Array(new ArrayBuffer(HEAD_BYTES_MAX));
    let head = "";
    while (!this.isClosed && performance.now() < deadlineMs) {
      const count = readFd(fd, chunk);
      if (count > 0) {
        for (const byte of chunk.subarray(0, count)) head += String.fromCharCode(byte);
        const end = head.indexOf("\r\n\r\n");
        if (end >= 0) return head.slice(0, end);
        if (head.length > HEAD_BYTES_MAX) return undefined;
      } else if (isPassing(count)) await this.nextTurn();
      else return undefined;
    }
    return undefined;
  }

  private async send(connection: Connection, response: Response): Promise<void> {
    const { status, headers, body } = response;
    const reader = body?.getReader();
    connection.cancel = () => void reader?.cancel().catch(() => {});
    try {
      if (!await this.sendAll(connection.fd, headBytes(status, Object.fromEntries(headers)))) {
        return;
      }
      if (reader === undefined) return;
      for (;;) {
        const { value, done } = await reader.read();
        if (done || !await this.sendAll(connection.fd, value)) return;
      }
    } finally {
      connection.cancel();
    }
  }

  /** @returns Whether it was taken. */
  private async sendAll(fd: number, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
    let tookMs = performance.now();
    for (let done = 0; done < bytes.length;) {
      if (this.isClosed) return false;
      const sent = sendMessage(fd, bytes.subarray(done));
      if (sent > 0) {
        done += sent;
        tookMs = performance.now();
      } else if (!isPassing(sent) || performance.now() - tookMs > STALL_MS_MAX) return false;
      else await this.nextTurn();
    }
    return true;
  }

  private nextTurn(): Promise<void> {
    return new Promise((resolve) => void this.waiting.push(resolve));
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    this.isClosed = true;
    clearInterval(this.timer);
    closeFd(this.fd);
    try {
      Deno.removeSync(this.options.path);
    } catch {
      // Somebody else has removed it.
    }
    for (const { cancel } of this.connections) cancel?.();
    for (const goOn of this.waiting) goOn();
    await Promise.all(this.serving);
  }
}

/** Method and path; who speaks as to a proxy has the host in front of that. RFC 9112, 3.2 */
const REQUEST_LINE =
  /^([A-Z]{1,16}) (?:http:\/\/[\w.:-]{1,255})?(\/[\x21-\x7e]{0,2047}) HTTP\/1\.[01]$/;

/** A request, or the answer to one that is none, or that would change something. */
function requestOf(head: string): Request | Response {
  const [first = "", ...lines] = head.split("\r\n");
  const [, method, target] = REQUEST_LINE.exec(first) ??
    [];
  if (method === undefined || target === undefined) {
    return refusal(400, "expected a request of HTTP/1.1");
  }
  if (method !== "GET") {
    return refusal(
      403,
      `expected GET, not ${method}: on this socket all can be read and nothing changed`,
    );
  }
  const headers = new Headers();
  for (const line of lines) {
    const [, name, value] = /^(accept|last-event-id): *([\x20-\x7e]{0,256})$/i.exec(line) ?? [];
    if (name !== undefined && value !== undefined) headers.set(name, value);
  }
  try {
    return new Request(`http://localhost${target}`, { headers });
  } catch {
    return refusal(400, "expected a path of the control API");
  }
}

function refusal(status: number, error: string): Response {
  return Response.json({ error }, { status });
}

function headBytes(
  status: number,
  headers: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return new TextEncoder().encode(`HTTP/1.1 ${status} \r\n${lines}connection: close\r\n\r\n`);
}
