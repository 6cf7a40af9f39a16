/**
 * Names and uids for the commands that talk to a running toom.
 *
 * @module
 */
import type { UserResolver } from "./limit_spec.ts";

/** Both ways between names and uids. */
export interface Users extends UserResolver {
  /** The name of a uid; `undefined` when it has none. */
  nameOf(uid: number): string | undefined;
}

/** The machine's own users; loaded late, as `--help` and wrong usage need none of it. */
export async function systemUsers(): Promise<Users> {
  return await import("../kernel/passwd.ts");
}

/** A name for people: the user's, or the uid. */
export function userLabel(uid: number, users: Users): string {
  return users.nameOf(uid) ?? String(uid);
}
