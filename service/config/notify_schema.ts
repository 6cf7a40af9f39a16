// The return types are what zod infers, and would only repeat the schema.
// deno-lint-ignore-file explicit-function-return-type
/**
 * Schemas of hooks, mail and webhook.
 *
 * @module
 */
import { z } from "zod";
import { FormatError, quote } from "../../pipeline/limits/units.ts";
import { TOLD_KINDS } from "../journal/event_kinds.ts";
import { durationText, parseDurationMs, within } from "./option_values.ts";
import { readAs } from "./read_as.ts";
import { expecting, object, text, whole } from "./schema_parts.ts";

/**
 * Of settings that are objects one each, for documents: zod keeps none of what is read into something
 * else.
 */
export const OBJECT_EXAMPLES = {
  "hooks.before": { command: ["/usr/bin/logger", "-t", "toom"], user: "nobody", timeout: "200ms" },
  "hooks.after": { command: ["/usr/local/sbin/after-kill"], user: "nobody", timeout: "10s" },
  "hooks.soft": { command: ["/usr/local/sbin/soft-limit"], user: "nobody", timeout: "10s" },
  "notify.mail": { to: ["root"], every: "10m" },
  "notify.webhook": { url: "https://example.org/toom" },
} as const;

/** Words of a command. */
const WORDS_MAX = 64;
const WORD_CHARACTERS_MAX = 4096;

/** A program by its path, and its arguments: no shell reads them. */
function command(description: string) {
  const error = expecting(
    'a list of texts: the path of a program from / on, and its arguments, such as ["/usr/bin/logger", "-t", "toom"]',
  );
  return z.array(z.string(error).max(WORD_CHARACTERS_MAX, error), error)
    .min(1, error).max(WORDS_MAX, error)
    .refine(([program]) => program!.startsWith("/"), error)
    .refine((words) => words.every((word) => !word.includes("\0")), error)
    .describe(description);
}

function duration(leastMs: number, mostMs: number, example: string, description: string) {
  return text(
    (written) => within(written, parseDurationMs(written), leastMs, mostMs),
    `a duration such as "${example}"`,
    [example],
    description,
  );
}

function userName(description: string) {
  const error = expecting("the name of a user");
  return z.string(error).min(1, error).describe(description);
}

function kinds(description: string) {
  const error = expecting(`a list of kinds of events: ${TOLD_KINDS.join(", ")}`);
  return z.array(z.enum(TOLD_KINDS, error), error).min(1, error).describe(description);
}

/** @param timeoutMs What holds when it does not say. */
export function hookSchema(description: string, timeoutMs: number, timeoutMsMax: number) {
  const standard = durationText(timeoutMs);
  return object({
    command: command(
      "The program by its path, and its arguments. No shell reads them; what happened comes as " +
        "TOOM_* variables and as JSON on standard input.",
    ),
    user: userName("Who runs it, by name. Left out: nobody.").optional(),
    timeout: duration(
      10,
      timeoutMsMax,
      standard,
      `How long it may run; then all of its process group is killed. Left out: ${standard}.`,
    ).optional(),
    atOnce: whole(
      1,
      32,
      "How many may run at one time; others are left out, and counted. Left out: 4.",
    )
      .optional(),
  }, description);
}

/** An address that is one, whatever is put in place of `{user}`. */
function parseAddress(address: string): string {
  const plain = address.replaceAll("{user}", "user");
  if (/^[\w.!#$%&'*+/=?^`|~@[\]:-]{1,254}$/.test(plain) && !plain.startsWith("-")) return address;
  throw new FormatError(
    `expected an address such as root or admin@example.org, or {user}, not ${quote(address)}`,
  );
}

function parseSubject(subject: string): string {
  // deno-lint-ignore no-control-regex
  if (subject.length <= 200 && !/[\x00-\x1f\x7f]/.test(subject)) return subject;
  throw new FormatError(`expected one line of at most 200 characters, not ${quote(subject)}`);
}

export function mailSchema() {
  return object({
    to: z.array(readAs(parseAddress), expecting('a list of addresses such as ["root"]'))
      .min(1, expecting('a list of addresses such as ["root"]')).max(16)
      .describe("Who gets it. `{user}` is the name of the user whom it is about."),
    from: text(parseAddress, "an address", ["toom"], "Who it is from. Left out: `toom`.")
      .optional(),
    subject: text(
      parseSubject,
      "a line",
      ["toom: process of {user} ended on {host}"],
      "The subject; `{name}` is replaced, see docs/HOOKS.md.",
    ).optional(),
    body: z.string(expecting("a text")).max(8192)
      .describe("The text; `{name}` is replaced, see docs/HOOKS.md.").optional(),
    command: command(
      'What takes the mail on its standard input. Left out: `["/usr/sbin/sendmail", "-t", "-i"]`.',
    ).optional(),
    user: userName("Who runs it, by name. Left out: root.").optional(),
    every: duration(
      0,
      86_400_000,
      "10m",
      "Of each user at most one mail in so long; the next tells how many events there were. " +
        "Left out: 10m.",
    ).optional(),
    events: kinds('What is told. Left out: `["kill"]`.').optional(),
  }, "Mail about what happens, by sendmail(8).");
}

function parseUrl(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url !== undefined && (url.protocol === "http:" || url.protocol === "https:")) return url.href;
  throw new FormatError(
    `expected an address such as https://example.org/toom, not ${quote(address)}`,
  );
}

export function webhookSchema() {
  return object({
    url: text(
      parseUrl,
      "an address",
      ["https://example.org/toom"],
      "Where each event is posted to, as JSON. Only the machine's name is ever shown.",
    ),
    timeout: duration(100, 60_000, "5s", "How long an attempt may take. Left out: 5s.").optional(),
    attempts: whole(
      1,
      20,
      "How often one event is tried, each time after twice as long. Left out: 6.",
    ).optional(),
    events: kinds('What is told. Left out: `["kill"]`.').optional(),
  }, "An address that is told what happens, by HTTP.");
}
