/**
 * Limits as they are written on the command line: `bob=4GiB`, `1000-59999=2G,soft=80%`.
 *
 * @module
 */
import {
  type LimitRule,
  limitRule,
  parseSoft,
  parseUidRange,
  type SoftSpec,
  type UidRange,
} from "../pipeline/limits.ts";
import { FormatError, parseSizeBytes, quote } from "../pipeline/units.ts";

/** Looks users up. */
export interface UserResolver {
  /** The uid of a name; `undefined` when there is no such user. */
  uidOf(name: string): number | undefined;
}

/** What the meaning of a limit depends on. */
export interface LimitHost extends UserResolver {
  readonly totalMemoryBytes: number;
  readonly pageBytes: number;
}

const EXPECTED = "expected USER=SIZE[,soft=SIZE|PCT], for example bob=4GiB";

/**
 * Reads a user: a name, a uid, or a range `1000-59999`. A word of digits is a uid, never a name.
 *
 * Root has to be asked for by number: `0`. The name `root`, another name of uid 0, and ranges with
 * uid 0 in them are refused, as a limit there can take down what keeps the machine reachable.
 *
 * @throws {FormatError} When there is no such user, or it is root and not written as 0.
 */
export function parseUser(text: string, resolver: UserResolver): UidRange {
  const uids = parseUidRange(text);
  if (uids !== undefined) return uids;
  // What no passwd can hold is not looked up: it would only come back as "no such user".
  const uid = /^[^\s:,=/]{1,256}$/.test(text) ? resolver.uidOf(text) : undefined;
  if (uid === undefined) {
    throw new FormatError(
      `expected a user's name, a uid or a range, and no user is ${quote(text)}`,
    );
  }
  if (uid === 0) {
    throw new FormatError(
      `expected 0 instead of ${quote(text)} to limit root, which can take the machine down`,
    );
  }
  return { uidFirst: uid, uidLast: uid };
}

/**
 * Reads `USER=SIZE[,soft=SIZE|PCT]`. A percentage as SIZE is of the memory, as soft of the limit.
 *
 * @param softDefault Where the soft limit lies when the text does not say.
 * @throws {FormatError} One line: `Cannot read limit "bob": expected USER=SIZE…`.
 */
export function parseLimitSpec(text: string, host: LimitHost, softDefault: SoftSpec): LimitRule {
  try {
    const match = /^([^=,]+)=([^=,]+)(?:,soft=([^=,]+))?$/.exec(text);
    if (match === null) throw new FormatError(EXPECTED);
    const [, user, size, soft] = match;
    const uids = parseUser(user!.trim(), host);
    const hardBytes = parseSizeBytes(size!, host.totalMemoryBytes);
    return limitRule(
      uids,
      hardBytes,
      soft === undefined ? softDefault : parseSoft(soft),
      host.pageBytes,
    );
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(`Cannot read limit ${quote(text)}: ${error.message}`, { cause: error });
  }
}
