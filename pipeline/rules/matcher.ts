/**
 * Which rule holds for a process: the last one that matches, so that a later file can say otherwise
 * than an earlier one.
 *
 * What a process says of itself is asked for once, and only when a rule needs it. Patterns take a time
 * that grows with the text and not faster, whatever is in either (RE2); texts end after
 * {@link TEXT_BYTES_MAX} bytes.
 *
 * @module
 */
import type { RuleMatch, TextMatch, VictimRule } from "./victim_rule.ts";

/** What a process says of itself; undefined: it is gone, or it does not say. */
export interface ProcessFacts {
  /** What is asked for next is about this process, as it is now. */
  begin(pid: number): void;
  realUid(): number | undefined;
  command(): string | undefined;
  isSessionLeader(): boolean | undefined;
  executable(): string | undefined;
  commandLine(): string | undefined;
  cgroup(): string | undefined;
  directory(): string | undefined;
  oomScoreAdj(): number | undefined;
}

/** Whether a text matches. */
export type TextTest = (text: string) => boolean;

/** What makes tests of patterns. */
export interface Patterns {
  /** @param pattern In the syntax of RE2. @throws When it is not. */
  compile(pattern: string): TextTest;
}

/** Uids of groups with one limit, and of nobody: pipeline/limits/shared_groups.ts. */
const ACCOUNT_UID_MIN = 2 ** 31;

/** No pattern is among the rules. */
const NO_PATTERNS: Patterns = {
  compile: (pattern) => {
    throw new Error(`no patterns: ${pattern}`);
  },
};

const TEXTS = ["command", "executable", "commandLine", "cgroup", "directory"] as const;
type TextFact = typeof TEXTS[number];

/** Whether tests of patterns must be made for these rules. */
export function needsPatterns(rules: readonly VictimRule[]): boolean {
  return rules.some(({ match }) =>
    TEXTS.some((fact) => match[fact] !== undefined && "pattern" in match[fact])
  );
}

interface Compiled {
  readonly match: RuleMatch;
  readonly texts: readonly { readonly fact: TextFact; readonly test: TextTest }[];
  /** A child is as its parent in all that it asks for. */
  readonly isHeritable: boolean;
}

export class Matcher {
  /** Whether the rule that {@link find} has found holds for children that change nothing. */
  isHeritable = true;
  private readonly compiled: readonly Compiled[];
  private readonly facts: ProcessFacts;
  /** Of the process under way; null: it does not say. */
  private readonly known = new Map<string, string | number | boolean | null>();

  constructor(rules: readonly VictimRule[], facts: ProcessFacts, patterns: Patterns = NO_PATTERNS) {
    this.facts = facts;
    this.compiled = rules.map(({ match }) => ({
      match,
      texts: TEXTS.flatMap((fact) => {
        const text = match[fact];
        return text === undefined ? [] : [{ fact, test: testOf(text, patterns) }];
      }),
      isHeritable: match.sessionLeader !== true,
    }));
  }

  /**
   * The rule that holds for a process.
   *
   * @param uid Of the user that it counts for, unsigned.
   * @returns Its index; -1: none.
   */
  find(pid: number, uid: number): number {
    this.facts.begin(pid);
    this.known.clear();
    for (let index = this.compiled.length - 1; index >= 0; index--) {
      if (!this.matches(this.compiled[index]!, uid)) continue;
      this.isHeritable = this.compiled[index]!.isHeritable;
      return index;
    }
    this.isHeritable = true;
    return -1;
  }

  /** The cheap questions first. */
  private matches({ match, texts }: Compiled, uid: number): boolean {
    const { uids, oomScoreAdj, sessionLeader } = match;
    if (uids !== undefined && !this.isOneOf(uids, uid)) return false;
    if (sessionLeader !== undefined && this.fact("isSessionLeader") !== sessionLeader) return false;
    for (const { fact, test } of texts) {
      const text = this.fact(fact);
      if (typeof text !== "string" || !test(text)) return false;
    }
    if (oomScoreAdj === undefined) return true;
    const score = this.fact("oomScoreAdj");
    return typeof score === "number" && oomScoreAdj[0] <= score && score <= oomScoreAdj[1];
  }

  /** Of a member of a group with one limit, whom it counts for is the group. */
  private isOneOf(uids: NonNullable<RuleMatch["uids"]>, uid: number): boolean {
    const isIn = (one: number): boolean =>
      uids.some(([first, last]) => first <= one && one <= last);
    if (isIn(uid)) return true;
    const real = uid < ACCOUNT_UID_MIN ? null : this.fact("realUid");
    return typeof real === "number" && isIn(real);
  }

  private fact(name: Exclude<keyof ProcessFacts, "begin">): string | number | boolean | null {
    const known = this.known.get(name);
    if (known !== undefined) return known;
    const read = this.facts[name]() ?? null;
    this.known.set(name, read);
    return read;
  }
}

function testOf(text: TextMatch, patterns: Patterns): TextTest {
  if ("pattern" in text) return patterns.compile(text.pattern);
  const { equals } = text;
  return (given) => given === equals;
}
