/**
 * The client of the control API: `fetch` over the Unix socket, answers checked with zod.
 *
 * `Deno.createHttpClient` with a Unix proxy works from Deno 2.4 on.
 *
 * @module
 */
import type { z } from "zod";
import { formatUidRange, type UidRange } from "../pipeline/limits/limits.ts";
import {
  ClearAnswer,
  CONTROL_PATH,
  ErrorAnswer,
  LimitAnswer,
  LimitList,
  type LimitRequest,
  StatusReport,
} from "../service/control/control_api.ts";
import { ownUsage } from "./own_usage.ts";
import { FailedError, UnsupportedError, UsageError } from "./errors.ts";

/** Longer than any answer takes, shorter than anybody wants to wait. */
const ANSWER_MS_MAX = 10_000;
const TRIES_MAX = 5;
const RETRY_MS = 100;

/** The connection ended before the answer. */
class LostError extends FailedError {}

/** Talks to the toom that runs here. Close it at the end. */
export class ControlClient implements Disposable {
  private readonly socketPath: string;
  private readonly http: Deno.HttpClient;

  /** @param socketPath The daemon's `--control-socket`. */
  constructor(socketPath: string) {
    this.socketPath = socketPath;
    this.http = Deno.createHttpClient({ proxy: { transport: "unix", path: socketPath } });
  }

  [Symbol.dispose](): void {
    this.http.close();
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

  async status(): Promise<StatusReport> {
    return await this.ask(StatusReport, "GET", CONTROL_PATH.status);
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
  ): Promise<{ status: number; content: unknown }> {
    for (let tries = 1;; tries++) {
      // Before the request, as `fetch` does not tell why it cannot connect.
      await this.probe();
      try {
        return await this.requestOnce(method, path, body);
      } catch (error) {
        // toom may have started over meanwhile; what is asked twice is no more than asked once.
        if (!(error instanceof LostError) || tries === TRIES_MAX) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  private async requestOnce(
    method: string,
    path: string,
    body: unknown,
  ): Promise<{ status: number; content: unknown }> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), ANSWER_MS_MAX);
    let status: number;
    let text: string;
    try {
      const response = await fetch(`http://localhost${path}`, {
        method,
        client: this.http,
        signal: deadline.signal,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      status = response.status;
      text = await response.text();
    } catch (error) {
      if (deadline.signal.aborted) {
        throw new FailedError(
          `toom did not answer on ${this.socketPath} within ${ANSWER_MS_MAX / 1000} s`,
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

  private async probe(): Promise<void> {
    const path = this.socketPath;
    try {
      (await Deno.connect({ transport: "unix", path })).close();
    } catch (error) {
      if (error instanceof Deno.errors.PermissionDenied) {
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
