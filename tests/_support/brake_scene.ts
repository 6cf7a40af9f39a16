/**
 * A user with a limit, its processes in the books and in a /proc of entries, and the brake over them.
 *
 * @module
 */
import { Brake } from "../../pipeline/brake/brake.ts";
import { RulesView } from "../../pipeline/limits/published_rules.ts";
import { Doorbell } from "../../pipeline/memory/doorbell.ts";
import { Role } from "../../pipeline/memory/layout.ts";
import { attachCounters } from "../../pipeline/memory/memory.ts";
import { RingConsumer, RingProducer } from "../../pipeline/memory/ring.ts";
import type { BrakeMode } from "../../pipeline/memory/settings.ts";
import { readReport, type Report, ReportWriter } from "../../pipeline/messages/reports.ts";
import { Desk } from "./desk.ts";
import { FakeBrake, fakeBrakeWorld, FakeRecord, PAGE_BYTES } from "./fake_brake.ts";

export const UID = 1000;
export const HARD = 20_000;
export const SOFT = 18_000;
/** An eighth of the way from soft to hard. */
export const RESERVE = 250;
export const MS = 1e6;
/** At this charge all is given back. */
export const BELOW = 17_499;

export class Scene {
  readonly desk: Desk;
  readonly kernel = new FakeBrake();
  record = new FakeRecord();
  brake: Brake;
  private readonly rules: RulesView;
  private readonly reportRing: RingConsumer;

  constructor(mode: BrakeMode = "growers", hard = HARD, soft = SOFT) {
    this.desk = new Desk({ settings: { brake: mode } });
    this.desk.limit(UID, hard, soft).sweep(() => {}).step();
    const { memory } = this.desk;
    this.rules = new RulesView(memory.settings);
    this.reportRing = new RingConsumer(memory.buffer, memory.plan.reportRings[Role.sweeper]!);
    this.brake = this.make();
  }

  private make(): Brake {
    const { memory } = this.desk;
    this.rules.refresh();
    const counters = attachCounters(memory, Role.sweeper);
    return new Brake({
      memory,
      rules: this.rules,
      world: fakeBrakeWorld(this.kernel, this.record),
      reports: new ReportWriter(
        new RingProducer(memory.buffer, memory.plan.reportRings[Role.sweeper]!),
        counters,
        new Doorbell(memory, Role.supervisor),
      ),
      counters,
      ownerOf: (uid) => uid,
      pageBytes: PAGE_BYTES,
    });
  }

  /** toom is killed, and another begins. */
  restart(): void {
    this.record = this.record.reopened();
    this.brake = this.make();
  }

  /** A process of the user, as it was before a second ago. */
  process(pid: number, pages: number, more: Parameters<FakeBrake["add"]>[2] = {}): void {
    this.kernel.add(pid, pages, more);
    this.desk.proc(pid, UID, { anon: pages }).step();
  }

  /** It touches pages that it maps now. */
  grows(pid: number, pages: number): void {
    const process = this.kernel.processes.get(pid)!;
    process.dataPages += pages;
    process.touchedPages += pages;
    this.desk.own(pid, 100 + pid, { anon: process.touchedPages }).step();
  }

  /** Time passes, and the brake looks each millisecond. */
  pass(ms: number): void {
    for (let i = 0; i < ms; i++) {
      this.desk.nowNs += MS;
      this.brake.step(this.desk.nowNs);
    }
  }

  setRules(): void {
    this.rules.refresh();
    this.brake.rulesChanged();
  }

  reports(): Report[] {
    const reports: Report[] = [];
    for (
      let one = readReport(this.reportRing);
      one !== undefined;
      one = readReport(this.reportRing)
    ) {
      reports.push(one);
    }
    return reports;
  }

  soft(pid: number): bigint {
    return this.kernel.processes.get(pid)!.softBytes;
  }
}
