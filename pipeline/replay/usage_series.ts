/**
 * Usage of each user over the time of a replay: the most within each stretch of time. When there are
 * many stretches, two become one, so that any length fits.
 *
 * @module
 */
import type { Books } from "../books/books.ts";
import { NO_LIMIT_PAGES, UNKNOWN_UID } from "../books/books.ts";
import { ownPages } from "../books/charge.ts";
import type { LimitRules } from "../limits/limits.ts";
import { ProcessState, UserState } from "../memory/layout.ts";

const STRETCHES_MAX = 2048;
const STRETCH_NS_MIN = 1e6;
/** Users who are looked at so often within a stretch. */
const SAMPLES = 4;

/** Limits of a user from a time on. */
export interface LimitsSince {
  readonly sinceNs: number;
  readonly rules: LimitRules;
}

export class UsageSeries {
  /** Length of a stretch. */
  stretchNs = STRETCH_NS_MIN;
  /** Of the first one; Infinity: there is none. */
  firstNs = Infinity;
  /** From here on {@link sample} is to be called. */
  nextNs = -Infinity;
  readonly limitsSince: LimitsSince[] = [];
  /** Who would have been killed and goes on in the recording, which uses nothing any more: slot and generation. */
  private readonly victims = new Map<number, number>();
  /** By uid; NaN where nothing is known. */
  private readonly series = new Map<number, Float64Array>();
  private last = -1;

  /** Users of whom something is known. */
  get uids(): number[] {
    return [...this.series.keys()].sort((a, b) => a - b);
  }

  get lastNs(): number {
    return this.firstNs + (this.last + 1) * this.stretchNs;
  }

  /** Limits have changed. */
  limits(sinceNs: number, rules: LimitRules): void {
    this.limitsSince.push({ sinceNs, rules });
  }

  /** Pages charged in each stretch, the most; NaN where nothing is known. */
  of(uid: number): Float64Array {
    return (this.series.get(uid) ?? new Float64Array(0)).subarray(0, this.last + 1);
  }

  /** Looks at all users. */
  sample(nowNs: number, books: Books, isLast: boolean): void {
    const { users, userSlots } = books;
    const dying = this.dyingPages(books);
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      if (users.state[slot] === UserState.free || users.uid[slot] === UNKNOWN_UID) continue;
      const dyingPages = dying.get(slot) ?? 0;
      const chargedPages = users.usagePages[slot]! - users.creditPages[slot]! - dyingPages;
      if (chargedPages <= 0 && users.hardPages[slot] === NO_LIMIT_PAGES) continue;
      this.note(nowNs, users.uid[slot]! >>> 0, chargedPages);
    }
    this.nextNs = isLast ? Infinity : nowNs + this.stretchNs / SAMPLES;
  }

  /** A process would have been killed: from now on its user has nothing of it. */
  killed(pid: number, books: Books): void {
    const slot = books.findProcess(pid);
    if (slot >= 0) this.victims.set(slot, books.processes.generation[slot]!);
  }

  /** By user's slot, what it is charged for {@link victims}, until nothing is left of them. */
  private dyingPages(books: Books): ReadonlyMap<number, number> {
    const pages = new Map<number, number>();
    const { processes } = books;
    for (const [slot, generation] of this.victims) {
      const isThere = processes.state[slot] !== ProcessState.free &&
        processes.generation[slot] === generation;
      if (!isThere) {
        this.victims.delete(slot);
        continue;
      }
      const user = processes.userSlot[slot]!;
      pages.set(user, (pages.get(user) ?? 0) + ownPages(processes, slot));
    }
    return pages;
  }

  /** A user had so many pages at a time. */
  note(tsNs: number, uid: number, pages: number): void {
    if (this.firstNs === Infinity) this.firstNs = tsNs;
    let at = Math.max(0, Math.floor((tsNs - this.firstNs) / this.stretchNs));
    while (at >= STRETCHES_MAX) {
      this.halve();
      at = Math.floor((tsNs - this.firstNs) / this.stretchNs);
    }
    let series = this.series.get(uid);
    if (series === undefined) {
      series = new Float64Array(STRETCHES_MAX).fill(NaN);
      this.series.set(uid, series);
    }
    if (at > this.last) this.last = at;
    if (!(series[at]! >= pages)) series[at] = pages;
  }

  private halve(): void {
    this.stretchNs *= 2;
    for (const series of this.series.values()) {
      for (let at = 0; at < STRETCHES_MAX; at++) {
        const a = 2 * at < STRETCHES_MAX ? series[2 * at]! : NaN;
        const b = 2 * at + 1 < STRETCHES_MAX ? series[2 * at + 1]! : NaN;
        series[at] = Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.max(a, b);
      }
    }
    this.last >>= 1;
  }
}
