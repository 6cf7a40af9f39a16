/**
 * The list of traced tasks as a port: a write takes effect at once, and returns up to 40 ms later.
 *
 * @module
 */
import { Role } from "../../../pipeline/memory/layout.ts";
import type { TraceList } from "../../../pipeline/ports.ts";
import { RoleDied, type SimContext } from "../context.ts";

const WRITE_NS_MAX = 40e6;

interface Write {
  readonly doneNs: number;
  readonly isOk: boolean;
  readonly onDone: () => void;
  readonly onFailed: () => void;
}

export class SimList implements TraceList {
  private readonly sim: SimContext;
  private write: Write | undefined;

  constructor(sim: SimContext) {
    this.sim = sim;
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
    return [...this.tids];
  }

  writePids(tids: Iterable<number>): void {
    this.begin();
    this.tids.clear();
    this.append(tids);
    this.sim.call(Role.sweeper, this.sim.random.below(WRITE_NS_MAX));
  }

  appendPids(tids: Iterable<number>): void {
    this.begin();
    this.append(tids);
    this.sim.call(Role.sweeper, this.sim.random.below(WRITE_NS_MAX));
  }

  /** What it returns is no real promise, as nothing may happen between two steps. */
  appendPidsAsync(tids: Iterable<number>): Promise<void> {
    const isOk = !this.sim.failsNow();
    if (isOk) this.append(tids);
    const doneNs = this.sim.kernel.nowNs + this.sim.random.below(WRITE_NS_MAX);
    const then = (onDone: () => void, onFailed: () => void): void => {
      this.write = { doneNs, isOk, onDone, onFailed };
    };
    return { then } as unknown as Promise<void>;
  }

  private append(tids: Iterable<number>): void {
    if (this.sim.options.mistake === "discovery-no-list" && this.tids.size > 0) return;
    for (const tid of tids) this.tids.add(tid);
  }

  /** The write that is under way may have returned. */
  turn(): void {
    const { write } = this;
    if (write === undefined || this.sim.kernel.nowNs < write.doneNs) return;
    this.write = undefined;
    if (write.isOk) write.onDone();
    else write.onFailed();
  }
}
