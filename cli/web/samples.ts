/**
 * What each user used lately: the last looks, for the chart of a page that is opened later.
 *
 * @module
 */

/** Looks that are kept: ten minutes of one a second. */
export const SAMPLES_MAX = 600;
/** Users of whom they are kept, 10 MiB in all; the others begin when a page shows them. */
const USERS_MAX = 4096;
/** No page was counted; stands for: not known at that look. */
const UNKNOWN = 0xffffffff;

/** What a user used at each look, the oldest first; null: it was not there. */
export interface Series {
  /** Since 1970, milliseconds. */
  readonly atMs: readonly number[];
  readonly usagePages: readonly (number | null)[];
}

export class Samples {
  private readonly atMs = new Float64Array(SAMPLES_MAX);
  private readonly byUid = new Map<number, Uint32Array>();
  /** Looks so far; the next one is written to this modulo {@link SAMPLES_MAX}. */
  private looks = 0;

  /** @param users What each uses, pages. */
  take(
    atMs: number,
    users: readonly { readonly uid: number; readonly usagePages: number }[],
  ): void {
    const slot = this.looks++ % SAMPLES_MAX;
    this.atMs[slot] = atMs;
    for (const pages of this.byUid.values()) pages[slot] = UNKNOWN;
    for (const { uid, usagePages } of users) {
      let pages = this.byUid.get(uid);
      if (pages === undefined) {
        if (this.byUid.size >= USERS_MAX) continue;
        pages = new Uint32Array(SAMPLES_MAX).fill(UNKNOWN);
        this.byUid.set(uid, pages);
      }
      pages[slot] = Math.min(usagePages, UNKNOWN - 1);
    }
    // Whoever was not seen for as long as samples are kept is forgotten.
    if (slot === 0) {
      for (const [uid, pages] of this.byUid) {
        if (pages.every((value) => value === UNKNOWN)) this.byUid.delete(uid);
      }
    }
  }

  of(uid: number): Series {
    const pages = this.byUid.get(uid);
    const atMs: number[] = [];
    const usagePages: (number | null)[] = [];
    for (let look = Math.max(0, this.looks - SAMPLES_MAX); look < this.looks; look++) {
      const slot = look % SAMPLES_MAX;
      const value = pages?.[slot] ?? UNKNOWN;
      atMs.push(this.atMs[slot]!);
      usagePages.push(value === UNKNOWN ? null : value);
    }
    return { atMs, usagePages };
  }
}
