/**
 * All who are told what happens besides the log and the history: users on their terminals, hooks, mail, a
 * webhook. Each is a subscriber of the journal by itself.
 *
 * @module
 */
import { startProgram } from "../kernel/programs/account_program.ts";
import { terminalsOf, writeTerminal } from "../kernel/users/terminals.ts";
import type { HookName, HookSetting } from "./config/notify_settings.ts";
import { Hooks } from "./hooks/hooks.ts";
import type { Journal, Subscriber, Subscription } from "./journal/journal.ts";
import type { SupervisorOptions } from "./lifecycle/options.ts";
import { Mail } from "./notify/mail.ts";
import type { NotifierReport } from "./notify/notifier_report.ts";
import { TerminalNotices } from "./notify/terminal_notices.ts";
import { Webhook } from "./notify/webhook.ts";

/** Terminals of one user that are written to. */
const TERMINALS_MAX = 32;

/** One that says what it has done, and that has something to end. */
interface Notifier extends Subscriber {
  /** Nothing where it is not configured. */
  report(): readonly NotifierReport[];
  stop(): void;
}

export class Notifiers {
  private readonly notifiers: readonly Notifier[];
  private readonly subscribers: readonly Subscriber[];
  private subscriptions: readonly Subscription[] = [];

  /**
   * @param options As of now: a reload changes them.
   * @param ownerOf Whom a uid counts for.
   */
  constructor(
    options: () => SupervisorOptions,
    journal: Journal,
    ownerOf: (uid: number) => number,
  ) {
    const { pageBytes } = options();
    const tell = (where: string, message: string): void =>
      journal.publish({ event: "error", where, message });
    const nowMs = (): number => performance.now();
    const terminals = new TerminalNotices({
      terminals: {
        of: (uid) => terminalsOf(uid, TERMINALS_MAX, ownerOf),
        write: (path, uid, bytes) => writeTerminal(path, uid, bytes, ownerOf),
      },
      pageBytes,
      mode: () => options().terminals,
    });
    const hooks = new Hooks({
      setting: (hook) => settingOf(options(), hook),
      pageBytes,
      start: startProgram,
      tell,
      nowMs,
    });
    const host = Deno.hostname();
    const mail = new Mail({
      setting: () => options().mail,
      start: startProgram,
      tell,
      nowMs,
      host,
      pageBytes,
    });
    const webhook = new Webhook({
      setting: () => options().webhook,
      host,
      version: options().version,
      tell,
      nowMs,
    });
    this.notifiers = [hooks, mail, webhook];
    this.subscribers = [terminals, ...this.notifiers];
  }

  subscribe(journal: Journal): void {
    this.subscriptions = this.subscribers.map((one) => journal.subscribe(one));
  }

  report(): NotifierReport[] {
    return this.notifiers.flatMap((one) => [...one.report()]);
  }

  /** Ends what runs. */
  stop(): void {
    for (const notifier of this.notifiers) notifier.stop();
  }

  /** Nobody is told any more. */
  close(): void {
    for (const subscription of this.subscriptions) subscription.close();
    this.stop();
  }
}

function settingOf(options: SupervisorOptions, hook: HookName): HookSetting | undefined {
  switch (hook) {
    case "before":
      return options.hookBefore;
    case "after":
      return options.hookAfter;
    case "soft":
      return options.hookSoft;
  }
}
