/**
 * Who should go: the order of a user's processes under each victim policy.
 *
 * @module
 */
import { givesBackPages } from "./charge.ts";
import { GROWTH_BUCKET_NS, GROWTH_BUCKETS, ProcessState } from "./layout.ts";
import type { Memory } from "./memory.ts";
import { UserRows } from "./user_rows.ts";

export const VICTIM_POLICIES = ["largest", "newest", "growing"] as const;
/** `largest`: most counted pages; `newest`: youngest; `growing`: most gained in the last second. */
export type VictimPolicy = typeof VICTIM_POLICIES[number];

/** Candidates kept of a ranking: the victim and those that were weighed beside it. */
export const RANKED_MAX = 8;

/** The best candidates of one user, best first. Reused from ranking to ranking. */
export class Ranking {
  count = 0;
  readonly processSlots = new Int32Array(RANKED_MAX);
  readonly generations = new Int32Array(RANKED_MAX);
  readonly pids = new Int32Array(RANKED_MAX);
  readonly pages = new Float64Array(RANKED_MAX);
  private readonly scores = new Float64Array(RANKED_MAX);
  private readonly firsts = new Int32Array(RANKED_MAX);
  private readonly memory: Memory;
  private readonly policy: VictimPolicy;
  private readonly userRows: UserRows;

  constructor(memory: Memory, policy: VictimPolicy) {
    this.memory = memory;
    this.policy = policy;
    this.userRows = new UserRows(memory);
  }

  /**
   * Ranks the living processes of a user that hold counted pages. Reads the tables while
   * accounting changes them: every candidate is checked again before anything is done to it.
   *
   * @param nowNs Time of the newest event or of the clock, for `growing`.
   * @param spare Says whether a process (slot, generation) must be left out.
   * @param leastPages Those that would give back less are left out; 0: none of those with memory.
   * @param firstOf Of those that would give back {@link needPages}: 0, or how much sooner than all
   *   others it goes (slot, generation).
   */
  rank(
    userSlot: number,
    nowNs: number,
    spare: (processSlot: number, generation: number) => boolean,
    leastPages = 0,
    firstOf?: (processSlot: number, generation: number) => number,
    needPages = 1,
  ): void {
    const { processes } = this.memory;
    const { userSlot: owner, state, pages, generation, tgid } = processes;
    this.count = 0;
    const { rows, count } = this.userRows.of(userSlot);
    for (let i = 0; i < count; i++) {
      const slot = rows[i]!;
      if (owner[slot] !== userSlot || state[slot] === ProcessState.free) continue;
      if (pages[slot]! <= 0 || tgid[slot]! <= 0) continue;
      if (leastPages > 0 && givesBackPages(processes, slot) < leastPages) continue;
      if (spare(slot, generation[slot]!)) continue;
      const first = firstOf !== undefined && givesBackPages(processes, slot) >= needPages
        ? firstOf(slot, generation[slot]!)
        : 0;
      this.insert(slot, this.score(slot, nowNs), first);
    }
  }

  private score(slot: number, nowNs: number): number {
    const { processes } = this.memory;
    switch (this.policy) {
      case "largest":
        return givesBackPages(processes, slot);
      case "newest": {
        // Start ticks of /proc are coarse and absent for what was born under our eyes.
        return processes.bornTsNs[slot]!;
      }
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

  private insert(slot: number, score: number, first: number): void {
    const { scores, firsts, processSlots, generations, pids, pages } = this;
    const { processes } = this.memory;
    let at = this.count;
    // Ties go to the larger, then to the younger number, so that the order is total.
    const better = (other: number): boolean =>
      first !== firsts[other]! ? first > firsts[other]! : score > scores[other]! ||
        (score === scores[other]! && processes.pages[slot]! > pages[other]!);
    while (at > 0 && better(at - 1)) at--;
    if (at >= RANKED_MAX) return;
    const last = Math.min(this.count, RANKED_MAX - 1);
    for (let i = last; i > at; i--) {
      scores[i] = scores[i - 1]!;
      firsts[i] = firsts[i - 1]!;
      processSlots[i] = processSlots[i - 1]!;
      generations[i] = generations[i - 1]!;
      pids[i] = pids[i - 1]!;
      pages[i] = pages[i - 1]!;
    }
    scores[at] = score;
    firsts[at] = first;
    processSlots[at] = slot;
    generations[at] = processes.generation[slot]!;
    pids[at] = processes.tgid[slot]!;
    pages[at] = processes.pages[slot]!;
    if (this.count < RANKED_MAX) this.count++;
  }
}
