/**
 * The sweeper's eye on its own trace instances: looks now and then whether somebody else has changed
 * or read them, tells the log, and makes a loss of it, so that all of /proc is read again.
 *
 * @module
 */
import type { Memory } from "../pipeline/memory/memory.ts";
import { Doorbell } from "../pipeline/memory/doorbell.ts";
import { ReaderGuard } from "../pipeline/discovery/reader_guard.ts";
import { Role } from "../pipeline/memory/layout.ts";
import type { RecordWriter } from "../pipeline/messages/record_writer.ts";
import { ReportWriter } from "../pipeline/messages/reports.ts";
import { RingProducer } from "../pipeline/memory/ring.ts";
import type { TraceInstance } from "../kernel/trace/tracefs.ts";
import { SENTINEL_PID } from "../kernel/trace/tracefs.ts";
import { InstanceGuard, StatsFiles, type Tampering } from "./instance_guard.ts";
import type { WorkerConfig } from "./protocol.ts";

/** As often as the sweeper wakes up anyway. */
const LOOK_EVERY_NS = 200e6;
/** What cannot be put right is a loss without end; one record of it a second is enough. */
const LOST_EVERY_NS = 1e9;
/** Of all CPUs, and nobody knows how many. */
const ANY_CPU = -1;
const UNKNOWN_COUNT = -1;

export class TraceWatch {
  private readonly guard: InstanceGuard;
  private readonly readers: ReaderGuard | undefined;
  private readonly writer: RecordWriter;
  private readonly reports: ReportWriter;
  private readonly onTampering: (tampering: Tampering) => void;
  private nowNs = 0;
  private lookedNs = -Infinity;
  private lostNs = -Infinity;
  private isUnsettled = false;

  constructor(memory: Memory, config: WorkerConfig, counters: Float64Array, writer: RecordWriter) {
    this.guard = new InstanceGuard(config.guardedFiles);
    this.readers = config.statsFds.length === 0
      ? undefined
      : new ReaderGuard(memory, new StatsFiles(config.statsFds));
    this.writer = writer;
    this.reports = new ReportWriter(
      new RingProducer(memory.buffer, memory.plan.reportRings[Role.sweeper]!),
      counters,
      new Doorbell(memory, Role.supervisor),
    );
    this.onTampering = ({ what, mended }) => this.tell(what, mended);
  }

  /** Looks, if it is time. */
  look(nowNs: number): void {
    if (nowNs - this.lookedNs < LOOK_EVERY_NS) return;
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

  /** A sweep has read a list of tasks that toom did not write. */
  listWasWritten(nowNs: number, instance: TraceInstance): void {
    this.nowNs = nowNs;
    instance.appendPids([SENTINEL_PID]);
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
