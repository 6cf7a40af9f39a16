/**
 * Takes the workers' reports out of their rings as they come, and publishes them as events.
 *
 * @module
 */
import { attachRole } from "../../pipeline/memory/doorbell.ts";
import { Role, RoleWord } from "../../pipeline/memory/layout.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";
import { RingConsumer } from "../../pipeline/memory/ring.ts";
import { readReport } from "../../pipeline/messages/reports.ts";
import type { Journal } from "./journal.ts";
import type { ReportEvents } from "./report_events.ts";

/** Reports are looked for this often, should their bell not be heard. */
const LOOK_EVERY_MS = 200;

export class ReportPump {
  private readonly rings: readonly RingConsumer[];
  private readonly words: Int32Array;
  private readonly events: ReportEvents;
  private readonly journal: Journal;
  private isStopped = false;

  constructor(memory: Memory, events: ReportEvents, journal: Journal) {
    this.rings = memory.plan.reportRings.map((place) => new RingConsumer(memory.buffer, place));
    this.words = attachRole(memory, Role.supervisor);
    this.events = events;
    this.journal = journal;
  }

  /** Publishes reports as they come, until {@link stop}. */
  async follow(): Promise<void> {
    const { words } = this;
    Atomics.store(words, RoleWord.parked, 1);
    while (!this.isStopped) {
      const seen = Atomics.load(words, RoleWord.bell);
      this.drain();
      const rung = Atomics.waitAsync(words, RoleWord.bell, seen, LOOK_EVERY_MS);
      if (rung.async) await rung.value;
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

  stop(): void {
    this.isStopped = true;
  }
}
