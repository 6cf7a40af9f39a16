/**
 * The killer's hands: {@link KillKernel} on the real kernel, by pidfds.
 *
 * @module
 */
import { type KillKernel, Refusal, Signal } from "../pipeline/killer.ts";
import { MonotonicClock } from "./clock.ts";
import { Errno } from "./errno.ts";
import { closeFd } from "./fd.ts";
import {
  killByPid,
  pidfdExited,
  pidfdOpen,
  pidfdSendSignal,
  processMreleaseAsync,
} from "./pidfd.ts";
import { ProcReader, ProcStatus, STATE_DEAD, STATE_ZOMBIE } from "./proc.ts";
import { openLibc } from "./libc.ts";
import { setFifo } from "./self_protection.ts";

/** A process with this oom_score_adj asked the kernel never to choose it; nor do we. proc(5) */
const OOM_SCORE_ADJ_NEVER = -1000;

/** Whom a real uid counts for; unsigned. */
export type OwnerOf = (uid: number) => number;

const ITSELF: OwnerOf = (uid) => uid;

/** SCHED_FIFO; the lowest, below all workers. */
const VICTIM_PRIORITY = 1;

/**
 * In rehearsal all calls are the real ones, upon toom itself, but for the signal. It is the same
 * class, as V8 compiles for the classes that it has seen: the first kill would find none of what
 * was rehearsed with another.
 */
export class PidfdKillKernel implements KillKernel {
  protected readonly isRehearsal: boolean;
  private readonly clock = new MonotonicClock();
  private readonly proc = new ProcReader();
  private readonly status = new ProcStatus();
  private readonly ownPid = openLibc().getpid();
  private readonly canReap: boolean;
  private readonly ownerOf: OwnerOf;
  private reaping = 0;

  /**
   * @param canReap Whether the kernel has process_mrelease(2) (5.15).
   * @param ownerOf Whose a process is, by its real uid: its own, or that of whom it is subordinate to.
   */
  constructor(canReap: boolean, isRehearsal = false, ownerOf: OwnerOf = ITSELF) {
    this.canReap = canReap;
    this.isRehearsal = isRehearsal;
    this.ownerOf = ownerOf;
  }

  /** Calls to process_mrelease(2) that other threads are still in. */
  get reapsUnderWay(): number {
    return this.reaping;
  }

  open(pid: number): number {
    return pid > 1 ? pidfdOpen(this.subject(pid)) : -Errno.ESRCH;
  }

  check(handle: number, pid: number, uid: number): number {
    const refusal = this.look(handle, this.subject(pid), uid);
    return this.isRehearsal ? Refusal.none : refusal;
  }

  /** Whom a call is about. */
  protected subject(pid: number): number {
    return this.isRehearsal ? this.ownPid : pid;
  }

  private look(handle: number, pid: number, uid: number): number {
    const { status } = this;
    if (!this.proc.readStatus(pid, status)) return Refusal.gone;
    const adjustment = this.proc.readOomScoreAdj(pid);
    // If it has not exited by now, the pid was still its own while /proc was read.
    if (this.hasExited(handle)) return Refusal.gone;
    if (status.state === STATE_ZOMBIE || status.state === STATE_DEAD) return Refusal.gone;
    if (pid <= 1 || pid === this.ownPid || status.kthread) return Refusal.protected;
    if (adjustment === OOM_SCORE_ADJ_NEVER) return Refusal.protected;
    return (this.ownerOf(status.realUid) | 0) === uid ? Refusal.none : Refusal.otherUser;
  }

  kill(handle: number, _pid: number, signal: number): number {
    return pidfdSendSignal(handle, this.isRehearsal ? Signal.none : signal);
  }

  /**
   * The victim gets a priority above all ordinary tasks, or it would have to share its CPU with those
   * that grow meanwhile; it never returns to a program of its user. And the kernel frees its memory
   * on another thread of ours: gigabytes take long, and the next user's kill must not wait.
   */
  reap(handle: number, pid: number, hasThreads: boolean): void {
    if (this.isRehearsal) return;
    const tids = hasThreads ? this.proc.listTids(pid) : [pid];
    for (const tid of tids) setFifo(VICTIM_PRIORITY, tid);
    if (!this.canReap) return;
    this.reaping++;
    const over = (): void => {
      this.reaping--;
    };
    processMreleaseAsync(handle).then(over, over);
  }

  /** Who is killed in rehearsal counts as gone at once. */
  exited(handle: number): boolean {
    return this.hasExited(handle) || this.isRehearsal;
  }

  protected hasExited(handle: number): boolean {
    return pidfdExited(handle);
  }

  close(handle: number): void {
    closeFd(handle);
  }

  comm(pid: number): Uint8Array {
    return new TextEncoder().encode(this.proc.readComm(this.subject(pid)) ?? "");
  }

  nowNs(): number {
    return this.clock.nowNs();
  }
}

/** Processes that {@link PidKillKernel} can have in hand at once. */
const HANDLES_MAX = 1024;

/**
 * The killer's hands on kernels without pidfd_open(2) (before 5.3; some Android trees have rss_stat
 * and no pidfds): pid and start time name the process. A pid that comes back between the look at
 * its start time and the signal would be hit; pids are handed out in turn, so that takes as many
 * forks as there are pids in some 10 us.
 */
export class PidKillKernel extends PidfdKillKernel {
  private readonly pids = new Int32Array(HANDLES_MAX);
  private readonly startTicks = new Int32Array(HANDLES_MAX);
  private readonly stat = new ProcReader();
  private readonly now = new ProcStatus();

  constructor(isRehearsal = false, ownerOf: OwnerOf = ITSELF) {
    super(false, isRehearsal, ownerOf);
  }

  override open(pid: number): number {
    const ticks = pid > 1 ? this.stat.readStartTicks(this.subject(pid)) : -1;
    if (ticks < 0) return -Errno.ESRCH;
    const handle = this.pids.indexOf(0);
    if (handle < 0) return -Errno.EMFILE;
    this.pids[handle] = this.subject(pid);
    this.startTicks[handle] = ticks;
    return handle;
  }

  override kill(handle: number, _pid: number, signal: number): number {
    const sent = this.isRehearsal ? Signal.none : signal;
    return killByPid(this.pids[handle]!, this.startTicks[handle]!, sent);
  }

  protected override hasExited(handle: number): boolean {
    const pid = this.pids[handle]!;
    if (this.stat.readStartTicks(pid) !== this.startTicks[handle]) return true;
    if (!this.stat.readStatus(pid, this.now)) return true;
    return this.now.state === STATE_ZOMBIE || this.now.state === STATE_DEAD;
  }

  override close(handle: number): void {
    this.pids[handle] = 0;
  }
}
