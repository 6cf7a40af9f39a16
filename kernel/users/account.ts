/**
 * Accounts to run programs as, and groups, by NSS: getent(1), as it knows those of directories too.
 *
 * @module
 */
import { type Getent, isKey, runGetent } from "./group.ts";

/** A user to run as. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  /** The primary group. */
  readonly gid: number;
}

function isId(text: string | undefined): text is string {
  return text !== undefined && /^\d{1,10}$/.test(text);
}

/**
 * The account of a user, by its name.
 *
 * @returns undefined when there is no such user.
 * @throws {FormatError} When it cannot be found out.
 */
export async function findAccount(
  name: string,
  getent: Getent = runGetent,
): Promise<Account | undefined> {
  if (!isKey(name)) return undefined;
  const [found, , uid, gid] = (await getent("passwd", name) ?? "").split("\n")[0]!.split(":");
  // A number is looked up as one, and is no name.
  if (found !== name || !isId(uid) || !isId(gid)) return undefined;
  return { name, uid: Number(uid), gid: Number(gid) };
}

/** The number of a group, by its name; as {@link findAccount}. */
export async function findGroupId(
  name: string,
  getent: Getent = runGetent,
): Promise<number | undefined> {
  if (!isKey(name)) return undefined;
  const [found, , gid] = (await getent("group", name) ?? "").split("\n")[0]!.split(":");
  return found === name && isId(gid) ? Number(gid) : undefined;
}
