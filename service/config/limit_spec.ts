/**
 * Limits as they are written on the command line: `bob=4GiB`, `1000-59999=2G,soft=80%`.
 *
 * @module
 */
import {
  type LimitRule,
  limitRule,
  parseHardBytes,
  parseSoft,
  parseUidRange,
  type SoftSpec,
  type UidRange,
} from "../../pipeline/limits/limits.ts";
import { accountUidOf, SHARED_GID_MAX } from "../../pipeline/limits/shared_groups.ts";
import { didYouMean } from "../../pipeline/limits/did_you_mean.ts";
import { FormatError, quote } from "../../pipeline/limits/units.ts";
import { AbsentError } from "./passing_error.ts";

/** Looks users up. */
export interface UserResolver {
  /** The uid of a name; `undefined` when there is no such user. */
  uidOf(name: string): number | undefined;
  /** Names to guess from what was meant. */
  names?(): Iterable<string>;
  /** The id of a group, where `@group` may stand for the account of one with a shared limit. */
  gidOf?(group: string): number | undefined;
}

/** What the meaning of a limit depends on. */
export interface LimitHost extends UserResolver {
  readonly totalMemoryBytes: number;
  readonly pageBytes: number;
}

const EXPECTED = "expected USER=SIZE[,soft=SIZE|PCT], for example bob=4GiB";
/** Longer than any name that a directory gives out (AD: 276), and no strain on libc. */
const NAME_CHARACTERS_MAX = 4096;

/**
 * Reads a user: a name, a uid, or a range `1000-59999`. `uid:60310` is a uid (or a range) and
 * `user:60310` a name, whatever else there is. A bare word that reads like a uid or a range, and is
 * the name of a user with another uid, is refused: nobody shall be limited for somebody else.
 *
 * A name is whatever `getent passwd` finds: it may hold blanks, a backslash, `@`, `$`, commas, `=`.
 * Only `:` and newline no name can have.
 *
 * Root has to be asked for by number: `0`. The name `root`, another name of uid 0, and ranges with
 * uid 0 in them are refused, as a limit there can take down what keeps the machine reachable.
 *
 * @throws {FormatError} When there is no such user, it is root and not written as 0, or the word
 *   can mean two users.
 */
export function parseUser(text: string, resolver: UserResolver): UidRange {
  const word = text.trim();
  if (word.startsWith("uid:")) {
    const uids = parseUidRange(word.slice("uid:".length));
    if (uids !== undefined) return uids;
    throw new FormatError(`expected uid:N or uid:N-M, not ${quote(text)}`);
  }
  const account = accountOf(word, resolver);
  if (account !== undefined) return account;
  if (word.startsWith("user:")) return namedUser(text.trimStart().slice("user:".length), resolver);
  if (!UID_OR_RANGE.test(word)) return namedUser(text, resolver);
  const named = uidOfLike(word, resolver);
  if (named !== undefined && Number(word) !== named) {
    throw new FormatError(
      `expected uid:${word} or user:${word}, as ${quote(word)} is also the name of a user, ` +
        `with uid ${named}`,
    );
  }
  return parseUidRange(word)!;
}

/** `@group`, but of a user with such a name. @throws {FormatError} There is no such group. */
function accountOf(word: string, resolver: UserResolver): UidRange | undefined {
  if (!word.startsWith("@") || resolver.gidOf === undefined) return undefined;
  if (uidOfLike(word, resolver) !== undefined) return undefined;
  const gid = resolver.gidOf(word.slice(1));
  if (gid === undefined || gid > SHARED_GID_MAX) {
    throw new FormatError(
      `expected @ and the name of a group with a shared limit, not ${quote(word)}`,
    );
  }
  const uid = accountUidOf(gid);
  return { uidFirst: uid, uidLast: uid };
}

/** What {@link parseUidRange} reads. */
const UID_OR_RANGE = /^\d+(?:-\d+)?$/;

/** A directory that does not answer must not keep limits by number from being read. */
function uidOfLike(word: string, resolver: UserResolver): number | undefined {
  try {
    return resolver.uidOf(word);
  } catch {
    return undefined;
  }
}

function namedUser(text: string, resolver: UserResolver): UidRange {
  const uid = uidOfName(text, resolver) ?? uidOfName(text.trim(), resolver);
  if (uid === undefined && /^(@.|\*$)/.test(text.trim())) {
    throw new FormatError(
      `expected a user's name, a uid or a range; ${
        quote(text.trim())
      } stands in the configuration only`,
    );
  }
  if (uid === undefined) {
    throw new AbsentError(
      `expected a user's name, a uid or a range, and no user is ${quote(text.trim())}${
        didYouMean(text.trim(), resolver.names?.() ?? [])
      }`,
    );
  }
  if (uid === 0) {
    throw new FormatError(
      `expected the number 0 instead of the name ${
        quote(text.trim())
      }: a limit for root can take ` +
        "the machine down, so that it must be meant",
    );
  }
  return { uidFirst: uid, uidLast: uid };
}

/** What no passwd can hold is not looked up: it would only come back as "no such user". */
function uidOfName(name: string, resolver: UserResolver): number | undefined {
  const isName = name !== "" && name.length <= NAME_CHARACTERS_MAX && !/[:\0\n]/.test(name);
  return isName ? resolver.uidOf(name) : undefined;
}

/** A limit as it is written on the command line. Plain data. */
export interface LimitSpec {
  /** USER, as it is written. */
  readonly subject: string;
  readonly uids: UidRange;
  /** null: no limit. */
  readonly hardBytes: number | null;
  /** undefined: it does not say. */
  readonly soft?: SoftSpec;
}

/** The rule of a limit. @throws {FormatError} When soft is above hard, or hard is no pages. */
export function ruleOfSpec(spec: LimitSpec, softDefault: SoftSpec, pageBytes: number): LimitRule {
  return limitRule(spec.uids, spec.hardBytes ?? Infinity, spec.soft ?? softDefault, pageBytes);
}

/** {@link readLimitSpec}, and its rule. @throws {FormatError} */
export function parseLimitSpec(text: string, host: LimitHost, softDefault: SoftSpec): LimitRule {
  const spec = readLimitSpec(text, host);
  return naming(text, () => ruleOfSpec(spec, softDefault, host.pageBytes));
}

/**
 * Reads `USER=SIZE[,soft=SIZE|PCT]`. A percentage as SIZE is of the memory, as soft of the limit.
 * As a name may hold `=` and `,`, the last `=` (before SIZE) ends it.
 *
 * @throws {FormatError} One line: `Cannot read limit "bob": expected USER=SIZE…`.
 */
export function readLimitSpec(text: string, host: LimitHost): LimitSpec {
  return naming(text, () => {
    const parts = /^([^]+)=([^=]+),soft=([^=]+)$/.exec(text) ?? /^([^]+)=([^=]+)$/.exec(text);
    const [, user, size, soft] = parts ?? [];
    // `bob=4G,` and `bob=4G,hard=1G` are not about users of a strange name.
    if (user === undefined || size === undefined || /,\D|,$/.test(size) || size.trim() === "") {
      throw new FormatError(EXPECTED);
    }
    const uids = splitUser(user, host);
    const hardBytes = parseHardBytes(size, host.totalMemoryBytes, host.pageBytes);
    if (hardBytes === Infinity && soft !== undefined) {
      throw new FormatError(`expected no soft limit where there is no limit, not ${quote(soft)}`);
    }
    return {
      subject: user,
      uids,
      hardBytes: hardBytes === Infinity ? null : hardBytes,
      ...(soft === undefined ? {} : { soft: parseSoft(soft) }),
    };
  });
}

/** Has an error quote the text that it is about. */
export function naming<Result>(text: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(`Cannot read limit ${quote(text)}: ${error.message}`, { cause: error });
  }
}

/** A user in front of the last `=`; what has another one and is nobody is a mistake of the form. */
function splitUser(text: string, host: LimitHost): UidRange {
  const isName = !/[=,]/.test(text) || uidOfName(text, host) !== undefined ||
    uidOfName(text.trim(), host) !== undefined || text.trim().startsWith("user:");
  if (isName) return parseUser(text, host);
  throw new FormatError(EXPECTED);
}
