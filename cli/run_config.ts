/**
 * The configuration of `toom run` and of those who look at it: which files, by which command line.
 *
 * @module
 */
import { CONFIG_PATH_DEFAULT } from "../service/config/defaults.ts";
import { EMPTY_CONFIG, loadConfig, type Loaded } from "../service/config/load.ts";
import type { ConfigHost } from "../service/config/lookups.ts";
import { type ConfigProblem, problemLine } from "../service/config/place.ts";
import type { SizeHost } from "../service/config/schema.ts";
import { systemConfigHost } from "../service/config/system_host.ts";
import { nobodyReasonBy } from "../service/limits/owners.ts";
import { ExitCode, ProblemsError } from "./errors.ts";
import { type RunFlags, type RunOptions, runOptions } from "./run_options.ts";

/** Of `--config`: no file is read, not even the one that is read otherwise. */
const NO_FILE = "none";

/**
 * The files that `toom run` with these flags reads. Never throws for what is in them.
 *
 * @param leavesOutAbsent What names somebody who is not there is left out, instead of being a problem.
 */
export async function loadRunConfig(
  flags: RunFlags,
  host: ConfigHost,
  leavesOutAbsent = false,
): Promise<Loaded> {
  const { values, given } = flags;
  const { config: path } = values;
  if (path === NO_FILE) return { config: EMPTY_CONFIG };
  return await loadConfig({
    path: path ?? CONFIG_PATH_DEFAULT,
    mustExist: path !== undefined,
    // Who is not root cannot run toom by them anyway.
    isTrusted: Deno.uid() !== 0,
    leavesOutAbsent,
    soft: given.has("soft") ? values.soft : undefined,
    subuids: given.has("no-subuids") ? false : given.has("subuids") ? true : undefined,
  }, host);
}

/** This machine, with its subordinate uids. */
export function configHost(sizes: SizeHost, subuidPath: string): ConfigHost {
  return systemConfigHost(sizes, nobodyReasonBy(subuidPath));
}

/**
 * What `toom run` is to do by its flags and files.
 *
 * @param isStart Nothing is in force yet: what names somebody who is not there is left out, and told.
 * @throws {ProblemsError} All that is wrong with the files.
 * @throws {UsageError} When flags and files do not go together.
 */
export async function loadRunOptions(
  flags: RunFlags,
  sizes: SizeHost,
  isStart: boolean,
): Promise<RunOptions> {
  const host = configHost(sizes, flags.values["subuid-file"]);
  const { config, problems } = await loadRunConfig(flags, host, isStart);
  if (problems !== undefined) throw problemsError(problems);
  return runOptions(flags, config, sizes);
}

/** Exit code 2, or 1 where only a directory did not answer: then trying again may mend it. */
export function problemsError(problems: readonly ConfigProblem[]): ProblemsError {
  const isPassing = problems.every((problem) => problem.isPassing === true);
  return new ProblemsError(problems.map(problemLine), isPassing ? ExitCode.failed : ExitCode.usage);
}
