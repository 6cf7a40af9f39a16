/**
 * Limits while the daemon runs: a change is in force at once, published to the workers, remembered,
 * and told in the journal.
 *
 * @module
 */
import { isNoLimit, type LimitRule, sameUids } from "../../pipeline/limits/limits.ts";
import { RulesPublisher } from "../../pipeline/limits/published_rules.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";
import type { SharedGroup } from "../../pipeline/limits/shared_groups.ts";
import type { Settings } from "../../pipeline/memory/settings.ts";
import type { OriginRule, OverriddenRule } from "./origin_rule.ts";
import { planText } from "./plan_text.ts";
import { memberNames } from "../../pipeline/limits/members.ts";
import { formatBytes } from "../../pipeline/limits/units.ts";
import { type LoweredUser, loweredUsers } from "./lowered_users.ts";
import type { Journal } from "../journal/journal.ts";
import { Owners, sharedGroups } from "./owners.ts";
import type { BaseRule, Kept, LimitOverride, LimitState } from "./state_file.ts";

export interface LimitControlContext {
  readonly memory: Memory;
  readonly state: LimitState;
  /** Published with the limits. */
  readonly settings: Settings;
  readonly journal: Journal;
  /** Whose subordinate uids are; undefined: every uid counts for itself. */
  readonly subuidPath: string | undefined;
  /** With a shared limit. */
  readonly groups: readonly SharedGroup[];
  readonly pageBytes: number;
  /** Has the workers look at what was published. */
  readonly wake: () => void;
}

/** Users that are told one by one. */
const LOWERED_TOLD = 20;

export class LimitControl {
  private readonly context: LimitControlContext;
  private readonly publisher: RulesPublisher;
  private readonly owners: Owners;
  private lowerGraceMs: number;

  constructor(context: LimitControlContext) {
    this.context = context;
    this.lowerGraceMs = context.settings.lowerGraceMs;
    const { memory, state, journal, subuidPath } = context;
    this.publisher = new RulesPublisher(memory.settings);
    this.owners = new Owners({
      path: subuidPath,
      groups: context.groups,
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
    this.owners.begin(nowMs);
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

  /** What was changed while running, beside what files and command line say. */
  overridden(): readonly OverriddenRule[] {
    return this.context.state.overridden();
  }

  /**
   * Puts the rules and settings of a changed configuration in force, all at once. What was set while
   * running stays above them.
   *
   * @returns How many rules are others now.
   * @throws {RulesFullError} When there is no room; nothing has changed then.
   */
  reload(
    base: readonly BaseRule[],
    settings: Settings,
  ): { readonly set: number; readonly cleared: number } {
    const { state } = this.context;
    const before = state.list();
    const isOther = state.rebase(base);
    this.owners.setGroups(sharedGroups(base));
    const lowered = loweredUsers(this.context.memory, state.rules);
    this.publisher.publish(state.rules, settings);
    this.lowerGraceMs = settings.lowerGraceMs;
    this.context.wake();
    const after = state.list();
    const gone = before.filter((rule) => !after.some((one) => sameUids(one, rule)));
    const set = after.filter((rule) => !before.some((one) => isSameRule(one, rule)));
    for (const rule of gone) this.tell("clear", rule, rule.origin);
    for (const rule of set) this.tell("set", rule, rule.origin);
    this.tellLowered(lowered);
    if (isOther) void state.keep().then((kept) => this.tellProblem(kept));
    return { set: set.length, cleared: gone.length };
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
    const lowered = loweredUsers(this.context.memory, state.rules);
    this.publish();
    this.tell("set", rule, "control");
    this.tellLowered(lowered);
    return this.tellProblem(await kept);
  }

  /** Removes the rule of exactly this range at once, then tries to remember that. */
  async clear(uidFirst: number, uidLast: number): Promise<Kept & { readonly cleared: boolean }> {
    const { state } = this.context;
    const rule = state.list().find((one) => one.uidFirst === uidFirst && one.uidLast === uidLast);
    const kept = state.clear(uidFirst, uidLast);
    // A wider rule holds now, and it may be a lower one.
    const lowered = loweredUsers(this.context.memory, state.rules);
    this.publish();
    if (rule !== undefined) this.tell("clear", rule, "control");
    this.tellLowered(lowered);
    return this.tellProblem(await kept);
  }

  /**
   * Forgets what was set or cleared while running for exactly this range, at once: files and command
   * line decide again.
   */
  async reset(uidFirst: number, uidLast: number): Promise<Kept & { readonly cleared: boolean }> {
    const { state } = this.context;
    const uids = { uidFirst, uidLast };
    const find = (): OriginRule | undefined => state.list().find((rule) => sameUids(rule, uids));
    const before = find();
    const kept = state.reset(uidFirst, uidLast);
    const lowered = loweredUsers(this.context.memory, state.rules);
    this.publish();
    const after = find();
    if (after !== undefined) this.tell("set", after, after.origin);
    else if (before !== undefined) this.tell("clear", before, "control");
    this.tellLowered(lowered);
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
    for (const { uidFirst, uidLast, place } of state.shadowed()) {
      const whose = uidFirst === uidLast ? `uid ${uidFirst}` : `uids ${uidFirst}-${uidLast}`;
      const which = place ?? "--limit";
      const message = `${which} for ${whose} does not hold: toom limit has changed it since`;
      journal.publish({ event: "config", message });
    }
  }

  /** Tells whose limit is now lower than what they have, and when that ends in a kill. */
  private tellLowered(lowered: readonly LoweredUser[]): void {
    const { journal, pageBytes } = this.context;
    const size = (pages: number): string => formatBytes(pages * pageBytes);
    for (const { uid, usagePages, rule } of lowered.slice(0, LOWERED_TOLD)) {
      const isAtOnce = rule.isAtOnce === true || this.lowerGraceMs === 0;
      const when = isAtOnce
        ? "now"
        : `in ${this.lowerGraceMs / 1000} s unless it gives memory back`;
      const message = `uid ${uid} has ${size(usagePages)}, more than its new limit of ` +
        `${size(rule.hardPages)}: it loses processes ${when}`;
      journal.publish({ event: "config", message });
    }
    const left = lowered.length - LOWERED_TOLD;
    if (left <= 0) return;
    journal.publish({
      event: "config",
      message: `${left} more users have more than their new limit`,
    });
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
      brake: rule.brake ?? null,
      victim: rule.victim ?? null,
      count: rule.countMask === undefined ? null : memberNames(rule.countMask),
      maxProcesses: rule.processesMax ?? null,
      plan: planText(rule),
    });
  }
}

/** Of plain data. */
function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
}

function isSameRule(a: OriginRule, b: OriginRule): boolean {
  return sameUids(a, b) && a.hardPages === b.hardPages && a.softPages === b.softPages &&
    a.processesMax === b.processesMax && String(a.memberUids) === String(b.memberUids) &&
    a.brake === b.brake && a.victim === b.victim && a.countMask === b.countMask &&
    isSame(a.plan, b.plan) && isSame(a.storm, b.storm);
}
