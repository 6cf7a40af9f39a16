/**
 * Events a second, from a counter that only grows; it begins again when accounting is replaced.
 *
 * @module
 */

export class EventRate {
  /** Over the last time between two calls of {@link update}. */
  perSecond = 0;
  private atMs = 0;
  private events = 0;

  /** @param events Counted so far. */
  update(nowMs: number, events: number): void {
    const seconds = (nowMs - this.atMs) / 1000;
    if (seconds <= 0) return;
    this.perSecond = Math.round(Math.max(0, events - this.events) / seconds);
    this.atMs = nowMs;
    this.events = events;
  }
}
