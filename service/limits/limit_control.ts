/**
 * Limits while the daemon runs: a change is in force at once, published to the workers, remembered,
 * and told in the journal.
 *
 * @module
 */
import { isNoLimit, type LimitRule } from "../../pipeline/limits/limits.ts";
import { RulesPublisher } from "../../pipeline/limits/published_rules.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";
import type { Settings } from "../../pipeline/memory/settings.ts";
import type { OriginRule } from "./origin_rule.ts";
import type { Journal } from "../journal/journal.ts";
import { Owners } from "./owners.ts";
import type { Kept, LimitOverride, LimitState } from "./state_file.ts";

export interface LimitControlContext {
  readonly memory: Memory;
  readonly state: LimitState;
  /** Published with the limits. */
  readonly settings: Settings;
  readonly journal: Journal;
  /** Whose subordinate uids are; undefined: every uid counts for itself. */
  readonly subuidPath: string | undefined;
  readonly pageBytes: number;
  /** Has the workers look at what was published. */
  readonly wake: () => void;
}

export class LimitControl {
  private readonly context: LimitControlContext;
  private readonly publisher: RulesPublisher;
  private readonly owners: Owners;

  constructor(context: LimitControlContext) {
    this.context = context;
    const { memory, state, journal, subuidPath } = context;
    this.publisher = new RulesPublisher(memory.settings);
    this.owners = new Owners({
      path: subuidPath,
      memory,
      rules: () => state.list(),
      tell: (message) => journal.publish({ event: "config", message }),
      onChange: () => this.publish(),
    });
  }

  /** Puts the limits of the start in force: before any worker, so that none acts by others. */
  begin(nowMs: number): void {
    const { state, settings } = this.context;
    this.publisher.publish(state.rules, settings);
    // Whom subordinate uids count for is known before anybody is looked at.
    this.owners.tick(nowMs);
  }

  /** To be called now and then. */
  tick(nowMs: number): void {
    this.owners.tick(nowMs);
  }

  close(): void {
    this.owners.close();
  }

  /** The rules in force. */
  list(): readonly OriginRule[] {
    return this.context.state.list();
  }

  /** Those that were set or cleared while running. */
  listOverrides(): readonly LimitOverride[] {
    return this.context.state.listOverrides();
  }

  /** Whom a uid counts for: itself, or whom it is subordinate to. */
  ownerOf(uid: number): number {
    return this.owners.ownerOf(uid);
  }

  /**
   * Puts a rule in force at once, then tries to keep it.
   *
   * @throws {RulesFullError} When there is no room; nothing has changed then.
   * @throws {FormatError} When it would hold for nobody.
   */
  async set(rule: LimitRule): Promise<Kept> {
    const { state } = this.context;
    this.owners.admit(rule);
    state.checkRoom(rule);
    const kept = state.set(rule);
    this.publish();
    this.tell("set", rule, "control");
    return this.tellProblem(await kept);
  }

  /** Removes the rule of exactly this range at once, then tries to remember that. */
  async clear(uidFirst: number, uidLast: number): Promise<Kept & { readonly cleared: boolean }> {
    const { state } = this.context;
    const rule = state.list().find((one) => one.uidFirst === uidFirst && one.uidLast === uidLast);
    const kept = state.clear(uidFirst, uidLast);
    this.publish();
    if (rule !== undefined) this.tell("clear", rule, "control");
    return this.tellProblem(await kept);
  }

  /** Tells of the limits of a first start, and of what is wrong with them. */
  announce(): void {
    this.announceProblems();
    for (const rule of this.list()) this.tell("set", rule, rule.origin);
  }

  /** The same after a start-over: perhaps what could not be written down before can be now. */
  async announceAgain(): Promise<void> {
    this.announceProblems();
    this.tellProblem(await this.context.state.keep());
  }

  private announceProblems(): void {
    const { state, journal } = this.context;
    if (state.problem !== undefined) journal.publish({ event: "config", message: state.problem });
    for (const { uidFirst, uidLast } of state.shadowed()) {
      const whose = uidFirst === uidLast ? `uid ${uidFirst}` : `uids ${uidFirst}-${uidLast}`;
      const message = `--limit for ${whose} does not hold: toom limit has changed it since`;
      journal.publish({ event: "config", message });
    }
  }

  /** New rules count at once: accounting compares again, the sweeper finds who they are about. */
  private publish(): void {
    this.publisher.publish(this.context.state.rules);
    this.context.wake();
  }

  private tellProblem<K extends Kept>(kept: K): K {
    if (kept.problem !== undefined) {
      this.context.journal.publish({ event: "error", where: "state", message: kept.problem });
    }
    return kept;
  }

  private tell(action: "set" | "clear", rule: LimitRule, origin: OriginRule["origin"]): void {
    const { journal, pageBytes } = this.context;
    const { uidFirst, uidLast } = rule;
    const hardPages = isNoLimit(rule) ? null : rule.hardPages;
    const softPages = isNoLimit(rule) ? null : rule.softPages;
    journal.publish({
      event: "limit",
      action,
      origin,
      uidFirst,
      uidLast,
      hardPages,
      softPages,
      hardBytes: hardPages === null ? null : hardPages * pageBytes,
      softBytes: softPages === null ? null : softPages * pageBytes,
    });
  }
}
