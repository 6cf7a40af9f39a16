/**
 * What happened: every kind of event that the journal carries, with its fields and their units.
 *
 * @module
 */
import type { VictimPolicy } from "../../pipeline/memory/settings.ts";
import type { KillUnit, StormAction } from "../../pipeline/memory/kill_plan.ts";
import type { DeniedReason } from "../../pipeline/messages/reports.ts";

export type TriggerName = "user" | "kernel" | "last-defense";
/** Who asked for a limit. */
export type LimitOrigin = "command-line" | "control" | "config";

/** A process beside a victim. */
export interface ReceiptRow {
  readonly pid: number;
  /** Counted pages. */
  readonly pages: number;
  /** Of these, what its end gives back. */
  readonly givesBackPages: number;
  /** By the victim policy: the highest goes first. 0 of those that were left out. */
  readonly score: number;
  /** As it was read last; 0: it was not read. proc(5) */
  readonly oomScoreAdj: number;
  /**
   * Weighed, or why it was left out: it could not be killed a moment ago, dies already, or the others
   * suffice and a rule avoids it.
   */
  readonly fate: "weighed" | "protected" | "spared" | "dying" | "avoided";
  /** What a rule says of it, and where it stands: `avoid /etc/toom/config.jsonc:12`. */
  readonly rule: string | null;
}

/** What is known of a user at the moment of a kill, besides what the killer tells. */
export interface UserFacts {
  readonly softPages: number;
  /** By tmalloc, and not in use yet. */
  readonly promisedPages: number;
  /** The most that was charged until now. */
  readonly peakPages: number;
  readonly processes: number;
  /** The limit that holds: its uids, and who asked for it; null: there is none any more. */
  readonly rule: string | null;
}

/** What is known of a kill besides its line. */
export interface KillReceipt extends UserFacts {
  /** By which the victim was chosen. */
  readonly policy: VictimPolicy;
  /** What a rule says of the victim, and where it stands; null: none matches. */
  readonly victimRule: string | null;
  /** From the page that crossed the line until the killer began; null: a program in the kernel has killed. */
  readonly beganUs: number | null;
  /**
   * Of the victim, as the books had them when the signal had been sent; null: it was gone from the books
   * by then.
   */
  readonly victimFilePages: number | null;
  readonly victimAnonPages: number | null;
  readonly victimSwapPages: number | null;
  readonly victimShmemPages: number | null;
  /** Pages that go with all of the user's that are dying, the victim included. */
  readonly dyingPages: number;
  /** Events had been lost, and not everything was read again yet. */
  readonly isDegraded: boolean;
  /** Best candidates first, then the largest of those that were left out. */
  readonly others: readonly ReceiptRow[];
}

/** A process that was weighed as a victim. */
export interface Weighed {
  readonly pid: number;
  readonly pages: number;
}

/** A process that was kept by a rule: protected, or avoided because the others suffice. */
export interface Kept {
  readonly pid: number;
  readonly pages: number;
  /** What the rule says, and where it stands: `protect /etc/toom/config.jsonc:12`. */
  readonly rule: string;
}

/** toom is enforcing. */
export interface ReadyEvent {
  readonly event: "ready";
  readonly version: string;
  readonly pid: number;
  readonly source: "bpf" | "raw" | "text";
  readonly readers: number;
  /** Rules in force. */
  readonly limits: number;
  readonly counted: string;
  readonly victim: string;
  readonly dryRun: boolean;
  /** Of limits that do not say. */
  readonly brake: "off" | "growers" | "all";
  /** How limits of processes are lowered; null: that cannot be done here. */
  readonly brakeBy: "capability" | "helpers" | null;
  readonly controlSocket: string;
  /** null: not served. */
  readonly tmallocSocket: string | null;
  readonly startMs: number;
}

/** A limit was set or cleared. */
export interface LimitEvent {
  readonly event: "limit";
  readonly uidFirst: number;
  readonly uidLast: number;
  readonly action: "set" | "clear";
  readonly origin: LimitOrigin;
  /** Of the limit that is now in force, or was cleared; null: the rule says that there is none. */
  readonly hardPages: number | null;
  readonly softPages: number | null;
  readonly hardBytes: number | null;
  readonly softBytes: number | null;
  /** Of this limit; null: as `toom run --brake` says. */
  readonly brake: "off" | "growers" | "all" | null;
  /** Which of its users' processes goes; null: as `toom run --victim` says. */
  readonly victim: string | null;
  /** The members that count for its users, `anon+file`; null: as `toom run --count` says. */
  readonly count: string | null;
  /** The most processes of each user; null: as of all. */
  readonly maxProcesses: number | null;
  /** How its users are killed, in words; null: as `toom run` says. */
  readonly plan: string | null;
}

/** A user has passed its soft limit. */
export interface SoftEvent {
  readonly event: "soft";
  readonly uid: number;
  readonly user: string | null;
  readonly usagePages: number;
  readonly softPages: number;
  readonly hardPages: number;
}

/** A process was signalled, or would have been: `dryRun`. */
export interface KillEvent {
  readonly event: "kill";
  /** Names the kill, in the history too. */
  readonly id: string;
  readonly uid: number;
  readonly user: string | null;
  readonly pid: number;
  readonly comm: string;
  readonly trigger: TriggerName;
  /** Charged: counted pages less `sharedPages`. */
  readonly usagePages: number;
  /** Share credit: pages that are counted more than once, or that the kernel can take back. */
  readonly sharedPages: number;
  readonly hardPages: number;
  readonly overshootBytes: number;
  readonly victimPages: number;
  /** From the event's own timestamp to the return of the signal call. */
  readonly latencyUs: number;
  readonly dryRun: boolean;
  /** Processes that were killed with it, because they ran on the same memory. */
  readonly sharers: number;
  /** What the brake had left the victim to map, pages; null: it was not braked. */
  readonly brakeLeftPages: number | null;
  /** What was sent first, `SIGKILL` or what the plan says. */
  readonly signal: string;
  /** What went with it, of its user: its memory's processes, process group, session or cgroup. */
  readonly unit: KillUnit;
  /** Processes of its unit that were signalled with it, beside itself. */
  readonly unitProcesses: number;
  /** Time until SIGKILL; null: that was the first signal. */
  readonly graceMs: number | null;
  /** Above so much SIGKILL comes within the grace; null as above. */
  readonly ceilingPages: number | null;
  /** It is one of a storm: the log has one line of all. */
  readonly storm: boolean;
  /** The others, largest first. */
  readonly weighed: readonly Weighed[];
  /** What a rule says of the victim, and where it stands; null: none matches. */
  readonly rule: string | null;
  /** Those that rules kept, the largest of them. */
  readonly kept: readonly Kept[];
}

/** A victim is gone. */
export interface KilledEvent {
  readonly event: "killed";
  readonly pid: number;
  readonly uid: number;
  readonly freedBytes: number;
  /** From the signal to the exit. */
  readonly exitUs: number;
  /** As wait(2) has it, 9: ended by SIGKILL; null: the kernel does not tell. */
  readonly exitStatus: number | null;
  /** How its grace has ended; null: it had none. */
  readonly outcome: GraceOutcomeName | null;
  /** It is one of a storm. */
  readonly storm: boolean;
}

/**
 * `ended`: by itself; SIGKILL was sent when the grace was `over`, above the `ceiling`, or as the machine
 * was short (`pressure`); `spared`: its user was below its limit by then.
 */
export type GraceOutcomeName = "ended" | "over" | "ceiling" | "pressure" | "spared";

/** The time is over that a process had after another signal than SIGKILL. */
export interface GraceEvent {
  readonly event: "grace";
  readonly uid: number;
  readonly user: string | null;
  readonly pid: number;
  readonly comm: string;
  readonly outcome: GraceOutcomeName;
  /** Since the first signal. */
  readonly tookMs: number;
  /** What the user was charged then. */
  readonly usagePages: number;
  readonly hardPages: number;
}

/** A user loses processes so fast that somebody must be starting them anew; or does no longer. */
export interface StormEvent {
  readonly event: "storm";
  readonly uid: number;
  readonly user: string | null;
  readonly state: "begins" | "ends";
  /** So far, and within how long. */
  readonly kills: number;
  readonly seconds: number;
  /** On whom it is acted, as configured. */
  readonly then: StormAction;
  /** Whom it was done to: a process, or a session's number; null: nobody. */
  readonly actedPid: number | null;
  readonly actedComm: string | null;
  /** How often so far. */
  readonly acted: number;
}

/** A process came under the brake: the kernel refuses it more than it is left. */
export interface RefusedEvent {
  readonly event: "refused";
  readonly uid: number;
  readonly user: string | null;
  readonly pid: number;
  readonly comm: string;
  /** What it may still map and use, its share of what the user has left. */
  readonly leftPages: number;
  readonly leftBytes: number;
  /** Its soft RLIMIT_DATA from now on; moved as usage moves. */
  readonly dataLimitBytes: number;
  /** Charged to the user. */
  readonly usagePages: number;
  readonly softPages: number;
  readonly hardPages: number;
}

/** A request for memory was refused. */
export interface DeniedEvent {
  readonly event: "denied";
  readonly uid: number;
  readonly pid: number;
  readonly committedPages: number;
  readonly requestPages: number;
  readonly hardPages: number;
  /** `claims`: it fits, but then not everybody could get what it has claimed. */
  readonly reason: DeniedReason;
}

/** The kernel dropped events. */
export interface LostEvent {
  readonly event: "lost";
  /** -1: the kernel does not say how many. */
  readonly events: number;
  /** -1: of any. */
  readonly cpu: number;
}

/** Somebody else has changed, or read, what toom records. */
export interface TamperedEvent {
  readonly event: "tampered";
  /** The file, by instance, and what it said. */
  readonly what: string;
  /** Whether toom has put it right. */
  readonly mended: boolean;
}

/** A sweep has corrected a user's books. */
export interface DriftEvent {
  readonly event: "drift";
  readonly uid: number;
  /** What was added to the books; negative when they were too high. */
  readonly pages: number;
}

/** The books are not to be trusted until the next sweep. */
export interface DegradedEvent {
  readonly event: "degraded";
  readonly reason: string;
}

export interface RecoveredEvent {
  readonly event: "recovered";
  readonly degradedMs: number;
}

export interface WorkerRestartEvent {
  readonly event: "worker-restart";
  readonly role: string;
  readonly reason: string;
  readonly downMs: number;
}

/** A worker hung, so all of toom has started over, in the same process. */
export interface RestartEvent {
  readonly event: "restart";
  readonly role: string;
  readonly reason: string;
  /** From the worker's last sign of life until limits are enforced again. */
  readonly downMs: number;
  /** Times so far. */
  readonly restarts: number;
}

/** The kernel's own OOM killer took a process. */
export interface KernelKillEvent {
  readonly event: "kernel-kill";
  readonly uid: number | null;
  readonly pid: number;
  readonly comm: string | null;
}

/** One of the two triggers besides the user's events has fired. */
export interface TriggerEvent {
  readonly event: "trigger";
  readonly trigger: TriggerName;
  readonly reason: string;
}

/** Something about the settings that is worth knowing. */
export interface ConfigEvent {
  readonly event: "config";
  readonly message: string;
}

export interface StopEvent {
  readonly event: "stop";
  readonly reason: string;
  readonly uptimeSeconds: number;
  readonly kills: number;
}

export interface ErrorEvent {
  readonly event: "error";
  /** The part that it happened in. */
  readonly where: string;
  readonly message: string;
}

/**
 * What was left out besides lines of a kind: `reports` of workers, `orders` to the killer, lines that
 * could not be written (`unwritten`), times that the kernel lost changes of user, and `readings` of
 * /proc that failed.
 */
export type ShedKind = "reports" | "orders" | "unwritten" | "user-changes" | "readings";

/** Lines of a kind that were left out since the last line of that kind; or {@link ShedKind}. */
export interface ShedEvent {
  readonly event: "shed";
  readonly kind: JournalEvent["event"] | ShedKind;
  readonly lines: number;
}

export type JournalEvent =
  | ReadyEvent
  | LimitEvent
  | SoftEvent
  | KillEvent
  | KilledEvent
  | GraceEvent
  | StormEvent
  | RefusedEvent
  | DeniedEvent
  | LostEvent
  | TamperedEvent
  | DriftEvent
  | DegradedEvent
  | RecoveredEvent
  | WorkerRestartEvent
  | RestartEvent
  | KernelKillEvent
  | TriggerEvent
  | ConfigEvent
  | StopEvent
  | ErrorEvent
  | ShedEvent;
