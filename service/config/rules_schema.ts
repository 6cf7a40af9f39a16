// The return types are what zod infers, and would only repeat the schema.
// deno-lint-ignore-file explicit-function-return-type
/**
 * Which of a user's processes dies, as a configuration says it: policies, and rules.
 *
 * @module
 */
import { z } from "zod";
import { EFFECT_NAMES, WEIGHT_MAX } from "../../pipeline/rules/victim_rule.ts";
import { parseVictim } from "./option_values.ts";
import { expecting, flag, object, text, whole, word } from "./schema_parts.ts";

/** A victim policy. */
export function victimSchema(description: string) {
  return text(
    parseVictim,
    "largest, newest, growing, culprit, or weights",
    ["largest", "newest", "growing", "culprit", "largest=2,growing=1"],
    description,
  );
}

export const RULES_HELP =
  "Which processes are killed rather than others of the same user. A rule matches a " +
  "process when all that it asks for holds. The last rule that matches holds; those of later " +
  "files come later. Texts are globs: in paths `*` ends at a slash and `**` does not.";

/** A text of a process: a glob, or a pattern. */
function textMatch(what: string, examples: readonly string[]) {
  const expected = 'a glob in quotes, or { "pattern": "..." }';
  return z.union([
    z.string(expecting(expected)).meta({ examples: [...examples] }),
    object({
      pattern: z.string(expecting("a pattern in quotes"))
        .describe("A regular expression of RE2, found anywhere in the text."),
    }, "A pattern instead of a glob."),
  ], expecting(expected)).describe(what);
}

const SCORE_MIN = -1000;
const SCORE_MAX = 1000;

/** One rule about who dies. */
export function ruleSchema() {
  const score = (description: string) => whole(SCORE_MIN, SCORE_MAX, description);
  return object({
    command: textMatch(
      "Its name, /proc/PID/comm: at most 15 bytes. A process can give itself any name.",
      ["postgres", "python3*"],
    ).optional(),
    executable: textMatch("Path of its program.", ["/usr/bin/python3*", "/opt/**"]).optional(),
    commandLine: textMatch(
      "Its arguments with blanks between them, the first 4096 bytes.",
      ["* -m http.server"],
    ).optional(),
    cgroup: textMatch(
      "Path of its cgroup.",
      ["/system.slice/*.service", "/user.slice/**/build.scope"],
    ).optional(),
    directory: textMatch("Its working directory.", ["/home/*/build", "/srv/**"]).optional(),
    user: z.string(expecting("a user, a uid, a range, @group or *, in quotes"))
      .meta({ examples: ["alice", "1000-59999", "@students", "root"] })
      .describe("Whose it is: a user as in `limits`, or `root`.").optional(),
    oomScoreAdj: z.union([
      score("Just this."),
      object({
        min: score("The least. Left out: -1000.").optional(),
        max: score("The most. Left out: 1000.").optional(),
      }, "A range."),
    ], expecting('a number from -1000 to 1000, or { "min": 0, "max": 500 }'))
      .describe("Its own oom_score_adj.").optional(),
    sessionLeader: flag("Whether it is the first process of its session: a login shell, a daemon.")
      .optional(),
    effect: word(
      EFFECT_NAMES,
      "prefer: it goes before others, if its end suffices. avoid: it goes only when the others do " +
        "not suffice. protect: it never goes, so ask for a user or a cgroup too, which a process " +
        "cannot choose. none: as if no rule matched.",
    ),
    weight: whole(
      1,
      WEIGHT_MAX,
      "Of several preferred the one of the highest weight goes first, of several avoided the one of " +
        "the lowest. Left out: 1.",
    ).optional(),
  }, "A rule: what it asks for, and what follows.");
}
