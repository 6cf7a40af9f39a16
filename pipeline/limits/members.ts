/**
 * Counted members as people write them.
 *
 * @module
 */
import { Member } from "../memory/layout.ts";
import type { MemberMask } from "../memory/settings.ts";
import { didYouMean } from "./did_you_mean.ts";
import { FormatError, quote } from "./units.ts";

/**
 * Reads counted members, `anon+swap+shmem` or `rss`.
 *
 * @param takesSum The word `sum` may stand beside them, and has been taken off.
 * @returns A mask with bit `1 << Member.x` for each.
 * @throws {FormatError}
 */
export function parseMembers(text: string, takesSum = false): MemberMask {
  let mask = 0;
  for (const name of (text === "rss" ? "anon+file+shmem" : text).split("+")) {
    if (!Object.hasOwn(Member, name)) {
      const words = [...Object.keys(Member), "rss", ...(takesSum ? ["sum"] : [])];
      throw new FormatError(
        "expected rss, or file, anon, swap, shmem joined by + as in anon+swap+shmem, " +
          `${takesSum ? "with +sum or without, " : ""}not ${quote(text)}${didYouMean(name, words)}`,
      );
    }
    mask |= 1 << Member[name as keyof typeof Member];
  }
  return mask;
}

/**
 * Reads the members that count for the users of one limit, `anon+file`.
 *
 * @throws {FormatError} Also of `sum`, which is said for all users together.
 */
export function parseLimitMembers(text: string): MemberMask {
  if (text.split("+").includes("sum")) {
    throw new FormatError(
      `expected members without sum, which is said for all users by toom run --count, not ${
        quote(text)
      }`,
    );
  }
  return parseMembers(text);
}

/** Names of the members of a mask, joined by +; {@link parseMembers} reads it back. */
export function memberNames(mask: MemberMask): string {
  return Object.entries(Member).filter(([, bit]) => (mask >> bit & 1) !== 0)
    .map(([name]) => name).join("+");
}
