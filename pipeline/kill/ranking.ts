/**
 * Who should go: the order of a user's processes under each victim policy.
 *
 * @module
 */
import { GROWTH_BUCKET_NS, GROWTH_BUCKETS, ProcessState } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import type { VictimPolicy } from "../memory/settings.ts";
import { UserRows } from "../books/user_rows.ts";

/** Candidates kept of a ranking: the victim and those that were weighed beside it. */
export const RANKED_MAX = 8;

/** Whether a process (slot, generation) must be left out. */
export type LeavesOut = (processSlot: number, generation: number) => boolean;

/** One that may go, as it was when it was ranked. */
export class Candidate {
  slot = 0;
  generation = 0;
  pid = 0;
  /** Counted pages. */
  pages = 0;
  /** Pages that are in use no more when it ends: its own, 0 or more. */
  freesPages = 0;
  /** By policy: the highest goes first. */
  score = 0;
  /** How much sooner than all others it goes: 0, or the score of one that has volunteered. */
  first = 0;

  /** Ties go to the larger, so that the order does not change from ranking to ranking. */
  isBefore(other: Candidate): boolean {
    if (this.first !== other.first) return this.first > other.first;
    if (this.score !== other.score) return this.score > other.score;
    return this.pages > other.pages;
  }
}

/** The best candidates of one user, best first. Reused from ranking to ranking. */
export class Ranking {
  /** The first {@link count} of them count. */
  readonly best: readonly Candidate[];
  count = 0;
  /** {@link best}, and behind them one to fill. */
  private readonly places: Candidate[] = Array.from(
    { length: RANKED_MAX + 1 },
    () => new Candidate(),
  );
  private readonly memory: Memory;
  /** Which goes first. */
  policy: VictimPolicy;
  private readonly userRows: UserRows;

  constructor(memory: Memory, policy: VictimPolicy) {
    this.memory = memory;
    this.policy = policy;
    this.userRows = new UserRows(memory);
    this.best = this.places;
  }

  /**
   * Ranks the living processes of a user that hold counted pages. Reads the tables while
   * accounting changes them: every candidate is checked again before anything is done to it.
   *
   * @param nowNs Time of the newest event or of the clock, for `growing`.
   * @param leavesOut Says who must be left out; undefined: nobody.
   * @param leastPages Those that would give back less are left out; 0: none of those with memory.
   * @param firstOf Of those that would give back {@link needPages}: 0, or how much sooner than all
   *   others it goes (slot, generation).
   */
  rank(
    userSlot: number,
    nowNs: number,
    leavesOut: LeavesOut | undefined,
    leastPages = 0,
    firstOf?: (processSlot: number, generation: number) => number,
    needPages = 1,
  ): void {
    const { processes } = this.memory;
    const { userSlot: owner, state, pages, sharedPages, generation, tgid } = processes;
    this.count = 0;
    const { rows, count } = this.userRows.of(userSlot);
    for (let i = 0; i < count; i++) {
      const slot = rows[i]!;
      if (owner[slot] !== userSlot || state[slot] === ProcessState.free) continue;
      const heldPages = pages[slot]!;
      if (heldPages <= 0 || tgid[slot]! <= 0) continue;
      const shared = sharedPages[slot]!;
      const freesPages = shared < heldPages ? heldPages - shared : 0;
      if (freesPages < leastPages) continue;
      if (leavesOut !== undefined && leavesOut(slot, generation[slot]!)) continue;
      const candidate = this.places[this.count]!;
      candidate.slot = slot;
      candidate.generation = generation[slot]!;
      candidate.pid = tgid[slot]!;
      candidate.pages = heldPages;
      candidate.freesPages = freesPages;
      candidate.score = this.score(slot, freesPages, nowNs);
      candidate.first = firstOf !== undefined && freesPages >= needPages
        ? firstOf(slot, generation[slot]!)
        : 0;
      this.moveUp(candidate);
    }
  }

  private score(slot: number, freesPages: number, nowNs: number): number {
    switch (this.policy) {
      case "largest":
        return freesPages;
      case "newest":
        // Start ticks of /proc are coarse and absent for what was born under our eyes.
        return this.memory.processes.bornTsNs[slot]!;
      case "growing":
        return this.gainedPages(slot, nowNs);
    }
  }

  /** Pages gained in the last second (7/8 to 1 of it); negative when it shrank. */
  gainedPages(slot: number, nowNs: number): number {
    const { pages, growth, growthBucket } = this.memory.processes;
    const oldest = Math.floor(nowNs / GROWTH_BUCKET_NS) - GROWTH_BUCKETS + 1;
    if (oldest > growthBucket[slot]!) return 0;
    return pages[slot]! - growth[slot * GROWTH_BUCKETS + (oldest & (GROWTH_BUCKETS - 1))]!;
  }

  /** The last place is the candidate's: it goes before those that are worse. */
  private moveUp(candidate: Candidate): void {
    const { places } = this;
    let at = this.count;
    while (at > 0 && candidate.isBefore(places[at - 1]!)) {
      places[at] = places[at - 1]!;
      at--;
    }
    places[at] = candidate;
    if (this.count < RANKED_MAX) this.count++;
  }
}
