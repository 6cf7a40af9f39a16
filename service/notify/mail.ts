/**
 * Tells by mail what happened: a subscriber of the journal that hands a mail to sendmail(8), of each user
 * at most one in so long. Bounded as hooks are; nothing waits for it.
 *
 * @module
 */
import type { AccountProgram, RunningProgram } from "../../kernel/programs/account_program.ts";
import type { MailSetting } from "../config/notify_settings.ts";
import type { JournalEntry, Subscriber } from "../journal/journal.ts";
import { BoundedRuns } from "./bounded_runs.ts";
import { mailText } from "./mail_text.ts";
import type { NotifierReport } from "./notifier_report.ts";
import { isOwnProblem } from "./own_problem.ts";

export interface MailContext {
  /** As it is now; undefined: nobody gets mail. */
  readonly setting: () => MailSetting | undefined;
  readonly start: (program: AccountProgram) => RunningProgram;
  /** Told what an administrator should know; one line. */
  readonly tell: (where: string, message: string) => void;
  /** Milliseconds of any clock that only goes on. */
  readonly nowMs: () => number;
  readonly host: string;
  readonly pageBytes: number;
}

/** What sendmail may take: it may have to reach another machine. */
const TIMEOUT_MS = 60_000;
const AT_ONCE = 4;
/** Users of whom it is remembered when there was a mail; then those of the oldest ones are forgotten. */
const USERS_MAX = 4096;
/** Stands for events that are about no user. */
const NO_USER = -1;

export class Mail implements Subscriber {
  readonly name = "notify.mail";
  private readonly context: MailContext;
  private readonly runs: BoundedRuns;
  private readonly told = new Map<number, { sentMs: number; heldBack: number }>();
  private heldBack = 0;

  constructor(context: MailContext) {
    this.context = context;
    this.runs = new BoundedRuns(this.name, context);
  }

  take(entry: JournalEntry): void {
    const setting = this.context.setting();
    const { event } = entry;
    if (setting === undefined || !setting.events.includes(event.event)) return;
    if (isOwnProblem(event)) return;
    const uid = "uid" in event && event.uid !== null ? event.uid : NO_USER;
    const told = this.told.get(uid);
    const nowMs = this.context.nowMs();
    if (told !== undefined && nowMs - told.sentMs < setting.everyMs) {
      told.heldBack++;
      this.heldBack++;
      return;
    }
    const { host, pageBytes } = this.context;
    const text = mailText(setting, entry, { host, pageBytes, heldBack: told?.heldBack ?? 0 });
    if (text === undefined) {
      this.runs.leaveOut();
      return;
    }
    const { command, account } = setting;
    const bounds = { command, account, timeoutMs: TIMEOUT_MS, atOnce: AT_ONCE };
    const isStarted = this.runs.run(bounds, { env: {}, input: new TextEncoder().encode(text) });
    if (isStarted) this.remember(uid, nowMs);
  }

  private remember(uid: number, sentMs: number): void {
    this.told.delete(uid);
    if (this.told.size >= USERS_MAX) this.told.delete(this.told.keys().next().value!);
    this.told.set(uid, { sentMs, heldBack: 0 });
  }

  report(): readonly NotifierReport[] {
    if (this.context.setting() === undefined) return [];
    const report = this.runs.report();
    return [{ ...report, left: report.left + this.heldBack }];
  }

  stop(): void {
    this.runs.stop();
  }
}
