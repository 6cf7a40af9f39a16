/**
 * When toom starts over, with what, and what is told of it afterwards. How: handover.ts.
 *
 * @module
 */
import { messageOf } from "../../kernel/ffi/thrown.ts";
import type { CarriedGrace } from "../../pipeline/kill/carried_graces.ts";
import type { CarriedLowering } from "../../pipeline/limits/carried_lowerings.ts";
import { listenerOf } from "../../kernel/process/inherit.ts";
import {
  type Handover,
  handOver,
  type HandoverFds,
  monotonicNs,
  nextInARow,
  startOverPauseMs,
} from "./handover.ts";
import type { StatusReport } from "../control/control_api.ts";
import { nextPath } from "../control/control_listener.ts";
import type { History, HistoryHandover } from "../history/history.ts";
import type { Journal } from "../journal/journal.ts";
import type { LogLosses } from "../journal/shed_watch.ts";
import type { SupervisorOptions } from "./options.ts";
import type { ServiceManager } from "./service_manager.ts";
import type { LimitOverride } from "../limits/state_file.ts";

export type LoadedOptions =
  | { readonly options: SupervisorOptions; readonly problems?: undefined }
  | { readonly problems: readonly string[]; readonly options?: undefined };

/** What the program around a supervisor lends it. */
export interface SupervisorHost {
  readonly journal: Journal;
  /** Lines of the log that were left out or could not be written, since the start. */
  readonly logLosses: () => LogLosses;
  /** Has the log tell what it left out; of the current second too: at the end. */
  readonly tellShed: (all: boolean) => void;
  /** Waits until the log is written, at most so long. */
  readonly flushLog: (timeoutMs: number) => Promise<void>;
  /** What is asked for now, as at the start, or all that is wrong with it. Never throws. */
  readonly loadOptions: () => Promise<LoadedOptions>;
  /** Keeps what happened; nothing waits for it. */
  readonly history: History;
  /** Who has started this process, and watches it. */
  readonly manager: ServiceManager;
  /** What this process has handed over to itself, when it has started over. */
  readonly handover: Handover | undefined;
}

/** What is handed over, as of the moment when it is. */
export interface StartOverState {
  readonly version: string;
  readonly options: unknown;
  readonly overrides: readonly LimitOverride[];
  readonly fds: Omit<HandoverFds, "control">;
  readonly graces: readonly CarriedGrace[];
  readonly lowerings: readonly CarriedLowering[];
  /** undefined: the control socket is not open yet. */
  readonly controlSocketPath: string | undefined;
  readonly restarts: Readonly<Record<string, number>>;
  readonly kills: number;
  readonly history: HistoryHandover;
}

/** How long lines of the log may hold up a start-over: nothing is enforced meanwhile. */
const FLUSH_MS_MAX = 50;

export class StartOver {
  private readonly host: SupervisorHost;
  private readonly journal: Journal;
  private readonly cpus: readonly number[];
  private readonly startedNs: number;
  private isUnderWay = false;

  /** @param cpus That this thread may run on by itself: the program that follows chooses anew. */
  constructor(host: SupervisorHost, cpus: readonly number[]) {
    this.host = host;
    this.journal = host.journal;
    this.cpus = cpus;
    this.startedNs = host.handover?.startedNs ?? monotonicNs();
  }

  /** Since the process began: start-overs do not count. */
  uptimeMs(): number {
    return (monotonicNs() - this.startedNs) / 1e6;
  }

  /** Kills before the last start-over. */
  get formerKills(): number {
    return this.host.handover?.kills ?? 0;
  }

  /** For `toom status`. */
  report(): StatusReport["restarts"] {
    const { handover } = this.host;
    const reason = handover === undefined ? null : `${handover.role} ${handover.reason}`;
    return { total: handover?.count ?? 0, reason };
  }

  /** Tells, when limits are enforced again, that toom has started over. */
  tell(): void {
    if (this.host.handover === undefined) return;
    const { role, reason, sinceNs, count } = this.host.handover;
    const downMs = Math.round((monotonicNs() - sinceNs) / 1e6);
    this.journal.publish({ event: "restart", role, reason, downMs, restarts: count });
  }

  /**
   * A worker hangs: toom becomes itself once more. Not sooner than some time after the last time;
   * until then this does nothing and is to be called again.
   *
   * @param silentMs Since when it does not work.
   * @param prepare Called right before; then the log is written.
   * @param state Called at the very end.
   */
  async begin(
    role: string,
    reason: string,
    silentMs: number,
    prepare: () => void,
    state: () => StartOverState | undefined,
  ): Promise<void> {
    const { host, journal } = this;
    const { handover } = host;
    const nowNs = monotonicNs();
    const sinceLastMs = handover === undefined ? Infinity : (nowNs - handover.atNs) / 1e6;
    if (this.isUnderWay || sinceLastMs < startOverPauseMs(handover?.inARow ?? 0)) return;
    this.isUnderWay = true;
    prepare();
    await host.flushLog(FLUSH_MS_MAX);
    const now = state();
    if (now === undefined) return; // It is being stopped.
    try {
      handOver(this.noteOf(now, role, reason, nowNs - silentMs * 1e6), this.cpus);
    } catch (error) {
      // Ending it all is the only other way to be sure that nothing of it goes on.
      const why = messageOf(error);
      const message = `${role} ${reason}, and toom cannot start over: ${why}`;
      journal.publish({ event: "error", where: "supervisor", message });
      await host.flushLog(FLUSH_MS_MAX);
      Deno.exit(1);
    }
  }

  private noteOf(now: StartOverState, role: string, reason: string, sinceNs: number): Handover {
    const { handover } = this.host;
    const { controlSocketPath: path, fds, restarts, ...rest } = now;
    const atNs = monotonicNs();
    return {
      ...rest,
      pid: Deno.pid,
      role,
      reason,
      sinceNs,
      atNs,
      startedNs: this.startedNs,
      count: (handover?.count ?? 0) + 1,
      inARow: nextInARow(handover, atNs),
      fds: {
        ...fds,
        // The kernel knows a socket by the name that it was bound to.
        control: path === undefined ? undefined : listenerOf(path) ?? listenerOf(nextPath(path)),
      },
      restarts: { ...restarts, [role]: (restarts[role] ?? 0) + 1 },
      linesShed: this.host.logLosses().unwritten,
      lastNumber: this.journal.last,
    };
  }
}
