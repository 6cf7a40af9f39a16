/**
 * Memory that asks first, for Deno programs:
 *
 *     await using lease = await tmalloc.reserve("64MiB");
 *     // ... what needs 64 MiB; they are given back at the end of the block.
 *
 * A request that does not fit is a {@link TmallocRefusedError}, and nobody is killed for it. Only
 * the asking is done here: the memory itself comes from wherever the program takes it.
 *
 * Needs `--allow-read` and `--allow-write` of the socket, and `--allow-env=TMALLOC_SOCKET` to look
 * for another than the default; no FFI. The protocol is docs/tmalloc-protocol.md.
 *
 * @module
 */
import {
  readReply,
  REPLY_BYTES,
  type ReplyBytes,
  REQUEST_BYTES,
  RequestType,
  Status,
  STREAM_SUFFIX,
  WAIT_MS_MAX,
  writeRequest,
} from "../pipeline/promises/tmalloc_message.ts";
import { FormatError, parseSizeBytes } from "../pipeline/limits/units.ts";

/** Where toom listens unless it is told otherwise. */
export const TMALLOC_SOCKET_DEFAULT = "/run/toom/tmalloc.sock";
/** A daemon that restarts is back within this time. */
const RECONNECT_MS_MAX = 2000;
const RECONNECT_EVERY_MS = 20;

/** An amount of memory: `"64MiB"`, `"4G"` (powers of 1024), or bytes. */
export type Size = string | number;

/** The memory is not there. */
export class TmallocRefusedError extends Error {
  override readonly name = "TmallocRefusedError";
  readonly requestedBytes: number;
  /** What the user's processes have and were promised, all together. */
  readonly committedBytes: number;
  /** The user's limit. */
  readonly hardBytes: number;
  /**
   * `limit`: it does not fit, or others' claims could not be met any more; `never`: it would not
   * fit even if nobody else had any; `claim`: it is more than this process claimed; `timeout`: it
   * did not fit in time; `busy`: too many requests of this user wait already.
   */
  readonly reason: "limit" | "never" | "claim" | "timeout" | "busy";

  constructor(requestedBytes: number, reply: ReplyBytes) {
    const reason = reasonOf(reply);
    const { committedBytes, hardBytes } = reply;
    super(
      `Cannot reserve ${requestedBytes} bytes (${reason}): ${committedBytes} of ${hardBytes} ` +
        "bytes are committed",
    );
    this.requestedBytes = requestedBytes;
    this.committedBytes = committedBytes;
    this.hardBytes = hardBytes;
    this.reason = reason;
  }
}

/** toom cannot be asked: it does not run, or this program may not open its socket. */
export class TmallocUnavailableError extends Error {
  override readonly name = "TmallocUnavailableError";
}

function reasonOf({ status, never }: ReplyBytes): TmallocRefusedError["reason"] {
  if (status === Status.timedOut) return "timeout";
  if (status === Status.beyondClaim) return "claim";
  if (status === Status.tooManyWaits || status === Status.noRoom) return "busy";
  return never ? "never" : "limit";
}

/** What {@link TmallocClient.query} tells; bytes. */
export interface TmallocInfo {
  /** The most that this process may have without asking again. */
  readonly levelBytes: number;
  readonly residentBytes: number;
  /** Of the user. */
  readonly committedBytes: number;
  /** Of the user; Infinity when it has no limit. */
  readonly hardBytes: number;
  /** 0: nothing claimed. */
  readonly claimBytes: number;
  /**
   * Of the user: what its limit is compared with, all its processes together. `undefined` when it
   * has no limit, as nobody counts then.
   */
  readonly usageBytes: number | undefined;
  /** Of the user: what could be granted now. Infinity when it has no limit. */
  readonly headroomBytes: number;
}

/** Memory that was granted. Give it back, or let `await using` do it. */
export class Lease implements AsyncDisposable {
  /** What was granted: at least what was asked for, in whole pages. */
  readonly bytes: number;
  private readonly client: TmallocClient;
  private released = false;

  /** Made by {@link TmallocClient.reserve}. */
  constructor(client: TmallocClient, bytes: number) {
    this.client = client;
    this.bytes = bytes;
  }

  /** Gives the memory back: call it when what was in it is garbage. A second call does nothing. */
  async release(): Promise<void> {
    if (this.released) return;
    this.released = true;
    await this.client.giveBack(this.bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

interface Asked {
  readonly type: RequestType;
  readonly bytes: number;
  readonly untilMs: number;
  readonly resolve: (reply: ReplyBytes) => void;
  readonly reject: (error: Error) => void;
}

/** A connection to toom. Several requests may be under way at once. */
export class TmallocClient implements Disposable {
  private readonly path: string;
  private conn: Deno.UnixConn | undefined;
  private readonly asked = new Map<number, Asked>();
  private nextId = 1;
  private levelBytes = 0;
  private reservedBytes = 0;
  private isReading = false;
  private isClosed = false;
  private writing: Promise<unknown> = Promise.resolve();

  /** @param socketPath Where toom listens; else TMALLOC_SOCKET, else the default. */
  constructor(socketPath?: string) {
    this.path = socketPath ?? socketFromEnvironment() ?? TMALLOC_SOCKET_DEFAULT;
  }

  /**
   * Asks for memory.
   *
   * @throws {TmallocRefusedError} When it is not there.
   * @throws {TmallocUnavailableError} When nobody can be asked.
   * @throws {RangeError} When the size is none.
   */
  async reserve(size: Size): Promise<Lease> {
    return await this.lease(RequestType.reserve, bytesOf(size), 0);
  }

  /**
   * Asks for memory, and waits until it is there.
   *
   * @param options `timeoutMs`: how long at most, up to a day; after that it is refused.
   */
  async wait(size: Size, options: { readonly timeoutMs: number }): Promise<Lease> {
    const { timeoutMs } = options;
    if (!(timeoutMs >= 0 && timeoutMs <= WAIT_MS_MAX)) {
      throw new RangeError(
        `Cannot wait ${timeoutMs} ms: expected 0 to ${WAIT_MS_MAX} milliseconds`,
      );
    }
    return await this.lease(RequestType.wait, bytesOf(size), Math.round(timeoutMs));
  }

  private async lease(type: RequestType, bytes: number, timeoutMs: number): Promise<Lease> {
    const reply = await this.ask(type, bytes, timeoutMs);
    if (reply.status !== Status.ok) throw new TmallocRefusedError(bytes, reply);
    this.reservedBytes += reply.bytes;
    return new Lease(this, reply.bytes);
  }

  /**
   * Declares the most that this process will ever need beyond what it has now: requests are granted
   * only while everybody who has declared a claim can still get it, so nobody gets stuck.
   *
   * @param size 0 withdraws the claim.
   * @throws {TmallocRefusedError} When it could not be met.
   */
  async claim(size: Size): Promise<void> {
    const ahead = bytesOf(size, 0);
    const { levelBytes } = await this.ask(RequestType.claim, 0, 0);
    if (ahead === 0) return;
    const reply = await this.ask(RequestType.claim, levelBytes + ahead, 0);
    if (reply.status !== Status.ok) throw new TmallocRefusedError(ahead, reply);
  }

  /** Asks for the numbers only. */
  async query(): Promise<TmallocInfo> {
    const reply = await this.ask(RequestType.query, 0, 0);
    const { levelBytes, residentBytes, committedBytes, hardBytes, claimBytes } = reply;
    return {
      levelBytes,
      residentBytes,
      committedBytes,
      hardBytes,
      claimBytes,
      usageBytes: reply.usageKnown ? reply.bytes : undefined,
      headroomBytes: Math.max(0, hardBytes - committedBytes),
    };
  }

  /** What {@link Lease.release} calls. */
  async giveBack(bytes: number): Promise<void> {
    if (this.isClosed) return;
    this.reservedBytes -= bytes;
    await this.ask(RequestType.release, bytes, 0);
  }

  /** Ends the connection. What was granted stays granted until this process ends. */
  close(): void {
    this.isClosed = true;
    this.conn?.close();
    this.conn = undefined;
    this.failAll(new TmallocUnavailableError("Cannot ask toom: this client has been closed"));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // ------------------------------------------------------------------------------- conversation

  private async ask(type: RequestType, bytes: number, timeoutMs: number): Promise<ReplyBytes> {
    if (this.isClosed) {
      throw new TmallocUnavailableError("Cannot ask toom: this client has been closed");
    }
    const id = this.nextId++ >>> 0;
    const { promise, resolve, reject } = Promise.withResolvers<ReplyBytes>();
    const untilMs = performance.now() + timeoutMs;
    this.asked.set(id, { type, bytes, untilMs, resolve, reject });
    try {
      this.conn ??= await this.connect();
      await this.send(id);
    } catch (error) {
      if (error instanceof TmallocUnavailableError) {
        this.asked.delete(id);
        throw error;
      }
      // A broken pipe: the reader finds it too, and connects again.
    }
    void this.read();
    return await promise;
  }

  private async connect(): Promise<Deno.UnixConn> {
    try {
      return await Deno.connect({ transport: "unix", path: this.path + STREAM_SUFFIX });
    } catch (error) {
      throw unavailable(this.path, error);
    }
  }

  /** Sends a request, one after the other. */
  private async send(id: number): Promise<void> {
    const asked = this.asked.get(id);
    const { conn } = this;
    if (asked === undefined || conn === undefined) return;
    const { type, bytes, untilMs } = asked;
    const timeoutMs = Math.max(0, Math.round(untilMs - performance.now()));
    const isWait = type === RequestType.wait;
    await this.write(conn, { type, id, bytes, ...(isWait ? { timeoutMs } : {}) });
  }

  private async write(
    conn: Deno.UnixConn,
    request: Parameters<typeof writeRequest>[1],
  ): Promise<void> {
    const message = new DataView(new ArrayBuffer(REQUEST_BYTES));
    writeRequest(message, request);
    const bytes = new Uint8Array(message.buffer);
    const turn = this.writing.catch(() => {}).then(async () => {
      for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
    });
    this.writing = turn;
    await turn;
  }

  /** Reads replies as long as one is due; so an idle client keeps no program alive. */
  private async read(): Promise<void> {
    if (this.isReading) return;
    this.isReading = true;
    try {
      const bytes = new Uint8Array(REPLY_BYTES);
      while (this.asked.size > 0 && !this.isClosed) {
        const conn = this.conn;
        if (conn !== undefined && await readWhole(conn, bytes)) this.take(bytes);
        else if (!this.isClosed) await this.reconnect();
      }
    } catch (error) {
      this.failAll(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.isReading = false;
    }
  }

  private take(bytes: Uint8Array): void {
    const reply = readReply(new DataView(bytes.buffer), bytes.length);
    if (reply === undefined) {
      throw new TmallocUnavailableError("Cannot understand toom: its reply is none of version 1");
    }
    this.levelBytes = reply.levelBytes;
    const asked = this.asked.get(reply.id);
    this.asked.delete(reply.id);
    asked?.resolve(reply);
  }

  /** The daemon was restarted: tells the new one what is held, and asks again. */
  private async reconnect(): Promise<void> {
    this.conn?.close();
    this.conn = undefined;
    const untilMs = performance.now() + RECONNECT_MS_MAX;
    for (;;) {
      try {
        const conn = await this.connect();
        if (this.reservedBytes > 0) {
          await this.write(conn, {
            type: RequestType.declare,
            id: 0,
            bytes: this.levelBytes,
            minBytes: this.reservedBytes,
          });
        }
        this.conn = conn;
        for (const id of this.asked.keys()) await this.send(id);
        return;
      } catch (error) {
        if (performance.now() > untilMs || this.isClosed) throw error;
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_EVERY_MS));
      }
    }
  }

  private failAll(error: Error): void {
    for (const { reject } of this.asked.values()) reject(error);
    this.asked.clear();
  }
}

/** @returns false when the connection has ended. */
async function readWhole(conn: Deno.UnixConn, bytes: Uint8Array): Promise<boolean> {
  try {
    for (let at = 0; at < bytes.length;) {
      const count = await conn.read(bytes.subarray(at));
      if (count === null) return false;
      at += count;
    }
    return true;
  } catch {
    return false;
  }
}

function bytesOf(size: Size, least = 1): number {
  let bytes: number;
  try {
    bytes = typeof size === "number" ? size : parseSizeBytes(size, 0);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new RangeError(`Cannot reserve: ${error.message}`, { cause: error });
  }
  if (Number.isSafeInteger(bytes) && bytes >= least) return bytes;
  throw new RangeError(
    `Cannot reserve ${JSON.stringify(size)}: expected a size such as "64MiB", or bytes`,
  );
}

function socketFromEnvironment(): string | undefined {
  try {
    return Deno.env.get("TMALLOC_SOCKET");
  } catch {
    return undefined; // Not permitted: the default then.
  }
}

function unavailable(path: string, error: unknown): TmallocUnavailableError {
  const isDenied = error instanceof Deno.errors.NotCapable;
  const mend = isDenied
    ? `give Deno --allow-read=${path}${STREAM_SUFFIX} --allow-write=${path}${STREAM_SUFFIX}`
    : "is toom running? see toom status";
  const reason = error instanceof Error ? error.message : String(error);
  return new TmallocUnavailableError(`Cannot ask toom at ${path}: ${reason} (${mend})`, {
    cause: error,
  });
}

let shared: TmallocClient | undefined;
const client = (): TmallocClient => shared ??= new TmallocClient();

/** The program's own client, connected when it asks first. */
export const tmalloc = {
  /** See {@link TmallocClient.reserve}. */
  reserve: (size: Size): Promise<Lease> => client().reserve(size),
  /** See {@link TmallocClient.wait}. */
  wait: (size: Size, options: { readonly timeoutMs: number }): Promise<Lease> =>
    client().wait(size, options),
  /** See {@link TmallocClient.claim}. */
  claim: (size: Size): Promise<void> => client().claim(size),
  /** See {@link TmallocClient.query}. */
  query: (): Promise<TmallocInfo> => client().query(),
} as const;
