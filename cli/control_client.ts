/**
 * The client of the control API: `fetch` over the Unix socket, answers checked with zod.
 *
 * `Deno.createHttpClient` with a Unix proxy works from Deno 2.4 on.
 *
 * @module
 */
import { z } from "zod";
import { formatUidRange, type UidRange } from "../pipeline/limits/limits.ts";
import {
  Audit,
  ClearAnswer,
  ConfigAnswer,
  CONTROL_PATH,
  ErrorAnswer,
  Explanation,
  KillList,
  LimitAnswer,
  LimitList,
  type LimitRequest,
  ReloadAnswer,
  type ReloadRequest,
  StatusReport,
} from "../service/control/control_api.ts";
import { RECORDING_HEADER } from "../service/control/control_requests.ts";
import { readSocketPath } from "../service/control/read_socket_path.ts";
import { ownUsage } from "./own_usage.ts";
import { FailedError, UnsupportedError, UsageError } from "./errors.ts";

/** Longer than any answer takes, shorter than anybody wants to wait. */
const ANSWER_MS_MAX = 10_000;
/** Names may have to be looked up in a directory that takes its time. */
const RELOAD_MS_MAX = 60_000;
const TRIES_MAX = 5;
const RETRY_MS = 100;

/** A recording that toom makes. */
export interface RecordingAnswer {
  readonly id: number;
  readonly chunks: ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** The connection ended before the answer. */
class LostError extends FailedError {}

/** Talks to the toom that runs here. Close it at the end. */
export class ControlClient implements Disposable {
  private readonly socketPath: string;
  /** Of each socket that was asked. */
  private readonly clients = new Map<string, Deno.HttpClient>();

  /** @param socketPath The daemon's `--control-socket`. */
  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  [Symbol.dispose](): void {
    for (const client of this.clients.values()) client.close();
  }

  private clientOf(path: string): Deno.HttpClient {
    let client = this.clients.get(path);
    if (client === undefined) {
      client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
      this.clients.set(path, client);
    }
    return client;
  }

  /** The limits in force. */
  async limits(): Promise<LimitList> {
    return await this.ask(LimitList, "GET", CONTROL_PATH.limits);
  }

  /** Of one uid the limit that holds for it, of a range its own; `undefined` when there is none. */
  async limit(uids: UidRange): Promise<LimitAnswer | undefined> {
    return await this.askUnlessMissing(LimitAnswer, "GET", limitPath(uids));
  }

  /** Puts a limit in force. */
  async setLimit(uids: UidRange, request: LimitRequest): Promise<LimitAnswer> {
    return await this.ask(LimitAnswer, "PUT", limitPath(uids), request);
  }

  /** Ends the limit of exactly these uids; `undefined` when there is none. */
  async clearLimit(uids: UidRange): Promise<ClearAnswer | undefined> {
    return await this.askUnlessMissing(ClearAnswer, "DELETE", limitPath(uids));
  }

  /** What is in force, and who said so. */
  async config(): Promise<ConfigAnswer> {
    return await this.ask(ConfigAnswer, "GET", CONTROL_PATH.config);
  }

  /** Has toom read its configuration again; refused or not, the answer says it. */
  async reload(request: ReloadRequest = {}): Promise<ReloadAnswer> {
    const { status, content } = await this.request(
      "POST",
      CONTROL_PATH.reload,
      request,
      RELOAD_MS_MAX,
    );
    return checkAnswer(ReloadAnswer, status === 422 ? 200 : status, content);
  }

  /** Forgets what was set while running for exactly these uids; `undefined` when nothing was. */
  async resetLimit(uids: UidRange): Promise<ClearAnswer | undefined> {
    const path = `${CONTROL_PATH.overrides}/${formatUidRange(uids)}`;
    return await this.askUnlessMissing(ClearAnswer, "DELETE", path);
  }

  /** The last kills, and where older ones are. */
  async kills(): Promise<KillList> {
    return await this.ask(KillList, "GET", CONTROL_PATH.kills);
  }

  /** Why nobody of a user is killed, or who would be. */
  async explain(uid: number): Promise<Explanation> {
    return await this.ask(Explanation, "GET", `${CONTROL_PATH.explain}/${uid}`);
  }

  /** What the books say of a user. */
  async audit(uid: number): Promise<Audit> {
    return await this.ask(Audit, "GET", `${CONTROL_PATH.audit}/${uid}`);
  }

  async status(): Promise<StatusReport> {
    return await this.ask(StatusReport, "GET", CONTROL_PATH.status);
  }

  /** Begins a recording: chunks of its file, from the first on. Cancelled by `signal`. */
  async record(signal: AbortSignal): Promise<RecordingAnswer> {
    const client = this.clientOf(await this.probe(false));
    const path = CONTROL_PATH.recordings;
    let response: Response;
    try {
      response = await fetch(`http://localhost${path}`, {
        method: "POST",
        client,
        signal,
      });
    } catch (error) {
      throw new FailedError(
        `Cannot talk to toom on ${this.socketPath}: ${(error as Error).message}`,
        { cause: error },
      );
    }
    const id = Number(response.headers.get(RECORDING_HEADER) ?? NaN);
    if (response.ok && Number.isInteger(id) && response.body !== null) {
      return { id, chunks: response.body };
    }
    const refusal = ErrorAnswer.safeParse(await response.json().catch(() => undefined));
    const reason = refusal.success ? refusal.data.error : `status ${response.status}`;
    throw new FailedError(`toom does not record: ${reason}`);
  }

  /** Ends a recording, so that its stream ends with what has come until now. */
  async endRecording(id: number): Promise<void> {
    await this.askUnlessMissing(z.object({}), "DELETE", `${CONTROL_PATH.recordings}/${id}`);
  }

  private async askUnlessMissing<Answer>(
    schema: z.ZodType<Answer>,
    method: string,
    path: string,
  ): Promise<Answer | undefined> {
    const { status, content } = await this.request(method, path);
    return status === 404 ? undefined : checkAnswer(schema, status, content);
  }

  private async ask<Answer>(
    schema: z.ZodType<Answer>,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<Answer> {
    const { status, content } = await this.request(method, path, body);
    return checkAnswer(schema, status, content);
  }

  private async request(
    method: string,
    path: string,
    body?: unknown,
    answerMsMax = ANSWER_MS_MAX,
  ): Promise<{ status: number; content: unknown }> {
    for (let tries = 1;; tries++) {
      // Before the request, as `fetch` does not tell why it cannot connect.
      const client = this.clientOf(await this.probe(method === "GET"));
      try {
        return await this.requestOnce(client, method, path, body, answerMsMax);
      } catch (error) {
        // toom may have started over meanwhile; what is asked twice is no more than asked once.
        if (!(error instanceof LostError) || tries === TRIES_MAX) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  private async requestOnce(
    client: Deno.HttpClient,
    method: string,
    path: string,
    body: unknown,
    answerMsMax: number,
  ): Promise<{ status: number; content: unknown }> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), answerMsMax);
    let status: number;
    let text: string;
    try {
      const response = await fetch(`http://localhost${path}`, {
        method,
        client,
        signal: deadline.signal,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      status = response.status;
      text = await response.text();
    } catch (error) {
      if (deadline.signal.aborted) {
        throw new FailedError(
          `toom did not answer on ${this.socketPath} within ${answerMsMax / 1000} s`,
          { cause: error },
        );
      }
      throw new LostError(
        `Cannot talk to toom on ${this.socketPath}: ${(error as Error).message}`,
        { cause: error },
      );
    } finally {
      clearTimeout(timer);
    }
    try {
      return { status, content: JSON.parse(text) };
    } catch {
      throw new FailedError(`What answers on ${this.socketPath} is no toom: no JSON in its answer`);
    }
  }

  /**
   * @param isReading Nothing is to be changed: a member of the reading group may ask elsewhere.
   * @returns The socket that answers.
   */
  private async probe(isReading: boolean): Promise<string> {
    const path = this.socketPath;
    try {
      (await Deno.connect({ transport: "unix", path })).close();
      return path;
    } catch (error) {
      if (error instanceof Deno.errors.PermissionDenied) {
        const other = readSocketPath(path);
        if (isReading && await canConnect(other)) return other;
        const own = await ownUsage(path);
        throw new UnsupportedError(
          `Cannot open ${path}: permission denied`,
          `only root may control toom, try sudo${own === undefined ? "" : `; ${own}`}`,
          { cause: error },
        );
      }
      throw new FailedError(
        `toom is not running here (no answer on ${path}): start it with toom run`,
        { cause: error },
      );
    }
  }
}

async function canConnect(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch {
    return false;
  }
}

function limitPath(uids: UidRange): string {
  return `${CONTROL_PATH.limits}/${formatUidRange(uids)}`;
}

function checkAnswer<Answer>(
  schema: z.ZodType<Answer>,
  status: number,
  content: unknown,
): Answer {
  if (status >= 200 && status < 300) {
    const result = schema.safeParse(content);
    if (result.success) return result.data;
    const { path, message } = result.error.issues[0]!;
    throw new FailedError(
      `Cannot understand toom's answer: ${path.join(".")}: ${message} (is it another version?)`,
    );
  }
  const refusal = ErrorAnswer.safeParse(content);
  const reason = refusal.success ? refusal.data.error : `status ${status}`;
  if (status === 400) throw new UsageError(`toom refused: ${reason}`);
  throw new FailedError(`toom failed: ${reason}`);
}
