/**
 * `toom check-config`: whether a configuration is right, and what it would enforce. No toom need run.
 *
 * @module
 */
import { z } from "zod";
import { pageBytes } from "../kernel/ffi/libc.ts";
import { readMemInfo } from "../kernel/proc/mem_info.ts";
import { SUBUID_PATH } from "../kernel/users/subuid.ts";
import { rulesOf } from "../service/config/limits_section.ts";
import { CONFIG_PATH_DEFAULT } from "../service/config/defaults.ts";
import { dropInFolder } from "../service/config/files.ts";
import { loadConfig } from "../service/config/load.ts";
import type { ConfigHost } from "../service/config/lookups.ts";
import { settingText } from "../service/config/setting_text.ts";
import { configReport } from "../service/control/config_report.ts";
import { checkOptions, type CommandSpec, helpText, parseCommand } from "./args.ts";
import { configLimitLines, ruleLines, settingLines } from "./config_lines.ts";
import { type CommandIo, ExitCode, guard } from "./errors.ts";
import { configHost, problemsError } from "./run_config.ts";

export const CHECK_COMMAND: CommandSpec = {
  name: "toom check-config",
  summary: "Check a configuration with its drop-ins, and show what it would enforce.",
  positionals: [{
    name: "FILE",
    help:
      `Its drop-ins are FILE without .jsonc, with .d behind it (default: ${CONFIG_PATH_DEFAULT})`,
    optional: true,
  }],
  options: [{ name: "json", kind: "boolean", help: "Print what it would enforce as JSON" }],
  notes: [
    "Exit code 2 when anything is wrong: each problem is a line FILE:LINE:COLUMN: SETTING: ...",
    "As another user than root, owners and modes of the files are not checked.",
  ],
};

const OptionsSchema = z.strictObject({ json: z.boolean() });

/**
 * `toom check-config`.
 *
 * @param args The words behind `toom check-config`.
 * @param host The machine that it is for, in tests.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function checkConfigCommand(
  args: string[],
  io: CommandIo,
  host?: ConfigHost,
): Promise<ExitCode> {
  return await guard(io, async () => {
    const parsed = parseCommand(CHECK_COMMAND, args);
    if (parsed.help) {
      io.out(helpText(CHECK_COMMAND));
      return ExitCode.done;
    }
    const options = checkOptions(CHECK_COMMAND, OptionsSchema, parsed.options);
    const path = parsed.positionals[0] ?? CONFIG_PATH_DEFAULT;
    const machine = host ?? configHost(
      { totalMemoryBytes: readMemInfo().totalBytes, pageBytes: pageBytes() },
      SUBUID_PATH,
    );
    const isTrusted = Deno.uid() !== 0;
    const { config, problems } = await loadConfig({ path, mustExist: true, isTrusted }, machine);
    if (problems !== undefined) throw problemsError(problems);
    const settings = config.settings.map(({ path, written, place }) => ({
      path,
      value: settingText(path, written),
      from: place,
    }));
    const { files, limits, rules: victimRules } = config;
    const report = configReport({ files, settings, limits, rules: victimRules }, machine);
    if (options.json) {
      io.out(JSON.stringify(report));
      return ExitCode.done;
    }
    const rules = rulesOf(config.limits).length;
    io.out(`right: ${config.files.join(", ")} (drop-ins: ${dropInFolder(path)})`);
    if (settings.length > 0) { for (const line of ["", ...settingLines(settings)]) io.out(line); }
    io.out("");
    if (rules === 0) io.out("no limits");
    else for (const line of configLimitLines(report.limits)) io.out(line);
    if (rules > 0) io.out(`${rules} users and ranges have a limit`);
    if (report.rules.length > 0) {
      for (const line of ["", ...ruleLines(report.rules)]) io.out(line);
    }
    return ExitCode.done;
  });
}
