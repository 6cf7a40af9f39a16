/**
 * The killer's kernel, with what it answers written down for recordings, as far as it is not what is to
 * be expected of a process that lives, may be killed and dies when it is.
 *
 * @module
 */
import { RecordKind } from "../memory/layout.ts";
import type { RoleLog } from "../messages/role_log.ts";
import { type KillKernel, Refusal } from "./kill_kernel.ts";

/** Which method of {@link KillKernel} was called. */
export const Question = {
  open: 1,
  check: 2,
  kill: 3,
  exited: 4,
  sharesMm: 5,
  oomScoreAdj: 6,
  exitStatus: 7,
} as const;
export type Question = typeof Question[keyof typeof Question];

/** Of a higher one nobody is told whose it is; the pages of what is not used are never touched. */
const HANDLES_MAX = 65_536;

export class LoggedKillKernel implements KillKernel {
  private readonly kernel: KillKernel;
  private readonly log: RoleLog;
  /** When the killer looked at the clock last: a time of an answer costs no call. */
  private lastNs = 0;
  /** By handle, whose it is. */
  private readonly pids = new Int32Array(HANDLES_MAX);

  constructor(kernel: KillKernel, log: RoleLog) {
    this.kernel = kernel;
    this.log = log;
  }

  private note(pid: number, question: Question, answer: number, about = 0): void {
    if (this.log.recording === 0) return;
    this.log.put(this.lastNs, RecordKind.answered, pid, question, answer, about);
  }

  open(pid: number): number {
    const handle = this.kernel.open(pid);
    if (handle < 0) this.note(pid, Question.open, handle);
    else if (handle < HANDLES_MAX) this.pids[handle] = pid;
    return handle;
  }

  check(handle: number, pid: number, uid: number): number {
    const refusal = this.kernel.check(handle, pid, uid);
    if (refusal !== Refusal.none) this.note(pid, Question.check, refusal);
    return refusal;
  }

  kill(handle: number, pid: number, signal: number): number {
    const result = this.kernel.kill(handle, pid, signal);
    if (result !== 0) this.note(pid, Question.kill, result);
    return result;
  }

  reap(handle: number, pid: number, hasThreads: boolean): void {
    this.kernel.reap(handle, pid, hasThreads);
  }

  hurry(pid: number, hasThreads: boolean): void {
    this.kernel.hurry(pid, hasThreads);
  }

  exited(handle: number): boolean {
    const isOver = this.kernel.exited(handle);
    if (isOver) this.note(this.pids[handle] ?? 0, Question.exited, 1);
    return isOver;
  }

  close(handle: number): void {
    this.kernel.close(handle);
  }

  sharesMm(pid: number, otherPid: number): boolean {
    const shares = this.kernel.sharesMm(pid, otherPid);
    if (!shares) this.note(pid, Question.sharesMm, 0, otherPid);
    return shares;
  }

  oomScoreAdj(pid: number): number {
    const scoreAdj = this.kernel.oomScoreAdj(pid);
    if (scoreAdj !== 0) this.note(pid, Question.oomScoreAdj, scoreAdj);
    return scoreAdj;
  }

  comm(pid: number): Uint8Array {
    return this.kernel.comm(pid);
  }

  exitStatus(handle: number, pid: number): number {
    const status = this.kernel.exitStatus?.(handle, pid) ?? -1;
    if (status >= 0) this.note(pid, Question.exitStatus, status);
    return status;
  }

  nowNs(): number {
    return this.lastNs = this.kernel.nowNs();
  }
}
