/**
 * The supervisor: the real watch over the roles, and reports that are read.
 *
 * @module
 */
import { RoleState, RoleWord } from "../../../pipeline/memory/layout.ts";
import { attachRole } from "../../../pipeline/memory/doorbell.ts";
import { RoleWatch, type WatchPort } from "../../../pipeline/lifecycle/role_watch.ts";
import { RingConsumer } from "../../../pipeline/memory/ring.ts";
import { readReport, type Report } from "../../../pipeline/messages/reports.ts";
import { Broken, type SimContext } from "../context.ts";
import { countRecords } from "../kernel/counted_ring.ts";

/** A thread that has thrown is gone after this time. */
const THREAD_ENDS_NS = 20e6;
const FIRST_TID = 1_000_000;

/** What the supervisor does to the roles. */
export interface Threads {
  /** A new incarnation of a role begins. @returns false when it throws at once. */
  start(role: number, epoch: number, isSuccessor: boolean): boolean;
  /** Whether a role hangs in truth. */
  hangs(role: number): boolean;
  /** All begins anew. */
  startOver(): void;
}

export class SupervisorRole implements WatchPort {
  private readonly reports: Report[];
  restarts = 0;
  private readonly sim: SimContext;
  private readonly threads: Threads;
  private readonly watch: RoleWatch;
  private readonly rings: readonly RingConsumer[];
  /** By thread: when it is gone. */
  private readonly endsNs = new Map<number, number>();
  /** Roles whose thread has thrown. */
  private readonly ending = new Set<number>();
  private lastTid = FIRST_TID;

  /** @param reports What is read is added to these. */
  constructor(
    sim: SimContext,
    threads: Threads,
    roles: readonly number[],
    reports: Report[],
  ) {
    this.sim = sim;
    this.reports = reports;
    this.threads = threads;
    const { buffer, plan } = sim.memory;
    this.rings = plan.reportRings.map((place) => new RingConsumer(buffer, place));
    for (const ring of this.rings) countRecords(sim, ring);
    this.watch = new RoleWatch(sim.memory, roles, this);
    this.breakRules();
  }

  private breakRules(): void {
    const { mistake } = this.sim.options;
    if (mistake === "watch-no-successor") this.watch["respawn"] = () => {};
    if (mistake === "watch-impatient") {
      // All of the time between two steps counts as silence, whoever did not run.
      const step = this.watch.step.bind(this.watch);
      this.watch.step = (nowMs) => {
        for (const life of this.watch["lives"].values()) {
          life.silentMs += nowMs - this.watch["steppedMs"];
        }
        step(nowMs);
      };
    }
  }

  private get nowMs(): number {
    return this.sim.kernel.nowNs / 1e6;
  }

  begin(): void {
    this.watch.start(this.nowMs);
  }

  /** A role has thrown. */
  threw(role: number, reason: string): void {
    const tid = Atomics.load(attachRole(this.sim.memory, role), RoleWord.tid);
    this.endsNs.set(tid, this.sim.kernel.nowNs + this.sim.random.below(THREAD_ENDS_NS));
    this.watch.threw(role, `threw: ${reason}`, this.nowMs);
    this.ending.add(role);
  }

  step(): void {
    for (const role of [...this.ending]) {
      this.ending.delete(role);
      if (this.watch.awaitsEnd(role, this.nowMs)) this.ending.add(role);
    }
    this.watch.step(this.nowMs);
    this.readReports();
  }

  readReports(): void {
    for (const ring of this.rings) {
      for (let report = readReport(ring); report !== undefined; report = readReport(ring)) {
        this.reports.push(report);
        if (report.name === "tampered" && !this.sim.options.tampers) {
          throw new Broken(
            `I8: somebody is said to have changed or read the instances: nobody has`,
          );
        }
      }
    }
  }

  start(role: number, epoch: number, isReplacement: boolean): void {
    const words = attachRole(this.sim.memory, role);
    Atomics.store(words, RoleWord.tid, ++this.lastTid);
    if (!this.threads.start(role, epoch, isReplacement)) return;
    Atomics.store(words, RoleWord.epochSeen, epoch);
    Atomics.store(words, RoleWord.state, RoleState.running);
  }

  threadState(tid: number): string | undefined {
    const endsNs = this.endsNs.get(tid) ?? Infinity;
    return endsNs <= this.sim.kernel.nowNs ? undefined : "S";
  }

  restarted(): void {
    this.restarts++;
  }

  hangs(role: number, reason: string): void {
    const { mistake } = this.sim.options;
    if (mistake === "watch-blind") return;
    if (!this.threads.hangs(role)) throw new Broken(`I9: role ${role} is well, but ${reason}`);
    const epoch = Atomics.load(attachRole(this.sim.memory, role), RoleWord.epoch);
    if (mistake === "watch-late") this.threads.start(role, epoch, true);
    else this.threads.startOver();
  }
}
