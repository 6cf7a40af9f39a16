/**
 * Groups and their members, by NSS: getent(1) knows those of directories too, and whoever has the group as
 * the primary one. Where there is no getent, /etc/group and /etc/passwd.
 *
 * A program of its own asks, because a directory may take its time, and because musl and glibc have
 * no call in common that lists users and may run on another thread.
 *
 * @module
 */
import { FormatError, quote } from "../../pipeline/limits/units.ts";
import { PASSWD_PATH } from "./passwd_text.ts";

export const GROUP_PATH = "/etc/group";
/** A directory that is slower is away. */
const ANSWER_MS_MAX = 10_000;
/** getent(1): one or more of the keys could not be found. */
const NOT_FOUND = 2;

/** What getent says of a database, one entry a line; undefined: there is no such key. */
export type Getent = (database: "group" | "passwd", key?: string) => Promise<string | undefined>;

/** A line of group(5) `name:password:gid:members`. */
function groupLine(
  line: string,
): { readonly gid: number; readonly names: readonly string[] } | undefined {
  const [name, , gid, members] = line.split(":");
  if (name === undefined || name === "" || gid === undefined || !/^\d{1,10}$/.test(gid)) {
    return undefined;
  }
  const names = (members ?? "").split(",").map((member) => member.trim()).filter((one) =>
    one !== ""
  );
  return { gid: Number(gid), names };
}

/** What no database can hold is not asked for: it would be read as an option, or as two keys. */
export function isKey(name: string): boolean {
  return name !== "" && !/[:\0\n]/.test(name) && !name.startsWith("-");
}

/**
 * A group and the uids of its members, be it their primary group or not.
 *
 * @param findUid The uid of a name that a group has as a member.
 * @returns undefined when there is no such group.
 * @throws {FormatError} When it cannot be found out.
 */
export async function findGroup(
  group: string,
  findUid: (name: string) => Promise<number | undefined>,
  getent: Getent = runGetent,
): Promise<{ readonly gid: number; readonly memberUids: readonly number[] } | undefined> {
  if (!isKey(group)) return undefined;
  const found = await getent("group", group);
  const entry = found === undefined ? undefined : groupLine(found.split("\n")[0]!);
  if (entry === undefined) return undefined;
  const uids = new Set<number>();
  for (const name of entry.names) {
    // A name that nobody has any more is no member.
    const uid = await findUid(name);
    if (uid !== undefined) uids.add(uid);
  }
  for (const line of (await getent("passwd") ?? "").split("\n")) {
    const [, , uid, gid] = line.split(":");
    if (Number(gid) === entry.gid && uid !== undefined && /^\d{1,10}$/.test(uid)) {
      uids.add(Number(uid));
    }
  }
  return { gid: entry.gid, memberUids: [...uids] };
}

/** The name of a group. @returns undefined: it has none. @throws {FormatError} As {@link findGroup}. */
export async function findGroupName(
  gid: number,
  getent: Getent = runGetent,
): Promise<string | undefined> {
  const found = await getent("group", String(gid));
  const line = found?.split("\n").find((one) => groupLine(one)?.gid === gid);
  return line?.split(":")[0];
}

/** The id of a group. Waits for a directory. @returns undefined: none has the name, or is known. */
export function gidOf(name: string): number | undefined {
  if (!isKey(name)) return undefined;
  const { success, stdout } = new Deno.Command("getent", getentOptions("group", name)).outputSync();
  return success ? groupLine(new TextDecoder().decode(stdout).split("\n")[0]!)?.gid : undefined;
}

/** Names of the groups of /etc/group; none when it cannot be read. */
export function localGroupNames(): readonly string[] {
  return readOrEmpty(GROUP_PATH).split("\n").map((line) => line.split(":")[0]!)
    .filter((name) => name !== "");
}

function getentOptions(database: "group" | "passwd", key?: string): Deno.CommandOptions {
  return {
    args: [database, ...(key === undefined ? [] : [key])],
    clearEnv: true,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
  };
}

/** Asks getent(1), or reads the files where there is none. */
export async function runGetent(
  database: "group" | "passwd",
  key?: string,
): Promise<string | undefined> {
  const what = key === undefined ? database : `${database} ${quote(key)}`;
  try {
    const output = await new Deno.Command("getent", getentOptions(database, key)).output();
    if (output.success) return new TextDecoder().decode(output.stdout);
    if (output.code === NOT_FOUND) return undefined;
    throw new FormatError(
      `expected an answer of getent ${what}, not ${
        output.signal === null
          ? `exit code ${output.code}`
          : `silence for ${ANSWER_MS_MAX / 1000} s`
      }`,
    );
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const text = readOrEmpty(database === "group" ? GROUP_PATH : PASSWD_PATH);
    if (key === undefined) return text;
    return text.split("\n").find((line) =>
      line.startsWith(`${key}:`) || line.split(":")[2] === key
    );
  }
}

function readOrEmpty(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
