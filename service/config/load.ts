/**
 * A configuration: its files read and checked, or all that is wrong with them. Nothing is in force by
 * that.
 *
 * @module
 */
import { SOFT_DEFAULT, type SoftSpec } from "../../pipeline/limits/limits.ts";
import type { VictimRule } from "../../pipeline/rules/victim_rule.ts";
import { FormatError } from "../../pipeline/limits/units.ts";
import { type ConfigSource, readConfigFiles } from "./files.ts";
import { type FileLimit, gatherLimits, readLimits } from "./limits_section.ts";
import { type ConfigHost, lookUpSubjects } from "./lookups.ts";
import { CONFIG_OPTIONS, type ConfigPath, type ConfigValues, valueAt } from "./options.ts";
import { PassingError } from "./passing_error.ts";
import { type ConfigProblem, placeText } from "./place.ts";
import { readRules, type RuleEntry, ruleSubjects } from "./rules_section.ts";
import type { AbsentReport } from "./report.ts";
import type { ConfigContent } from "./schema.ts";
import type { ConfigText } from "./syntax.ts";

/** A setting of a file. */
export interface FileSetting {
  readonly path: ConfigPath;
  /** As it is written. */
  readonly written: unknown;
  /** `/etc/toom/config.jsonc:12`. */
  readonly place: string;
}

/** What the files say. */
export interface Config {
  /** In the order in which they count. */
  readonly files: readonly string[];
  readonly values: Partial<ConfigValues>;
  readonly settings: readonly FileSetting[];
  /** In order of precedence. */
  readonly limits: readonly FileLimit[];
  /** Who dies: the last one that matches holds. */
  readonly rules: readonly VictimRule[];
  /** What was left out, because it names somebody who is not there. */
  readonly absent: readonly AbsentReport[];
}

export const EMPTY_CONFIG: Config = {
  files: [],
  values: {},
  settings: [],
  limits: [],
  rules: [],
  absent: [],
};

export type Loaded =
  | { readonly config: Config; readonly problems?: undefined }
  | { readonly problems: readonly ConfigProblem[]; readonly config?: undefined };

/** What the command line says, and decides how files are read. */
export interface CheckOptions {
  /** Overrides `soft` of the files. */
  readonly soft?: SoftSpec | undefined;
  /** Overrides `subuids` of the files. */
  readonly subuids?: boolean | undefined;
  /**
   * What names somebody who is not there is left out, and the rest is in force: at the start, as an
   * account that was deleted must not cost all others their limits.
   */
  readonly leavesOutAbsent?: boolean;
}

export interface LoadOptions extends CheckOptions {
  readonly path: string;
  /** The file was asked for by name. */
  readonly mustExist: boolean;
  /** Owners and modes of the files do not matter. */
  readonly isTrusted: boolean;
}

/** Reads a file and its drop-ins. */
export async function loadConfig(options: LoadOptions, host: ConfigHost): Promise<Loaded> {
  const { sources, problems } = readConfigFiles(options.path, options);
  return await checkConfig(sources, host, options, problems);
}

/** Checks texts of files. @param earlier Problems that there are already. */
export async function checkConfig(
  sources: readonly ConfigSource[],
  host: ConfigHost,
  options: CheckOptions = {},
  earlier: readonly ConfigProblem[] = [],
): Promise<Loaded> {
  const problems = [...earlier];
  if (sources.length === 0) return problems.length > 0 ? { problems } : { config: EMPTY_CONFIG };
  // Parser and schema take 10 MiB: not where there is no file.
  const { parseConfigText } = await import("./syntax.ts");
  const { checkContent } = await import("./content.ts");
  const files: { readonly text: ConfigText; readonly content: ConfigContent }[] = [];
  for (const { file, text } of sources) {
    const parsed = parseConfigText(file, text);
    if ("length" in parsed) {
      problems.push(...parsed);
      continue;
    }
    const { content, problems: found } = checkContent(parsed, host);
    problems.push(...found);
    files.push({ text: parsed, content });
  }
  const { values, settings, texts } = gatherSettings(files);
  problems.push(...await nameAccounts(values, texts, host));
  const entries = gatherLimits(
    files.map(({ text, content }) => ({ text, limits: content.limits ?? {} })),
  );
  const ruleEntries = files.flatMap(({ text, content }) =>
    (content.rules ?? []).map((rule, index): RuleEntry => ({ rule, index, text }))
  );
  const named = [...entries.map(({ subject }) => subject), ...ruleSubjects(ruleEntries)];
  const subjects = await lookUpSubjects(named, host);
  const { nobodyReason, ...rest } = subjects;
  const isOwned = options.subuids ?? values.subuids ?? true;
  const read = readLimits(
    entries,
    options.soft ?? values.soft ?? SOFT_DEFAULT,
    isOwned && nobodyReason !== undefined ? { ...rest, nobodyReason } : rest,
  );
  const { rules, problems: ruleProblems } = await readRules(ruleEntries, rest);
  problems.push(...read.problems, ...ruleProblems);
  const { absent = [], others = [] } = options.leavesOutAbsent === true
    ? Object.groupBy(problems, ({ isAbsent }) => isAbsent === true ? "absent" : "others")
    : { others: problems };
  // All of it is told then.
  if (others.length > 0) return { problems: inOrder(problems, sources) };
  const left = inOrder(absent, sources).map(absentReport);
  return {
    config: {
      files: sources.map(({ file }) => file),
      values,
      settings: settings.filter(({ path }) => values[path] !== undefined),
      limits: read.limits,
      rules,
      absent: left,
    },
  };
}

/** As somebody would find them who reads the files; first what is about files that were not read. */
function inOrder(
  problems: readonly ConfigProblem[],
  sources: readonly ConfigSource[],
): readonly ConfigProblem[] {
  const fileOf = ({ file }: ConfigProblem): number => sources.findIndex((one) => one.file === file);
  return problems.toSorted((a, b) =>
    fileOf(a) - fileOf(b) || (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)
  );
}

function absentReport({ path, message, ...place }: ConfigProblem): AbsentReport {
  const { file, line = 1, column = 1 } = place;
  return { path, place: placeText({ file, line, column }), message };
}

/** Looks up whom settings name. What names nobody is taken out of the values. @returns What is wrong. */
async function nameAccounts(
  values: Record<string, unknown>,
  texts: ReadonlyMap<ConfigPath, ConfigText>,
  host: ConfigHost,
): Promise<readonly ConfigProblem[]> {
  const named = [...texts].filter(([path]) => NAMED_PATHS.has(path));
  if (named.length === 0) return [];
  const { NAMED_SETTINGS } = await import("./named_accounts.ts");
  const problems: ConfigProblem[] = [];
  for (const [path, text] of named) {
    const { key, read } = NAMED_SETTINGS.find((one) => one.path === path)!;
    try {
      values[path] = await read(values[path], host);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      delete values[path];
      const keys = path.split(".");
      const inner = key === undefined ? keys : [...keys, key];
      const at = text.valueAt(inner) === undefined ? keys : inner;
      problems.push({
        ...text.placeOf(at),
        path: at.join("."),
        message: error.message,
        ...(error instanceof PassingError ? { isPassing: true } : { isAbsent: true }),
      });
    }
  }
  return problems;
}

/** Settings that name users or groups. */
const NAMED_PATHS: ReadonlySet<ConfigPath> = new Set<ConfigPath>([
  "hooks.before",
  "hooks.after",
  "hooks.soft",
  "notify.mail",
  "notify.webhook",
  "control.readGroup",
]);

/** Of each setting the last file that has it. */
function gatherSettings(
  files: readonly { readonly text: ConfigText; readonly content: ConfigContent }[],
): {
  readonly values: Partial<ConfigValues>;
  readonly settings: readonly FileSetting[];
  /** The file of each. */
  readonly texts: ReadonlyMap<ConfigPath, ConfigText>;
} {
  const values: Record<string, unknown> = {};
  const texts = new Map<ConfigPath, ConfigText>();
  const settings = new Map<ConfigPath, FileSetting>();
  for (const { text, content } of files) {
    for (const { path } of CONFIG_OPTIONS) {
      const value = valueAt(content, path);
      if (value === undefined) continue;
      values[path] = value;
      texts.set(path, text);
      const keys = path.split(".");
      const place = placeText(text.placeOfKey(keys));
      settings.set(path, { path, written: text.valueAt(keys), place });
    }
  }
  return { values: values as Partial<ConfigValues>, settings: [...settings.values()], texts };
}
