/**
 * The real server of tmalloc with its coordinator, and the mistakes that can be put into them.
 *
 * @module
 */
import { Doorbell } from "../../../pipeline/memory/doorbell.ts";
import { Role } from "../../../pipeline/memory/layout.ts";
import { attachCounters } from "../../../pipeline/memory/memory.ts";
import { RingProducer } from "../../../pipeline/memory/ring.ts";
import { HEARTBEAT_MS } from "../../../pipeline/memory/timing.ts";
import { ReportWriter } from "../../../pipeline/messages/reports.ts";
import type { Coordinator } from "../../../pipeline/promises/coordinator.ts";
import type { Ledger } from "../../../pipeline/promises/ledger.ts";
import { OwnedHandles } from "../../../pipeline/promises/owned_handles.ts";
import { TmallocServer } from "../../../pipeline/promises/tmalloc_server.ts";
import { Broken, type SimContext } from "../context.ts";
import { SimProc } from "../kernel/sim_proc.ts";
import type { SimSockets } from "../kernel/sim_sockets.ts";

export class CoordinatorRole {
  private readonly server: TmallocServer;

  constructor(sim: SimContext, ledger: Ledger, sockets: SimSockets) {
    const { memory, options } = sim;
    const counters = attachCounters(memory, Role.coordinator);
    const ring = new RingProducer(memory.buffer, memory.plan.reportRings[Role.coordinator]!);
    const proc = new SimProc(sim, Role.coordinator);
    sockets.isBeginning = true;
    if (options.mistake === "coordinator-leaks") {
      new OwnedHandles(memory, sockets)["noted"].fill(0);
    }
    this.server = new TmallocServer({
      memory,
      ledger,
      counters,
      reports: new ReportWriter(ring, counters, new Doorbell(memory, Role.supervisor)),
      clock: proc,
      sockets,
      proc,
      pageBytes: memory.plan.capacity.pageBytes,
      procErrorPages: 0,
    });
    sockets.isBeginning = false;
    const { allocations } = this.coordinator;
    if (options.mistake === "coordinator-levels") {
      allocations.committedOf = (user) => allocations.charged(user);
    }
    if (options.mistake === "coordinator-keeps") this.coordinator["speakers"]["forget"] = () => {};
    const left = sockets.count("connection");
    if (left > 0) {
      throw new Broken(`I5: ${left} clients of a predecessor wait for answers for ever`);
    }
  }

  get coordinator(): Coordinator {
    return this.server.coordinator;
  }

  /** A turn, and what the worker's shell does after it. */
  step(): void {
    if (!this.server.turn(0)) this.server.turn(HEARTBEAT_MS);
  }
}
