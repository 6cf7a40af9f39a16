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
  /** Looks up names that {@link nameOf} then has, for some seconds at most. */
  expect?(uids: readonly number[]): Promise<void>;
}

/** A directory that is slower is not waited for: its users are numbers then. */
const NAMES_MS_MAX = 3000;

/** The machine's own users; loaded late, as `--help` and wrong usage need none of it. */
export async function systemUsers(): Promise<Users> {
  const { uidOf, findName } = await import("../kernel/users/passwd.ts");
  const { LocalNames } = await import("../kernel/users/local_names.ts");
  const { UserNames } = await import("../service/limits/user_names.ts");
  const nowMs = (): number => performance.now();
  const local = new LocalNames(nowMs);
  const names = new UserNames({ local: (uid) => local.nameOf(uid), find: findName, nowMs });
  return {
    uidOf,
    nameOf: (uid) => names.nameOf(uid) ?? undefined,
    expect: async (uids): Promise<void> => {
      names.expect(uids);
      await names.settled(NAMES_MS_MAX);
    },
  };
}

/**
 * Users for a command that must do with the permission to read: all that libc finds where foreign
 * functions are allowed, else those of /etc/passwd. Without the permission to read that file there
 * are none, which is no reason to ask for it: a limit by number needs no names.
 */
export async function readableUsers(): Promise<UserResolver> {
  const ffi = Deno.permissions.querySync({ name: "ffi" }).state;
  if (ffi === "granted" && Deno.build.os === "linux") return await systemUsers();
  const { PASSWD_PATH, uidInPasswd } = await import("../kernel/users/passwd_text.ts");
  const { state } = Deno.permissions.querySync({ name: "read", path: PASSWD_PATH });
  let text: string | undefined;
  return {
    uidOf: (name): number | undefined => {
      if (state !== "granted") return undefined;
      try {
        text ??= Deno.readTextFileSync(PASSWD_PATH);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
        text = "";
      }
      return uidInPasswd(text, name);
    },
  };
}

/** A name for people: the user's, or the uid. */
export function userLabel(uid: number, users: Users): string {
  return users.nameOf(uid) ?? String(uid);
}
