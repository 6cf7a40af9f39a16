/**
 * The killer's hands: {@link KillKernel} on the real kernel, by pidfds.
 *
 * @module
 */
import { type KillKernel, Refusal } from "../pipeline/killer.ts";
import { MonotonicClock } from "./clock.ts";
import { Errno } from "./errno.ts";
import { closeFd } from "./fd.ts";
import {
  killByPid,
  pidfdExited,
  pidfdOpen,
  pidfdSendSignal,
  processMreleaseAsync,
  SIGKILL,
} from "./pidfd.ts";
import { ProcReader, ProcStatus, STATE_DEAD, STATE_ZOMBIE } from "./proc.ts";
import { openLibc } from "./libc.ts";

/** A process with this oom_score_adj asked the kernel never to choose it; nor do we. proc(5) */
const OOM_SCORE_ADJ_NEVER = -1000;

export class PidfdKillKernel implements KillKernel {
  private readonly clock = new MonotonicClock();
  private readonly proc = new ProcReader();
  private readonly status = new ProcStatus();
  private readonly ownPid = openLibc().getpid();
  private readonly canReap: boolean;
  private reaping = 0;

  /** @param canReap Whether the kernel has process_mrelease(2) (5.15). */
  constructor(canReap: boolean) {
    this.canReap = canReap;
  }

  /** Whether handles are pidfds, that take signals. */
  get canSignal(): boolean {
    return true;
  }

  /** Calls to process_mrelease(2) that other threads are still in. */
  get reapsUnderWay(): number {
    return this.reaping;
  }

  open(pid: number): number {
    return pid > 1 ? pidfdOpen(pid) : -Errno.ESRCH;
  }

  check(handle: number, pid: number, uid: number): number {
    const { status } = this;
    if (!this.proc.readStatus(pid, status)) return Refusal.gone;
    const adjustment = this.proc.readOomScoreAdj(pid);
    // If it has not exited by now, the pid was still its own while /proc was read.
    if (this.exited(handle)) return Refusal.gone;
    if (status.state === STATE_ZOMBIE || status.state === STATE_DEAD) return Refusal.gone;
    if (pid <= 1 || pid === this.ownPid || status.kthread) return Refusal.protected;
    if (adjustment === OOM_SCORE_ADJ_NEVER) return Refusal.protected;
    return (status.realUid | 0) === uid ? Refusal.none : Refusal.otherUser;
  }

  kill(handle: number, _pid: number): number {
    return pidfdSendSignal(handle, SIGKILL);
  }

  /** On another thread: freeing gigabytes takes long, and the next user's kill must not wait. */
  reap(handle: number): void {
    if (!this.canReap) return;
    this.reaping++;
    const over = (): void => {
      this.reaping--;
    };
    processMreleaseAsync(handle).then(over, over);
  }

  exited(handle: number): boolean {
    return pidfdExited(handle);
  }

  close(handle: number): void {
    closeFd(handle);
  }

  comm(pid: number): Uint8Array {
    return new TextEncoder().encode(this.proc.readComm(pid) ?? "");
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

  constructor() {
    super(false);
  }

  override get canSignal(): boolean {
    return false;
  }

  override open(pid: number): number {
    const ticks = pid > 1 ? this.stat.readStartTicks(pid) : -1;
    if (ticks < 0) return -Errno.ESRCH;
    const handle = this.pids.indexOf(0);
    if (handle < 0) return -Errno.EMFILE;
    this.pids[handle] = pid;
    this.startTicks[handle] = ticks;
    return handle;
  }

  override kill(handle: number, pid: number): number {
    return killByPid(pid, this.startTicks[handle]!);
  }

  override exited(handle: number): boolean {
    const pid = this.pids[handle]!;
    if (this.stat.readStartTicks(pid) !== this.startTicks[handle]) return true;
    if (!this.stat.readStatus(pid, this.now)) return true;
    return this.now.state === STATE_ZOMBIE || this.now.state === STATE_DEAD;
  }

  override close(handle: number): void {
    this.pids[handle] = 0;
  }
}

/**
 * The hands in rehearsal: all calls are the real ones, upon toom itself, but for the signal, which
 * is number 0.
 */
export class RehearsalKillKernel implements KillKernel {
  private readonly real: PidfdKillKernel;
  private readonly ownPid = openLibc().getpid();

  constructor(real: PidfdKillKernel) {
    this.real = real;
  }

  open(_pid: number): number {
    return this.real.open(this.ownPid);
  }

  check(handle: number, _pid: number, uid: number): number {
    this.real.check(handle, this.ownPid, uid);
    return Refusal.none;
  }

  kill(handle: number, _pid: number): number {
    return this.real.canSignal ? pidfdSendSignal(handle, 0) : 0;
  }

  reap(_handle: number): void {}

  exited(handle: number): boolean {
    return !this.real.exited(handle);
  }

  close(handle: number): void {
    this.real.close(handle);
  }

  comm(_pid: number): Uint8Array {
    return this.real.comm(this.ownPid);
  }

  nowNs(): number {
    return this.real.nowNs();
  }
}
