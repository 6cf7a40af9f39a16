/**
 * The text of /etc/subuid, subuid(5): which uids a person may use in user namespaces. A line is
 * `NAME:FIRST:COUNT` or `UID:FIRST:COUNT`; a person may have several. Pure.
 *
 * shadow-utils knows no comments and passes over what it cannot read. Lines that are empty or begin
 * with `#` are passed over here too, others that cannot be read are told of.
 *
 * @module
 */
import { UID_MAX, type UidRange } from "../../pipeline/limits/limits.ts";
import { quote } from "../../pipeline/limits/units.ts";

export const SUBUID_PATH = "/etc/subuid";

/** A line: uids that somebody was given. */
export interface SubuidLine extends UidRange {
  /** A login name, or a uid in digits. */
  readonly owner: string;
  /** From 1. */
  readonly line: number;
}

export interface SubuidText {
  readonly lines: readonly SubuidLine[];
  /** One for each line that could not be read. */
  readonly problems: readonly string[];
}

/** Parses the file. Never throws: one bad line must not take the others with it. */
export function parseSubuid(text: string): SubuidText {
  const lines: SubuidLine[] = [];
  const problems: string[] = [];
  for (const [index, raw] of text.split("\n").entries()) {
    const shown = raw.trimEnd();
    if (shown === "" || shown.startsWith("#")) continue;
    const line = index + 1;
    const [, owner, first, count] = /^([^:]+):(\d{1,10}):(\d{1,10})$/.exec(shown) ?? [];
    const uidFirst = Number(first);
    const uidLast = uidFirst + Number(count) - 1;
    if (owner === undefined) {
      problems.push(`line ${line}: expected NAME:FIRST:COUNT, not ${quote(shown)}`);
    } else if (uidLast < uidFirst || uidLast > UID_MAX || uidFirst === 0) {
      problems.push(`line ${line}: expected uids from 1 to ${UID_MAX}, not ${quote(shown)}`);
    } else lines.push({ owner, uidFirst, uidLast, line });
  }
  return { lines, problems };
}
