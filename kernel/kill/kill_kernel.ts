/**
 * The killer's hands: {@link KillKernel} on the real kernel, by pidfds.
 *
 * @module
 */
import { type KillKernel, Refusal, Signal } from "../../pipeline/kill/killer.ts";
import { MonotonicClock } from "../ffi/clock.ts";
import { Errno, KernelError } from "../ffi/errno.ts";
import { closeFd } from "../ffi/fd.ts";
import { FdReserve, lacksDescriptor } from "../ffi/fd_reserve.ts";
import { exitStatusOf } from "./exit_status.ts";
import {
  killByNumber,
  killByPid,
  pidfdExited,
  pidfdOpen,
  pidfdSendSignal,
  processMreleaseAsync,
  saysGone,
} from "./pidfd.ts";
import { mayShareMm } from "../proc/kcmp.ts";
import { ProcReader } from "../proc/proc.ts";
import { ProcStatus, STATE_DEAD, STATE_ZOMBIE } from "../../pipeline/ports.ts";
import { openLibc } from "../ffi/libc.ts";
import { HELPER_COMM } from "../process/helper_comm.ts";
import { setFifo } from "../process/self_protection.ts";

/** A process with this oom_score_adj asked the kernel never to choose it; nor do we. proc(5) */
const OOM_SCORE_ADJ_NEVER = -1000;

/** Whom a real uid counts for; unsigned. */
export type OwnerOf = (uid: number) => number;

const ITSELF: OwnerOf = (uid) => uid;

/** SCHED_FIFO; the lowest, below all workers. */
const VICTIM_PRIORITY = 1;

/** Descriptors kept for kills: a pidfd for each of some victims, and one to read /proc with. */
const RESERVE_FDS = 16;
/** Processes that can be in hand by pid and start time at once. */
const BY_PID_MAX = 1024;
/** Handles from here on are no descriptors: the process is named by pid and start time. */
const BY_PID_BASE = 1 << 29;
const NO_COMM = new Uint8Array(0);

/**
 * Only ESRCH, and what means the same, counts as the end of a process. Everything else goes on to
 * the next way: without a free descriptor one of a reserve is given up; without pidfd_open(2), pid
 * and start time name the process; without pidfd_send_signal(2), kill(2) signals it. Nothing here
 * throws for what the kernel says: the killer has others to kill.
 *
 * In rehearsal all calls are the real ones, upon toom itself, but for the signal. It is the same
 * class, as V8 compiles for the classes that it has seen: the first kill would find none of what
 * was rehearsed with another.
 */
export class PidfdKillKernel implements KillKernel, Disposable {
  protected readonly isRehearsal: boolean;
  private readonly clock = new MonotonicClock();
  private readonly proc = new ProcReader();
  private readonly status = new ProcStatus();
  private readonly ownPid = openLibc().getpid();
  private readonly canReap: boolean;
  private readonly ownerOf: OwnerOf;
  private readonly reserve: FdReserve;
  /** By handle less {@link BY_PID_BASE}: 0 free. */
  private readonly pids = new Int32Array(BY_PID_MAX);
  private readonly startTicks = new Float64Array(BY_PID_MAX);
  private reaping = 0;

  /**
   * @param canReap Whether the kernel has process_mrelease(2) (5.15).
   * @param ownerOf Whose a process is, by its real uid: its own, or that of whom it is subordinate to.
   */
  constructor(canReap: boolean, isRehearsal = false, ownerOf: OwnerOf = ITSELF) {
    this.canReap = canReap;
    this.isRehearsal = isRehearsal;
    this.ownerOf = ownerOf;
    this.reserve = new FdReserve(isRehearsal ? 1 : RESERVE_FDS);
  }

  /** Calls to process_mrelease(2) that other threads are still in. */
  get reapsUnderWay(): number {
    return this.reaping;
  }

  /** Lets go of the descriptors in reserve. */
  [Symbol.dispose](): void {
    this.reserve[Symbol.dispose]();
  }

  open(pid: number): number {
    if (pid <= 1) return -Errno.ESRCH;
    const subject = this.subject(pid);
    let handle = this.pidfdOf(subject);
    while (handle < 0 && lacksDescriptor(-handle) && this.reserve.giveUp()) {
      handle = this.pidfdOf(subject);
    }
    if (handle >= 0) return handle;
    return saysGone(-handle) ? -Errno.ESRCH : this.openByPid(subject);
  }

  protected pidfdOf(pid: number): number {
    return pidfdOpen(pid);
  }

  private openByPid(pid: number): number {
    const ticks = this.startTicksOf(pid);
    if (ticks < 0) return ticks;
    const at = this.pids.indexOf(0);
    if (at < 0) return -Errno.EMFILE;
    this.pids[at] = pid;
    this.startTicks[at] = ticks;
    return BY_PID_BASE + at;
  }

  /** Start time of a process, or minus the error number: ESRCH when it is gone. */
  private startTicksOf(pid: number): number {
    let ticks: number;
    for (;;) {
      try {
        ticks = this.proc.readStartTicks(pid);
        if (ticks < 0) ticks = -Errno.ESRCH;
        break;
      } catch (error) {
        if (this.makeRoom(error)) continue;
        ticks = -errnoOf(error);
        break;
      }
    }
    this.reserve.refill();
    return ticks;
  }

  /** After a failure to read /proc: whether it may succeed now. */
  private makeRoom(error: unknown): boolean {
    return lacksDescriptor(errnoOf(error)) && this.reserve.giveUp();
  }

  check(handle: number, pid: number, uid: number): number {
    let refusal: number;
    for (;;) {
      try {
        refusal = this.look(handle, this.subject(pid), uid);
        break;
      } catch (error) {
        if (this.makeRoom(error)) continue;
        refusal = Refusal.unknown;
        break;
      }
    }
    this.reserve.refill();
    return this.isRehearsal ? Refusal.none : refusal;
  }

  /** Whom a call is about. */
  protected subject(pid: number): number {
    return this.isRehearsal ? this.ownPid : pid;
  }

  private look(handle: number, pid: number, uid: number): number {
    const { status } = this;
    if (!this.readLiving(pid)) return Refusal.gone;
    const adjustment = this.proc.readOomScoreAdj(pid);
    // If it has not exited by now, the pid was still its own while /proc was read.
    if (this.hasExited(handle)) return Refusal.gone;
    if (pid <= 1 || pid === this.ownPid || status.kthread) return Refusal.protected;
    if (adjustment === OOM_SCORE_ADJ_NEVER) return Refusal.protected;
    if (this.isHelper(pid)) return Refusal.otherUser;
    return (this.ownerOf(status.realUid) | 0) === uid ? Refusal.none : Refusal.otherUser;
  }

  /** It has a user's ids and is toom's: its end would free nothing of the user. Only toom has children. */
  private isHelper(pid: number): boolean {
    return this.status.ppid === this.ownPid && this.proc.readComm(pid) === HELPER_COMM;
  }

  /**
   * Reads the status of a process; of one whose leader has ended, through one of its other threads.
   * @returns false when all of it is gone.
   */
  private readLiving(pid: number): boolean {
    const { proc, status } = this;
    if (!proc.readStatus(pid, status)) return false;
    if (!isOver(status.state)) return true;
    if (status.threads <= 1) return false;
    for (const tid of proc.listTids(pid)) {
      if (tid !== pid && proc.readStatus(tid, status) && !isOver(status.state)) return true;
    }
    return false;
  }

  kill(handle: number, pid: number, signal: number): number {
    const sent = this.isRehearsal ? Signal.none : signal;
    if (handle >= BY_PID_BASE) return this.killByStartTime(handle - BY_PID_BASE, sent);
    const result = pidfdSendSignal(handle, sent);
    if (result === 0 || result === -Errno.ESRCH) return result;
    return killByNumber(handle, this.subject(pid), sent);
  }

  private killByStartTime(at: number, signal: number): number {
    let result: number;
    for (;;) {
      try {
        result = killByPid(this.pids[at]!, this.startTicks[at]!, signal);
        break;
      } catch (error) {
        if (this.makeRoom(error)) continue;
        result = -errnoOf(error);
        break;
      }
    }
    this.reserve.refill();
    return result;
  }

  /**
   * The victim gets a priority above all ordinary tasks, or it would have to share its CPU with those
   * that grow meanwhile; it never returns to a program of its user. And the kernel frees its memory
   * on another thread of ours: gigabytes take long, and the next user's kill must not wait.
   */
  reap(handle: number, pid: number, hasThreads: boolean): void {
    if (this.isRehearsal) return;
    this.hurry(pid, hasThreads);
    if (!this.canReap || handle >= BY_PID_BASE) return;
    this.reaping++;
    const over = (): void => {
      this.reaping--;
    };
    processMreleaseAsync(handle).then(over, over);
  }

  hurry(pid: number, hasThreads: boolean): void {
    if (this.isRehearsal) return;
    if (!hasThreads) setFifo(VICTIM_PRIORITY, pid);
    else for (const tid of this.tidsOf(pid)) setFifo(VICTIM_PRIORITY, tid);
  }

  private tidsOf(pid: number): readonly number[] {
    try {
      return this.proc.listTids(pid);
    } catch {
      return [pid]; // It dies at the priority that it had.
    }
  }

  /** Who is killed in rehearsal counts as gone at once. */
  exited(handle: number): boolean {
    return this.hasExited(handle) || this.isRehearsal;
  }

  private hasExited(handle: number): boolean {
    return handle >= BY_PID_BASE
      ? this.hasOtherStartTime(handle - BY_PID_BASE)
      : pidfdExited(handle);
  }

  exitStatus(handle: number, pid: number): number {
    // Whoever is named by pid and start time may be another one by now.
    return handle >= BY_PID_BASE ? -1 : exitStatusOf(handle, this.subject(pid));
  }

  private hasOtherStartTime(at: number): boolean {
    const pid = this.pids[at]!;
    const ticks = this.startTicksOf(pid);
    if (ticks === -Errno.ESRCH) return true;
    if (ticks < 0) return false; // It cannot be told: not gone.
    if (ticks !== this.startTicks[at]) return true;
    try {
      return !this.readLiving(pid);
    } catch {
      return false;
    }
  }

  close(handle: number): void {
    if (handle >= BY_PID_BASE) this.pids[handle - BY_PID_BASE] = 0;
    else closeFd(handle);
    this.reserve.refill();
  }

  sharesMm(pid: number, otherPid: number): boolean {
    return this.isRehearsal || mayShareMm(pid, otherPid);
  }

  oomScoreAdj(pid: number): number {
    try {
      return this.proc.readOomScoreAdj(this.subject(pid)) ?? 0;
    } catch {
      return 0;
    }
  }

  comm(pid: number): Uint8Array {
    try {
      return new TextEncoder().encode(this.proc.readComm(this.subject(pid)) ?? "");
    } catch {
      return NO_COMM;
    }
  }

  nowNs(): number {
    return this.clock.nowNs();
  }
}

/**
 * The killer's hands on kernels without pidfd_open(2) (before 5.3; some Android trees have rss_stat
 * and no pidfds): pid and start time name the process. A pid that comes back between the look at
 * its start time and the signal would be hit; pids are handed out in turn, so that takes as many
 * forks as there are pids in some 10 us.
 */
export class PidKillKernel extends PidfdKillKernel {
  constructor(isRehearsal = false, ownerOf: OwnerOf = ITSELF) {
    super(false, isRehearsal, ownerOf);
  }

  protected override pidfdOf(): number {
    return -Errno.ENOSYS;
  }
}

/** Whether the state of a task says that it has ended. */
function isOver(state: number): boolean {
  return state === STATE_ZOMBIE || state === STATE_DEAD;
}

/** @throws What is not the kernel's. */
function errnoOf(error: unknown): number {
  if (error instanceof KernelError) return error.errno;
  throw error;
}
