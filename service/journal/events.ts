/**
 * What happened: every kind of event that the journal carries, with its fields and their units.
 *
 * @module
 */
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
  /** Weighed, or why it was left out: it could not be killed a moment ago, or dies already. */
  readonly fate: "weighed" | "protected" | "spared" | "dying";
}

/** What is known of a kill besides its line. */
export interface KillReceipt {
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
  /** The others, largest first. */
  readonly weighed: readonly Weighed[];
}

/** A victim is gone. */
export interface KilledEvent {
  readonly event: "killed";
  readonly pid: number;
  readonly uid: number;
  readonly freedBytes: number;
  /** From the signal to the exit. */
  readonly exitUs: number;
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
