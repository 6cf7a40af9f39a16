/**
 * The log: one line an event, for people (`text`) or for programs (`json`).
 *
 * Writing it never throws and never grows: floods are cut for each kind of event and what was shed
 * is counted (docs/INVARIANTS.md, I6 and I7). Names come from unprivileged users and are escaped,
 * so that a line stays one line and cannot pose as another.
 *
 * @module
 */
import type { UidRange } from "../../pipeline/limits/limits.ts";
import type { DeniedReason } from "../../pipeline/messages/reports.ts";
import { escapeJsonLine, formatBytes, quote } from "../../pipeline/limits/units.ts";

export type TriggerName = "user" | "kernel" | "last-defense";
/** Who asked for a limit. */
export type LimitOrigin = "command-line" | "control" | "config";

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
  readonly source: "raw" | "text";
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
 * could not be written (`unwritten`), and times that the kernel lost changes of user.
 */
export type ShedKind = "reports" | "orders" | "unwritten" | "user-changes";

/** Lines of a kind that were left out since the last line of that kind; or {@link ShedKind}. */
export interface ShedEvent {
  readonly event: "shed";
  readonly kind: LogEvent["event"] | ShedKind;
  readonly lines: number;
}

export type LogEvent =
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

export type LogFormat = "text" | "json";

/** One JSON object on one line: `ts`, `event`, then the fields of the event. */
export function formatJson(event: LogEvent, at: Date): string {
  return escapeJsonLine(JSON.stringify({ ts: at.toISOString(), ...event }));
}

/** One line for people, in the manner of the original. */
export function formatText(event: LogEvent): string {
  switch (event.event) {
    case "ready":
      return `ready: version=${event.version} pid=${event.pid} source=${event.source} ` +
        `readers=${event.readers} limits=${event.limits} counted=${event.counted} ` +
        `victim=${event.victim} control=${word(event.controlSocket)} ` +
        (event.tmallocSocket === null ? "" : `tmalloc=${word(event.tmallocSocket)} `) +
        `start=${event.startMs}ms` +
        (event.dryRun ? " dry-run" : "");
    case "limit":
      if (event.action === "clear") return `limit cleared: ${uids(event)}`;
      return event.hardPages === null
        ? `limit set: ${uids(event)} none`
        : `limit set: ${uids(event)} hard=${event.hardBytes}B (${event.hardPages} pages) ` +
          `soft=${event.softBytes}B (${event.softPages} pages)`;
    case "soft":
      return `soft limit passed: ${user(event)} usage=${event.usagePages} ` +
        `soft=${event.softPages} hard=${event.hardPages} pages`;
    case "kill":
      return killText(event);
    case "killed":
      return `killed: uid=${event.uid} pid=${event.pid} freed=${event.freedBytes}B ` +
        `(${formatBytes(event.freedBytes)}) exit=${event.exitUs}us`;
    case "denied":
      return `request not granted: uid=${event.uid} pid=${event.pid} ${deniedSum(event)}`;
    case "lost":
      return `lost: ${event.events < 0 ? "an unknown number of" : event.events} events ` +
        (event.cpu < 0 ? "on any cpu" : `on cpu ${event.cpu}`);
    case "tampered":
      return `tampered: somebody else has changed toom's tracing: ${line(event.what)}` +
        (event.mended ? "; put right" : "; not put right");
    case "drift":
      return `drift: uid=${event.uid} corrected by ${event.pages} pages`;
    case "degraded":
      return `degraded: ${line(event.reason)}`;
    case "recovered":
      return `recovered: after ${event.degradedMs}ms`;
    case "worker-restart":
      return `worker restarted: ${event.role} was down for ${event.downMs}ms: ${
        line(event.reason)
      }`;
    case "restart":
      return `restarted: limits were not enforced for ${event.downMs}ms, as ${event.role} ${
        line(event.reason)
      } (${event.restarts} so far)`;
    case "kernel-kill":
      return `killed by the kernel: uid=${event.uid ?? "?"} pid=${event.pid} ` +
        `comm=${event.comm === null ? "?" : quote(event.comm)}`;
    case "trigger":
      return `trigger: ${event.trigger}: ${line(event.reason)}`;
    case "config":
      return `config: ${line(event.message)}`;
    case "stop":
      return `stop: ${line(event.reason)} after ${event.uptimeSeconds}s, ${event.kills} kills`;
    case "error":
      return `error: ${event.where}: ${line(event.message)}`;
    case "shed":
      return `shed: ${shedText(event)}`;
  }
}

function shedText({ kind, lines }: ShedEvent): string {
  switch (kind) {
    case "reports":
      return `${lines} reports of workers`;
    case "orders":
      return `${lines} orders to the killer`;
    case "unwritten":
      return `${lines} lines that could not be written`;
    case "user-changes":
      return `${lines} times changes of user; all of /proc was read instead`;
    default:
      return `${lines} lines of ${kind}`;
  }
}

function killText(event: KillEvent): string {
  const others = event.weighed.map(({ pid, pages }) => `${pid}:${pages}`).join(",");
  return `${event.dryRun ? "would kill" : "kill"}: ${user(event)} pid=${event.pid} ` +
    `comm=${quote(event.comm)} trigger=${event.trigger} usage=${event.usagePages} ` +
    (event.sharedPages === 0
      ? ""
      : `counted=${event.usagePages + event.sharedPages} shared=${event.sharedPages} `) +
    `hard=${event.hardPages} pages over=${event.overshootBytes}B victim=${event.victimPages} ` +
    `pages latency=${event.latencyUs}us` +
    `${event.sharers === 0 ? "" : ` sharers=${event.sharers}`}${
      others === "" ? "" : ` weighed=${others}`
    }`;
}

function uids({ uidFirst, uidLast }: UidRange): string {
  return uidFirst === uidLast ? `uid=${uidFirst}` : `uid=${uidFirst}-${uidLast}`;
}

function user(event: { readonly uid: number; readonly user: string | null }): string {
  return `uid=${event.uid}${event.user === null ? "" : ` user=${word(event.user)}`}`;
}

/** As it is when nothing in it could be mistaken, else in quotes. */
function word(text: string): string {
  return /^[\w./:@+-]+$/.test(text) ? text : quote(text, 256);
}

/** The sum in the original's words; where it is not the sum that forbids, what does. */
function deniedSum({ committedPages, requestPages, hardPages, reason }: DeniedEvent): string {
  const sum = `${committedPages}+${requestPages}`;
  if (reason === "limit") return `${sum}>${hardPages}`;
  return reason === "claims"
    ? `${sum}<=${hardPages}, but then not all claims could be met`
    : `${sum}, beyond its own claim`;
}

/** Free text, made harmless but not quoted. */
function line(text: string): string {
  return escapeJsonLine(text.replace(/\s*[\r\n]+\s*/g, " "));
}

/** Most lines of one kind within {@link WINDOW_MS}; beyond that they are counted instead. */
export const LINES_PER_WINDOW_MAX = 200;
const WINDOW_MS = 1000;
/** Bounded by the kernel's speed of dying, and the one thing that everybody must be able to read. */
const UNLIMITED: ReadonlySet<LogEvent["event"]> = new Set(["kill", "killed", "shed"]);

interface Window {
  startMs: number;
  lines: number;
  shed: number;
}

/** Where events go. Used by the supervisor only. */
export class Log {
  /** Lines left out since the start. */
  shedTotal = 0;
  /** Lines that could not be written since the start. */
  failedTotal = 0;
  private readonly format: LogFormat;
  private readonly write: (line: string) => void;
  private readonly now: () => Date;
  /** One for each kind that was seen, so bounded by the number of kinds. */
  private readonly windows = new Map<LogEvent["event"], Window>();

  /**
   * @param write Takes a line without its end. May throw: the line is counted as failed.
   * @param now Wall-clock time.
   */
  constructor(format: LogFormat, write: (line: string) => void, now: () => Date) {
    this.format = format;
    this.write = write;
    this.now = now;
  }

  /**
   * Writes an event, unless there were too many of its kind within the second. Never throws.
   *
   * @param agoMs How long ago it happened: its line says when that was, not when it is written.
   */
  event(event: LogEvent, agoMs = 0): void {
    const now = this.now();
    if (!UNLIMITED.has(event.event) && !this.admit(event.event, now)) return;
    this.put(event, agoMs > 0 ? new Date(now.getTime() - agoMs) : now);
  }

  /**
   * Reports what was shed in seconds that are over; call it now and then, else the report waits
   * for the next event of that kind.
   *
   * @param all Also of the current second: at the end.
   */
  flush(all = false): void {
    const at = this.now();
    for (const [kind, window] of this.windows) {
      if (all || isOver(window, at)) this.report(kind, window, at);
    }
  }

  private admit(kind: LogEvent["event"], at: Date): boolean {
    let window = this.windows.get(kind);
    if (window === undefined) {
      window = { startMs: at.getTime(), lines: 0, shed: 0 };
      this.windows.set(kind, window);
    } else if (isOver(window, at)) {
      this.report(kind, window, at);
      window.startMs = at.getTime();
      window.lines = 0;
    }
    if (window.lines < LINES_PER_WINDOW_MAX) {
      window.lines++;
      return true;
    }
    window.shed++;
    this.shedTotal++;
    return false;
  }

  private report(kind: LogEvent["event"], window: Window, at: Date): void {
    if (window.shed === 0) return;
    const lines = window.shed;
    window.shed = 0;
    this.put({ event: "shed", kind, lines }, at);
  }

  private put(event: LogEvent, at: Date): void {
    try {
      this.write(this.format === "json" ? formatJson(event, at) : formatText(event));
    } catch {
      // A closed pipe or a full disk must not reach who reports a kill (I6).
      this.failedTotal++;
    }
  }
}

/** Also when the clock was set back, or the kind would be silent until it has caught up. */
function isOver(window: Window, at: Date): boolean {
  const ageMs = at.getTime() - window.startMs;
  return ageMs >= WINDOW_MS || ageMs < 0;
}
