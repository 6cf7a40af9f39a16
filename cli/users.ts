/**
 * Names and uids for the commands that talk to a running toom.
 *
 * @module
 */
import type { UserResolver } from "../service/config/limit_spec.ts";

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
  const { uidOf } = await import("../kernel/users/passwd.ts");
  const { localUserNames } = await import("../service/config/system_host.ts");
  const { gidOf } = await import("../kernel/users/group.ts");
  const { machineNames } = await import("../service/limits/machine_names.ts");
  const names = machineNames();
  return {
    uidOf,
    gidOf,
    names: localUserNames,
    nameOf: (uid) => names.nameOf(uid) ?? undefined,
    expect: async (uids): Promise<void> => {
      names.expect(uids);
      await names.settled(NAMES_MS_MAX);
    },
  };
}

/** Users of whom only the names are wanted; of none, where libc may not be asked. */
export async function namesOnly(): Promise<Pick<Users, "nameOf" | "expect">> {
  if (Deno.permissions.querySync({ name: "ffi" }).state === "granted") return await systemUsers();
  return { nameOf: () => undefined };
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
  const passwd = (): string => {
    if (state !== "granted") return "";
    try {
      text ??= Deno.readTextFileSync(PASSWD_PATH);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      text = "";
    }
    return text;
  };
  return {
    uidOf: (name) => uidInPasswd(passwd(), name),
    names: () => passwd().split("\n").map((line) => line.split(":")[0]!),
  };
}

/** A name for people: the user's, or the uid. */
export function userLabel(uid: number, users: Users): string {
  return users.nameOf(uid) ?? String(uid);
}
