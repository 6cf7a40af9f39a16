/**
 * When all of /proc is read: at every interval, and soon after something was missed.
 *
 * @module
 */
import { LIST_WAIT_NS_MAX, SWEEP_WANTED_EVERY_NS, SWEEP_WANTED_LOOK_MS } from "../memory/timing.ts";

export class SweepSchedule {
  private readonly intervalMs: () => number;
  private readonly costShare: () => number;
  private sweptNs = -Infinity;
  /** What the last sweep has taken. */
  private tookNs = 0;
  private isWanted = true;
  private isAfterLoss = false;
  /** Since when a sweep should be under way; Infinity: it should not. */
  private dueSinceNs = Infinity;

  /**
   * @param intervalMs Period of the last defense as of now.
   * @param costShare Part of a CPU that sweeps take at most while nothing is missed; they come later then.
   */
  constructor(intervalMs: () => number, costShare = (): number => Infinity) {
    this.intervalMs = intervalMs;
    this.costShare = costShare;
  }

  private get everyNs(): number {
    return Math.max(this.intervalMs() * 1e6, this.tookNs / this.costShare());
  }

  /** Something was missed that a sweep finds. */
  want(): void {
    this.isWanted = true;
  }

  /** Events were lost: what the books have may be wrong. */
  wantAfterLoss(): void {
    this.isWanted = this.isAfterLoss = true;
  }

  /**
   * Whether a sweep is to begin now.
   *
   * @param isListBusy A write to the list of traced tasks is under way: a sweep would wait for it, and
   *   logins that are not traced yet for the sweep.
   */
  isDue(nowNs: number, isListBusy: boolean): boolean {
    const sinceNs = nowNs - this.sweptNs;
    const isTime = sinceNs >= this.everyNs ||
      (this.isWanted && sinceNs >= SWEEP_WANTED_EVERY_NS);
    this.dueSinceNs = isTime ? Math.min(this.dueSinceNs, nowNs) : Infinity;
    return isTime && !(isListBusy && nowNs - this.dueSinceNs < LIST_WAIT_NS_MAX);
  }

  /** A sweep begins. @returns Whether it comes after a loss. */
  begin(nowNs: number): boolean {
    const { isAfterLoss } = this;
    this.dueSinceNs = Infinity;
    this.sweptNs = nowNs;
    this.isWanted = this.isAfterLoss = false;
    return isAfterLoss;
  }

  /** The sweep has ended. @param nowNs By the clock of {@link begin}. */
  ended(nowNs: number): void {
    this.tookNs = nowNs - this.sweptNs;
  }

  /** How long nothing is to be done here, milliseconds; 0 or less: it is time. */
  waitMs(nowNs: number): number {
    const untilMs = (this.sweptNs - nowNs + this.everyNs) / 1e6;
    return this.isWanted ? Math.min(untilMs, SWEEP_WANTED_LOOK_MS) : untilMs;
  }
}
