/**
 * What makes a process go sooner than another of the same user, by policy: one measure, or several of
 * which each counts by its weight.
 *
 * @module
 */
import { gainedPages } from "../books/growth.ts";
import { ProcessState } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import { VICTIM_POLICIES, weightIn } from "../memory/victim_policy.ts";

const Policy = {
  largest: VICTIM_POLICIES.indexOf("largest"),
  newest: VICTIM_POLICIES.indexOf("newest"),
  growing: VICTIM_POLICIES.indexOf("growing"),
  culprit: VICTIM_POLICIES.indexOf("culprit"),
} as const;
/** More than any process has pages: the culprit goes before all others. */
const CULPRIT_SCORE = 2 ** 40;

/** The rows of a user, as UserRows gives them. */
export interface ScoredRows {
  readonly rows: Int32Array;
  readonly count: number;
}

export class Scores {
  private readonly memory: Memory;
  /** Packed weights in force; see {@link begin}. */
  private policy = 0;
  /** The policy that alone counts; -1: several do. */
  private single: number = Policy.largest;
  private nowNs = 0;
  /** Slot of the process that took the page that crossed the line; -1: nobody knows. */
  private culprit = -1;
  // Of a mixed policy: the largest of each measure, so that each is from 0 to 1.
  private freesMost = 1;
  private gainedMost = 1;
  private oldestNs = 0;
  private newestNs = 1;

  constructor(memory: Memory) {
    this.memory = memory;
  }

  /**
   * Scores of the processes of one user from here on.
   *
   * @param policy Packed weights.
   * @param culprit Row of the process that took the page that crossed; -1: nobody knows.
   */
  begin(
    policy: number,
    userSlot: number,
    list: ScoredRows,
    nowNs: number,
    culprit: number,
  ): void {
    this.nowNs = nowNs;
    this.culprit = culprit;
    if (policy !== this.policy) {
      this.policy = policy;
      this.single = singleOf(policy);
    }
    if (this.single < 0) this.measure(userSlot, list);
  }

  /** @param freesPages What its end gives back. HOT. */
  of(slot: number, freesPages: number): number {
    switch (this.single) {
      case Policy.largest:
        return freesPages;
      case Policy.newest:
        // Start ticks of /proc are coarse and absent for what was born under our eyes.
        return this.memory.processes.bornTsNs[slot]!;
      case Policy.growing:
        return gainedPages(this.memory.processes, slot, this.nowNs);
      case Policy.culprit:
        return slot === this.culprit ? CULPRIT_SCORE : freesPages;
      default:
        return this.mixed(slot, freesPages);
    }
  }

  private mixed(slot: number, freesPages: number): number {
    const { policy, memory: { processes } } = this;
    const gained = Math.max(0, gainedPages(processes, slot, this.nowNs));
    const age = this.newestNs - this.oldestNs;
    return weightIn(policy, Policy.largest) * freesPages / this.freesMost +
      weightIn(policy, Policy.newest) *
        (age <= 0 ? 0 : (processes.bornTsNs[slot]! - this.oldestNs) / age) +
      weightIn(policy, Policy.growing) * gained / this.gainedMost +
      (slot === this.culprit ? weightIn(policy, Policy.culprit) : 0);
  }

  private measure(userSlot: number, { rows, count }: ScoredRows): void {
    const { userSlot: owner, state, pages, sharedPages, bornTsNs } = this.memory.processes;
    this.freesMost = this.gainedMost = 1;
    this.oldestNs = Infinity;
    this.newestNs = -Infinity;
    for (let i = 0; i < count; i++) {
      const slot = rows[i]!;
      if (owner[slot] !== userSlot || state[slot] === ProcessState.free || pages[slot]! <= 0) {
        continue;
      }
      this.freesMost = Math.max(this.freesMost, pages[slot]! - sharedPages[slot]!);
      this.gainedMost = Math.max(
        this.gainedMost,
        gainedPages(this.memory.processes, slot, this.nowNs),
      );
      this.oldestNs = Math.min(this.oldestNs, bornTsNs[slot]!);
      this.newestNs = Math.max(this.newestNs, bornTsNs[slot]!);
    }
  }
}

function singleOf(policy: number): number {
  let single = -1;
  for (let index = 0; index < VICTIM_POLICIES.length; index++) {
    if (weightIn(policy, index) === 0) continue;
    if (single >= 0) return -1;
    single = index;
  }
  return single;
}
