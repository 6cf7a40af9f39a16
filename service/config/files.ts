/**
 * Which files a configuration consists of, and whether they may be believed: who can write to one
 * decides over the memory of all, so that only root may, as with sudoers(5).
 *
 * @module
 */
import type { ConfigProblem } from "./place.ts";

/** A file as it was read. */
export interface ConfigSource {
  readonly file: string;
  readonly text: string;
}

export interface ConfigFiles {
  readonly sources: readonly ConfigSource[];
  readonly problems: readonly ConfigProblem[];
}

/** Most bytes of one file. */
const FILE_BYTES_MAX = 1024 * 1024;
/** Most files in the folder of drop-ins. */
const DROP_INS_MAX = 256;
const OTHERS_WRITE = 0o002;
const GROUP_WRITE = 0o020;

/** The folder of drop-ins beside a file: `/etc/toom/config.d` of `/etc/toom/config.jsonc`. */
export function dropInFolder(path: string): string {
  return `${path.replace(/\.jsonc?$/, "")}.d`;
}

/**
 * Reads a file and its drop-ins, `*.jsonc` in the order of their names. What is not there is none.
 *
 * @param mustExist The file was asked for by name.
 * @param isTrusted Whether owners and modes do not matter: who asks could not use it anyway.
 */
export function readConfigFiles(
  path: string,
  { mustExist, isTrusted }: { readonly mustExist: boolean; readonly isTrusted: boolean },
): ConfigFiles {
  const sources: ConfigSource[] = [];
  const problems: ConfigProblem[] = [];
  const take = (file: string, isNeeded: boolean): void => {
    const read = readFile(file, isNeeded, isTrusted);
    if (typeof read === "string") problems.push({ file, path: "", message: read });
    else if (read !== undefined) sources.push(read);
  };
  take(path, mustExist);
  const folder = dropInFolder(path);
  const names = dropInNames(folder, isTrusted);
  if (typeof names === "string") problems.push({ file: folder, path: "", message: names });
  else for (const name of names) take(`${folder}/${name}`, false);
  return { sources, problems };
}

/** @returns undefined: it is not there. A text: why it is not used. */
function readFile(
  file: string,
  isNeeded: boolean,
  isTrusted: boolean,
): ConfigSource | string | undefined {
  let bytes: Uint8Array;
  try {
    const info = Deno.statSync(file);
    // A pipe would be waited for.
    if (!info.isFile) return "expected a file";
    const distrust = isTrusted ? undefined : distrustOf(info, "file");
    if (distrust !== undefined) return distrust;
    if (info.size > FILE_BYTES_MAX) {
      return `expected at most ${FILE_BYTES_MAX} bytes, not ${info.size}`;
    }
    bytes = Deno.readFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      return isNeeded ? "expected a file, and there is none" : undefined;
    }
    return `expected a file that can be read: ${(error as Error).message}`;
  }
  try {
    return { file, text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    return `expected UTF-8, and byte ${firstBadByte(bytes)} is none`;
  }
}

/** Where the first bytes stand that are no UTF-8, from 0. */
function firstBadByte(bytes: Uint8Array): number {
  let low = 0;
  let high = bytes.length;
  // The longest beginning that is UTF-8, but for a character that it may end within.
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, middle), { stream: true });
      low = middle;
    } catch {
      high = middle - 1;
    }
  }
  return low;
}

function dropInNames(folder: string, isTrusted: boolean): readonly string[] | string {
  try {
    const info = Deno.statSync(folder);
    if (!info.isDirectory) return "expected a folder of drop-ins";
    const distrust = isTrusted ? undefined : distrustOf(info, "folder");
    if (distrust !== undefined) return distrust;
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name)
      .filter((name) => name.endsWith(".jsonc") && !name.startsWith(".")).sort();
    if (names.length <= DROP_INS_MAX) return names;
    return `expected at most ${DROP_INS_MAX} drop-ins, not ${names.length}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    return `expected a folder that can be read: ${(error as Error).message}`;
  }
}

/** Why a file or folder is not believed; undefined: it is. */
export function distrustOf(
  { uid, gid, mode }: Pick<Deno.FileInfo, "uid" | "gid" | "mode">,
  what: string,
): string | undefined {
  if (uid !== 0) return `expected a ${what} of root, and it is owned by uid ${uid} (chown root)`;
  const bits = mode ?? 0;
  const shown = (bits & 0o7777).toString(8).padStart(4, "0");
  if ((bits & OTHERS_WRITE) !== 0) {
    return `expected a ${what} that only root can write, and everybody can: mode ${shown} (chmod go-w)`;
  }
  if ((bits & GROUP_WRITE) === 0 || gid === 0) return undefined;
  return `expected a ${what} that only root can write, and group ${gid} can: mode ${shown} (chmod g-w)`;
}
