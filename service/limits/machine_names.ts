/**
 * Names of this machine: of users, and of the accounts of groups with a shared limit, as `@students`.
 *
 * @module
 */
import { findGroupName } from "../../kernel/users/group.ts";
import { LocalNames } from "../../kernel/users/local_names.ts";
import { findName } from "../../kernel/users/passwd.ts";
import { gidOfAccount } from "../../pipeline/limits/shared_groups.ts";
import { UserNames } from "./user_names.ts";

/** As a configuration has a group. */
const GROUP_SIGN = "@";

/** Names of this machine, looked up without blocking this thread. */
export function machineNames(): UserNames {
  const nowMs = (): number => performance.now();
  const local = new LocalNames(nowMs);
  return new UserNames({
    nowMs,
    local: (uid) => local.nameOf(uid),
    find: async (uid) => {
      const name = await findName(uid);
      const gid = gidOfAccount(uid);
      // Somebody may have such a uid all the same.
      if (name !== undefined || gid === undefined) return name;
      const group = await findGroupName(gid);
      return group === undefined ? undefined : `${GROUP_SIGN}${group}`;
    },
  });
}
