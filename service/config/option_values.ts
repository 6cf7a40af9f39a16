/**
 * Values of options: counted members, durations, CPUs, paths.
 *
 * @module
 */
import { parseMembers } from "../../pipeline/limits/members.ts";
import { STREAM_SUFFIX } from "../../pipeline/promises/tmalloc_message.ts";
import { didYouMean } from "../../pipeline/limits/did_you_mean.ts";
import { CEILING_PERMILLE_MAX, GRACE_MS_MAX } from "../../pipeline/memory/kill_plan.ts";
import { FormatError, quote, unitMeant } from "../../pipeline/limits/units.ts";
import {
  POLICY_WEIGHT_MAX,
  type PolicyName,
  policyText,
  VICTIM_POLICIES,
  type VictimPolicy,
} from "../../pipeline/memory/victim_policy.ts";
import { COUNT_DEFAULT } from "./defaults.ts";

export { memberNames, parseLimitMembers, parseMembers } from "../../pipeline/limits/members.ts";

/** Members of `sockaddr_un.sun_path`, less the closing zero. */
const SOCKET_PATH_BYTES_MAX = 107;

/** What counts as usage. */
export interface Counted {
  /** Bit `1 << Member.x` for each counted member. */
  readonly mask: number;
  /** A page counts in each process that maps it. */
  readonly isSum: boolean;
}

/**
 * Reads `anon+swap+shmem`, `rss`, and with the word `sum` beside them or alone (then of the default
 * members) that shared pages count in each process.
 *
 * @throws {FormatError}
 */
export function parseCounted(text: string): Counted {
  const words = text.split("+");
  const members = words.filter((word) => word !== "sum");
  const isSum = members.length < words.length;
  const isAlone = isSum && members.length === 0;
  const names = isAlone ? COUNT_DEFAULT : members.length === 1 ? members[0]! : members.join("+");
  return { mask: parseMembers(names, true), isSum };
}

/** Reads the CPU of `--cpu`. @returns -1 for any. @throws {FormatError} */
export function parseCpu(text: string): number | "auto" {
  if (text === "auto") return "auto";
  if (text === "any") return -1;
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw new FormatError(`expected a CPU's number, any, or auto, not ${quote(text)}`);
}

const DURATION_UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  "": 1000,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * Reads a duration: `500ms`, `1.5s`, `2m`, `1h`; a bare number is seconds.
 *
 * @returns Milliseconds, rounded.
 * @throws {FormatError}
 */
export function parseDurationMs(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|)$/.exec(text);
  if (match === null) {
    throw new FormatError(
      `expected a duration such as 500ms, 1s or 2m, not ${quote(text)}${
        unitMeant(text, Object.keys(DURATION_UNIT_MS))
      }`,
    );
  }
  return Math.round(Number(match[1]) * DURATION_UNIT_MS[match[2]!]!);
}

export function within(text: string, valueMs: number, leastMs: number, mostMs: number): number {
  if (valueMs >= leastMs && valueMs <= mostMs) return valueMs;
  throw new FormatError(
    `expected ${durationText(leastMs)} to ${durationText(mostMs)}, not ${quote(text)}`,
  );
}

/** Reads `105%` of the hard limit. @returns Thousandths, 1000 or more. @throws {FormatError} */
export function parseCeiling(text: string): number {
  const match = /^(\d{1,4}(?:\.\d)?)\s*%$/.exec(text.trim());
  const permille = match === null ? 0 : Math.round(Number(match[1]) * 10);
  if (permille >= 1000 && permille <= CEILING_PERMILLE_MAX) return permille;
  throw new FormatError(
    `expected a percentage of the hard limit from 100% to ${CEILING_PERMILLE_MAX / 10}%, ` +
      `not ${quote(text)}`,
  );
}

/** What {@link parseCeiling} reads. */
export function ceilingText(permille: number): string {
  return `${permille / 10}%`;
}

/** Reads a grace. @returns Milliseconds. @throws {FormatError} */
export function parseGrace(text: string): number {
  return within(text, parseDurationMs(text), 0, GRACE_MS_MAX);
}

/** In the largest unit in which it is whole: 5000 ms are `5s`. */
export function durationText(ms: number): string {
  for (const [unitMs, unit] of [[3_600_000, "h"], [60_000, "m"], [1000, "s"]] as const) {
    if (ms > 0 && ms % unitMs === 0) return `${ms / unitMs}${unit}`;
  }
  return `${ms}ms`;
}

export function parseSubbufKib(text: string): number {
  const kib = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (kib >= 4 && kib <= 512 && (kib & (kib - 1)) === 0) return kib;
  throw new FormatError(`expected a power of two from 4 to 512, not ${quote(text)}`);
}

export function parsePath(text: string): string {
  if (text !== "" && !text.includes("\0")) return text;
  throw new FormatError(`expected a path, not ${quote(text)}`);
}

/** Reads the path of the socket of tmalloc, which has a neighbour of a longer name. */
export function parseTmallocSocket(text: string): string | undefined {
  if (text === "none") return undefined;
  parseSocketPath(text + STREAM_SUFFIX);
  return parseSocketPath(text);
}

/**
 * Reads the path of a Unix socket.
 *
 * @throws {FormatError} When it is empty, or longer than the kernel takes.
 */
export function parseSocketPath(text: string): string {
  if (new TextEncoder().encode(text).length <= SOCKET_PATH_BYTES_MAX) return parsePath(text);
  throw new FormatError(`expected a path of at most ${SOCKET_PATH_BYTES_MAX} bytes for a socket`);
}

/**
 * Reads a victim policy: a name, or names with weights `largest=2,growing=1`.
 *
 * @returns In its canonical form.
 * @throws {FormatError}
 */
export function parseVictim(text: string): VictimPolicy {
  const weights = { largest: 0, newest: 0, growing: 0, culprit: 0 };
  for (const part of text.split(",")) {
    const [, word, weight] = /^\s*([^=]*?)\s*(?:=\s*(.*?)\s*)?$/.exec(part) ??
      ["", part, undefined];
    if (!(VICTIM_POLICIES as readonly string[]).includes(word!)) {
      throw new FormatError(
        `expected ${VICTIM_POLICIES.join(", ")}, or some of them with weights as in ` +
          `largest=2,growing=1, not ${quote(text)}${didYouMean(word!, VICTIM_POLICIES)}`,
      );
    }
    const name = word as PolicyName;
    const number = weight === undefined ? 1 : /^\d{1,3}$/.test(weight) ? Number(weight) : 0;
    if (number < 1 || number > POLICY_WEIGHT_MAX) {
      throw new FormatError(
        `expected a weight from 1 to ${POLICY_WEIGHT_MAX} for ${name}, not ${quote(weight ?? "")}`,
      );
    }
    if (weights[name] !== 0) throw new FormatError(`expected ${name} once, not ${quote(text)}`);
    weights[name] = number;
  }
  return policyText(weights);
}
