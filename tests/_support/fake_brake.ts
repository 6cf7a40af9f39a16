/**
 * Limits of processes that are not there, and a record in memory, for the brake.
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
  UNLIMITED,
} from "../../pipeline/brake/brake_kernel.ts";

export interface FakeBraked {
  uid: number;
  startTicks: number;
  /** Private writable pages, and those of them that are touched. */
  dataPages: number;
  touchedPages: number;
  softBytes: bigint;
  hardBytes: bigint;
  /** No limit of it may be set. */
  isRefused: boolean;
}

const KIB_A_PAGE = 4;
export const PAGE_BYTES = 4096;

export class FakeBrake implements BrakeKernel {
  readonly processes = new Map<number, FakeBraked>();
  /** Limits that were set, in order. */
  readonly sets: { pid: number; softBytes: bigint }[] = [];
  /** Called before a limit is set. */
  beforeSet: (pid: number) => void = () => {};
  ticks = 1000;
  prepared = 0;

  add(pid: number, dataPages: number, more: Partial<FakeBraked> = {}): FakeBraked {
    const process = {
      uid: 1000,
      startTicks: pid,
      dataPages,
      touchedPages: dataPages,
      softBytes: UNLIMITED,
      hardBytes: UNLIMITED,
      isRefused: false,
      ...more,
    };
    this.processes.set(pid, process);
    return process;
  }

  /** A fork: the child has a copy, limits included. */
  fork(parent: number, child: number): FakeBraked {
    const copy = { ...this.processes.get(parent)!, startTicks: this.ticks };
    this.processes.set(child, copy);
    return copy;
  }

  /** Pages of a soft limit; Infinity: unlimited. */
  softPages(pid: number): number {
    const { softBytes } = this.processes.get(pid)!;
    return softBytes === UNLIMITED ? Infinity : Number(softBytes / BigInt(PAGE_BYTES));
  }

  readSizes(pid: number, out: BrakeFacts): boolean {
    const process = this.processes.get(pid);
    if (process === undefined) return false;
    out.startTicks = process.startTicks;
    out.uid = out.gid = process.uid;
    out.isMixed = false;
    out.dataKib = process.dataPages * KIB_A_PAGE;
    out.touchedKib = process.touchedPages * KIB_A_PAGE;
    return true;
  }

  readLimits(pid: number, out: BrakeFacts): boolean {
    const process = this.processes.get(pid);
    if (process === undefined) return false;
    out.softBytes = process.softBytes;
    out.hardBytes = process.hardBytes;
    return true;
  }

  readStartTicks(pid: number): number {
    return this.processes.get(pid)?.startTicks ?? -1;
  }

  setSoft(pid: number, facts: BrakeFacts, softBytes: bigint, old: FoundLimits): SetResult {
    this.beforeSet(pid);
    const process = this.processes.get(pid);
    if (process === undefined) return SetResult.gone;
    if (process.isRefused || facts.hardBytes > process.hardBytes) return SetResult.refused;
    if (softBytes > facts.hardBytes) return SetResult.refused;
    old.softBytes = process.softBytes;
    old.hardBytes = process.hardBytes;
    process.softBytes = softBytes;
    process.hardBytes = facts.hardBytes;
    this.sets.push({ pid, softBytes });
    return SetResult.done;
  }

  prepare(): void {
    this.prepared++;
  }

  listPids(out: Int32Array): number {
    const pids = [...this.processes.keys()].sort((a, b) => a - b);
    out.set(pids);
    return pids.length;
  }

  comm(pid: number): Uint8Array {
    return new TextEncoder().encode(`p${pid}`);
  }
}

export class FakeRecord implements BrakeRecord {
  readonly left: RecordedFamily[] = [];
  readonly families = new Map<number, RecordedFamily>();
  isFull = false;

  prepare(): void {}

  begin(family: RecordedFamily): boolean {
    if (this.isFull) return false;
    this.families.set(family.id, family);
    return true;
  }

  end(id: number): void {
    this.families.delete(id);
  }

  /** As a successor finds it. */
  reopened(): FakeRecord {
    const next = new FakeRecord();
    for (const [id, family] of this.families) {
      next.left.push(family);
      next.families.set(id, family);
    }
    return next;
  }
}

export function fakeBrakeWorld(kernel: FakeBrake, record: FakeRecord): BrakeWorld {
  return { kernel, record, ticks: { nowTicks: () => kernel.ticks } };
}
