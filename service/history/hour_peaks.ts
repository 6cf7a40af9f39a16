/**
 * The most that each user was charged within the hour under way, until it is written down.
 *
 * @module
 */
import type { HourPeak } from "./record.ts";

const HOUR_MS = 3_600_000;

export class HourPeaks {
  private readonly pageBytes: number;
  private hourMs = 0;
  private readonly pages = new Map<number, number>();
  /** Users whose peak has grown since {@link take}. */
  private readonly grown = new Set<number>();

  constructor(pageBytes: number) {
    this.pageBytes = pageBytes;
  }

  /** A new hour begins: what is left of the old one must be taken first. */
  isOver(nowMs: number): boolean {
    return this.pages.size > 0 && hourOf(nowMs) !== this.hourMs;
  }

  /** @param nowMs Wall clock, milliseconds since 1970. */
  note(nowMs: number, uid: number, usagePages: number): void {
    const hourMs = hourOf(nowMs);
    if (hourMs !== this.hourMs) {
      this.hourMs = hourMs;
      this.pages.clear();
      this.grown.clear();
    }
    const known = this.pages.get(uid);
    if (usagePages <= 0 || (known !== undefined && known >= usagePages)) return;
    this.pages.set(uid, usagePages);
    this.grown.add(uid);
  }

  /** What has changed since the last time. */
  take(): HourPeak[] {
    const { hourMs, pageBytes } = this;
    const taken = [...this.grown].map((uid) => ({
      hourMs,
      uid,
      peakBytes: this.pages.get(uid)! * pageBytes,
    }));
    this.grown.clear();
    return taken;
  }
}

function hourOf(ms: number): number {
  return ms - ms % HOUR_MS;
}
