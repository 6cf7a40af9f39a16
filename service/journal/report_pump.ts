/**
 * Takes the workers' reports out of their rings as they come, and publishes them as events.
 *
 * @module
 */
import type { Memory } from "../../pipeline/memory/memory.ts";
import { RingConsumer } from "../../pipeline/memory/ring.ts";
import { readReport } from "../../pipeline/messages/reports.ts";
import type { Journal } from "./journal.ts";
import type { ReportEvents } from "./report_events.ts";

/** What a worker wakes when it has put a report. */
export interface ReportBell {
  /** @returns When somebody has rung since the last time, or rings. */
  rung(): Promise<void>;
  /** Ends the wait. */
  ring(): void;
}

export class ReportPump {
  private readonly rings: readonly RingConsumer[];
  private readonly bell: ReportBell;
  private readonly events: ReportEvents;
  private readonly journal: Journal;
  private isStopped = false;

  constructor(memory: Memory, bell: ReportBell, events: ReportEvents, journal: Journal) {
    this.rings = memory.plan.reportRings.map((place) => new RingConsumer(memory.buffer, place));
    this.bell = bell;
    this.events = events;
    this.journal = journal;
  }

  /** Publishes reports as they come, until {@link stop}. */
  async follow(): Promise<void> {
    while (!this.isStopped) {
      this.drain();
      await this.bell.rung();
    }
  }

  /** Publishes what is there. */
  drain(): void {
    for (const ring of this.rings) {
      for (let report = readReport(ring); report !== undefined; report = readReport(ring)) {
        const event = this.events.eventOf(report);
        if (event === undefined) continue;
        this.journal.publish(event, report.tsNs, this.events.receiptOf(report));
      }
    }
  }

  /** Ends {@link follow}. */
  stop(): void {
    this.isStopped = true;
    this.bell.ring();
  }
}
