/**
 * The limits' way to the workers: rows behind the settings, on the same page of shared memory, so that
 * a change of both is seen at once.
 *
 * @module
 */
import { NO_LIMIT_PAGES } from "../books/books.ts";
import { invariant } from "../memory/invariant.ts";
import { RULE_WORDS, SettingsWord } from "../memory/layout.ts";
import { type KillPlan, loadPlan, storePlan, type StormBrake } from "../memory/kill_plan.ts";
import { PageReader, publishPage } from "../memory/seqlock.ts";
import {
  BRAKE_MODES,
  type BrakeMode,
  checkSettings,
  type MemberMask,
  type Settings,
  SettingsCopy,
  storeSettings,
} from "../memory/settings.ts";
import { packPolicy, unpackPolicy } from "../memory/victim_policy.ts";
import { type LimitRule, type LimitRules, RULES_MAX } from "./limits.ts";

/** 32-bit words of the shared region that holds {@link RULES_MAX} rules. */
export const RULES_REGION_WORDS: number = SettingsWord.rules + RULES_MAX * RULE_WORDS;

/** Words of a row before its plan. */
const PLAN_OFFSET = 7;
/** The word behind it. */
const VICTIM_OFFSET = RULE_WORDS - 1;
/** Of a row's flags; and where its counted members lie. */
const AT_ONCE = 1;
const COUNT_SHIFT = 4;
const COUNT_BITS = 15;

function rowsMax(words: Int32Array): number {
  return Math.floor((words.length - SettingsWord.rules) / RULE_WORDS);
}

/** The supervisor's end: writes all rules for everybody to see. One at a time. */
export class RulesPublisher {
  private readonly words: Int32Array;

  /** @param words The page, {@link SettingsWord} and rows, in shared memory. */
  constructor(words: Int32Array) {
    invariant(rowsMax(words) >= 1, `rules: the region of ${words.length} words holds no row`);
    this.words = words;
  }

  /**
   * Replaces what is published. Readers see either all of the old or all of the new.
   *
   * @param settings With other settings at the same time; left out: those that are there stay.
   * @throws {InvariantError} When there are more rules than the page holds, or a setting is out of its
   *   range; nothing has changed then.
   */
  publish(rules: LimitRules, settings?: Settings): void {
    const rows = rules.list();
    const words = this.words;
    invariant(
      rows.length <= rowsMax(words),
      `rules: ${rows.length} do not fit into ${rowsMax(words)} rows`,
    );
    if (settings !== undefined) checkSettings(settings);
    publishPage(words, () => {
      if (settings !== undefined) storeSettings(words, settings);
      storeRows(words, rows);
    });
  }
}

function storeRows(words: Int32Array, rows: readonly LimitRule[]): void {
  Atomics.store(words, SettingsWord.ruleCount, rows.length);
  let word: number = SettingsWord.rules;
  for (const rule of rows) {
    Atomics.store(words, word, rule.uidFirst | 0);
    Atomics.store(words, word + 1, rule.uidLast | 0);
    Atomics.store(words, word + 2, rule.hardPages);
    Atomics.store(words, word + 3, rule.softPages);
    Atomics.store(words, word + 4, rule.processesMax ?? 0);
    const flags = (rule.isAtOnce === true ? AT_ONCE : 0) | (rule.countMask ?? 0) << COUNT_SHIFT;
    Atomics.store(words, word + 5, flags);
    const brake = rule.brake === undefined ? 0 : BRAKE_MODES.indexOf(rule.brake) + 1;
    Atomics.store(words, word + 6, brake);
    const victim = rule.victim === undefined ? 0 : packPolicy(rule.victim);
    Atomics.store(words, word + VICTIM_OFFSET, victim);
    storePlan(words, word + PLAN_OFFSET, rule);
    word += RULE_WORDS;
  }
}

/** A worker's end: a private copy of settings and rules. Allocates at construction only. */
export class RulesView {
  private readonly words: Int32Array;
  private readonly reader: PageReader;
  /** Rows in order of precedence, as published. */
  private rows: Int32Array;
  private count = 0;
  private policy = 0;
  private copy = new SettingsCopy();
  /** Where the next page is gathered, so that a torn reading is never used. */
  private nextRows: Int32Array;
  private nextCount = 0;
  private nextPolicy = 0;
  private nextCopy = new SettingsCopy();
  private readonly load = (): void => this.gather();

  /** @param words The page, {@link SettingsWord} and rows, in shared memory. */
  constructor(words: Int32Array) {
    invariant(rowsMax(words) >= 1, `rules: the region of ${words.length} words holds no row`);
    this.words = words;
    this.reader = new PageReader(words);
    this.rows = new Int32Array(rowsMax(words) * RULE_WORDS);
    this.nextRows = new Int32Array(this.rows.length);
  }

  /** The settings, as of the last {@link refresh}. */
  get settings(): Settings {
    return this.copy;
  }

  /** Sequence of the page that they are of; it grows with each publication. */
  get sequence(): number {
    return this.reader.copied;
  }

  /**
   * Takes over what has been published since. One load when nothing was.
   *
   * @returns Whether settings and rules were replaced. `false` too when the supervisor is writing at
   *   this moment: the old ones stay in force, and the next call tries again.
   */
  refresh(): boolean {
    if (!this.reader.isNew || !this.reader.refresh(this.load)) return false;
    [this.rows, this.nextRows] = [this.nextRows, this.rows];
    [this.copy, this.nextCopy] = [this.nextCopy, this.copy];
    this.count = this.nextCount;
    this.policy = this.nextPolicy;
    return true;
  }

  private gather(): void {
    const { words, nextRows } = this;
    const count = Atomics.load(words, SettingsWord.ruleCount);
    const copyWords = Math.min(count * RULE_WORDS, nextRows.length);
    for (let word = 0; word < copyWords; word++) {
      nextRows[word] = Atomics.load(words, SettingsWord.rules + word);
    }
    this.nextCount = copyWords / RULE_WORDS;
    this.nextPolicy = Atomics.load(words, SettingsWord.victimPolicy);
    this.nextCopy.load(words);
  }

  /** First word of the row that limits a uid; -1 when it has no limit. */
  private rowOf(uid: number): number {
    const unsigned = uid >>> 0;
    const end = this.count * RULE_WORDS;
    for (let word = 0; word < end; word += RULE_WORDS) {
      if (this.rows[word]! >>> 0 <= unsigned && unsigned <= this.rows[word + 1]! >>> 0) {
        return this.rows[word + 2] === NO_LIMIT_PAGES ? -1 : word;
      }
    }
    return -1;
  }

  /** Hard limit of a uid (unsigned, or as a signed word), in pages; 0 when it has none. */
  hardPagesOf(uid: number): number {
    const word = this.rowOf(uid);
    return word < 0 ? 0 : this.rows[word + 2]!;
  }

  /** Soft limit of a uid (unsigned, or as a signed word), in pages; 0 when it has none. */
  softPagesOf(uid: number): number {
    const word = this.rowOf(uid);
    return word < 0 ? 0 : this.rows[word + 3]!;
  }

  /** Whom of a user (unsigned, or as a signed word) the brake comes down on. */
  brakeOf(uid: number): BrakeMode {
    const word = this.rowOf(uid);
    return word < 0 ? "off" : this.brakeAt(word) ?? this.copy.brake;
  }

  /** Whether the brake may come down on anybody. */
  get brakesAnybody(): boolean {
    if (this.copy.brake !== "off") return true;
    for (let word = 0; word < this.count * RULE_WORDS; word += RULE_WORDS) {
      if ((this.brakeAt(word) ?? "off") !== "off") return true;
    }
    return false;
  }

  /** Weights of victim policies for a user (unsigned, or as a signed word); 0: as settings say. */
  victimPolicyOf(uid: number): number {
    const word = this.rowOf(uid);
    return word < 0 ? 0 : this.rows[word + VICTIM_OFFSET]!;
  }

  /** The members that count for a user (unsigned, or as a signed word). */
  countMaskOf(uid: number): MemberMask {
    const word = this.rowOf(uid);
    return (word < 0 ? 0 : this.countMaskAt(word)) || this.copy.countMask;
  }

  /** Weights of victim policies of limits that do not say. */
  get policyWord(): number {
    return this.policy;
  }

  /** How a user of a rule is killed. @param rule Of {@link find}; undefined: it has none. */
  planOf(rule: LimitRule | undefined): KillPlan {
    return { ...this.copy.plan, ...rule?.plan };
  }

  /** What is done about storms of a user of a rule. */
  stormOf(rule: LimitRule | undefined): StormBrake {
    return { ...this.copy.storm, ...rule?.storm };
  }

  /** 0: as the settings say. */
  private countMaskAt(word: number): MemberMask {
    return this.rows[word + 5]! >>> COUNT_SHIFT & COUNT_BITS;
  }

  private brakeAt(word: number): BrakeMode | undefined {
    return BRAKE_MODES[this.rows[word + 6]! - 1];
  }

  /** The limit of a uid (unsigned, or as a signed word); undefined when it has none. */
  find(uid: number): LimitRule | undefined {
    const word = this.rowOf(uid);
    return word < 0 ? undefined : this.ruleAt(word);
  }

  /** All rules, in order of precedence. */
  list(): LimitRule[] {
    return Array.from({ length: this.count }, (_, index) => this.ruleAt(index * RULE_WORDS));
  }

  private ruleAt(word: number): LimitRule {
    const brake = this.brakeAt(word);
    const processesMax = this.rows[word + 4]!;
    const victim = this.rows[word + VICTIM_OFFSET]!;
    const countMask = this.countMaskAt(word);
    return {
      uidFirst: this.rows[word]! >>> 0,
      uidLast: this.rows[word + 1]! >>> 0,
      hardPages: this.rows[word + 2]!,
      softPages: this.rows[word + 3]!,
      ...(brake === undefined ? {} : { brake }),
      ...(processesMax === 0 ? {} : { processesMax }),
      ...(victim === 0 ? {} : { victim: unpackPolicy(victim) }),
      ...(countMask === 0 ? {} : { countMask }),
      ...((this.rows[word + 5]! & AT_ONCE) === 0 ? {} : { isAtOnce: true as const }),
      ...loadPlan(this.rows, word + PLAN_OFFSET),
    };
  }
}
