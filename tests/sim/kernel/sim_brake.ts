/**
 * Limits of the fake kernel's processes, and the record of what is lowered, which outlives all roles.
 *
 * @module
 */
import {
  type BrakeFacts,
  type BrakeKernel,
  type BrakeRecord,
  type BrakeWorld,
  type FoundLimits,
  type RecordedFamily,
  SetResult,
} from "../../../pipeline/brake/brake_kernel.ts";
import { Member, Role } from "../../../pipeline/memory/layout.ts";
import type { SimContext } from "../context.ts";
import type { FakeProcess } from "./tasks.ts";

const PAGE_KIB = 4;
const TICK_NS = 1e7;

/** The file in the state directory. */
export class SimRecord {
  readonly families = new Map<number, RecordedFamily>();
}

export class SimBrakeWorld implements BrakeWorld, BrakeKernel, BrakeRecord {
  readonly kernel = this;
  readonly record = this;
  readonly ticks = { nowTicks: (): number => Math.floor(this.sim.kernel.nowNs / TICK_NS) };
  readonly left: readonly RecordedFamily[];
  private readonly sim: SimContext;
  private readonly file: SimRecord;

  constructor(sim: SimContext, file: SimRecord) {
    this.sim = sim;
    this.file = file;
    this.left = [...file.families.values()];
  }

  private find(pid: number): FakeProcess | undefined {
    this.sim.call(Role.sweeper);
    const process = this.sim.kernel.processes.get(pid);
    if (process === undefined || process.state !== "alive") return undefined;
    return process;
  }

  readSizes(pid: number, out: BrakeFacts): boolean {
    const process = this.find(pid);
    if (process === undefined || this.sim.failsNow()) return false;
    out.startTicks = Math.floor(process.bornNs / TICK_NS);
    out.uid = out.gid = process.uid;
    out.isMixed = false;
    const { pages } = process.mm;
    out.dataKib = out.touchedKib = (pages[Member.anon]! + pages[Member.swap]!) * PAGE_KIB;
    return true;
  }

  readLimits(pid: number, out: BrakeFacts): boolean {
    const process = this.find(pid);
    if (process === undefined || this.sim.failsNow()) return false;
    out.softBytes = process.softBytes;
    out.hardBytes = process.hardBytes;
    return true;
  }

  readStartTicks(pid: number): number {
    const process = this.find(pid);
    return process === undefined ? -1 : Math.floor(process.bornNs / TICK_NS);
  }

  setSoft(pid: number, facts: BrakeFacts, softBytes: bigint, old: FoundLimits): SetResult {
    const process = this.find(pid);
    if (process === undefined) return SetResult.gone;
    if (facts.startTicks !== Math.floor(process.bornNs / TICK_NS)) return SetResult.gone;
    if (this.sim.failsNow()) return SetResult.refused;
    if (facts.hardBytes > process.hardBytes || softBytes > facts.hardBytes) {
      return SetResult.refused;
    }
    old.softBytes = process.softBytes;
    old.hardBytes = process.hardBytes;
    process.softBytes = softBytes;
    process.hardBytes = facts.hardBytes;
    this.sim.note(`soft limit of ${pid} is ${softBytes}`);
    return SetResult.done;
  }

  prepare(): void {}

  listPids(out: Int32Array): number {
    this.sim.call(Role.sweeper);
    const pids = [...this.sim.kernel.processes.keys()].sort((a, b) => a - b);
    out.set(pids);
    return pids.length;
  }

  comm(): Uint8Array {
    return new Uint8Array(0);
  }

  begin(family: RecordedFamily): boolean {
    this.sim.call(Role.sweeper);
    if (this.sim.failsNow()) return false;
    this.file.families.set(family.id, family);
    return true;
  }

  end(id: number): void {
    this.sim.call(Role.sweeper);
    this.file.families.delete(id);
  }
}
