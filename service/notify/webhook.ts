/**
 * Posts what happened to an address: a subscriber of the journal with a bounded queue of its own. An
 * attempt that fails is made again, each time after twice as long; nothing waits for it.
 *
 * @module
 */
import type { WebhookSetting } from "../config/notify_settings.ts";
import { formatText } from "../journal/format.ts";
import type { JournalEntry, Subscriber } from "../journal/journal.ts";
import type { NotifierReport } from "./notifier_report.ts";
import { isOwnProblem } from "./own_problem.ts";

export interface WebhookContext {
  /** As it is now; undefined: nothing is posted. */
  readonly setting: () => WebhookSetting | undefined;
  readonly host: string;
  readonly version: string;
  /** Told what an administrator should know; one line. */
  readonly tell: (where: string, message: string) => void;
  /** Milliseconds of any clock that only goes on. */
  readonly nowMs: () => number;
  /** After the first attempt that failed; for tests. */
  readonly backoffMs?: number;
}

/** Events that wait. */
export const WEBHOOK_QUEUE_MAX = 256;
const BACKOFF_MS = 1000;
const BACKOFF_MS_MAX = 60_000;
const TOLD_EVERY_MS = 60_000;
/** Statuses after which another attempt may help: RFC 9110, RFC 6585. */
const PASSING_STATUSES: ReadonlySet<number> = new Set([408, 425, 429]);

export class Webhook implements Subscriber {
  readonly name = "notify.webhook";
  private readonly context: WebhookContext;
  private readonly queue: JournalEntry[] = [];
  private readonly abort = new AbortController();
  private pumping: Promise<void> | undefined;
  private toldMs = -Infinity;
  private done = 0;
  private failed = 0;
  private late = 0;
  private left = 0;

  constructor(context: WebhookContext) {
    this.context = context;
  }

  take(entry: JournalEntry): void {
    const setting = this.context.setting();
    const { event } = entry;
    if (setting === undefined || !setting.events.includes(event.event)) return;
    if (isOwnProblem(event) || this.abort.signal.aborted) return;
    if (this.queue.length >= WEBHOOK_QUEUE_MAX) {
      this.left++;
      return;
    }
    this.queue.push(entry);
    this.pumping ??= this.pump().finally(() => this.pumping = undefined);
  }

  private async pump(): Promise<void> {
    for (let entry = this.queue[0]; entry !== undefined; entry = this.queue[0]) {
      const problem = await this.deliver(entry);
      this.queue.shift();
      if (this.abort.signal.aborted) return;
      if (problem === undefined) this.done++;
      else this.fail(problem);
    }
  }

  private fail({ message, isLate }: Problem): void {
    if (isLate) this.late++;
    else this.failed++;
    const nowMs = this.context.nowMs();
    if (nowMs - this.toldMs < TOLD_EVERY_MS) return;
    this.toldMs = nowMs;
    this.context.tell(this.name, message);
  }

  /** Tries until it is taken, or there is no use. @returns Why it was not taken. */
  private async deliver(entry: JournalEntry): Promise<Problem | undefined> {
    let backoffMs = this.context.backoffMs ?? BACKOFF_MS;
    for (let attempt = 1;; attempt++) {
      const setting = this.context.setting();
      if (setting === undefined) return { message: "no address any more", isLate: false };
      const problem = await this.post(setting, entry);
      if (problem === undefined || this.abort.signal.aborted) return undefined;
      if (problem.isFinal === true || attempt >= setting.attempts) {
        const { host } = new URL(setting.url);
        const times = attempt === 1 ? "" : ` (${attempt} attempts)`;
        return { ...problem, message: `${host}: ${problem.message}${times}` };
      }
      // Not all machines of a fleet at the same time.
      await this.pause(backoffMs * (0.75 + Math.random() / 2));
      backoffMs = Math.min(BACKOFF_MS_MAX, backoffMs * 2);
    }
  }

  private async post(
    { url, timeoutMs }: WebhookSetting,
    entry: JournalEntry,
  ): Promise<Problem | undefined> {
    const deadline = AbortSignal.timeout(timeoutMs);
    try {
      const response = await fetch(url, {
        method: "POST",
        // What is elsewhere was not asked for.
        redirect: "manual",
        signal: AbortSignal.any([deadline, this.abort.signal]),
        headers: {
          "content-type": "application/json",
          "user-agent": `toom/${this.context.version}`,
        },
        body: this.bodyOf(entry),
      });
      // Nobody reads what it answers, be it without end.
      await response.body?.cancel();
      const { status } = response;
      if (status >= 200 && status < 300) return undefined;
      const isFinal = status < 500 && !PASSING_STATUSES.has(status);
      return { message: `answered with status ${status}`, isLate: false, isFinal };
    } catch (error) {
      const isLate = deadline.aborted;
      const message = isLate
        ? `no answer within ${timeoutMs} ms`
        : error instanceof Error
        ? withoutUrl(error.message, url)
        : String(error);
      return { message, isLate };
    }
  }

  private bodyOf({ number, at, event, receipt }: JournalEntry): string {
    const { host, version } = this.context;
    return JSON.stringify({
      // What chat programs show.
      text: `toom on ${host}: ${formatText(event)}`,
      host,
      version,
      number,
      ts: at.toISOString(),
      ...event,
      ...(receipt === undefined ? {} : { receipt }),
    });
  }

  /** Waits, but for no longer than until {@link stop}. */
  private async pause(ms: number): Promise<void> {
    const { signal } = this.abort;
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

  report(): readonly NotifierReport[] {
    if (this.context.setting() === undefined) return [];
    const { name, queue, done, failed, late, left } = this;
    return [{ name, waiting: queue.length, done, failed, late, left }];
  }

  /** Nothing is posted any more. */
  stop(): void {
    this.abort.abort();
    this.queue.length = 0;
  }

  /** Waits until nothing waits. */
  async settled(): Promise<void> {
    await this.pumping;
  }
}

interface Problem {
  readonly message: string;
  readonly isLate: boolean;
  /** Another attempt does not help. */
  readonly isFinal?: boolean;
}

/** The address may be a secret. */
function withoutUrl(message: string, url: string): string {
  return message.replaceAll(url, new URL(url).origin);
}
