/**
 * What a reload makes of a changed configuration: what counts at once, and what needs a restart and
 * stays as it is until then.
 *
 * @module
 */
import { CONFIG_OPTIONS, type ConfigPath } from "../config/options.ts";
import type { ReloadAnswer } from "../control/control_api.ts";
import type { SupervisorOptions } from "./options.ts";

/** The options that a setting decides. */
const FIELDS: Readonly<Record<ConfigPath, readonly (keyof SupervisorOptions)[]>> = {
  soft: ["softDefault"],
  victim: ["victim"],
  defaultRules: ["defaultRules"],
  count: ["memberMask", "creditsShares", "memberNames"],
  subuids: ["subuidPath"],
  maxUserProcesses: ["userProcessesMax"],
  interval: ["intervalMs"],
  lowerGrace: ["lowerGraceMs"],
  brake: ["brake"],
  "plan.signal": ["killSignal"],
  "plan.grace": ["killGraceMs"],
  "plan.ceiling": ["killCeilingPermille"],
  "plan.unit": ["killUnit"],
  "storm.kills": ["stormKills"],
  "storm.seconds": ["stormSeconds"],
  "storm.then": ["stormThen"],
  "notify.terminals": ["terminals"],
  "notify.mail": ["mail"],
  "notify.webhook": ["webhook"],
  "hooks.before": ["hookBefore"],
  "hooks.after": ["hookAfter"],
  "hooks.soft": ["hookSoft"],
  "control.readGroup": ["readGroup"],
  dryRun: ["dryRun"],
  "machine.minAvailable": ["minAvailableBytes"],
  "machine.psi": ["psi"],
  "machine.victim": ["machineVictim"],
  "log.format": ["logFormat"],
  "sockets.control": ["controlSocketPath"],
  "sockets.tmalloc": ["tmallocSocketPath"],
  stateDir: ["stateDirPath"],
  history: ["historyPath"],
  recordSeconds: ["recordSeconds"],
  recordFiles: ["recordFiles"],
  metrics: ["metricsAddress"],
  web: ["webAddress"],
  "tracing.source": ["source"],
  "tracing.trigger": ["kernelTrigger"],
  "tracing.readers": ["readerCount"],
  "tracing.bufferKib": ["bufferKib"],
  "tracing.subbufKib": ["subbufKib"],
  "tracing.cpu": ["pathCpu"],
  "tracing.arm": ["arms"],
  "tables.maxProcesses": ["processesMax"],
  "tables.maxUsers": ["usersMax"],
};

export interface Reloaded {
  /** To be in force from now on. */
  readonly options: SupervisorOptions;
  /** A line for each setting that is another now: `victim: newest (was largest)`. */
  readonly changed: readonly string[];
  /** A line for each that needs a restart: `tracing.readers: 2 (runs with 1)`. */
  readonly restart: readonly string[];
}

/** @param running What is in force. @param wanted What the configuration says now. */
export function reloadOptions(running: SupervisorOptions, wanted: SupervisorOptions): Reloaded {
  const options: Record<string, unknown> = {
    ...running,
    limits: wanted.limits,
    victimRules: wanted.victimRules,
  };
  const settings = [...wanted.config.settings];
  const changed: string[] = [];
  const restart: string[] = [];
  for (const { path, reloads } of CONFIG_OPTIONS) {
    const isSame = FIELDS[path].every((field) => isEqual(running[field], wanted[field]));
    const index = settings.findIndex((one) => one.path === path);
    const now = settings[index]!;
    const before = running.config.settings.find((one) => one.path === path)!;
    if (reloads) {
      for (const field of FIELDS[path]) options[field] = wanted[field];
      if (!isSame) changed.push(`${path}: ${now.value} (was ${before.value})`);
    } else if (!isSame) {
      restart.push(`${path}: ${now.value} (runs with ${before.value})`);
      settings[index] = before;
    }
  }
  if (!isEqual(running.victimRules, wanted.victimRules)) {
    changed.push(`rules: ${wanted.victimRules.length} (was ${running.victimRules.length})`);
  }
  // Of a table whose size needs a restart.
  options["userProcessesMax"] = Math.min(wanted.userProcessesMax, running.processesMax);
  options["config"] = { ...wanted.config, settings };
  return { options: options as unknown as SupervisorOptions, changed, restart };
}

/** The answer to a reload that has changed nothing. */
export const NOTHING_CHANGED: ReloadAnswer = {
  reloaded: false,
  files: [],
  problems: [],
  changed: [],
  restart: [],
  limitsSet: 0,
  limitsCleared: 0,
};

/** One line for the log. */
export function reloadedMessage(answer: ReloadAnswer): string {
  const { files, changed, restart, limitsSet, limitsCleared } = answer;
  const parts = [
    ...changed,
    ...(limitsSet + limitsCleared > 0
      ? [`${limitsSet} limits set and ${limitsCleared} cleared`]
      : []),
    ...restart.map((line) => `${line} needs a restart`),
  ];
  const what = files.length === 0 ? "no file" : files.join(", ");
  return `reloaded ${what}: ${parts.length === 0 ? "nothing is another now" : parts.join(", ")}`;
}

/** Of plain data. */
function isEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
