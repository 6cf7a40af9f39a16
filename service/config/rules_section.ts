/**
 * The rules about who dies, of all files together: checked, and made into what the sweeper matches.
 *
 * The last rule that matches a process holds: within a file the later one, and a drop-in before the
 * file that it stands beside.
 *
 * @module
 */
import {
  type GlobKind,
  globPattern,
  isGlob,
  loadPatterns,
} from "../../kernel/rules/linear_patterns.ts";
import { quote } from "../../pipeline/limits/units.ts";
import type { Patterns } from "../../pipeline/rules/matcher.ts";
import { rulesFit } from "../../pipeline/rules/published_victim_rules.ts";
import {
  DEFAULT_RULES,
  type RuleMatch,
  type TextMatch,
  VICTIM_RULES_MAX,
  type VictimRule,
} from "../../pipeline/rules/victim_rule.ts";
import { type SubjectHost, subjectOf } from "./limits_section.ts";
import { type ConfigProblem, pathText, placeText } from "./place.ts";
import type { ConfigRule, ConfigTextMatch } from "./schema.ts";
import type { ConfigText, KeyPath } from "./syntax.ts";

/** A rule as a file has it. */
export interface RuleEntry {
  readonly rule: ConfigRule;
  /** In its file, from 0. */
  readonly index: number;
  readonly text: ConfigText;
}

/** The kernel cuts a name off behind so many bytes: TASK_COMM_LEN, include/linux/sched.h. */
const COMMAND_BYTES_MAX = 15;
/** A longer one is no way to name a program. */
const TEXT_CHARACTERS_MAX = 1000;

type TextKey = "command" | "executable" | "commandLine" | "cgroup" | "directory";
const TEXTS: readonly (readonly [TextKey, GlobKind])[] = [
  ["command", "text"],
  ["executable", "path"],
  ["commandLine", "text"],
  ["cgroup", "path"],
  ["directory", "path"],
];
/** What a rule may ask for; the rest says what follows. */
const MATCHERS = [...TEXTS.map(([key]) => key), "user", "oomScoreAdj", "sessionLeader"] as const;

/** What {@link readRules} has made: in order, or the problems. */
export interface ReadRules {
  readonly rules: readonly VictimRule[];
  readonly problems: readonly ConfigProblem[];
}

/** Makes rules of what the files say. */
export async function readRules(
  entries: readonly RuleEntry[],
  host: SubjectHost,
): Promise<ReadRules> {
  const rules: VictimRule[] = [];
  const problems: ConfigProblem[] = [];
  for (const entry of entries) {
    const read = await new RuleReader(entry, host).read();
    if ("effect" in read) rules.push(read);
    else problems.push(...read);
  }
  const most = VICTIM_RULES_MAX - DEFAULT_RULES.length;
  if (rules.length > most) {
    problems.push(problemAt(entries[most]!, [], `expected at most ${most} rules`));
  } else if (!rulesFit([...DEFAULT_RULES, ...rules])) {
    const message = "expected fewer or shorter rules: all of them together take 256 KiB at most";
    problems.push(problemAt(entries.at(-1)!, [], message));
  }
  return { rules, problems };
}

class RuleReader {
  private readonly entry: RuleEntry;
  private readonly host: SubjectHost;
  private readonly problems: ConfigProblem[] = [];

  constructor(entry: RuleEntry, host: SubjectHost) {
    this.entry = entry;
    this.host = host;
  }

  async read(): Promise<VictimRule | readonly ConfigProblem[]> {
    const { rule, text, index } = this.entry;
    const { effect, weight, oomScoreAdj, sessionLeader } = rule;
    const texts: Partial<Record<TextKey, TextMatch>> = {};
    for (const [key, kind] of TEXTS) {
      const written = rule[key];
      const match = written === undefined ? undefined : await this.textMatch(key, written, kind);
      if (match !== undefined) texts[key] = match;
    }
    const uids = this.uids();
    if (!MATCHERS.some((key) => rule[key] !== undefined)) {
      this.tell(
        [],
        `expected something to match: ${MATCHERS.join(", ")} ("user": "*" is everybody)`,
      );
    }
    if (weight !== undefined && effect !== "prefer" && effect !== "avoid") {
      this.tell(["weight"], `expected no weight with "${effect}": it is for prefer and avoid`);
    }
    const range = typeof oomScoreAdj === "number"
      ? [oomScoreAdj, oomScoreAdj] as const
      : oomScoreAdj && [oomScoreAdj.min ?? -1000, oomScoreAdj.max ?? 1000] as const;
    if (range !== undefined && range[0] > range[1]) {
      this.tell(["oomScoreAdj"], `expected min at or below max, not ${range[0]} and ${range[1]}`);
    }
    if (this.problems.length > 0) return this.problems;
    const match: RuleMatch = {
      ...texts,
      ...(uids === undefined ? {} : { uids }),
      ...(range === undefined ? {} : { oomScoreAdj: range }),
      ...(sessionLeader === undefined ? {} : { sessionLeader }),
    };
    return {
      match,
      effect,
      weight: weight ?? 1,
      place: placeText(text.placeOf(["rules", index])),
      text: matchText(text.valueAt(["rules", index]) as Record<string, unknown>),
    };
  }

  private async textMatch(
    key: string,
    written: ConfigTextMatch,
    kind: GlobKind,
  ): Promise<TextMatch | undefined> {
    const isPattern = typeof written === "object";
    const path = isPattern ? [key, "pattern"] : [key];
    const given = isPattern ? written.pattern : written;
    if (given.length === 0 || given.length > TEXT_CHARACTERS_MAX) {
      this.tell(path, `expected 1 to ${TEXT_CHARACTERS_MAX} characters, not ${given.length}`);
      return undefined;
    }
    if (!isPattern && !isGlob(given)) return this.literal(key, given);
    const pattern = isPattern ? given : await globPattern(given, kind);
    if (pattern === undefined) {
      this.tell(path, `expected a glob that says what matches, without "!", not ${quote(given)}`);
      return undefined;
    }
    const reason = await patternProblem(pattern);
    if (reason === undefined) return { pattern };
    const expected = isPattern
      ? "a pattern as RE2 reads it (no look-around, no back references)"
      : 'a glob such as "/usr/bin/python*"';
    this.tell(path, `expected ${expected}, not ${quote(given)}: ${reason}`);
    return undefined;
  }

  /** A text that stands for itself: one that nothing can have is a mistake. */
  private literal(key: string, given: string): TextMatch | undefined {
    if (key === "command" && new TextEncoder().encode(given).length > COMMAND_BYTES_MAX) {
      const cut = new TextDecoder().decode(
        new TextEncoder().encode(given).slice(0, COMMAND_BYTES_MAX),
      );
      this.tell(
        [key],
        `expected at most ${COMMAND_BYTES_MAX} bytes, as the kernel cuts names off there (${
          quote(cut)
        }), not ${quote(given)}`,
      );
      return undefined;
    }
    const isPath = key === "executable" || key === "cgroup" || key === "directory";
    if (isPath && !given.startsWith("/")) {
      this.tell([key], `expected a path from the root, or a glob, not ${quote(given)}`);
      return undefined;
    }
    return { equals: given };
  }

  private uids(): RuleMatch["uids"] {
    const { user } = this.entry.rule;
    if (user === undefined) return undefined;
    // Rules may be about root too, whom limits of groups and of * leave out.
    if (user.trim() === "root") return [[0, 0]];
    const subject = subjectOf(user, false, this.host, { isLimit: false });
    if (!("message" in subject)) {
      return subject.uids.map(({ uidFirst, uidLast }) => [uidFirst, uidLast] as const);
    }
    this.tell(["user"], subject.message, subject.kindOfProblem);
    return undefined;
  }

  private tell(
    path: KeyPath,
    message: string,
    kind: Pick<ConfigProblem, "isPassing" | "isAbsent"> = {},
  ): void {
    this.problems.push({ ...problemAt(this.entry, path, message), ...kind });
  }
}

function problemAt({ text, index }: RuleEntry, path: KeyPath, message: string): ConfigProblem {
  const whole = ["rules", index, ...path];
  return { ...text.placeOf(whole), path: pathText(whole), message };
}

let patterns: Promise<Patterns> | undefined;

/** Why a pattern cannot be compiled; undefined: it can. */
async function patternProblem(pattern: string): Promise<string | undefined> {
  const { compile } = await (patterns ??= loadPatterns());
  try {
    compile(pattern)("");
    return undefined;
  } catch (error) {
    return (error as Error).message.replace(/^error parsing regexp: /, "");
  }
}

/** What a rule asks for as it is written: `command: "postgres", user: "@students"`. */
function matchText(rule: Readonly<Record<string, unknown>>): string {
  return MATCHERS.filter((key) => rule[key] !== undefined)
    .map((key) => `${key}: ${JSON.stringify(rule[key])}`).join(", ");
}

/** Users that rules name. */
export function ruleSubjects(entries: readonly RuleEntry[]): readonly string[] {
  return entries.flatMap(({ rule: { user } }) => user === undefined ? [] : [user]);
}
