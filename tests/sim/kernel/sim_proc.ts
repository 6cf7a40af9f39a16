/**
 * /proc of the fake kernel.
 *
 * @module
 */
import {
  type Clock,
  type Proc,
  type ProcIdentity,
  type ProcStatus,
  STATE_ZOMBIE,
} from "../../../pipeline/ports.ts";
import { RoleDied, type SimContext } from "../context.ts";
import { Role } from "../../../pipeline/memory/layout.ts";
import type { FakeMm, FakeProcess } from "./tasks.ts";

const PAGE_KIB = 4;
const TICK_NS = 1e7;
const KTHREADD_PID = 2;
const STATE_SLEEPING = 0x53;
/** Of calls that fail elsewhere: a sweep makes hundreds, and some must succeed. */
const FAILS_ONE_IN = 10;

class ProcRefused extends Error {}

export class SimProc implements Proc, Clock {
  private readonly sim: SimContext;

  private readonly role: number;

  /** @param role Whose view of it this is. */
  constructor(sim: SimContext, role: number) {
    this.sim = sim;
    this.role = role;
  }

  nowNs(): number {
    return this.sim.kernel.nowNs;
  }

  suspendedNs(): number {
    return 0;
  }

  /** Any other failure than that a process is gone throws. */
  private call(): void {
    const { sim, role } = this;
    sim.call(role, 100);
    if (!sim.failsNow()) return;
    if (role !== Role.sweeper) {
      if (sim.options.dies) throw new RoleDied(role, "/proc cannot be read: EMFILE");
    } else if (sim.random.oneIn(FAILS_ONE_IN)) throw new ProcRefused("EMFILE");
  }

  isFailure(error: unknown): boolean {
    return error instanceof ProcRefused;
  }

  private find(id: number): FakeProcess | undefined {
    const { processes } = this.sim.kernel;
    const process = processes.get(id);
    if (process !== undefined) return process;
    for (const other of processes.values()) if (other.tids.includes(id)) return other;
    return undefined;
  }

  readStatus(id: number, out: ProcStatus): boolean {
    this.call();
    out.kthread = id === KTHREADD_PID;
    out.effectiveUid = out.realUid = 0;
    if (out.kthread) {
      out.tgid = id;
      out.ppid = 0;
      out.state = STATE_SLEEPING;
      out.threads = 1;
      out.hasMemory = false;
      out.rssAnonKib =
        out.rssFileKib =
        out.rssShmemKib =
        out.vmSwapKib =
          0;
      return true;
    }
    const process = this.find(id);
    if (process === undefined) return false;
    const { pid, parent, uid, mm, tids, state, isLeaderDead } = process;
    out.tgid = pid;
    out.ppid = parent?.pid ?? 1;
    out.realUid = out.effectiveUid = uid;
    const isDead = state !== "alive" || (isLeaderDead && id === pid);
    out.state = isDead ? STATE_ZOMBIE : STATE_SLEEPING;
    out.threads = state === "alive" ? tids.length + (isLeaderDead ? 1 : 0) : 1;
    out.hasMemory = !isDead;
    const [filePages, anonPages, swapPages, shmemPages] = mm.pages;
    out.rssFileKib = isDead ? 0 : filePages! * PAGE_KIB;
    out.rssAnonKib = isDead ? 0 : anonPages! * PAGE_KIB;
    out.vmSwapKib = isDead ? 0 : swapPages! * PAGE_KIB;
    out.rssShmemKib = isDead ? 0 : shmemPages! * PAGE_KIB;
    return true;
  }

  readIdentity(pid: number, out: ProcIdentity): boolean {
    this.call();
    const process = this.find(pid);
    if (process === undefined) return false;
    const isDead = process.state !== "alive" || (process.isLeaderDead && pid === process.pid);
    out.ppid = process.parent?.pid ?? 1;
    out.startTicks = Math.floor(process.bornNs / TICK_NS);
    out.stackStart = isDead ? 0 : process.mm.stackStart;
    return true;
  }

  listPids(out: Int32Array): number {
    this.call();
    const pids = [KTHREADD_PID, ...this.sim.kernel.processes.keys()].sort((a, b) => a - b);
    out.set(pids);
    return pids.length;
  }

  listTids(pid: number): number[] {
    this.call();
    const process = this.sim.kernel.processes.get(pid);
    if (process === undefined) return [];
    const { tids, isLeaderDead } = process;
    return (isLeaderDead ? [pid, ...tids] : [...tids]).sort((a, b) => a - b);
  }

  listChildren(pid: number): number[] {
    this.call();
    const children: number[] = [];
    for (const process of this.sim.kernel.processes.values()) {
      if (process.parent?.pid === pid) children.push(process.pid);
    }
    return children;
  }

  /** As kcmp(2): tasks without memory share it. */
  sharesMm(idA: number, idB: number): boolean {
    this.call();
    const [a, b] = [this.mmOf(idA), this.mmOf(idB)];
    return a !== undefined && a === b;
  }

  /** null: it has none; undefined: nobody has that number. */
  private mmOf(id: number): FakeMm | null | undefined {
    const process = this.find(id);
    if (process === undefined) return undefined;
    const { pid, mm, state, isLeaderDead } = process;
    return state !== "alive" || (isLeaderDead && id === pid) ? null : mm;
  }
}
