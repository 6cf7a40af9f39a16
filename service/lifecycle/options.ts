/**
 * What the daemon is asked for.
 *
 * @module
 */
import type { MemberMask } from "../../pipeline/memory/settings.ts";
import type { TerminalMode } from "../config/terminal_mode.ts";
import type {
  HookSetting,
  MailSetting,
  ReadGroup,
  WebhookSetting,
} from "../config/notify_settings.ts";
import type { MetricsAddress } from "../config/metrics_address.ts";
import type { WebAddress } from "../config/web_address.ts";
import type { ConfiguredRule } from "../config/limits_section.ts";
import type { ConfigReport } from "../config/report.ts";
import type { BrakeMode, MachineVictim, VictimPolicy } from "../../pipeline/memory/settings.ts";
import type { VictimRule } from "../../pipeline/rules/victim_rule.ts";
import type { KillUnit, StormAction } from "../../pipeline/memory/kill_plan.ts";
import type { SoftSpec } from "../../pipeline/limits/limits.ts";

export interface SupervisorOptions {
  readonly version: string;
  readonly limits: readonly ConfiguredRule[];
  /** What is in force, and who said so. */
  readonly config: ConfigReport;
  readonly logFormat: "text" | "json";
  readonly source: "auto" | "bpf" | "raw" | "text";
  readonly readerCount: number;
  readonly memberMask: MemberMask;
  /** Pages that are counted more than once are credited; else usage is the sum over processes. */
  readonly creditsShares: boolean;
  /** As the user wrote it, for the log. */
  readonly memberNames: string;
  readonly victim: VictimPolicy;
  /** Of the files: the last one that matches a process holds. */
  readonly victimRules: readonly VictimRule[];
  /** The rules that toom brings along come before those. */
  readonly defaultRules: boolean;
  readonly softDefault: SoftSpec;
  readonly intervalMs: number;
  readonly minAvailableBytes: number;
  readonly psi: boolean;
  readonly machineVictim: MachineVictim;
  readonly dryRun: boolean;
  readonly arms: boolean;
  /** Programs in the kernel may end a process themselves, where there are any. */
  readonly kernelTrigger: boolean;
  readonly bufferKib: number;
  readonly subbufKib: number | undefined;
  readonly controlSocketPath: string;
  /** undefined: tmalloc is not served. */
  readonly tmallocSocketPath: string | undefined;
  readonly stateDirPath: string;
  /** So much before each kill is written down for a replay; 0: nothing. */
  readonly recordSeconds: number;
  /** Files of it that are kept. */
  readonly recordFiles: number;
  /** Where metrics are served besides the control socket; undefined: nowhere. */
  readonly metricsAddress: MetricsAddress | undefined;
  /** Where the program around the supervisor has the page served; undefined: nowhere. */
  readonly webAddress: WebAddress | undefined;
  /** Whose subordinate uids are; undefined: every uid counts for itself. */
  readonly subuidPath: string | undefined;
  readonly processesMax: number;
  readonly usersMax: number;
  /** Processes of one user at one time; one that has more counts as over its limit. */
  readonly userProcessesMax: number;
  /** Where kills are kept by the program around the supervisor; undefined: nowhere. */
  readonly historyPath: string | undefined;
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
  /** Of limits that do not say. */
  readonly brake: BrakeMode;
  /** A user whose limit is lowered below what it has loses nobody for so long. */
  readonly lowerGraceMs: number;
  /** How a process is killed, of limits that do not say; see kill_plan.ts. */
  readonly killSignal: number;
  readonly killGraceMs: number;
  readonly killCeilingPermille: number;
  readonly killUnit: KillUnit;
  /** What is done about storms, of limits that do not say. */
  readonly stormKills: number;
  readonly stormSeconds: number;
  readonly stormThen: StormAction;
  readonly debugFaults: boolean;
  /** The CPU of the workers on the event's way; -1 any. */
  readonly pathCpu: number | "auto";
  readonly pageBytes: number;
}
