/**
 * Who is limited to what: the rules, and which of them holds for a user. Their way to the
 * workers: published_rules.ts.
 *
 * A rule holds for every single uid of its range. Where several cover a uid, the narrowest wins,
 * so an exact uid beats any range; of two that are equally wide, the one that starts higher wins,
 * so that the answer never depends on the order in which they were set.
 *
 * @module
 */
import { NO_LIMIT_PAGES } from "../books/books.ts";
import { invariant } from "../memory/invariant.ts";
import { checkPlan, type KillPlan, type StormBrake } from "../memory/kill_plan.ts";
import {
  BRAKE_MODES,
  type BrakeMode,
  isMemberMask,
  type MemberMask,
  type VictimPolicy,
} from "../memory/settings.ts";
import { packPolicy } from "../memory/victim_policy.ts";
import { bytesToPages, formatBytes, FormatError, parseAmountBytes, quote } from "./units.ts";

/** Most rules at one time: each lookup of a new user walks through all of them. */
export const RULES_MAX = 1024;
/** The largest uid; the one above, (uid_t)-1, means "no uid" to the kernel. */
export const UID_MAX = 0xfffffffe;
/** Most pages of a limit. 8 TiB with pages of 4 KiB. */
export const HARD_PAGES_MAX: number = NO_LIMIT_PAGES - 1;
/** Most processes of a user that a limit can say. */
export const LIMIT_PROCESSES_MAX = 1_048_576;

/** Uids from `uidFirst` to `uidLast`, both included and unsigned. */
export interface UidRange {
  readonly uidFirst: number;
  readonly uidLast: number;
}

/**
 * A limit for each uid of a range. 1 ≤ `softPages` ≤ `hardPages` ≤ {@link HARD_PAGES_MAX}; or both
 * are {@link NO_LIMIT_PAGES}: the rule says that those who a wider one covers have no limit.
 */
export interface LimitRule extends UidRange {
  readonly hardPages: number;
  readonly softPages: number;
  /** Whom the brake comes down on; left out: as the settings say. */
  readonly brake?: BrakeMode;
  /** Processes of each user, 1 or more; left out: as many as all may have. */
  readonly processesMax?: number;
  /** The members that count for its users; left out: as the settings say. */
  readonly countMask?: MemberMask;
  /** Which of the user's processes goes; left out: as the settings say. */
  readonly victim?: VictimPolicy;
  /** How its users are killed, and what is done about their storms; left out: as the settings say. */
  readonly plan?: Partial<KillPlan>;
  readonly storm?: Partial<StormBrake>;
  /** A user that has more loses processes at once, though it had a higher limit before. */
  readonly isAtOnce?: true;
}

/** Where the soft limit lies: a part of the hard one, or an amount. */
export type SoftSpec =
  | { readonly kind: "percent"; readonly percent: number }
  | { readonly kind: "bytes"; readonly bytes: number };

export const SOFT_PERCENT_DEFAULT = 90;
/** 90 % of hard. */
export const SOFT_DEFAULT: SoftSpec = Object.freeze({
  kind: "percent",
  percent: SOFT_PERCENT_DEFAULT,
});

/** Whether a rule says that there is no limit. */
export function isNoLimit(rule: Pick<LimitRule, "hardPages">): boolean {
  return rule.hardPages === NO_LIMIT_PAGES;
}

/**
 * Reads a hard limit: a size, see {@link parseAmountBytes}, or `none`, `unlimited`, `infinity`.
 *
 * @param totalBytes Memory of the machine, in bytes: what 100 % is.
 * @returns Bytes above 0; Infinity: no limit.
 * @throws {FormatError} When the text is neither.
 */
export function parseHardBytes(text: string, totalBytes: number, pageBytes?: number): number {
  const word = text.trim().toLowerCase();
  if (/^(none|unlimited|infinity)$/.test(word)) return Infinity;
  const bytes = /^(max|no|off|inf|-\d+)$/.test(word)
    ? 0
    : parseAmountBytes(text, totalBytes, pageBytes);
  if (bytes > 0) return bytes;
  throw new FormatError(`expected a size above 0, or none for no limit, not ${quote(text)}`);
}

/**
 * Reads a soft limit: `80%` (of the hard limit, not of the memory) or a size. A bare number up to
 * 100 was meant as a percentage, and is refused.
 *
 * @throws {FormatError} When it is neither, or zero, or above 100 %.
 */
export function parseSoft(text: string): SoftSpec {
  const percent = /^(\d{1,3}(?:\.\d{1,6})?)\s*%$/.exec(text.trim());
  if (percent !== null) {
    const value = Number(percent[1]);
    if (value > 0 && value <= 100) return { kind: "percent", percent: value };
    throw new FormatError(
      `expected above 0% and at most 100% of the hard limit, not ${quote(text)}`,
    );
  }
  if (text.includes("%")) {
    throw new FormatError(`expected a percentage of the hard limit or a size, not ${quote(text)}`);
  }
  const bare = /^\d{1,3}(?:\.\d{1,6})?$/.test(text.trim()) ? Number(text) : 0;
  if (bare > 0 && bare <= 100) {
    throw new FormatError(
      `expected ${text.trim()}% (of the hard limit) or a size with a unit, not ${quote(text)}`,
    );
  }
  const bytes = parseAmountBytes(text, 0);
  if (bytes === 0) throw new FormatError(`expected a soft limit above 0, not ${quote(text)}`);
  return { kind: "bytes", bytes };
}

/**
 * Makes a rule out of sizes in bytes; Infinity as hard limit: no limit. Both limits are rounded down to pages; a soft limit that
 * comes out as less than a page is one page.
 *
 * @throws {FormatError} When hard is below one page or too large, or soft is above hard.
 */
export function limitRule(
  uids: UidRange,
  hardBytes: number,
  soft: SoftSpec,
  pageBytes: number,
): LimitRule {
  const { uidFirst, uidLast } = uids;
  if (hardBytes === Infinity) {
    return { uidFirst, uidLast, hardPages: NO_LIMIT_PAGES, softPages: NO_LIMIT_PAGES };
  }
  const hardPages = bytesToPages(hardBytes, pageBytes);
  if (hardPages < 1) {
    throw new FormatError(
      `expected a hard limit of at least one page (${pageBytes} bytes), not ${hardBytes} bytes`,
    );
  }
  if (hardPages > HARD_PAGES_MAX) {
    throw new FormatError(
      `expected a hard limit of at most ${formatBytes(HARD_PAGES_MAX * pageBytes)}, not ${
        formatBytes(hardBytes)
      }`,
    );
  }
  if (soft.kind === "bytes" && soft.bytes > hardBytes) {
    throw new FormatError(
      `expected a soft limit of at most the hard one, ${formatBytes(hardBytes)}, not ${
        formatBytes(soft.bytes)
      }`,
    );
  }
  const softBytes = soft.kind === "bytes" ? soft.bytes : hardBytes * soft.percent / 100;
  const softPages = Math.min(hardPages, Math.max(1, bytesToPages(softBytes, pageBytes)));
  return { uidFirst, uidLast, hardPages, softPages };
}

/**
 * Reads a uid `1000` or a range `1000-59999`. Root is only ever limited by its own number: a range
 * that happens to include uid 0 would put the system's daemons under a limit meant for people.
 *
 * @returns `undefined` when the text is not made of numbers, so that it may be a name.
 * @throws {FormatError} When the numbers are no uids, the range is empty, or it includes uid 0.
 */
export function parseUidRange(text: string): UidRange | undefined {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const uidFirst = Number(match[1]);
  const uidLast = match[2] === undefined ? uidFirst : Number(match[2]);
  if (uidFirst > UID_MAX || uidLast > UID_MAX) {
    throw new FormatError(`expected uids from 0 to ${UID_MAX}, not ${quote(text)}`);
  }
  if (uidFirst > uidLast) {
    throw new FormatError(`expected a range from the lower to the higher uid, not ${quote(text)}`);
  }
  if (uidFirst === 0 && uidLast > 0) {
    throw new FormatError(
      `expected a range without uid 0, not ${
        quote(text)
      }: root is limited by its own number only, 0`,
    );
  }
  return { uidFirst, uidLast };
}

/** `1000` or `1000-59999`: what {@link parseUidRange} reads. */
export function formatUidRange(uids: UidRange): string {
  return uids.uidFirst === uids.uidLast ? `${uids.uidFirst}` : `${uids.uidFirst}-${uids.uidLast}`;
}

/** Whether two ranges are the same. */
export function sameUids(a: UidRange, b: UidRange): boolean {
  return a.uidFirst === b.uidFirst && a.uidLast === b.uidLast;
}

/** Sorts the rule that wins to the front. */
function byPrecedence(a: UidRange, b: UidRange): number {
  return (a.uidLast - a.uidFirst) - (b.uidLast - b.uidFirst) || b.uidFirst - a.uidFirst;
}

/** No room for another rule. */
export class RulesFullError extends Error {
  override readonly name = "RulesFullError";
}

/** The rules, at most {@link RULES_MAX}; one for each range. Plain memory, one owner. */
export class LimitRules {
  /** In order of precedence: the first that covers a uid is the one that holds. */
  private readonly rules: LimitRule[] = [];

  get count(): number {
    return this.rules.length;
  }

  /**
   * Adds a rule, or replaces the one of the same range.
   *
   * @throws {RulesFullError} When it would be one too many; nothing has changed then.
   * @throws {InvariantError} When the rule itself is impossible.
   */
  set(rule: LimitRule): void {
    const { uidFirst, uidLast, hardPages, softPages, brake, processesMax, victim, countMask } =
      rule;
    invariant(
      countMask === undefined || isMemberMask(countMask),
      `limit rule: members ${countMask} are not 1 to 15`,
    );
    invariant(
      brake === undefined || BRAKE_MODES.includes(brake),
      `limit rule: no brake ${brake}`,
    );
    invariant(
      victim === undefined || packPolicy(victim) !== 0,
      `limit rule: no victim policy ${victim}`,
    );
    invariant(
      Number.isInteger(uidFirst) && Number.isInteger(uidLast) && uidFirst >= 0 &&
        uidFirst <= uidLast && uidLast <= UID_MAX,
      `limit rule: uids must be a range within 0 to ${UID_MAX}, not ${uidFirst}-${uidLast}`,
    );
    invariant(
      (isNoLimit(rule) && softPages === NO_LIMIT_PAGES) ||
        (Number.isInteger(hardPages) && Number.isInteger(softPages) && softPages >= 1 &&
          softPages <= hardPages && hardPages <= HARD_PAGES_MAX),
      `limit rule: 1 <= soft <= hard <= ${HARD_PAGES_MAX} pages, not ${softPages} and ${hardPages}`,
    );
    invariant(
      processesMax === undefined || (Number.isInteger(processesMax) && processesMax >= 1),
      `limit rule: ${processesMax} processes of a user`,
    );
    checkPlan(rule.plan ?? {}, rule.storm ?? {});
    const kept = Object.freeze({
      uidFirst,
      uidLast,
      hardPages,
      softPages,
      ...(brake === undefined ? {} : { brake }),
      ...(processesMax === undefined ? {} : { processesMax }),
      ...(victim === undefined ? {} : { victim }),
      ...(countMask === undefined ? {} : { countMask }),
      ...(rule.plan === undefined ? {} : { plan: rule.plan }),
      ...(rule.storm === undefined ? {} : { storm: rule.storm }),
      ...(rule.isAtOnce === true ? { isAtOnce: true as const } : {}),
    });
    const index = this.rules.findIndex((other) => sameUids(other, rule));
    if (index >= 0) {
      this.rules[index] = kept;
      return;
    }
    this.checkRoom(rule);
    this.rules.push(kept);
    this.rules.sort(byPrecedence);
  }

  /** Whether there is room for the rule. @throws {RulesFullError} When it would be one too many. */
  checkRoom(rule: UidRange): void {
    if (this.rules.length < RULES_MAX || this.rules.some((other) => sameUids(other, rule))) return;
    throw new RulesFullError(
      `Cannot set a limit for ${formatUidRange(rule)}: there are ${RULES_MAX} rules already, ` +
        "clear one or use a range",
    );
  }

  /**
   * Removes the rule of exactly this range.
   *
   * @returns Whether there was one.
   */
  clear(uidFirst: number, uidLast: number): boolean {
    const index = this.rules.findIndex((rule) => sameUids(rule, { uidFirst, uidLast }));
    if (index < 0) return false;
    this.rules.splice(index, 1);
    return true;
  }

  /** The rule that holds for a uid; it may say that there is no limit. */
  find(uid: number): LimitRule | undefined {
    return this.rules.find((rule) => rule.uidFirst <= uid && uid <= rule.uidLast);
  }

  /** All rules, in order of precedence; a copy. */
  list(): readonly LimitRule[] {
    return this.rules.slice();
  }
}
