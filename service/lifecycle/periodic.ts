/**
 * What the supervisor does now and then, each at its own period, by one timer.
 *
 * @module
 */

export interface PeriodicJob {
  /** At least so long between two runs; 0: at every turn of the timer. */
  readonly everyMs: number;
  readonly run: (nowMs: number) => void;
}

/** Runs jobs until it is stopped. */
export class Periodic {
  private readonly turns: { readonly job: PeriodicJob; ranMs: number }[];
  private readonly nowMs: () => number;
  private timer: ReturnType<typeof setInterval> | undefined;

  /** @param nowMs A clock that is never set back. */
  constructor(jobs: readonly PeriodicJob[], nowMs: () => number) {
    this.turns = jobs.map((job) => ({ job, ranMs: -Infinity }));
    this.nowMs = nowMs;
  }

  /** Begins: at the first turn every job runs. @param turnMs Period of the timer. */
  start(turnMs: number): void {
    this.timer = setInterval(() => this.turn(), turnMs);
  }

  /** Runs those whose time has come, in their order. */
  turn(): void {
    const nowMs = this.nowMs();
    for (const turn of this.turns) {
      if (nowMs - turn.ranMs < turn.job.everyMs) continue;
      turn.ranMs = nowMs;
      turn.job.run(nowMs);
    }
  }

  stop(): void {
    clearInterval(this.timer);
  }
}
