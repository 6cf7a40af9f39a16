/**
 * Who should go: the order of a user's processes under each victim policy, and under rules that
 * prefer, avoid or protect (../rules/tag.ts).
 *
 * @module
 */
import { ownPages } from "../books/charge.ts";
import { gainedPages } from "../books/growth.ts";
import { ProcessState } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import type { VictimPolicy } from "../memory/settings.ts";
import { packPolicy, unpackPolicy } from "../memory/victim_policy.ts";
import { effectOf, tagOf, weightOf } from "../rules/tag.ts";
import { Effect } from "../rules/victim_rule.ts";
import { UserRows } from "../books/user_rows.ts";
import { type ScoredRows, Scores } from "./scores.ts";

/** Candidates kept of a ranking: the victim and those that were weighed beside it. */
export const RANKED_MAX = 8;

/** {@link Candidate.first} of one that a rule prefers, and its weight: more than any volunteer has. */
const PREFERRED = 10_000;

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
  /** How much sooner than all others it goes: 0; the score of a volunteer; of a preferred one more. */
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
  /** Processes that a rule protects have memory of the user. */
  hasProtected = false;
  /**
   * Avoided processes of at most this weight were ranked with the others, which do not suffice
   * without; 0: none was.
   */
  avoidsUpTo = 0;
  /** Row of the process that took the page that crossed the line; -1: nobody knows. */
  culprit = -1;
  /** {@link best}, and behind them one to fill. */
  private readonly places: Candidate[] = Array.from(
    { length: RANKED_MAX + 1 },
    () => new Candidate(),
  );
  private readonly memory: Memory;
  private readonly scores: Scores;
  /** As of {@link policy}. */
  private policyWord = 0;
  private readonly userRows: UserRows;
  // What one pass over the rows has found.
  /** Charged pages of those that are ranked. */
  private rankedPages = 0;
  /** What those that are kept out have grown by within the last second. */
  private keptGrowthPages = 0;
  /** Least weight of those that were avoided; 0: none was. */
  private nextWeight = 0;

  constructor(memory: Memory, policy: VictimPolicy) {
    this.memory = memory;
    this.policy = policy;
    this.scores = new Scores(memory);
    this.userRows = new UserRows(memory);
    this.best = this.places;
  }

  /** Of users whose limits do not say. */
  set policy(policy: VictimPolicy) {
    this.policyWord = packPolicy(policy);
  }

  /** What counts for a user. */
  policyOf(userSlot: number): VictimPolicy {
    return unpackPolicy(this.policyWordOf(userSlot));
  }

  /** As {@link policyOf}, packed. */
  policyWordOf(userSlot: number): number {
    return this.memory.users.victimPolicy[userSlot]! || this.policyWord;
  }

  /**
   * Ranks the living processes of a user that hold counted pages. Reads the tables while
   * accounting changes them: every candidate is checked again before anything is done to it.
   *
   * Whom a rule protects is not ranked. Whom one avoids is, when all others together would not bring
   * the user under its limit, and not only for the moment: what the avoided have grown by within the
   * last second would be grown by again.
   *
   * @param nowNs Time of the newest event or of the clock, for `growing`.
   * @param leavesOut Says who must be left out; undefined: nobody.
   * @param leastPages Those that would give back less are left out, and one of the others suffices; 0:
   *   none of those with memory is.
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
    const list = this.userRows.of(userSlot);
    this.scores.begin(this.policyWordOf(userSlot), userSlot, list, nowNs, this.culprit);
    for (this.avoidsUpTo = 0;; this.avoidsUpTo = this.nextWeight) {
      this.pass(list, userSlot, nowNs, leavesOut, leastPages, firstOf, needPages);
      if (this.nextWeight === 0) return;
      const isEnough = leastPages > 0
        ? this.count > 0
        : this.rankedPages >= needPages + this.keptGrowthPages;
      if (isEnough) return;
    }
  }

  /** Ranks those that are not avoided by more than {@link avoidsUpTo}. */
  private pass(
    { rows, count }: ScoredRows,
    userSlot: number,
    nowNs: number,
    leavesOut: LeavesOut | undefined,
    leastPages: number,
    firstOf: ((processSlot: number, generation: number) => number) | undefined,
    needPages: number,
  ): void {
    const { processes } = this.memory;
    const { userSlot: owner, state, pages, sharedPages, generation, tgid } = processes;
    this.count = 0;
    this.rankedPages = this.keptGrowthPages = this.nextWeight = 0;
    this.hasProtected = false;
    for (let i = 0; i < count; i++) {
      const slot = rows[i]!;
      if (owner[slot] !== userSlot || state[slot] === ProcessState.free) continue;
      const heldPages = pages[slot]!;
      if (heldPages <= 0 || tgid[slot]! <= 0) continue;
      if (leavesOut !== undefined && leavesOut(slot, generation[slot]!)) continue;
      const tag = tagOf(processes, slot);
      const effect = effectOf(tag);
      if (effect >= Effect.avoid && this.isKept(slot, tag, effect, nowNs)) continue;
      const shared = sharedPages[slot]!;
      const freesPages = shared < heldPages ? heldPages - shared : 0;
      if (freesPages < leastPages) continue;
      this.rankedPages += ownPages(processes, slot);
      const candidate = this.places[this.count]!;
      candidate.slot = slot;
      candidate.generation = generation[slot]!;
      candidate.pid = tgid[slot]!;
      candidate.pages = heldPages;
      candidate.freesPages = freesPages;
      candidate.score = this.scores.of(slot, freesPages);
      if (freesPages < needPages) candidate.first = 0;
      else if (effect === Effect.prefer) candidate.first = PREFERRED + weightOf(tag);
      else candidate.first = firstOf === undefined ? 0 : firstOf(slot, generation[slot]!);
      this.moveUp(candidate);
    }
  }

  /** Whether a process that a rule avoids or protects is kept out of this pass. */
  private isKept(slot: number, tag: number, effect: Effect, nowNs: number): boolean {
    if (effect === Effect.avoid) {
      const weight = weightOf(tag);
      if (weight <= this.avoidsUpTo) return false;
      if (this.nextWeight === 0 || weight < this.nextWeight) this.nextWeight = weight;
    } else this.hasProtected = true;
    this.keptGrowthPages += Math.max(0, gainedPages(this.memory.processes, slot, nowNs));
    return true;
  }

  /** Whether a process is avoided, and was not ranked. */
  avoids(slot: number): boolean {
    const tag = tagOf(this.memory.processes, slot);
    return effectOf(tag) === Effect.avoid && weightOf(tag) > this.avoidsUpTo;
  }

  /** Pages gained in the last second (7/8 to 1 of it); negative when it shrank. */
  gainedPages(slot: number, nowNs: number): number {
    return gainedPages(this.memory.processes, slot, nowNs);
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
