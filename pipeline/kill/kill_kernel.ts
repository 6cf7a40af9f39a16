/**
 * What the killer needs of the kernel, so that worker, replay and simulator run the same decisions.
 *
 * @module
 */

/** Handles are pidfds, or what stands for them. No method throws for what the kernel says. */
export interface KillKernel {
  /**
   * @returns A handle that names this process and no later one; -ESRCH when it is gone, and only
   *   then; another -errno when it cannot be had.
   */
  open(pid: number): number;
  /**
   * I1: looks at the process behind the handle.
   * @returns 0 when its real uid is `uid` and nothing protects it, else {@link Refusal}.
   */
  check(handle: number, pid: number, uid: number): number;
  /**
   * Sends a signal, or with {@link Signal.none} only asks whether it could.
   * @returns 0; -ESRCH when it is gone, and only then; another -errno when it cannot be signalled.
   */
  kill(handle: number, pid: number, signal: number): number;
  /** Has the memory of one that was sent SIGKILL freed as soon as can be; must not block. */
  reap(handle: number, pid: number, hasThreads: boolean): void;
  /** Has one that was sent SIGKILL run before others, so that it ends soon. Part of {@link reap}. */
  hurry(pid: number, hasThreads: boolean): void;
  exited(handle: number): boolean;
  close(handle: number): void;
  /** Whether two processes run on one address space, or that cannot be told. kcmp(2) */
  sharesMm(pid: number, otherPid: number): boolean;
  /** -1000 to 1000; 0 when it cannot be told. proc(5) */
  oomScoreAdj(pid: number): number;
  /** Name of a process, raw bytes, for the log. May be empty. */
  comm(pid: number): Uint8Array;
  /**
   * How a process has ended that {@link exited} says is over, as wait(2) has it: 9 by SIGKILL. Left out
   * where nobody can tell.
   * @returns 0 to 65535; -1 when the kernel does not tell.
   */
  exitStatus?(handle: number, pid: number): number;
  /** CLOCK_MONOTONIC, nanoseconds. */
  nowNs(): number;
}

/** signal(7); 0 as in kill(2) */
export const Signal = { none: 0, kill: 9 } as const;

/** Why a process is not signalled; `unknown`: the kernel could not be asked. */
export const Refusal = { none: 0, gone: 1, otherUser: 2, protected: 3, unknown: 4 } as const;
