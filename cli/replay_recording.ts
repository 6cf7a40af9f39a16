/**
 * `toom replay` of a recording: the decisions as they were made, or as they would have been made with
 * other limits, another policy, other counted members.
 *
 * @module
 */
import { LimitRules, type SoftSpec } from "../pipeline/limits/limits.ts";
import { quote } from "../pipeline/limits/units.ts";
import type { Settings } from "../pipeline/memory/settings.ts";
import { needsPatterns, type Patterns } from "../pipeline/rules/matcher.ts";
import type { VictimRule } from "../pipeline/rules/victim_rule.ts";
import type { WhatIf } from "../pipeline/replay/recording_replay.ts";
import { usageError } from "./args.ts";
import { compareKills } from "./compare_kills.ts";
import { type CommandIo, ExitCode, FailedError } from "./errors.ts";
import { chartLines } from "./replay_chart.ts";
import { chartSvg } from "./replay_svg.ts";
import { readLimits, REPLAY_COMMAND, type ReplayOptions } from "./replay_options.ts";
import { recordingLines } from "./recording_summary.ts";
import { runRecording } from "./run_recording.ts";
import { readableUsers } from "./users.ts";

/** Options that make it a question of what would have been. */
const WHAT_IF = ["limit", "soft", "count", "victim", "policy", "config"] as const;
/** Options that a recording has no use for, because it tells. */
const CAPTURE_ONLY = ["formats", "subbuf", "assume-uid", "page-bytes", "dump"] as const;

/** @param given Names of the options that were given. */
export async function replayRecording(
  path: string,
  options: ReplayOptions,
  given: ReadonlySet<string>,
  io: CommandIo,
): Promise<ExitCode> {
  for (const name of CAPTURE_ONLY) {
    if (given.has(name)) throw usageError(REPLAY_COMMAND, `--${name} is for captures only`);
  }
  const isWhatIf = WHAT_IF.some((name) => given.has(name));
  const { replay, damage, version } = await runRecording(
    path,
    (pageBytes) => isWhatIf ? whatIfOf({ ...options, "page-bytes": pageBytes }, given) : undefined,
  );
  const compared = compareKills(replay.recordedKills, replay.kills, replay.firstNs, replay.gaps);
  if (options.json) {
    io.out(JSON.stringify({
      head: replay.head,
      isWhatIf,
      records: replay.records,
      firstNs: replay.firstNs,
      lastNs: replay.lastNs,
      losses: replay.losses,
      damage: damage ?? null,
      isWhole: replay.tail !== undefined,
      kills: replay.kills,
      recordedKills: replay.recordedKills,
      compared,
      users: replay.users(),
    }));
  } else {
    for (
      const line of recordingLines(replay, compared, {
        isWhatIf,
        isCompared: options.compare,
        version,
      })
    ) {
      io.out(line);
    }
    if (options.compare) { for (const line of chartLines(replay, compared)) io.out(line); }
  }
  if (options.svg !== undefined) writeSvg(options.svg, chartSvg(replay, compared));
  if (damage === undefined) return ExitCode.done;
  io.err(`${path} is damaged (${damage}): what stands before that was replayed, nothing after it`);
  return ExitCode.failed;
}

async function whatIfOf(options: ReplayOptions, given: ReadonlySet<string>): Promise<WhatIf> {
  const settings: { -readonly [Key in keyof Settings]?: Settings[Key] } = {};
  const config = options.config === undefined ? undefined : await configOf(options, given);
  const base = config?.limits;
  Object.assign(settings, config?.settings);
  if (given.has("victim")) settings.victimPolicy = options.victim;
  if (options.policy !== undefined) settings.victimPolicy = options.policy;
  if (given.has("count")) settings.countMask = options.count;
  const more = readLimits(options, await readableUsers()).list();
  const soft = given.has("soft") ? options.soft : undefined;
  return {
    settings,
    ...(config === undefined ? {} : { rules: config.rules, patterns: config.patterns }),
    limits: (recorded) => {
      const rules = new LimitRules();
      for (const rule of (base ?? recorded).list()) {
        rules.set(base === undefined && soft !== undefined ? withSoft(rule, soft, options) : rule);
      }
      for (const rule of more) rules.set(rule);
      return rules;
    },
  };
}

type Rule = ReturnType<LimitRules["list"]>[number];

function withSoft(rule: Rule, soft: SoftSpec, options: ReplayOptions): Rule {
  const { hardPages } = rule;
  const softPages = soft.kind === "percent"
    ? Math.floor(hardPages * soft.percent / 100)
    : Math.floor(soft.bytes / options["page-bytes"]);
  if (rule.hardPages === rule.softPages && hardPages === 0x7fffffff) return rule;
  return { ...rule, softPages: Math.max(1, Math.min(hardPages, softPages)) };
}

/** What of a configuration decides in a replay. */
interface ReplayedConfig {
  readonly limits: LimitRules;
  readonly settings: Partial<Settings>;
  readonly rules: readonly VictimRule[];
  /** Where a rule has a pattern. */
  readonly patterns: Patterns | undefined;
}

async function configOf(
  options: ReplayOptions,
  given: ReadonlySet<string>,
): Promise<ReplayedConfig> {
  const { loadConfig } = await import("../service/config/load.ts");
  const { rulesOf } = await import("../service/config/limits_section.ts");
  const { configHost, problemsError } = await import("./run_config.ts");
  const { SUBUID_PATH } = await import("../kernel/users/subuid.ts");
  const { rulesOfOptions } = await import("../service/rules/rules_in_force.ts");
  const { loadPatterns } = await import("../kernel/rules/linear_patterns.ts");
  const sizes = {
    totalMemoryBytes: Deno.systemMemoryInfo().total,
    pageBytes: options["page-bytes"],
  };
  const { config, problems } = await loadConfig({
    path: options.config!,
    mustExist: true,
    isTrusted: true,
    soft: given.has("soft") ? options.soft : undefined,
  }, configHost(sizes, SUBUID_PATH));
  if (problems !== undefined) throw problemsError(problems);
  const settings: { -readonly [Key in keyof Settings]?: Settings[Key] } = {};
  if (config.values.victim !== undefined) settings.victimPolicy = config.values.victim;
  const machineVictim = config.values["machine.victim"];
  if (machineVictim !== undefined) settings.machineVictim = machineVictim;
  if (config.values.count !== undefined) {
    settings.countMask = config.values.count.mask;
  }
  const limits = new LimitRules();
  for (const rule of rulesOf(config.limits)) limits.set(rule);
  const { defaultRules = true } = config.values;
  const rules = rulesOfOptions({ victimRules: config.rules, defaultRules });
  const patterns = needsPatterns(rules) ? await loadPatterns() : undefined;
  return { limits, settings, rules, patterns };
}

function writeSvg(path: string, svg: string): void {
  try {
    Deno.writeTextFileSync(path, svg);
  } catch (error) {
    throw new FailedError(`Cannot write ${quote(path)}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
