/**
 * The sweeper's eye on its own trace instances: looks now and then whether somebody else has changed
 * or read them, tells the log, and makes a loss of it, so that all of /proc is read again.
 *
 * @module
 */
import { GUARD_EVERY_NS, GUARD_LOGINS_EVERY_NS } from "../memory/timing.ts";
import type { Memory } from "../memory/memory.ts";
import type { RecordWriter } from "../messages/record_writer.ts";
import type { ReportWriter } from "../messages/reports.ts";
import type { GuardedInstance, TraceCounts } from "../ports.ts";
import { InstanceGuard, type Tampering } from "./instance_guard.ts";
import { ReaderGuard } from "./reader_guard.ts";

/** Of the list of traced tasks: a mark that keeps it from being empty, and shows whose it is. */
export interface GuardedList {
  /** Whether the list that was read last had the mark; false: somebody else wrote it. */
  readonly hadSentinel: boolean;
  /** Puts the mark back. */
  restoreSentinel(): void;
}

export interface TraceWatchOptions {
  readonly memory: Memory;
  readonly writer: RecordWriter;
  /** The sweeper's. */
  readonly reports: ReportWriter;
  /** Whether an instance has the events that decide about kills, and not only logins. */
  readonly recordsEvents: boolean;
  readonly instance: GuardedInstance;
  readonly list: GuardedList;
  /** Undefined where toom reads text: nobody else can. */
  readonly counts: TraceCounts | undefined;
}

/** What cannot be put right is a loss without end; one record of it a second is enough. */
const LOST_EVERY_NS = 1e9;
/** Of all CPUs, and nobody knows how many. */
const ANY_CPU = -1;
const UNKNOWN_COUNT = -1;

export class TraceWatch {
  private readonly guard: InstanceGuard;
  private readonly readers: ReaderGuard | undefined;
  private readonly list: GuardedList;
  private readonly writer: RecordWriter;
  private readonly reports: ReportWriter;
  private readonly onTampering: (tampering: Tampering) => void;
  private readonly everyNs: number;
  private nowNs = 0;
  private lookedNs = -Infinity;
  private lostNs = -Infinity;
  private isUnsettled = false;

  constructor(options: TraceWatchOptions) {
    const { memory, writer, reports, recordsEvents, instance, list, counts } = options;
    this.guard = new InstanceGuard(instance);
    this.readers = counts === undefined ? undefined : new ReaderGuard(memory, counts);
    this.list = list;
    this.writer = writer;
    this.reports = reports;
    this.everyNs = recordsEvents ? GUARD_EVERY_NS : GUARD_LOGINS_EVERY_NS;
    this.onTampering = ({ what, mended }) => this.tell(what, mended);
  }

  /** Looks, if it is time. */
  look(nowNs: number): void {
    if (nowNs - this.lookedNs < this.everyNs) return;
    this.lookedNs = nowNs;
    this.nowNs = nowNs;
    if (this.guard.check(nowNs, this.onTampering)) this.isUnsettled = true;
    const stolen = this.readers?.check(nowNs);
    if (stolen !== undefined) {
      this.tell(`events/trace_pipe_raw: ${stolen}`, false);
      this.isUnsettled = true;
    }
    if (this.isUnsettled) this.lose(nowNs);
  }

  /** A sweep has read the list of tasks: if toom did not write it, it is put right, and told. */
  listWasRead(nowNs: number): void {
    if (this.list.hadSentinel) return;
    this.nowNs = nowNs;
    this.list.restoreSentinel();
    this.tell("events/set_event_pid was written anew", true);
    this.isUnsettled = true;
    this.lose(nowNs);
  }

  private tell(what: string, mended: boolean): void {
    this.reports.put("tampered", this.nowNs, [mended ? 1 : 0], new TextEncoder().encode(what));
  }

  /** What happened until now may be missing: accounting asks for all to be read again. */
  private lose(nowNs: number): void {
    if (nowNs - this.lostNs < LOST_EVERY_NS) return;
    this.lostNs = nowNs;
    this.isUnsettled = false;
    this.writer.lost(nowNs, ANY_CPU, UNKNOWN_COUNT);
  }
}
