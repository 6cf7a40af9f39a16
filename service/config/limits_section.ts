/**
 * The limits of all files together, made into rules: who each subject is, and which limit holds for a
 * uid where several would.
 *
 * Narrowest wins: a user, then a group (of fewer members first, of two as large the lower limit), then
 * a range (the narrower first), then `*`. A group's limit becomes a rule for each member, a shared one a
 * rule for the group's account; the rest of the order is that of rules, see
 * ../../pipeline/limits/limits.ts.
 *
 * @module
 */
import {
  formatUidRange,
  type LimitRule,
  limitRule,
  RULES_MAX,
  sameUids,
  type SoftSpec,
  UID_MAX,
  type UidRange,
} from "../../pipeline/limits/limits.ts";
import type { KillPlan } from "../../pipeline/memory/kill_plan.ts";
import { accountUidOf, SHARED_GID_MAX } from "../../pipeline/limits/shared_groups.ts";
import { didYouMean } from "../../pipeline/limits/did_you_mean.ts";
import { FormatError, quote } from "../../pipeline/limits/units.ts";
import { definedOf } from "./defined.ts";
import { type LimitSpec, parseUser, ruleOfSpec, type UserResolver } from "./limit_spec.ts";
import { type ConfigProblem, pathText, type Place, placeText } from "./place.ts";
import { AbsentError, PassingError } from "./passing_error.ts";
import type { Group } from "./lookups.ts";
import type { ConfigLimit, SizeHost } from "./schema.ts";
import type { ConfigText } from "./syntax.ts";

/** Who subjects are; everything has been looked up before. */
export interface SubjectHost extends UserResolver, SizeHost {
  /** @returns undefined: there is no such group. @throws {FormatError} */
  groupOf(group: string): Group | undefined;
  groupNames(): Iterable<string>;
  /** Why a limit for these uids would hold for nobody; undefined: it would. */
  nobodyReason?(uids: UidRange): string | undefined;
}

export type SubjectKind = "user" | "group" | "range" | "everybody";

/** A limit as it stands in a file. Plain data. */
export interface FileLimit {
  /** As it is written. */
  readonly subject: string;
  readonly kind: SubjectKind;
  /** `/etc/toom/config.jsonc:12`, or `--limit`. */
  readonly place: string;
  readonly origin: ConfiguredRule["origin"];
  /** One; of a group one for each member. */
  readonly uids: readonly UidRange[];
  /** Of a group that shares the limit: the uid of its account. */
  readonly accountUid?: number;
  /** Without uids. */
  readonly limit: Omit<LimitRule, "uidFirst" | "uidLast">;
}

/** A rule that the start or a reload puts in force, and where it was asked for. */
export interface ConfiguredRule extends LimitRule {
  readonly origin: "config" | "command-line";
  /** As it is written: `@students`. */
  readonly subject: string;
  /** File and line; of the command line `--limit`. */
  readonly place: string;
  /** Of the account of a group with a shared limit: who counts for it. */
  readonly memberUids?: readonly number[];
}

/** A subject of the files that holds: a later file's replaces one that is written alike. */
export interface LimitEntry {
  readonly subject: string;
  readonly limit: ConfigLimit;
  readonly text: ConfigText;
}

const EVERYBODY: UidRange = { uidFirst: 1, uidLast: UID_MAX };

/** Takes the limits of one file after the other. */
export function gatherLimits(
  files: readonly { readonly text: ConfigText; readonly limits: Record<string, ConfigLimit> }[],
): readonly LimitEntry[] {
  const entries = new Map<string, LimitEntry>();
  for (const { text, limits } of files) {
    for (const subject of text.keysOf(["limits"])) {
      const limit = limits[subject];
      if (limit === undefined) continue;
      // Deleted first, so that it stands where the last file has it.
      entries.delete(subject);
      entries.set(subject, { subject, limit, text });
    }
  }
  return [...entries.values()];
}

/** What {@link readLimits} has made: in order of precedence, or the problems. */
export interface ReadLimits {
  readonly limits: readonly FileLimit[];
  readonly problems: readonly ConfigProblem[];
}

/** Makes limits of what the files say. @param soft Of limits that do not say. */
export function readLimits(
  entries: readonly LimitEntry[],
  soft: SoftSpec,
  host: SubjectHost,
): ReadLimits {
  const limits: (FileLimit & { readonly entry: LimitEntry })[] = [];
  const problems: ConfigProblem[] = [];
  for (const entry of entries) {
    const isShared = typeof entry.limit === "object" && entry.limit.shared === true;
    const subject = subjectOf(entry.subject, isShared, host);
    const limit = limitOf(entry.limit, soft, host);
    if ("message" in subject) {
      const problem = problemAt(entry, "key", subject.message);
      problems.push({ ...problem, ...subject.kindOfProblem });
    }
    if (typeof limit === "string") problems.push(problemAt(entry, "soft", limit));
    if ("message" in subject || typeof limit === "string") continue;
    const { file, line, column } = entry.text.placeOfKey(["limits", entry.subject]);
    const place = placeText({ file, line, column });
    const origin = "config";
    limits.push({ ...subject, subject: entry.subject, limit, place, origin, entry });
  }
  limits.sort(byPrecedence);
  problems.push(...conflicts(limits, entries), ...tooMany(limits));
  return { limits: limits.map(({ entry: _, ...limit }) => limit), problems };
}

/**
 * The limits of files and command line together, in order of precedence: one of the command line
 * replaces that of the files for the same uid or range.
 */
export function withFlagLimits(
  limits: readonly FileLimit[],
  flags: readonly LimitSpec[],
  softDefault: SoftSpec,
  pageBytes: number,
): readonly FileLimit[] {
  const ofFlags = flags.map((spec): FileLimit => {
    const { subject, uids } = spec;
    const { uidFirst: _, uidLast: __, ...limit } = ruleOfSpec(spec, softDefault, pageBytes);
    const kind = uids.uidFirst === uids.uidLast ? "user" : "range";
    return { subject, kind, place: "--limit", origin: "command-line", uids: [uids], limit };
  });
  const others = limits.filter(({ kind, uids }) =>
    kind === "group" || !flags.some((flag) => sameUids(flag.uids, uids[0]!))
  );
  return [...ofFlags, ...others].sort(byPrecedence);
}

/** The rules of limits in order of precedence: one for each user, and for each range. */
export function rulesOf(limits: readonly FileLimit[]): readonly ConfiguredRule[] {
  const rules = new Map<string, ConfiguredRule>();
  const sharers = new Set<string>();
  for (const { subject, place, origin, uids, limit, accountUid } of limits) {
    const free = uids.filter((one) => {
      const key = formatUidRange(one);
      return !rules.has(key) && !sharers.has(key);
    });
    const rule = { ...limit, origin, subject, place };
    if (accountUid === undefined) {
      for (const one of free) rules.set(formatUidRange(one), { ...one, ...rule });
      continue;
    }
    for (const one of free) sharers.add(formatUidRange(one));
    const account = { uidFirst: accountUid, uidLast: accountUid };
    const memberUids = free.map(({ uidFirst }) => uidFirst);
    rules.set(formatUidRange(account), { ...account, ...rule, memberUids });
  }
  return [...rules.values()];
}

/**
 * Whom a subject means, or what was expected instead.
 *
 * @param isLimit A limit for nobody, because others own its uids, is a mistake.
 */
export function subjectOf(
  subject: string,
  isShared: boolean,
  host: SubjectHost,
  { isLimit } = { isLimit: true },
):
  | Pick<FileLimit, "kind" | "uids" | "accountUid">
  | {
    readonly message: string;
    readonly kindOfProblem: Pick<ConfigProblem, "isPassing" | "isAbsent">;
  } {
  const word = subject.trim();
  try {
    if (word.startsWith("@")) return groupSubject(word.slice(1), isShared, host);
    if (isShared) {
      throw new FormatError('expected "shared" of a group only, as @students');
    }
    if (word === "*") return { kind: "everybody", uids: [EVERYBODY] };
    const uids = parseUser(subject, host);
    const reason = isLimit ? host.nobodyReason?.(uids) : undefined;
    if (reason !== undefined) {
      throw new AbsentError(`expected a user whom the limit would reach: ${reason}`);
    }
    return { kind: uids.uidFirst === uids.uidLast ? "user" : "range", uids: [uids] };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const kindOfProblem = error instanceof PassingError
      ? { isPassing: true as const }
      : error instanceof AbsentError
      ? { isAbsent: true as const }
      : {};
    return { message: error.message, kindOfProblem };
  }
}

/** Root is limited by its own number only, be it in whatever group. */
function groupSubject(
  name: string,
  isShared: boolean,
  host: SubjectHost,
): Pick<FileLimit, "kind" | "uids" | "accountUid"> {
  const group = host.groupOf(name);
  if (group === undefined) {
    const near = didYouMean(name, host.groupNames());
    throw new AbsentError(
      `expected @ and the name of a group, and no group is ${quote(name)}${near}`,
    );
  }
  const { gid, memberUids } = group;
  const uids = [...new Set(memberUids)].filter((uid) => uid !== 0).sort((a, b) => a - b)
    .map((uid) => ({ uidFirst: uid, uidLast: uid }));
  if (!isShared) return { kind: "group", uids };
  if (gid > SHARED_GID_MAX) {
    throw new FormatError(
      `expected a group with an id of at most ${SHARED_GID_MAX} for a shared limit, not ${gid}`,
    );
  }
  return { kind: "group", uids, accountUid: accountUidOf(gid) };
}

function limitOf(limit: ConfigLimit, soft: SoftSpec, host: SizeHost): FileLimit["limit"] | string {
  const said = typeof limit === "number" ? { hard: limit } : limit;
  if (said.hard === Infinity && said.soft !== undefined) {
    return 'expected no "soft" where there is no limit';
  }
  if (said.hard === Infinity && said.maxProcesses !== undefined) {
    return 'expected no "maxProcesses" where there is no limit';
  }
  if (said.hard === Infinity && said.victim !== undefined) {
    return 'expected no "victim" where there is no limit';
  }
  if (said.hard === Infinity && said.count !== undefined) {
    return 'expected no "count" where there is no limit';
  }
  if (said.hard === Infinity && said.shared === true) {
    return 'expected no "shared" where there is no limit';
  }
  if (said.hard === Infinity && said.brake !== undefined) {
    return 'expected no "brake" where there is no limit';
  }
  if (said.hard === Infinity && (said.plan ?? said.storm) !== undefined) {
    return 'expected no "plan" and no "storm" where there is no limit';
  }
  try {
    const rule = limitRule(EVERYBODY, said.hard, said.soft ?? soft, host.pageBytes);
    return {
      hardPages: rule.hardPages,
      softPages: rule.softPages,
      ...(said.maxProcesses === undefined ? {} : { processesMax: said.maxProcesses }),
      ...(said.brake === undefined ? {} : { brake: said.brake }),
      ...(said.victim === undefined ? {} : { victim: said.victim }),
      ...(said.count === undefined ? {} : { countMask: said.count }),
      ...(said.plan === undefined ? {} : { plan: planOf(said.plan) }),
      ...(said.storm === undefined ? {} : { storm: definedOf(said.storm) }),
    };
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
}

type SaidPlan = NonNullable<Exclude<ConfigLimit, number>["plan"]>;

/** What a plan says, by the names that rules have. */
export function planOf({ signal, grace, ceiling, unit }: SaidPlan): Partial<KillPlan> {
  return definedOf({ signal, graceMs: grace, ceilingPermille: ceiling, unit });
}

function problemAt(entry: LimitEntry, where: "key" | "soft", message: string): ConfigProblem {
  const path = ["limits", entry.subject];
  const hasSoft = where === "soft" && entry.text.valueAt([...path, "soft"]) !== undefined;
  const at = hasSoft ? [...path, "soft"] : path;
  const place: Place = where === "key" ? entry.text.placeOfKey(path) : entry.text.placeOf(at);
  return { ...place, path: pathText(at), message };
}

const KINDS: readonly SubjectKind[] = ["user", "group", "range", "everybody"];

function byPrecedence(a: FileLimit, b: FileLimit): number {
  const kinds = KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind);
  if (kinds !== 0) return kinds;
  if (a.kind === "group") {
    return a.uids.length - b.uids.length || a.limit.hardPages - b.limit.hardPages;
  }
  return width(a) - width(b) || b.uids[0]!.uidFirst - a.uids[0]!.uidFirst;
}

function width({ uids }: FileLimit): number {
  return uids[0]!.uidLast - uids[0]!.uidFirst;
}

/** Subjects of which nobody can say which one is the narrower; told of the later one. */
function conflicts(
  limits: readonly (FileLimit & { readonly entry: LimitEntry })[],
  entries: readonly LimitEntry[],
): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const single = limits.filter(({ kind }) => kind === "user" || kind === "range")
    .sort((a, b) => entries.indexOf(a.entry) - entries.indexOf(b.entry));
  for (const [index, one] of single.entries()) {
    for (const other of single.slice(0, index)) {
      const message = conflictOf(one, other);
      if (message !== undefined) problems.push(problemAt(one.entry, "key", message));
    }
  }
  return problems;
}

function conflictOf(one: FileLimit, other: FileLimit): string | undefined {
  const a = one.uids[0]!;
  const b = other.uids[0]!;
  if (sameUids(a, b)) {
    return `expected one limit a user, and uid ${formatUidRange(a)} has one as ${
      quote(other.subject)
    } (${other.place})`;
  }
  const [low, high] = a.uidFirst < b.uidFirst ? [a, b] : [b, a];
  const isCrossed = low.uidFirst < high.uidFirst && high.uidFirst <= low.uidLast &&
    low.uidLast < high.uidLast;
  if (!isCrossed) return undefined;
  return `expected ranges of which one lies within the other, or apart, and it crosses ${
    quote(other.subject)
  } (${other.place})`;
}

function tooMany(
  limits: readonly (FileLimit & { readonly entry: LimitEntry })[],
): readonly ConfigProblem[] {
  const seen = new Set<string>();
  for (const { uids, entry, kind, accountUid } of limits) {
    if (accountUid !== undefined) seen.add(entry.subject);
    else for (const one of uids) seen.add(formatUidRange(one));
    if (seen.size <= RULES_MAX) continue;
    const members = kind === "group" ? `, with ${uids.length} members of this group` : "";
    const message =
      `expected at most ${RULES_MAX} users and ranges with a limit${members}: use a range or *`;
    return [problemAt(entry, "key", message)];
  }
  return [];
}
