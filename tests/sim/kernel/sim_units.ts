/**
 * Process groups of the fake kernel as a port: a parent and its children are one.
 *
 * @module
 */
import { Sharer, type UnitKernel } from "../../../pipeline/kill/unit_kernel.ts";
import { Role } from "../../../pipeline/memory/layout.ts";
import type { SimContext } from "../context.ts";
import type { FakeProcess } from "./tasks.ts";

/** What names the group of a process. */
export function groupOf(process: FakeProcess): number {
  return process.parent?.pid ?? process.pid;
}

export class SimUnits implements UnitKernel {
  private readonly sim: SimContext;

  constructor(sim: SimContext) {
    this.sim = sim;
  }

  parentOf(pid: number): number {
    this.sim.call(Role.killer);
    return this.sim.kernel.processes.get(pid)?.parent?.pid ?? 0;
  }

  unitOf(pid: number): number {
    this.sim.call(Role.killer);
    if (this.sim.failsNow()) return 0;
    const process = this.sim.kernel.processes.get(pid);
    return process === undefined ? 0 : groupOf(process);
  }

  isIn(pid: number, _unit: number, key: number): boolean {
    this.sim.call(Role.killer);
    const process = this.sim.kernel.processes.get(pid);
    return process !== undefined && groupOf(process) === key;
  }

  sharerOf(): number {
    return Sharer.none;
  }

  killScope(): boolean {
    return false;
  }
}
