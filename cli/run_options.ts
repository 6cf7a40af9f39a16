/**
 * The options of `toom run`: declared, read, put together with those of the configuration, and frozen.
 *
 * @module
 */
import { z } from "zod";
import { RECORD_FILES_MAX, RECORD_SECONDS_MAX } from "../service/config/defaults.ts";
import { READERS_MAX } from "../pipeline/memory/layout.ts";
import {
  formatUidRange,
  parseSoft,
  RULES_MAX,
  sameUids,
  SOFT_DEFAULT,
  type SoftSpec,
} from "../pipeline/limits/limits.ts";
import { type KillUnit, type StormAction } from "../pipeline/memory/kill_plan.ts";
import type { VictimRule } from "../pipeline/rules/victim_rule.ts";
import {
  BRAKE_MODES,
  type BrakeMode,
  MACHINE_VICTIMS,
  type MachineVictim,
  type VictimPolicy,
} from "../pipeline/memory/settings.ts";
import { FormatError, parseAmountBytes } from "../pipeline/limits/units.ts";
import {
  type LimitHost,
  type LimitSpec,
  naming,
  readLimitSpec,
  ruleOfSpec,
} from "../service/config/limit_spec.ts";
import {
  type ConfiguredRule,
  type FileLimit,
  rulesOf,
  withFlagLimits,
} from "../service/config/limits_section.ts";
import { type MetricsAddress, parseMetricsAddress } from "../service/config/metrics_address.ts";
import { parseWebAddress, type WebAddress } from "../service/config/web_address.ts";
import type {
  HookSetting,
  MailSetting,
  ReadGroup,
  WebhookSetting,
} from "../service/config/notify_settings.ts";
import { settingText } from "../service/config/setting_text.ts";
import { TERMINAL_MODES, type TerminalMode } from "../service/config/terminal_mode.ts";
import { HISTORY_FILE_NAME } from "../service/history/file_name.ts";
import type { Config } from "../service/config/load.ts";
import {
  CONFIG_OPTIONS,
  type ConfigOption,
  type ConfigPath,
  type ConfigValues,
} from "../service/config/options.ts";
import type { ConfigReport, SettingReport } from "../service/config/report.ts";
import type { SizeHost } from "../service/config/schema.ts";
import {
  checkOptions,
  oneOf,
  type OptionValues,
  parseCommand,
  readAs,
  usageError,
  wholeNumber,
} from "./args.ts";
import { PLAN_SHAPE } from "./plan_options.ts";
import {
  parseCounted,
  parseCpu,
  parseDurationMs,
  parsePath,
  parseSocketPath,
  parseSubbufKib,
  parseTmallocSocket,
  parseVictim,
  within,
} from "../service/config/option_values.ts";
import { RUN_COMMAND } from "./run_command.ts";

/** One user gets this part of all processes, and so many at least. */
const USER_PROCESSES_PART = 4;
const USER_PROCESSES_MIN = 64;

/** What `toom run` was asked to do. Frozen. */
export interface RunOptions {
  /** One for each range; more may be set while running. */
  readonly limits: readonly ConfiguredRule[];
  /** Those of the command line, whose names need not be looked up again. */
  readonly flagLimits: readonly LimitSpec[];
  /** What is in force, and who said so. */
  readonly config: ConfigReport;
  readonly source: "auto" | "bpf" | "raw" | "text";
  /** 1 to 64. */
  readonly readerCount: number;
  /** Counted members: bit {@link Member}.anon and so on. Never 0. */
  readonly memberMask: number;
  /** Pages that are counted more than once are credited; else usage is the sum over processes. */
  readonly creditsShares: boolean;
  readonly victim: VictimPolicy;
  /** Of the files: the last one that matches a process holds. */
  readonly victimRules: readonly VictimRule[];
  /** The rules that toom brings along come before those. */
  readonly defaultRules: boolean;
  /** Where the soft limit lies for limits that do not say. */
  readonly softDefault: SoftSpec;
  /** Period of the last-defense trigger, 100 ms to 1 h. */
  readonly intervalMs: number;
  /** The machine-wide floor; 0 = off. */
  readonly minAvailableBytes: number;
  /** Whether the kernel's pressure stall information makes toom act. */
  readonly psi: boolean;
  readonly machineVictim: MachineVictim;
  /** A user whose limit is lowered below what it has loses nobody for so long, 0 to 1 h. */
  readonly lowerGraceMs: number;
  readonly dryRun: boolean;
  readonly logFormat: "text" | "json";
  /** Kernel ring buffer of each CPU. */
  readonly bufferKib: number;
  /** Sub-buffer of the kernel's ring buffer; `undefined` = as it is. */
  readonly subbufKib: number | undefined;
  readonly controlSocketPath: string;
  /** Where programs ask for memory; undefined: nowhere. */
  readonly tmallocSocketPath: string | undefined;
  readonly stateDirPath: string;
  /** Where kills are kept; undefined: nowhere. */
  readonly historyPath: string | undefined;
  readonly recordSeconds: number;
  readonly recordFiles: number;
  /** Where metrics are served besides the control socket; undefined: nowhere. */
  readonly metricsAddress: MetricsAddress | undefined;
  /** Where the page is served; undefined: nowhere. */
  readonly webAddress: WebAddress | undefined;
  /** Whose subordinate uids are, subuid(5); undefined: every uid counts for itself. */
  readonly subuidPath: string | undefined;
  readonly processesMax: number;
  readonly usersMax: number;
  /** Processes of one user; one that has more counts as over its limit. */
  readonly userProcessesMax: number;
  /** The CPU of the workers on the event's way; -1 any. */
  readonly pathCpu: number | "auto";
  /** Soft arms the killer; `--no-arm` shows what that is worth. */
  readonly arms: boolean;
  /** Programs in the kernel may end a process themselves, where there are any. */
  readonly kernelTrigger: boolean;
  /** Whom the brake comes down on, of limits that do not say. */
  readonly brake: BrakeMode;
  /** How a process is killed, of limits that do not say; see kill_plan.ts. */
  readonly killSignal: number;
  readonly killGraceMs: number;
  readonly killCeilingPermille: number;
  readonly killUnit: KillUnit;
  /** What is done about storms, of limits that do not say. */
  readonly stormKills: number;
  readonly stormSeconds: number;
  readonly stormThen: StormAction;
  /** What users are told on their terminals. */
  readonly terminals: TerminalMode;
  /** undefined: nobody gets mail. */
  readonly mail: MailSetting | undefined;
  /** undefined: nothing is posted. */
  readonly webhook: WebhookSetting | undefined;
  /** Programs that are run when something happens; undefined: none. */
  readonly hookBefore: HookSetting | undefined;
  readonly hookAfter: HookSetting | undefined;
  readonly hookSoft: HookSetting | undefined;
  /** Who may read the control API besides root; undefined: nobody. */
  readonly readGroup: ReadGroup | undefined;
  /** Faults may be provoked over the control socket. */
  readonly debugFaults: boolean;
}

/** What stood on the command line of `toom run`. */
export interface RunFlags {
  /** By option; of those that were not given the default. */
  readonly values: z.output<ReturnType<typeof schemaOf>>;
  /** As they were written. */
  readonly texts: OptionValues;
  /** Names of the options that were given. */
  readonly given: ReadonlySet<string>;
  readonly limits: readonly LimitSpec[];
}

/**
 * Reads the words behind `toom run`.
 *
 * @param limits Those of these same words, when they were read before: then no name is looked up.
 * @returns `undefined` when help was asked for: print `helpText(RUN_COMMAND)`.
 * @throws {UsageError} One line that says what was expected.
 */
export function parseRunFlags(
  args: readonly string[],
  host: LimitHost,
  limits?: readonly LimitSpec[],
): RunFlags | undefined {
  const parsed = parseCommand(RUN_COMMAND, args);
  if (parsed.help) return undefined;
  const values = checkOptions(RUN_COMMAND, schemaOf(host), parsed.options);
  for (const { option, opposite } of CONFIG_OPTIONS) {
    if (option === undefined || opposite === undefined) continue;
    if (!parsed.given.has(option) || !parsed.given.has(opposite)) continue;
    throw usageError(RUN_COMMAND, `expected --${option} or --${opposite}, not both`);
  }
  return {
    values,
    texts: parsed.options,
    given: parsed.given,
    limits: limits ?? readSpecs(values.limit, host),
  };
}

/**
 * What `toom run` is to do: each option by the command line, else by the files, else as ever.
 *
 * @throws {UsageError} One line, when the command line does not go together with the rest.
 */
export function runOptions(flags: RunFlags, config: Config, host: SizeHost): RunOptions {
  const { values: flag, given } = flags;
  const said = <Path extends ConfigPath>(
    path: Path,
    fallback: ConfigValues[Path],
  ): ConfigValues[Path] => {
    const option = CONFIG_OPTIONS.find((one) => one.path === path)!;
    const value = config.values[path];
    return givenAs(option, given) !== undefined || value === undefined ? fallback : value;
  };
  const soft = said("soft", flag.soft);
  const count = said("count", flag.count);
  const processesMax = said("tables.maxProcesses", flag["max-processes"]);
  const limits = limitsOf(flags, config, soft, host);
  const userProcesses = given.has("max-user-processes")
    ? flag["max-user-processes"]
    : config.values.maxUserProcesses;
  const userProcessesMax = Math.min(
    processesMax,
    userProcesses ?? Math.max(USER_PROCESSES_MIN, Math.floor(processesMax / USER_PROCESSES_PART)),
  );
  const options: Omit<RunOptions, "config"> = {
    limits: Object.freeze(rulesOf(limits).map((rule) => Object.freeze(rule))),
    flagLimits: flags.limits,
    source: said("tracing.source", flag.source),
    readerCount: said("tracing.readers", flag.readers),
    memberMask: count.mask,
    creditsShares: !count.isSum,
    victim: said("victim", flag.victim),
    victimRules: Object.freeze(config.rules),
    defaultRules: said("defaultRules", !flag["no-default-rules"]),
    softDefault: soft,
    intervalMs: said("interval", flag.interval),
    minAvailableBytes: said("machine.minAvailable", flag["min-available"]),
    psi: said("machine.psi", !flag["no-psi"]),
    machineVictim: said("machine.victim", flag["machine-victim"]),
    lowerGraceMs: said("lowerGrace", flag["lower-grace"]),
    dryRun: said("dryRun", flag["dry-run"]),
    logFormat: said("log.format", flag["log-format"]),
    bufferKib: said("tracing.bufferKib", flag["buffer-kib"]),
    subbufKib: given.has("subbuf-kib") ? flag["subbuf-kib"] : config.values["tracing.subbufKib"],
    controlSocketPath: said("sockets.control", flag["control-socket"]),
    tmallocSocketPath: said("sockets.tmalloc", flag["tmalloc-socket"] ?? null) ?? undefined,
    stateDirPath: said("stateDir", flag["state-dir"]),
    historyPath: historyPathOf(
      given.has("history") ? flag.history : config.values.history,
      said("stateDir", flag["state-dir"]),
    ),
    recordSeconds: said("recordSeconds", flag["record-seconds"]),
    recordFiles: said("recordFiles", flag["record-files"]),
    metricsAddress: given.has("metrics") ? flag.metrics : config.values.metrics,
    webAddress: given.has("web") ? flag.web : config.values.web,
    subuidPath: said("subuids", !flag["no-subuids"]) ? flag["subuid-file"] : undefined,
    processesMax,
    usersMax: said("tables.maxUsers", flag["max-users"]),
    userProcessesMax,
    pathCpu: said("tracing.cpu", flag.cpu),
    arms: said("tracing.arm", !flag["no-arm"]),
    kernelTrigger: said("tracing.trigger", flag.trigger) === "kernel",
    brake: said("brake", flag.brake),
    killSignal: said("plan.signal", flag["kill-signal"]),
    killGraceMs: said("plan.grace", flag["kill-grace"]),
    killCeilingPermille: said("plan.ceiling", flag["kill-ceiling"]),
    killUnit: said("plan.unit", flag["kill-unit"]),
    stormKills: said("storm.kills", flag["storm-kills"]),
    stormSeconds: said("storm.seconds", flag["storm-seconds"]),
    stormThen: said("storm.then", flag["storm-then"]),
    terminals: said("notify.terminals", flag.terminals),
    mail: config.values["notify.mail"],
    webhook: config.values["notify.webhook"],
    hookBefore: config.values["hooks.before"],
    hookAfter: config.values["hooks.after"],
    hookSoft: config.values["hooks.soft"],
    readGroup: config.values["control.readGroup"],
    debugFaults: flag["debug-faults"],
  };
  const settings = CONFIG_OPTIONS.map((option) => reportOf(option, flags, config, options));
  const absent = config.absent.length === 0 ? {} : { absent: config.absent };
  const { files, rules } = config;
  return Object.freeze({ ...options, config: { files, settings, limits, rules, ...absent } });
}

/** @param history `off`, a path, or undefined: in the state directory. */
function historyPathOf(history: string | undefined, stateDirPath: string): string | undefined {
  return history === "off" ? undefined : history ?? `${stateDirPath}/${HISTORY_FILE_NAME}`;
}

function limitsOf(
  flags: RunFlags,
  config: Config,
  soft: SoftSpec,
  host: SizeHost,
): readonly FileLimit[] {
  try {
    const limits = withFlagLimits(config.limits, flags.limits, soft, host.pageBytes);
    if (rulesOf(limits).length <= RULES_MAX) return limits;
  } catch (error) {
    if (error instanceof FormatError) throw usageError(RUN_COMMAND, error.message);
    throw error;
  }
  throw usageError(RUN_COMMAND, `--limit: expected at most ${RULES_MAX} limits, use ranges`);
}

/** By which of its options a setting was given, if by any. */
function givenAs(
  { option, opposite }: ConfigOption,
  given: ReadonlySet<string>,
): string | undefined {
  if (option !== undefined && given.has(option)) return option;
  return opposite !== undefined && given.has(opposite) ? opposite : undefined;
}

/** Who said what of a setting. */
function reportOf(
  configOption: ConfigOption,
  { given, texts }: RunFlags,
  config: Config,
  options: Omit<RunOptions, "config">,
): SettingReport {
  const { path, option, isNegated } = configOption;
  const text = option === undefined ? undefined : texts[option];
  const as = givenAs(configOption, given);
  if (as !== undefined) {
    // Without a value it is what its name says.
    const value = typeof text === "boolean"
      ? String((as === option) !== (isNegated === true))
      : text;
    return { path, value: String(value), from: `--${as}` };
  }
  const setting = config.settings.find((one) => one.path === path);
  if (setting !== undefined) {
    return { path, value: settingText(path, setting.written), from: setting.place };
  }
  const value = typeof text === "boolean" ? String(isNegated === true) : text;
  return { path, value: String(value ?? DEFAULT_TEXTS[path]?.(options)), from: "default" };
}

/** What defaults come to that the help leaves out. */
const DEFAULT_TEXTS: Readonly<
  Partial<Record<ConfigPath, (options: Omit<RunOptions, "config">) => string>>
> = {
  maxUserProcesses: ({ userProcessesMax }) => String(userProcessesMax),
  "tracing.subbufKib": () => "as they are",
  history: ({ historyPath }) => historyPath ?? "off",
  metrics: () => "none",
  web: () => "none",
  "notify.mail": () => "none",
  "notify.webhook": () => "none",
  "hooks.before": () => "none",
  "hooks.after": () => "none",
  "hooks.soft": () => "none",
  "control.readGroup": () => "none",
};

function readSpecs(texts: readonly string[], host: LimitHost): readonly LimitSpec[] {
  const specs: LimitSpec[] = [];
  for (const text of texts) {
    try {
      const spec = readLimitSpec(text, host);
      naming(text, () => {
        // A soft limit above the hard one is told with the text that it stands in.
        ruleOfSpec(spec, SOFT_DEFAULT, host.pageBytes);
        if (!specs.some(({ uids }) => sameUids(uids, spec.uids))) return;
        throw new FormatError(
          `expected one limit a user, and uid ${formatUidRange(spec.uids)} has one already`,
        );
      });
      specs.push(Object.freeze(spec));
    } catch (error) {
      if (error instanceof FormatError) throw usageError(RUN_COMMAND, error.message);
      throw error;
    }
  }
  return Object.freeze(specs);
}

// The return type is what zod infers, and would only repeat the schema.
// deno-lint-ignore explicit-function-return-type
function schemaOf(host: LimitHost) {
  return z.strictObject({
    config: readAs(parsePath).optional(),
    limit: z.array(z.string()),
    source: oneOf(["auto", "bpf", "raw", "text"]),
    trigger: oneOf(["kernel", "user"]),
    readers: wholeNumber(1, READERS_MAX),
    count: readAs(parseCounted),
    victim: readAs(parseVictim),
    "no-default-rules": z.boolean(),
    "default-rules": z.boolean(),
    soft: readAs(parseSoft),
    brake: oneOf(BRAKE_MODES),
    ...PLAN_SHAPE,
    terminals: oneOf(TERMINAL_MODES),
    interval: readAs((text) => within(text, parseDurationMs(text), 100, 3_600_000)),
    "lower-grace": readAs((text) => within(text, parseDurationMs(text), 0, 3_600_000)),
    "min-available": readAs((text) =>
      parseAmountBytes(text, host.totalMemoryBytes, host.pageBytes)
    ),
    "no-psi": z.boolean(),
    "machine-victim": oneOf(MACHINE_VICTIMS),
    "dry-run": z.boolean(),
    "log-format": oneOf(["text", "json"]),
    "buffer-kib": wholeNumber(4, 1_048_576),
    "subbuf-kib": readAs(parseSubbufKib).optional(),
    "control-socket": readAs(parseSocketPath),
    "tmalloc-socket": readAs(parseTmallocSocket),
    "state-dir": readAs(parsePath),
    "record-seconds": wholeNumber(0, RECORD_SECONDS_MAX),
    "record-files": wholeNumber(1, RECORD_FILES_MAX),
    "metrics": readAs(parseMetricsAddress).optional(),
    "web": readAs(parseWebAddress).optional(),
    "history": readAs(parsePath).optional(),
    "max-processes": wholeNumber(64, 1_048_576),
    "max-users": wholeNumber(16, 65_536),
    "max-user-processes": wholeNumber(1, 1_048_576).optional(),
    "cpu": readAs(parseCpu),
    "no-subuids": z.boolean(),
    "subuid-file": readAs(parsePath),
    "no-arm": z.boolean(),
    "no-dry-run": z.boolean(),
    "psi": z.boolean(),
    "subuids": z.boolean(),
    "arm": z.boolean(),
    "debug-faults": z.boolean(),
  });
}
