/**
 * A configuration for tests: texts of files, and a machine with a few users and groups.
 *
 * @module
 */
import { checkConfig, type Config } from "../../service/config/load.ts";
import type { ConfigHost } from "../../service/config/lookups.ts";
import { type ConfigProblem, problemLine } from "../../service/config/place.ts";

const USERS: Readonly<Record<string, number>> = {
  root: 0,
  nobody: 65534,
  toor: 0,
  alice: 1000,
  bob: 1001,
  carol: 1002,
  "anna lee": 1003,
  "60310": 1004,
};
const GROUPS: Readonly<Record<string, readonly number[]>> = {
  students: [1001, 1002, 2000],
  staff: [1000, 1001],
  wheel: [0, 1000],
  empty: [],
  toom: [],
  crowd: Array.from({ length: 2000 }, (_, index) => 5000 + index),
};

/** 16 GiB, pages of 4 KiB; uid 100000 is subordinate; the directory does not know about "away". */
export const CONFIG_HOST: ConfigHost = {
  totalMemoryBytes: 2 ** 34,
  pageBytes: 4096,
  findUid: (name) =>
    name === "away"
      ? Promise.reject(new Error("the directory is away"))
      : Promise.resolve(Object.hasOwn(USERS, name) ? USERS[name] : undefined),
  findGroup: (group) => {
    const gid = 3000 + Object.keys(GROUPS).indexOf(group);
    return Promise.resolve(
      Object.hasOwn(GROUPS, group) ? { gid, memberUids: GROUPS[group]! } : undefined,
    );
  },
  findAccount: (name) => {
    if (name === "away") return Promise.reject(new Error("the directory is away"));
    const uid = Object.hasOwn(USERS, name) ? USERS[name]! : undefined;
    return Promise.resolve(uid === undefined ? undefined : { name, uid, gid: uid + 10 });
  },
  findGroupId: (name) =>
    Promise.resolve(Object.hasOwn(GROUPS, name) ? Object.keys(GROUPS).indexOf(name) : undefined),
  userNames: () => Object.keys(USERS),
  groupNames: () => Object.keys(GROUPS),
  nobodyReason: ({ uidFirst }) =>
    uidFirst === 100_000 ? "uid 100000 is subordinate to uid 1000, and counted for it" : undefined,
};

/** Checks texts as those of `/etc/toom/config.jsonc`, `config.d/1.jsonc` and so on. */
export async function checkTexts(
  ...texts: readonly string[]
): Promise<{ config: Config | undefined; problems: readonly ConfigProblem[]; lines: string[] }> {
  const sources = texts.map((text, index) => ({
    file: index === 0 ? "/etc/toom/config.jsonc" : `/etc/toom/config.d/${index}.jsonc`,
    text,
  }));
  const { config, problems = [] } = await checkConfig(sources, CONFIG_HOST);
  return { config, problems, lines: problems.map(problemLine) };
}
