/**
 * The hooks: a subscriber of the journal that runs programs of the administrator. `before` is started as
 * soon as a kill is known, beside it; `after` when its victim has ended; `soft` above a soft limit.
 *
 * @module
 */
import type { HookName, HookSetting } from "../config/notify_settings.ts";
import type { KillEvent } from "../journal/events.ts";
import type { JournalEntry, Subscriber } from "../journal/journal.ts";
import { BoundedRuns, type RunsContext } from "../notify/bounded_runs.ts";
import type { NotifierReport } from "../notify/notifier_report.ts";
import { hookFacts } from "./facts.ts";

export interface HooksContext extends RunsContext {
  /** As it is now; undefined: there is none. */
  readonly setting: (hook: HookName) => HookSetting | undefined;
  readonly pageBytes: number;
}

/** Kills whose victims have not ended yet. */
const KILLS_MAX = 1024;
const NAMES: readonly HookName[] = ["before", "after", "soft"];

export class Hooks implements Subscriber {
  readonly name = "hooks";
  private readonly context: HooksContext;
  private readonly hooks: Readonly<Record<HookName, BoundedRuns>>;
  /** By pid of the victim. */
  private readonly kills = new Map<number, KillEvent>();

  constructor(context: HooksContext) {
    this.context = context;
    const hook = (name: HookName): BoundedRuns => new BoundedRuns(`hooks.${name}`, context);
    this.hooks = { before: hook("before"), after: hook("after"), soft: hook("soft") };
  }

  take(entry: JournalEntry): void {
    const { event } = entry;
    if (event.event === "kill") {
      this.run("before", entry);
      if (!event.dryRun && this.context.setting("after") !== undefined) this.remember(event);
    } else if (event.event === "killed") {
      const kill = this.kills.get(event.pid);
      this.kills.delete(event.pid);
      this.run("after", entry, kill?.uid === event.uid ? kill : undefined);
    } else if (event.event === "soft") this.run("soft", entry);
  }

  private remember(event: KillEvent): void {
    if (this.kills.size >= KILLS_MAX) this.kills.delete(this.kills.keys().next().value!);
    this.kills.set(event.pid, event);
  }

  private run(name: HookName, entry: JournalEntry, kill?: KillEvent): void {
    const setting = this.context.setting(name);
    if (setting === undefined) return;
    this.hooks[name].run(setting, hookFacts(name, entry, this.context.pageBytes, kill));
  }

  /** Of those that there are. */
  report(): readonly NotifierReport[] {
    return NAMES.filter((name) => this.context.setting(name) !== undefined)
      .map((name) => this.hooks[name].report());
  }

  /** Ends what runs. */
  stop(): void {
    for (const name of NAMES) this.hooks[name].stop();
  }

  /** Waits until none runs. */
  async settled(): Promise<void> {
    await Promise.all(NAMES.map((name) => this.hooks[name].settled()));
  }
}
