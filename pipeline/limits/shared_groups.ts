/**
 * Groups with one limit for all members together: members count for an account of the group, which has
 * a uid that nobody has, as subordinate uids count for their owner (owners.ts).
 *
 * @module
 */

/** Uid of the account of group 0. Uids from here on are given to nobody, by any convention. */
const ACCOUNT_UID_MIN = 2 ** 31;
/** The highest group id that can have an account; 4294967295 is no uid. */
export const SHARED_GID_MAX: number = 2 ** 31 - 2;

/** A group with a shared limit. */
export interface SharedGroup {
  readonly accountUid: number;
  /** Those that count for it. */
  readonly memberUids: readonly number[];
}

/** @param gid 0 to {@link SHARED_GID_MAX}. */
export function accountUidOf(gid: number): number {
  return ACCOUNT_UID_MIN + gid;
}

/** The group whose account it is; undefined: it is the uid of a user. */
export function gidOfAccount(uid: number): number | undefined {
  const gid = uid - ACCOUNT_UID_MIN;
  return gid >= 0 && gid <= SHARED_GID_MAX ? gid : undefined;
}
