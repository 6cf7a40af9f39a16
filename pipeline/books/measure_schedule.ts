/**
 * When whose shared pages are measured.
 *
 * Between two measurings a user may hold more than it is charged, by pages that it copies after a
 * fork, of which no event tells. But each copy is a page fault: what a user holds is at most what it
 * is charged, the faults of its processes since the last measuring, what it had freed lazily, which
 * it takes back without a fault, and what its processes gave back, which others may have shared with
 * them and hold alone now. Only when that is over the limit it is measured again.
 *
 * @module
 */
import {
  MEASURE_LOOK_NS_MAX,
  MEASURE_LOOK_NS_MIN,
  MEASURE_RESERVE_NS,
  MEASURE_SAVED_NS_MAX,
  MEASURE_URGENT_EVERY_NS,
} from "../memory/timing.ts";
import { NO_LIMIT_PAGES } from "./books.ts";
import { chargedPages } from "./charge.ts";
import { TABLE_HEADER_BYTES, TableWord, UserState } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";

/** Part of one CPU's time that all measuring may take, and what may be saved up of it. */
export const MEASURE_SHARE = 0.05;
/** A CPU copies a page in half a microsecond at least. */
const COPIED_PAGES_PER_NS = 2e-3;
/** Below the limit, the credit is measured again when a user has grown by this part of it. */
const GROWTH_PART = 1 / 8;

/** What is remembered of a user that was measured. */
interface Measured {
  readonly atNs: number;
  readonly countedPages: number;
  readonly lazyPages: number;
  /** Faults of its processes since, and as of the last look, by pid. */
  faults: number;
  readonly faultsByPid: Map<number, number>;
  /** Counted pages as of the last look, and the sum of their decreases since the measuring. */
  seenPages: number;
  returnedPages: number;
}

/** Page faults without I/O of a process, all threads, since its start; -1 when it is gone. */
export type FaultsOf = (pid: number) => number;
/** Processes of a user, by its row. */
export type PidsOf = (userSlot: number) => Iterable<number>;

export class MeasureSchedule {
  private readonly memory: Memory;
  private readonly userHeader: Int32Array;
  private readonly pagesPerNs: number;
  private readonly pidsOf: PidsOf;
  private readonly faultsOf: FaultsOf;
  /** By uid, as signed word. */
  private readonly byUid = new Map<number, Measured>();
  private savedNs = MEASURE_SAVED_NS_MAX;
  private savedAtNs = 0;
  private lookAtNs = 0;

  /** @param cpus CPUs that the users' programs run on. */
  constructor(memory: Memory, cpus: number, pidsOf: PidsOf, faultsOf: FaultsOf) {
    this.memory = memory;
    this.userHeader = new Int32Array(memory.buffer, memory.plan.users, TABLE_HEADER_BYTES / 4);
    this.pagesPerNs = cpus * COPIED_PAGES_PER_NS;
    this.pidsOf = pidsOf;
    this.faultsOf = faultsOf;
  }

  /** When {@link next} has something to say again. */
  get nextNs(): number {
    if (this.savedNs > 0) return this.lookAtNs;
    // Before that it says nothing, whoever hurries: to ask all the time would keep others from a CPU.
    return Math.max(this.lookAtNs, this.savedAtNs + (1 - this.savedNs) / MEASURE_SHARE);
  }

  /** Somebody's credit decides by now: looks at once. */
  hurry(): void {
    this.lookAtNs = 0;
  }

  /** @returns Row of the user to be measured now; -1 nobody. */
  next(nowNs: number): number {
    this.savedNs = Math.min(
      MEASURE_SAVED_NS_MAX,
      this.savedNs + (nowNs - this.savedAtNs) * MEASURE_SHARE,
    );
    this.savedAtNs = nowNs;
    if (nowNs < this.lookAtNs || this.savedNs <= 0) return -1;
    let best = -1;
    let bestRank = Infinity;
    let nextInNs = MEASURE_LOOK_NS_MAX;
    const { users } = this.memory;
    const highWater = Atomics.load(this.userHeader, TableWord.highWater);
    for (let slot = 0; slot < highWater; slot++) {
      const hardPages = users.hardPages[slot]!;
      const countedPages = users.usagePages[slot]!;
      if (hardPages === NO_LIMIT_PAGES || users.state[slot] === UserState.free) continue;
      if (countedPages <= hardPages / 2) {
        this.byUid.delete(users.uid[slot]!);
        continue;
      }
      const creditDecides = users.creditPages[slot] !== 0 && countedPages > hardPages;
      const roomPages = creditDecides ? this.roomPages(slot, nowNs) : Infinity;
      if (creditDecides) nextInNs = Math.min(nextInNs, Math.max(0, roomPages) / this.pagesPerNs);
      const isUrgent = roomPages <= 0;
      if (!isUrgent && (this.savedNs < MEASURE_RESERVE_NS || !this.isWorthwhile(slot))) continue;
      // Urgent ones first, and of these the one that was measured least lately.
      const rank = (isUrgent ? 0 : 1e18) + (this.byUid.get(users.uid[slot]!)?.atNs ?? 0);
      if (rank < bestRank) {
        best = slot;
        bestRank = rank;
      }
    }
    this.lookAtNs = nowNs + Math.max(MEASURE_LOOK_NS_MIN, nextInNs);
    return best;
  }

  /** Pages that a user may have copied before it is over its limit; 0 or less: it may be by now. */
  private roomPages(slot: number, nowNs: number): number {
    const { users } = this.memory;
    const known = this.byUid.get(users.uid[slot]!);
    if (known === undefined || nowNs - known.atNs >= MEASURE_URGENT_EVERY_NS) return 0;
    for (const pid of this.pidsOf(slot)) {
      const faults = this.faultsOf(pid);
      if (faults < 0) continue;
      known.faults += Math.max(0, faults - (known.faultsByPid.get(pid) ?? 0));
      known.faultsByPid.set(pid, faults);
    }
    const countedPages = users.usagePages[slot]!;
    known.returnedPages += Math.max(0, known.seenPages - countedPages);
    known.seenPages = countedPages;
    // Whatever became of its shared pages, a user holds no more than is counted.
    const loosePages = Math.min(
      known.faults + known.lazyPages + known.returnedPages,
      users.creditPages[slot]!,
    );
    return users.hardPages[slot]! - chargedPages(users, slot) - loosePages;
  }

  /** Whether a user that is not over its limit whatever it shares should be measured all the same. */
  private isWorthwhile(slot: number): boolean {
    const { users } = this.memory;
    const known = this.byUid.get(users.uid[slot]!);
    const grownPages = users.usagePages[slot]! - (known?.countedPages ?? 0);
    return grownPages > users.hardPages[slot]! * GROWTH_PART;
  }

  /** A measuring begins: faults count from here. @returns Those whom it must read. */
  begin(slot: number, nowNs: number): number[] {
    const { users } = this.memory;
    const faultsByPid = new Map<number, number>();
    for (const pid of this.pidsOf(slot)) {
      const faults = this.faultsOf(pid);
      if (faults >= 0) faultsByPid.set(pid, faults);
    }
    const countedPages = users.usagePages[slot]!;
    this.byUid.set(users.uid[slot]!, {
      atNs: nowNs,
      countedPages,
      lazyPages: 0,
      faults: 0,
      faultsByPid,
      seenPages: countedPages,
      returnedPages: 0,
    });
    return [...faultsByPid.keys()];
  }

  /** @param costNs What it took. @param lazyPages Lazily freed pages that were found. */
  end(uid: number, costNs: number, lazyPages: number): void {
    this.savedNs -= costNs;
    const known = this.byUid.get(uid);
    if (known !== undefined) this.byUid.set(uid, { ...known, lazyPages });
    this.lookAtNs = 0;
  }
}
