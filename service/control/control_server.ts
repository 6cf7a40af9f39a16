/**
 * The control API's server: HTTP over a Unix socket that only its owner may open.
 *
 * @module
 */
import type { z } from "zod";
import {
  formatUidRange,
  isNoLimit,
  type LimitRule,
  limitRule,
  LimitRules,
  parseHardBytes,
  parseSoft,
  parseUidRange,
  RulesFullError,
  sameUids,
  type SoftSpec,
  type UidRange,
} from "../../pipeline/limits/limits.ts";
import { FormatError, quote } from "../../pipeline/limits/units.ts";
import type { OriginRule } from "../limits/origin_rule.ts";
import { BacklogRelay } from "./backlog_relay.ts";
import { makePublicFolders } from "./public_folder.ts";
import {
  CONTROL_BODY_BYTES_MAX,
  CONTROL_PATH,
  type ControlBackend,
  FaultRequest,
  type LimitReport,
  LimitRequest,
} from "./control_api.ts";

export interface ControlServerOptions {
  readonly socketPath: string;
  readonly backend: ControlBackend;
  readonly totalMemoryBytes: number;
  readonly pageBytes: number;
  /** Where the soft limit lies when a request does not say. */
  readonly softDefault: SoftSpec;
  readonly debugFaults: boolean;
  /** Told of what went wrong inside; must not throw. */
  readonly onError: (error: unknown) => void;
}

/** Why there is no control socket: one line. */
export class ControlSocketError extends Error {
  override readonly name = "ControlSocketError";
}

/** Most bytes of a body that are read, if only to be thrown away. */
const DRAIN_BYTES_MAX = 1024 * 1024;
/** How long requests under way may hold up the end. */
const STOP_MS = 300;

/** What accepts connections. */
export interface ControlListener {
  /** Accepts no more, and drops the connections there are. */
  end(): Promise<void>;
}

/** Where the successor of a socket is bound, before it takes its name. Never longer: that is bounded. */
export function nextPath(socketPath: string): string {
  return socketPath.replace(/[^/]*$/, "~");
}

/** A server that answers until it is stopped. */
export class ControlServer {
  private readonly listener: ControlListener;
  private readonly requests: Requests;
  private readonly socketPath: string;

  private constructor(listener: ControlListener, requests: Requests, socketPath: string) {
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
      return new ControlServer(listen(options, requests), requests, socketPath);
    } catch (error) {
      if (error instanceof ControlSocketError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
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
    const next = nextPath(socketPath);
    try {
      await Deno.remove(next).catch(() => {});
      const listener = listen({ ...options, socketPath: next }, requests);
      await Deno.rename(next, socketPath);
      const relay = new BacklogRelay(fd, socketPath);
      const end = async (): Promise<void> => {
        await Promise.all([listener.end(), relay.stop()]);
      };
      return new ControlServer({ end }, requests, socketPath);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
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

function listen(options: ControlServerOptions, requests: Requests): ControlListener {
  const abort = new AbortController();
  // `bind` makes the file; whoever connects between it and a chmod would be in.
  const umask = Deno.umask(0o177);
  try {
    const server = Deno.serve(
      { path: options.socketPath, signal: abort.signal, onListen: () => {} },
      (request) => answer(request, options, requests),
    );
    const end = async (): Promise<void> => {
      // Not `shutdown()`: it waits for idle connections, and cannot be aborted once it has begun.
      abort.abort();
      await server.finished;
    };
    try {
      Deno.chmodSync(options.socketPath, 0o600);
    } catch (error) {
      void end();
      throw error;
    }
    return { end };
  } finally {
    Deno.umask(umask);
  }
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

// ---------------------------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------------------------

/** An answer other than the one that was hoped for. */
class RequestError extends Error {
  override readonly name = "RequestError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

type HandlerOptions = Omit<ControlServerOptions, "socketPath" | "onError">;

/** Answers one request; the server without its socket. */
export async function handleControl(request: Request, options: HandlerOptions): Promise<Response> {
  try {
    return await route(request, options);
  } catch (error) {
    if (error instanceof RequestError) return failure(error.status, error.message);
    if (error instanceof FormatError) return failure(400, error.message);
    if (error instanceof RulesFullError) return failure(409, error.message);
    throw error;
  }
}

function failure(status: number, error: string): Response {
  return Response.json({ error }, { status });
}

function route(request: Request, options: HandlerOptions): Response | Promise<Response> {
  const { backend } = options;
  const { method } = request;
  const path = new URL(request.url).pathname;
  if (path === CONTROL_PATH.status) {
    allow(method, "GET");
    return Response.json(backend.status());
  }
  if (path === CONTROL_PATH.limits) {
    allow(method, "GET");
    const limits = backend.limits().map((rule) => limitReport(rule, options.pageBytes));
    return Response.json({ limits });
  }
  if (path.startsWith(`${CONTROL_PATH.limits}/`)) {
    allow(method, "GET", "PUT", "DELETE");
    const uids = readTarget(path.slice(CONTROL_PATH.limits.length + 1));
    if (method === "GET") return getLimit(uids, options);
    return method === "PUT" ? putLimit(request, uids, options) : deleteLimit(uids, backend);
  }
  if (path === CONTROL_PATH.fault && options.debugFaults) {
    allow(method, "POST");
    return provokeFault(request, backend);
  }
  throw new RequestError(404, `expected one of the paths of the control API, not ${quote(path)}`);
}

function allow(method: string, ...methods: string[]): void {
  if (!methods.includes(method)) {
    throw new RequestError(405, `expected ${methods.join(", ")}, not ${quote(method)}`);
  }
}

function readTarget(text: string): UidRange {
  const uids = parseUidRange(text);
  if (uids !== undefined) return uids;
  throw new RequestError(400, `expected a uid or a range such as 1000-59999, not ${quote(text)}`);
}

function limitReport(rule: OriginRule, pageBytes: number): LimitReport {
  const { uidFirst, uidLast, hardPages, softPages, origin } = rule;
  if (isNoLimit(rule)) {
    const none = { hardBytes: null, softBytes: null, hardPages: null, softPages: null };
    return { uidFirst, uidLast, ...none, origin };
  }
  return {
    uidFirst,
    uidLast,
    hardBytes: hardPages * pageBytes,
    softBytes: softPages * pageBytes,
    hardPages,
    softPages,
    origin,
  };
}

function getLimit(uids: UidRange, { backend, pageBytes }: HandlerOptions): Response {
  const limits = backend.limits();
  const rules = new LimitRules();
  for (const rule of limits) rules.set(rule);
  // Of a single uid people want to know what holds for it, be it by way of a range.
  const wanted = uids.uidFirst === uids.uidLast ? rules.find(backend.ownerOf(uids.uidFirst)) : uids;
  const found = wanted && limits.find((rule) => sameUids(rule, wanted));
  if (found === undefined) throw new RequestError(404, `no limit for ${formatUidRange(uids)}`);
  return Response.json({ limit: limitReport(found, pageBytes) });
}

async function putLimit(
  request: Request,
  uids: UidRange,
  options: HandlerOptions,
): Promise<Response> {
  const body = await readBody(request, LimitRequest);
  const { totalMemoryBytes, pageBytes } = options;
  const hardBytes = typeof body.hard === "number"
    ? body.hard
    : parseHardBytes(body.hard, totalMemoryBytes, pageBytes);
  if (hardBytes === Infinity && body.soft !== undefined) {
    throw new FormatError(
      `expected no soft limit where there is no limit, not ${quote(String(body.soft))}`,
    );
  }
  const rule: LimitRule = limitRule(
    uids,
    hardBytes,
    body.soft === undefined ? options.softDefault : readSoft(body.soft),
    pageBytes,
  );
  const { persisted } = await options.backend.setLimit(rule);
  const limit = limitReport({ ...rule, origin: "control" }, pageBytes);
  return Response.json({ limit, persisted });
}

function readSoft(soft: string | number): SoftSpec {
  // A number is bytes by the schema; a text is what a person wrote.
  return typeof soft === "number" && soft > 0
    ? { kind: "bytes", bytes: soft }
    : parseSoft(String(soft));
}

async function deleteLimit(uids: UidRange, backend: ControlBackend): Promise<Response> {
  const { cleared, persisted } = await backend.clearLimit(uids.uidFirst, uids.uidLast);
  if (!cleared) throw new RequestError(404, `no limit for exactly ${formatUidRange(uids)}`);
  return Response.json({ cleared, persisted });
}

async function provokeFault(request: Request, backend: ControlBackend): Promise<Response> {
  const { role, kind } = await readBody(request, FaultRequest);
  if (!backend.fault(role, kind)) throw new RequestError(404, `no worker ${role}`);
  return Response.json({});
}

async function readBody<Output>(request: Request, schema: z.ZodType<Output>): Promise<Output> {
  let content: unknown;
  try {
    content = JSON.parse(await readText(request));
  } catch (error) {
    if (error instanceof RequestError) throw error;
    throw new RequestError(400, "expected a body of JSON");
  }
  const result = schema.safeParse(content);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  throw new RequestError(400, `body: ${path.length === 0 ? "" : `${path.join(".")}: `}${message}`);
}

async function readText(request: Request): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let totalBytes = 0;
  for await (const chunk of request.body ?? []) {
    totalBytes += chunk.byteLength;
    if (totalBytes <= CONTROL_BODY_BYTES_MAX) text += decoder.decode(chunk, { stream: true });
    // What is a little too long is read to its end, or the client would not get to see the answer.
    if (totalBytes > DRAIN_BYTES_MAX) break;
  }
  if (totalBytes <= CONTROL_BODY_BYTES_MAX) return text + decoder.decode();
  throw new RequestError(413, `expected a body of at most ${CONTROL_BODY_BYTES_MAX} bytes`);
}
