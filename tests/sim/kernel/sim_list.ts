/**
 * The list of traced tasks as a port: a write takes effect at once, and returns up to 40 ms later.
 *
 * @module
 */
import type { GuardedList } from "../../../pipeline/discovery/trace_watch.ts";
import { Role } from "../../../pipeline/memory/layout.ts";
import type { TraceList } from "../../../pipeline/ports.ts";
import { RoleDied, type SimContext } from "../context.ts";
import type { Later } from "./later.ts";

const WRITE_NS_MAX = 40e6;

export class SimList implements TraceList, GuardedList {
  private readonly sim: SimContext;
  private readonly later: Later;
  hadSentinel = true;

  constructor(sim: SimContext, later: Later) {
    this.sim = sim;
    this.later = later;
  }

  private get tids(): Set<number> {
    return this.sim.kernel.tracing.list;
  }

  private begin(): void {
    const { sim } = this;
    sim.call(Role.sweeper, 1000);
    if (sim.options.dies && sim.failsNow()) throw new RoleDied(Role.sweeper, "ENOMEM");
  }

  readPids(): number[] {
    this.begin();
    this.hadSentinel = this.sim.kernel.tracing.hasSentinel;
    return [...this.tids];
  }

  restoreSentinel(): void {
    this.begin();
    this.sim.kernel.tracing.hasSentinel = true;
  }

  writePids(tids: Iterable<number>): void {
    this.begin();
    this.tids.clear();
    this.sim.kernel.tracing.hasSentinel = true;
    this.append(tids);
    this.sim.call(Role.sweeper, this.sim.random.below(WRITE_NS_MAX));
  }

  appendPids(tids: Iterable<number>): void {
    this.begin();
    this.append(tids);
    this.sim.call(Role.sweeper, this.sim.random.below(WRITE_NS_MAX));
  }

  appendPidsAsync(tids: Iterable<number>): Promise<void> {
    const { sim } = this;
    const isOk = !sim.failsNow();
    if (isOk) this.append(tids);
    const doneNs = sim.kernel.nowNs + sim.random.below(WRITE_NS_MAX);
    return this.later.call(doneNs, isOk ? () => {} : undefined);
  }

  private append(tids: Iterable<number>): void {
    if (this.sim.options.mistake === "discovery-no-list" && this.tids.size > 0) return;
    for (const tid of tids) this.tids.add(tid);
  }
}
