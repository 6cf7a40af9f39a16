/**
 * Every setting by its path in a configuration file: the option of `toom run` that overrides it, and
 * whether a change of it counts at a reload or needs a restart.
 *
 * @module
 */
import type { SoftSpec } from "../../pipeline/limits/limits.ts";
import type { BrakeMode, MachineVictim, VictimPolicy } from "../../pipeline/memory/settings.ts";
import type { KillUnit, StormAction } from "../../pipeline/memory/kill_plan.ts";
import type { TerminalMode } from "./terminal_mode.ts";
import type { MetricsAddress } from "./metrics_address.ts";
import type { WebAddress } from "./web_address.ts";
import type { HookSetting, MailSetting, ReadGroup, WebhookSetting } from "./notify_settings.ts";
import type { Counted } from "./option_values.ts";

/** What was read, by path. A setting that nobody has made is not there. */
export interface ConfigValues {
  readonly soft: SoftSpec;
  readonly victim: VictimPolicy;
  readonly defaultRules: boolean;
  readonly count: Counted;
  readonly subuids: boolean;
  readonly maxUserProcesses: number;
  readonly interval: number;
  readonly lowerGrace: number;
  readonly brake: BrakeMode;
  readonly "plan.signal": number;
  readonly "plan.grace": number;
  /** Thousandths of the hard limit. */
  readonly "plan.ceiling": number;
  readonly "plan.unit": KillUnit;
  readonly "storm.kills": number;
  readonly "storm.seconds": number;
  readonly "storm.then": StormAction;
  readonly "notify.terminals": TerminalMode;
  readonly "notify.mail": MailSetting;
  readonly "notify.webhook": WebhookSetting;
  readonly "hooks.before": HookSetting;
  readonly "hooks.after": HookSetting;
  readonly "hooks.soft": HookSetting;
  readonly "control.readGroup": ReadGroup;
  readonly dryRun: boolean;
  readonly "machine.minAvailable": number;
  readonly "machine.psi": boolean;
  readonly "machine.victim": MachineVictim;
  readonly "log.format": "text" | "json";
  readonly "sockets.control": string;
  /** null: not served. */
  readonly "sockets.tmalloc": string | null;
  readonly stateDir: string;
  /** A path, or `off`. */
  readonly history: string;
  readonly recordSeconds: number;
  readonly recordFiles: number;
  readonly metrics: MetricsAddress;
  readonly web: WebAddress;
  readonly "tracing.source": "auto" | "bpf" | "raw" | "text";
  readonly "tracing.trigger": "kernel" | "user";
  readonly "tracing.readers": number;
  readonly "tracing.bufferKib": number;
  readonly "tracing.subbufKib": number;
  readonly "tracing.cpu": number | "auto";
  readonly "tracing.arm": boolean;
  readonly "tables.maxProcesses": number;
  readonly "tables.maxUsers": number;
}

export type ConfigPath = keyof ConfigValues;

export interface ConfigOption {
  readonly path: ConfigPath;
  /** Of `toom run`, without its dashes; left out: it stands in files only. */
  readonly option?: string;
  /** The option says that it is not so: `--no-psi`. */
  readonly isNegated?: true;
  /** Of an option without a value: the one that says the opposite, against a file. */
  readonly opposite?: string;
  /** A change counts at the next reload; else it needs a restart. */
  readonly reloads: boolean;
}

export const CONFIG_OPTIONS: readonly ConfigOption[] = [
  { path: "soft", option: "soft", reloads: true },
  { path: "victim", option: "victim", reloads: true },
  {
    path: "defaultRules",
    option: "no-default-rules",
    isNegated: true,
    opposite: "default-rules",
    reloads: true,
  },
  // Programs in the kernel are made for the members that count.
  { path: "count", option: "count", reloads: false },
  {
    path: "subuids",
    option: "no-subuids",
    isNegated: true,
    opposite: "subuids",
    reloads: false,
  },
  { path: "maxUserProcesses", option: "max-user-processes", reloads: true },
  { path: "interval", option: "interval", reloads: true },
  { path: "lowerGrace", option: "lower-grace", reloads: true },
  { path: "brake", option: "brake", reloads: true },
  { path: "plan.signal", option: "kill-signal", reloads: true },
  { path: "plan.grace", option: "kill-grace", reloads: true },
  { path: "plan.ceiling", option: "kill-ceiling", reloads: true },
  { path: "plan.unit", option: "kill-unit", reloads: true },
  { path: "storm.kills", option: "storm-kills", reloads: true },
  { path: "storm.seconds", option: "storm-seconds", reloads: true },
  { path: "storm.then", option: "storm-then", reloads: true },
  { path: "notify.terminals", option: "terminals", reloads: true },
  { path: "notify.mail", reloads: true },
  { path: "notify.webhook", reloads: true },
  { path: "hooks.before", reloads: true },
  { path: "hooks.after", reloads: true },
  { path: "hooks.soft", reloads: true },
  { path: "control.readGroup", reloads: true },
  { path: "dryRun", option: "dry-run", opposite: "no-dry-run", reloads: true },
  { path: "machine.minAvailable", option: "min-available", reloads: true },
  { path: "machine.psi", option: "no-psi", isNegated: true, opposite: "psi", reloads: true },
  { path: "machine.victim", option: "machine-victim", reloads: true },
  { path: "log.format", option: "log-format", reloads: false },
  { path: "sockets.control", option: "control-socket", reloads: false },
  { path: "sockets.tmalloc", option: "tmalloc-socket", reloads: false },
  { path: "stateDir", option: "state-dir", reloads: false },
  { path: "history", option: "history", reloads: false },
  { path: "recordSeconds", option: "record-seconds", reloads: false },
  { path: "recordFiles", option: "record-files", reloads: false },
  { path: "metrics", option: "metrics", reloads: false },
  { path: "web", option: "web", reloads: false },
  { path: "tracing.source", option: "source", reloads: false },
  { path: "tracing.trigger", option: "trigger", reloads: true },
  { path: "tracing.readers", option: "readers", reloads: false },
  { path: "tracing.bufferKib", option: "buffer-kib", reloads: false },
  { path: "tracing.subbufKib", option: "subbuf-kib", reloads: false },
  { path: "tracing.cpu", option: "cpu", reloads: false },
  { path: "tracing.arm", option: "no-arm", isNegated: true, opposite: "arm", reloads: true },
  { path: "tables.maxProcesses", option: "max-processes", reloads: false },
  { path: "tables.maxUsers", option: "max-users", reloads: false },
];

/** The value at a path; undefined when nobody has said it. */
export function valueAt(content: unknown, path: string): unknown {
  let value: unknown = content;
  for (const key of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}
