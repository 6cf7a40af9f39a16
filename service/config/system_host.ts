/**
 * The users, groups and memory of this machine, for a configuration.
 *
 * @module
 */
import { findAccount, findGroupId } from "../../kernel/users/account.ts";
import { findGroup, localGroupNames } from "../../kernel/users/group.ts";
import { findUid, passwdText } from "../../kernel/users/passwd.ts";
import { uidInPasswd } from "../../kernel/users/passwd_text.ts";
import type { UidRange } from "../../pipeline/limits/limits.ts";
import type { ConfigHost } from "./lookups.ts";
import type { SizeHost } from "./schema.ts";

/** @param nobodyReason Why a limit would hold for nobody; left out: it always would. */
export function systemConfigHost(
  sizes: SizeHost,
  nobodyReason?: (uids: UidRange) => string | undefined,
): ConfigHost {
  const { totalMemoryBytes, pageBytes } = sizes;
  const find = async (name: string): Promise<number | undefined> =>
    uidInPasswd(passwdText(), name) ?? await findUid(name);
  return {
    totalMemoryBytes,
    pageBytes,
    findUid: find,
    findGroup: (group) => findGroup(group, find),
    findAccount: (name) => findAccount(name),
    findGroupId: (name) => findGroupId(name),
    userNames: localUserNames,
    groupNames: localGroupNames,
    ...(nobodyReason === undefined ? {} : { nobodyReason }),
  };
}

/** Names of /etc/passwd. */
export function localUserNames(): readonly string[] {
  return passwdText().split("\n").map((line) => line.split(":")[0]!).filter((name) => name !== "");
}
