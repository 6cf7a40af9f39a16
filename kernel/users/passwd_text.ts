/**
 * Users in the text of /etc/passwd, passwd(5). Pure: for readers that may open files and no more.
 *
 * A line is `name:password:uid:gid:gecos:directory:shell`. A name is any bytes but `:` and newline;
 * of several lines of a name or a uid the first counts, as for libc.
 *
 * @module
 */

export const PASSWD_PATH = "/etc/passwd";

/** The uid of a name; undefined when no line has it. */
export function uidInPasswd(text: string, name: string): number | undefined {
  for (const line of text.split("\n")) {
    const [lineName, , lineUid] = line.split(":");
    if (lineName === name && isUid(lineUid)) return Number(lineUid);
  }
  return undefined;
}

/** The name of a uid; undefined when no line has it. */
export function nameInPasswd(text: string, uid: number): string | undefined {
  for (const line of text.split("\n")) {
    const [lineName, , lineUid] = line.split(":");
    if (isUid(lineUid) && Number(lineUid) === uid && lineName !== "") return lineName;
  }
  return undefined;
}

/** The uids that have a name, in the order of the lines. */
export function passwdUids(text: string): readonly number[] {
  return text.split("\n").flatMap((line) => {
    const [name, , uid] = line.split(":");
    return isUid(uid) && name !== "" ? [Number(uid)] : [];
  });
}

function isUid(text: string | undefined): text is string {
  return text !== undefined && /^\d{1,10}$/.test(text);
}
