/**
 * Fair shares of one worker's time: who takes most of it while others want some must pause. Alone,
 * anybody may have all of it.
 *
 * @module
 */

/** Time is shared out in windows of this length. */
export const WINDOW_NS = 10e6;
/** The most of a window that one user gets while there are others. */
export const SHARE_NS_MAX = 2.5e6;

/** One user's part of the present window. */
export class Share {
  window = -1;
  spentNs = 0;
}

export class Fairness {
  private window = -1;
  /** Users that were served in this window, and in the one before. */
  private usersNow = 0;
  private usersBefore = 0;

  /**
   * Notes that a user was served.
   *
   * @returns When it may be served again; 0 at once.
   */
  spent(share: Share, nowNs: number, tookNs: number): number {
    const window = Math.floor(nowNs / WINDOW_NS);
    if (window !== this.window) {
      this.usersBefore = window === this.window + 1 ? this.usersNow : 0;
      this.usersNow = 0;
      this.window = window;
    }
    if (share.window !== window) {
      share.window = window;
      share.spentNs = 0;
      this.usersNow++;
    }
    share.spentNs += tookNs;
    const isAlone = Math.max(this.usersNow, this.usersBefore) <= 1;
    return isAlone || share.spentNs <= SHARE_NS_MAX ? 0 : (window + 1) * WINDOW_NS;
  }
}
