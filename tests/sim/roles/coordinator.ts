/**
 * The real coordinator, and what its worker does: takes messages off the sockets, is told of ends, and
 * identifies who speaks by /proc.
 *
 * @module
 */
import { Doorbell } from "../../../pipeline/memory/doorbell.ts";
import { Role } from "../../../pipeline/memory/layout.ts";
import { attachCounters } from "../../../pipeline/memory/memory.ts";
import { RingProducer } from "../../../pipeline/memory/ring.ts";
import { ReportWriter } from "../../../pipeline/messages/reports.ts";
import {
  Coordinator,
  type CoordinatorHost,
  type ProcessIdentity,
} from "../../../pipeline/promises/coordinator.ts";
import type { Ledger } from "../../../pipeline/promises/ledger.ts";
import { type Reply, RequestType, Status } from "../../../pipeline/promises/tmalloc_message.ts";
import { Broken, type SimContext } from "../context.ts";
import { countedPages } from "../kernel/tasks.ts";
import type { Programs } from "../programs/programs.ts";

const MESSAGES_A_STEP = 8;
const TICK_NS = 1e7;

export class CoordinatorRole implements CoordinatorHost {
  readonly coordinator: Coordinator;
  /** Memory came back, or a limit has changed. */
  isWoken = false;
  granted = 0;
  private readonly sim: SimContext;
  private readonly programs: Programs;
  private readonly watched = new Set<number>();
  private dueNs = 0;

  constructor(sim: SimContext, ledger: Ledger, programs: Programs) {
    this.sim = sim;
    this.programs = programs;
    const { memory, options } = sim;
    const counters = attachCounters(memory, Role.coordinator);
    const ring = new RingProducer(memory.buffer, memory.plan.reportRings[Role.coordinator]!);
    const reports = new ReportWriter(ring, counters, new Doorbell(memory, Role.supervisor));
    this.coordinator = new Coordinator(memory, ledger, this, counters, reports);
    const { stakes } = this.coordinator;
    if (options.mistake === "coordinator-levels") {
      stakes.committedOf = (user) => stakes.charged(user);
    }
    if (options.mistake === "coordinator-keeps") this.coordinator["speakers"]["forget"] = () => {};
    programs.coordinatorStarted();
    this.coordinator.start();
  }

  step(): void {
    const { coordinator, sim, programs } = this;
    for (const pid of this.watched) {
      if (sim.kernel.processes.get(pid)?.state === "alive") continue;
      this.watched.delete(pid);
      coordinator.exited(sim.kernel.nowNs, pid);
    }
    for (let left = MESSAGES_A_STEP; left > 0; left--) {
      const message = programs.messages.shift();
      if (message === undefined) break;
      const { nowNs } = sim.kernel;
      if (message.kind === "closed") {
        coordinator.disconnected(nowNs, message.connection);
        continue;
      }
      const { process } = message.program;
      coordinator.request(nowNs, message.connection, process.pid, process.uid, message.request);
    }
    const { nowNs } = sim.kernel;
    if (nowNs >= this.dueNs || this.isWoken) coordinator.step(nowNs);
    this.isWoken = false;
    this.dueNs = coordinator.nextNs(nowNs);
  }

  identify(pid: number): ProcessIdentity | undefined {
    this.sim.call(Role.coordinator);
    const process = this.sim.kernel.processes.get(pid);
    if (process === undefined || process.state !== "alive") return undefined;
    const { bornNs, mm, parent } = process;
    return {
      startTicks: Math.floor(bornNs / TICK_NS) | 0,
      imageId: (mm.stackStart / 16) | 0,
      parentPid: parent?.pid ?? 1,
      residentPages: countedPages(mm),
    };
  }

  reply(connection: number, reply: Reply): void {
    const { type, status, committedPages, hardPages } = reply;
    const isGrant = type === RequestType.reserve || type === RequestType.wait ||
      type === RequestType.fork;
    if (isGrant && status === Status.ok) {
      this.granted++;
      if (committedPages > hardPages && this.sim.options.mistake === "") {
        throw new Broken(`I5: granted with ${committedPages} committed of ${hardPages}`);
      }
    }
    this.programs.answered(connection, reply);
  }

  watch(pid: number): boolean {
    if (this.sim.kernel.processes.get(pid)?.state !== "alive") return false;
    this.watched.add(pid);
    return true;
  }

  unwatch(pid: number): void {
    this.watched.delete(pid);
  }
}
