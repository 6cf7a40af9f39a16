/**
 * The history as the daemon has it: a subscriber of the journal that makes a receipt of each kill,
 * remembers the last ones, and hands all to the process that writes them.
 *
 * That process lives only while there is something to write, and a little longer. Nothing here waits for
 * it but a task of its own; what it does not take in time waits in a bounded queue, and what finds that
 * full is missed and counted (I6).
 *
 * @module
 */
import type { JournalEntry, Subscriber } from "../journal/journal.ts";
import { HISTORY_BOUNDS, type HistoryBatch, type HistoryBounds } from "./batch.ts";
import { HourPeaks } from "./hour_peaks.ts";
import {
  endOf,
  type HourPeak,
  type KillEnd,
  type KillRecord,
  recordOf,
  sparedOf,
  withEnd,
} from "./record.ts";
import { type SpawnWriter, WriterLink } from "./writer_link.ts";

/** Receipts that are remembered, for those who ask right after a kill. */
export const RECENT_MAX = 128;
/** Kills, ends or peaks that wait to be written. */
export const PENDING_MAX = 4096;
/** What happens within this time is written together: a kill and its end, mostly. */
const GATHER_MS = 200;
/** After a failure it is tried again, each time after twice as long. */
const RETRY_MS_MIN = 5000;
const RETRY_MS_MAX = 300_000;
/** The same problem is told at most so often. */
const TOLD_EVERY_MS = 600_000;

export interface HistoryOptions {
  /** undefined: nothing is written, only the last receipts are remembered. */
  readonly path: string | undefined;
  readonly bounds?: HistoryBounds;
  readonly pageBytes: number;
  /** Starts the process that writes. */
  readonly spawn: SpawnWriter;
  /** Told what an administrator should know; one line. */
  readonly tell: (message: string) => void;
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly nowNs: () => number;
  /** What was not written when this process started over. */
  readonly former?: HistoryHandover | undefined;
  /** Waits for a while; for tests. */
  readonly gatherMs?: number;
}

/** What goes on over a start-over. Plain data. */
export interface HistoryHandover {
  readonly recent: readonly KillRecord[];
  readonly pending: HistoryBatch;
}

/** For `toom status`. */
export interface HistoryReport {
  readonly path: string | null;
  readonly written: number;
  readonly pending: number;
  readonly missed: number;
  readonly failures: number;
}

export class History implements Subscriber {
  readonly name = "history";
  private readonly options: HistoryOptions;
  private readonly recentKills: KillRecord[];
  private readonly peaks: HourPeaks;
  private kills: KillRecord[];
  private ends: KillEnd[];
  private hours: HourPeak[];
  private readonly link: WriterLink | undefined;
  private pumping: Promise<void> | undefined;
  private wake: () => void = () => {};
  private isStopping = false;
  private written = 0;
  private missed = 0;
  private failures = 0;
  private retryMs = RETRY_MS_MIN;
  private told = { problem: "", atMs: -Infinity };

  constructor(options: HistoryOptions) {
    const { path, spawn, bounds = HISTORY_BOUNDS, former } = options;
    this.options = options;
    this.recentKills = [...former?.recent ?? []];
    this.kills = [...former?.pending.kills ?? []];
    this.ends = [...former?.pending.ends ?? []];
    this.hours = [...former?.pending.peaks ?? []];
    this.peaks = new HourPeaks(options.pageBytes);
    this.link = path === undefined ? undefined : new WriterLink(spawn, { path, bounds });
  }

  take(entry: JournalEntry): void {
    const { event } = entry;
    if (event.event === "kill") {
      const record = recordOf(entry, this.options.pageBytes, this.options.nowNs());
      if (record === undefined) return;
      this.recentKills.push(record);
      if (this.recentKills.length > RECENT_MAX) this.forgetOne();
      this.offer(this.kills, record);
    } else if (event.event === "killed") this.noteEnd(event, (id) => endOf(id, event));
    else if (event.event === "grace" && event.outcome === "spared") {
      this.noteEnd(event, (id) => sparedOf(id));
    }
  }

  private noteEnd(
    { pid, uid }: { readonly pid: number; readonly uid: number },
    endOfKill: (id: string) => KillEnd,
  ): void {
    const at = this.recentKills.findLastIndex((kill) =>
      kill.pid === pid && kill.uid === uid && kill.freedBytes === null && kill.outcome === null
    );
    if (at < 0) return;
    const end = endOfKill(this.recentKills[at]!.id);
    this.recentKills[at] = withEnd(this.recentKills[at]!, end);
    this.offer(this.ends, end);
  }

  /** The oldest of the user that has most: nobody pushes out what is of others (I7). */
  private forgetOne(): void {
    const counts = new Map<number, number>();
    for (const { uid } of this.recentKills) counts.set(uid, (counts.get(uid) ?? 0) + 1);
    const most = Math.max(...counts.values());
    const at = this.recentKills.findIndex(({ uid }) => counts.get(uid) === most);
    this.recentKills.splice(at, 1);
  }

  private offer<T>(queue: T[], one: T): void {
    if (this.link === undefined) return;
    if (queue.length < PENDING_MAX) queue.push(one);
    else this.missed++;
    this.begin();
  }

  /**
   * Once a second, before {@link notePeak} for each user.
   * @param nowMs Wall clock, milliseconds since 1970.
   */
  beginLook(nowMs: number): void {
    if (!this.peaks.isOver(nowMs)) return;
    this.takePeaks();
    this.begin();
  }

  /** @param nowMs As above. */
  notePeak(nowMs: number, uid: number, usagePages: number): void {
    if (this.link !== undefined) this.peaks.note(nowMs, uid, usagePages);
  }

  /** The last receipts, the newest last. */
  recent(): readonly KillRecord[] {
    return this.recentKills;
  }

  /** Of one user, the newest last. */
  recentOf(uid: number): readonly KillRecord[] {
    return this.recentKills.filter((kill) => kill.uid === uid);
  }

  report(): HistoryReport {
    const { written, missed, failures } = this;
    return { path: this.options.path ?? null, written, pending: this.pending, missed, failures };
  }

  handover(): HistoryHandover {
    this.takePeaks();
    const { kills, ends, hours } = this;
    return { recent: this.recentKills, pending: { kills, ends, peaks: hours } };
  }

  private get pending(): number {
    return this.kills.length + this.ends.length + this.hours.length;
  }

  private takePeaks(): void {
    for (const peak of this.peaks.take()) {
      if (this.hours.length < PENDING_MAX * 4) this.hours.push(peak);
      else this.missed++;
    }
  }

  // ------------------------------------------------------------------------------------ writing

  private begin(): void {
    if (this.pumping !== undefined || this.isStopping) return;
    this.pumping = this.pump().finally(() => this.pumping = undefined);
  }

  private async pump(): Promise<void> {
    await this.pause(this.options.gatherMs ?? GATHER_MS);
    while (this.pending > 0) {
      if (await this.writeOnce()) this.retryMs = RETRY_MS_MIN;
      else {
        if (this.isStopping) return;
        await this.pause(this.retryMs);
        this.retryMs = Math.min(RETRY_MS_MAX, this.retryMs * 2);
      }
    }
    this.link?.rest();
  }

  /** @returns Whether it was written; else it waits again. */
  private async writeOnce(): Promise<boolean> {
    this.takePeaks();
    const batch: HistoryBatch = { kills: this.kills, ends: this.ends, peaks: this.hours };
    this.kills = [];
    this.ends = [];
    this.hours = [];
    const { problem, notice } = await this.link!.write(batch);
    if (notice !== undefined) this.options.tell(`history: ${notice}`);
    if (problem === undefined) {
      this.written += batch.kills.length;
      return true;
    }
    this.failures++;
    this.tellProblem(problem);
    this.kills = this.join(batch.kills, this.kills);
    this.ends = this.join(batch.ends, this.ends);
    this.hours = this.join(batch.peaks, this.hours);
    return false;
  }

  /** What waited before, then what came meanwhile, as far as there is room: the oldest give way. */
  private join<T>(before: readonly T[], since: readonly T[]): T[] {
    const all = [...before, ...since];
    const tooMany = Math.max(0, all.length - PENDING_MAX);
    this.missed += tooMany;
    return all.slice(tooMany);
  }

  private tellProblem(problem: string): void {
    const nowMs = this.options.nowNs() / 1e6;
    if (problem === this.told.problem && nowMs - this.told.atMs < TOLD_EVERY_MS) return;
    this.told = { problem, atMs: nowMs };
    this.options.tell(`history: cannot write: ${problem}; it is tried again`);
  }

  /** Waits, but for no longer than until {@link stop}. */
  private async pause(ms: number): Promise<void> {
    if (this.isStopping) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.wake = () => {};
  }

  /** Writes what waits, in so much time at most, and ends the process that writes. */
  async stop(timeoutMs: number): Promise<void> {
    this.takePeaks();
    if (this.pending > 0) this.begin();
    this.isStopping = true;
    this.wake();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => timer = setTimeout(resolve, timeoutMs));
    await Promise.race([this.pumping, timeout]);
    clearTimeout(timer);
    await this.link?.end();
  }
}
