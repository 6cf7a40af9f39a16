/**
 * Signals of the fake kernel as a port. Each one is judged before it is sent.
 *
 * @module
 */
import { type KillKernel, Refusal, Signal } from "../../../pipeline/kill/kill_kernel.ts";
import { Role } from "../../../pipeline/memory/layout.ts";
import { Broken, type SimContext } from "../context.ts";
import type { KillJudge } from "../invariants/kills.ts";
import type { FakeProcess } from "./tasks.ts";

/** man 3 errno */
const EPERM = 1;
const ESRCH = 3;
const ENOMEM = 12;
const EMFILE = 24;
/** From a signal that asks to end to the end; the last: it is ignored. */
const END_NS = [1e5, 5e7, Infinity];
/** From signal to death; the last longer than a killer's patience. */
const DEATH_NS = [1e5, 1e6, 2e7, 2.5e9];

interface Handle {
  readonly process: FakeProcess;
  checkedUid: number;
  checkedNs: number;
}

export class SimKillKernel implements KillKernel {
  /** Nobody is to be signalled, as of the beginning of the killer's step. */
  isDry = false;
  private readonly sim: SimContext;
  private readonly judge: KillJudge;
  private readonly handles = new Map<number, Handle>();
  private lastHandle = 3;

  constructor(sim: SimContext, judge: KillJudge) {
    this.sim = sim;
    this.judge = judge;
  }

  open(pid: number): number {
    this.call();
    if (this.sim.failsNow()) return this.sim.random.oneIn(2) ? -EMFILE : -ENOMEM;
    const process = this.sim.kernel.processes.get(pid);
    if (process === undefined) return -ESRCH;
    this.handles.set(++this.lastHandle, { process, checkedUid: -1, checkedNs: -Infinity });
    return this.lastHandle;
  }

  /** Others may go on meanwhile; the killer sees what has become of the books. */
  private call(): void {
    this.judge.sees();
    this.sim.call(Role.killer);
  }

  private handle(handle: number): Handle {
    const open = this.handles.get(handle);
    if (open === undefined) throw new Broken(`handle ${handle} is not open`);
    return open;
  }

  check(handle: number, _pid: number, uid: number): number {
    const open = this.handle(handle);
    const { process } = open;
    // Asked before others can go on: it is a moment of the check, whenever that is.
    const checkedNs = this.sim.kernel.nowNs;
    const refusal = this.refusalOf(process, uid);
    if (refusal === Refusal.none) {
      open.checkedUid = uid;
      open.checkedNs = checkedNs;
    }
    this.call();
    return refusal;
  }

  private refusalOf(process: FakeProcess, uid: number): number {
    const { options } = this.sim;
    if (process.state !== "alive") return Refusal.gone;
    if (this.sim.failsNow()) return Refusal.unknown;
    if (process.isProtected && options.mistake !== "killer-identity") return Refusal.protected;
    return process.uid === uid ? Refusal.none : Refusal.otherUser;
  }

  kill(handle: number, pid: number, signal: number): number {
    const { sim } = this;
    // Nobody goes on between the killer's decision and its signal.
    sim.kernel.nowNs += 50;
    const { process, checkedUid, checkedNs } = this.handle(handle);
    if (process.pid !== pid) throw new Broken(`I1: the handle of ${pid} is ${process.pid}'s`);
    if (process.state !== "alive") return -ESRCH;
    if (sim.failsNow()) return -EPERM;
    if (signal === Signal.none) return 0;
    if (this.isDry) throw new Broken(`dry run: ${pid} is signalled all the same`);
    if (signal !== Signal.kill) {
      this.judge.asked(process, checkedUid, checkedNs);
      sim.note(`asks ${pid} to end`);
      const endsAtNs = sim.kernel.nowNs + sim.random.pick(END_NS);
      process.diesAtNs = Math.min(process.diesAtNs, endsAtNs);
      return 0;
    }
    this.judge.signalled(process, checkedUid, checkedNs);
    sim.note(`kills ${pid}`);
    const diesAtNs = sim.kernel.nowNs + sim.random.pick(DEATH_NS);
    process.diesAtNs = Math.min(process.diesAtNs, diesAtNs);
    return 0;
  }

  reap(): void {
    this.sim.kernel.nowNs += 50;
  }

  hurry(): void {
    this.sim.kernel.nowNs += 50;
  }

  exited(handle: number): boolean {
    this.call();
    return this.handle(handle).process.state !== "alive";
  }

  close(handle: number): void {
    if (!this.handles.delete(handle)) throw new Broken(`handle ${handle} is closed twice`);
  }

  sharesMm(pid: number, otherPid: number): boolean {
    this.call();
    const { processes } = this.sim.kernel;
    const other = processes.get(otherPid);
    if (other === undefined) return true;
    const owner = processes.get(pid);
    if (owner === undefined) return true;
    // As kcmp(2): a leader that has exited has none, and those share it.
    if (owner.isLeaderDead || other.isLeaderDead) return owner.isLeaderDead && other.isLeaderDead;
    if (owner.mm !== other.mm) return false;
    this.judge.shares(other);
    return true;
  }

  oomScoreAdj(pid: number): number {
    this.call();
    return this.sim.kernel.processes.get(pid)?.oomScoreAdj ?? 0;
  }

  comm(): Uint8Array {
    return new Uint8Array(0);
  }

  nowNs(): number {
    this.sim.kernel.nowNs += 50;
    return this.sim.kernel.nowNs;
  }

  /** The process has executed itself: pidfds are closed, but for those that were handed over. */
  closeAllBut(handedOver: readonly number[]): void {
    for (const handle of [...this.handles.keys()]) {
      if (!handedOver.includes(handle)) this.handles.delete(handle);
    }
  }
}
