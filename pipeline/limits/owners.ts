/**
 * Whose a uid is: subordinate uids (subuid(5)), which rootless containers run under, count for the
 * person that they were given to; members of a group with a shared limit, and what is subordinate to
 * them, for the group's account (shared_groups.ts). Everybody else counts for itself.
 *
 * Ownership comes before limits: a subordinate uid has no limit of its own, so that a range of
 * limits does not give a person as many limits as it has subordinate uids.
 *
 * @module
 */
import { invariant } from "../memory/invariant.ts";
import {
  OWNER_WORDS,
  OWNERS_BANK_WORDS,
  OWNERS_MAX,
  OWNERS_REGION_WORDS,
  OwnersWord,
} from "../memory/layout.ts";
import type { UidRange } from "./limits.ts";
import type { SharedGroup } from "./shared_groups.ts";

/** Uids that count for another. */
export interface OwnerRange extends UidRange {
  readonly ownerUid: number;
}

/** What {@link OwnerTable.make} could not use, in words for the log. */
export interface MadeOwners {
  readonly table: OwnerTable;
  readonly problems: readonly string[];
}

/** Sorted and disjoint ranges, at most {@link OWNERS_MAX}. Frozen. */
export class OwnerTable {
  static readonly none = new OwnerTable([]);
  readonly ranges: readonly OwnerRange[];

  private constructor(ranges: readonly OwnerRange[]) {
    this.ranges = Object.freeze(ranges);
  }

  /**
   * Makes a table of what a file says.
   *
   *  - A uid that two owners claim is the one's whose range begins lower.
   *  - A uid that somebody has by name is nobody's subordinate: such a person's processes must not
   *    count for another.
   *
   * @param given In any order.
   * @param people Uids that have a name; owners need not be among them.
   */
  static make(given: readonly OwnerRange[], people: Iterable<number>): MadeOwners {
    const problems: string[] = [];
    const sorted = [...given].sort((a, b) => a.uidFirst - b.uidFirst || a.uidLast - b.uidLast);
    const named = new Set(people);
    for (const { ownerUid } of sorted) named.add(ownerUid);
    const taken = [...named].sort((a, b) => a - b);
    const ranges: OwnerRange[] = [];
    let free = 0;
    let lastOwner = -1;
    let at = 0;
    const add = (uidFirst: number, uidLast: number, ownerUid: number): void => {
      if (uidFirst > uidLast) return;
      const last = ranges.at(-1);
      if (last !== undefined && last.ownerUid === ownerUid && last.uidLast + 1 === uidFirst) {
        ranges[ranges.length - 1] = { ...last, uidLast };
      } else ranges.push({ uidFirst, uidLast, ownerUid });
    };
    for (const { uidFirst, uidLast, ownerUid } of sorted) {
      if (uidFirst < free && ownerUid !== lastOwner) {
        problems.push(
          `uids from ${uidFirst} are given to uid ${lastOwner} and to uid ${ownerUid}: they ` +
            `count for uid ${lastOwner}`,
        );
      }
      let from = Math.max(uidFirst, free);
      if (from > uidLast) continue;
      while (at < taken.length && taken[at]! < from) at++;
      for (; at < taken.length && taken[at]! <= uidLast; at++) {
        add(from, taken[at]! - 1, ownerUid);
        from = taken[at]! + 1;
      }
      add(from, uidLast, ownerUid);
      free = uidLast + 1;
      lastOwner = ownerUid;
    }
    if (ranges.length > OWNERS_MAX) {
      problems.push(
        `there is room for ${OWNERS_MAX} ranges, ${ranges.length - OWNERS_MAX} are left out`,
      );
      ranges.length = OWNERS_MAX;
    }
    return { table: new OwnerTable(ranges), problems };
  }

  /**
   * The same with members of groups, and what is subordinate to them, counting for their group. Who is
   * a member of two counts for the first.
   */
  withGroups(groups: readonly SharedGroup[]): MadeOwners {
    if (groups.length === 0) return { table: this, problems: [] };
    const accounts = new Map<number, number>();
    for (const { accountUid, memberUids } of groups) {
      for (const uid of memberUids) if (!accounts.has(uid)) accounts.set(uid, accountUid);
    }
    const subordinate = this.ranges.map(({ uidFirst, uidLast, ownerUid }) => ({
      uidFirst,
      uidLast,
      ownerUid: accounts.get(ownerUid) ?? ownerUid,
    }));
    const apart = OwnerTable.make(subordinate, accounts.keys());
    const members = [...accounts].map(([uid, ownerUid]) => ({
      uidFirst: uid,
      uidLast: uid,
      ownerUid,
    }));
    const made = OwnerTable.make([...apart.table.ranges, ...members], []);
    return { table: made.table, problems: [...apart.problems, ...made.problems] };
  }

  /** The range that all of some uids lie in. */
  covering({ uidFirst, uidLast }: UidRange): OwnerRange | undefined {
    let low = 0;
    let high = this.ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.ranges[middle]!.uidLast < uidFirst) low = middle + 1;
      else high = middle;
    }
    const range = this.ranges[low];
    return range !== undefined && range.uidFirst <= uidFirst && uidLast <= range.uidLast
      ? range
      : undefined;
  }

  /** Whom a uid counts for. */
  ownerOf(uid: number): number {
    return this.covering({ uidFirst: uid, uidLast: uid })?.ownerUid ?? uid;
  }

  /** Whether another table says the same. */
  equals(other: OwnerTable): boolean {
    return this.ranges.length === other.ranges.length &&
      this.ranges.every((range, index) => {
        const { uidFirst, uidLast, ownerUid } = other.ranges[index]!;
        return range.uidFirst === uidFirst && range.uidLast === uidLast &&
          range.ownerUid === ownerUid;
      });
  }
}

// ---------------------------------------------------------------------------------------------
// Publication: two banks. The supervisor writes the one that nobody reads and then raises the
// generation, whose lowest bit says which bank holds. Who reads while it is raised looks again: no
// reader waits for the writer, and none keeps a copy.
// ---------------------------------------------------------------------------------------------

function bankOf(generation: number): number {
  return OwnersWord.banks + (generation & 1) * OWNERS_BANK_WORDS;
}

/** The supervisor's end. One at a time. */
export class OwnersPublisher {
  private readonly words: Int32Array;

  /** @param words {@link OWNERS_REGION_WORDS} of shared memory. */
  constructor(words: Int32Array) {
    invariant(words.length === OWNERS_REGION_WORDS, `owners: a region of ${words.length} words`);
    this.words = words;
  }

  /** Replaces what is published. */
  publish({ ranges }: OwnerTable): void {
    const { words } = this;
    const generation = (Atomics.load(words, OwnersWord.generation) + 1) | 0;
    let word = bankOf(generation);
    Atomics.store(words, word++, ranges.length);
    for (const { uidFirst, uidLast, ownerUid } of ranges) {
      Atomics.store(words, word, uidFirst | 0);
      Atomics.store(words, word + 1, uidLast | 0);
      Atomics.store(words, word + 2, ownerUid | 0);
      word += OWNER_WORDS;
    }
    Atomics.store(words, OwnersWord.generation, generation);
  }
}

/** A worker's end. Allocates at construction only. */
export class OwnersView {
  private readonly words: Int32Array;

  /** @param words {@link OWNERS_REGION_WORDS} of shared memory. */
  constructor(words: Int32Array) {
    invariant(words.length === OWNERS_REGION_WORDS, `owners: a region of ${words.length} words`);
    this.words = words;
  }

  /**
   * Whom a uid counts for, as published last. HOT.
   *
   * @param uid Unsigned. @returns Unsigned; the uid itself when it is nobody's subordinate.
   */
  ownerOf(uid: number): number {
    const { words } = this;
    let generation = Atomics.load(words, OwnersWord.generation);
    for (;;) {
      const owner = this.search(bankOf(generation), uid);
      const now = Atomics.load(words, OwnersWord.generation);
      if (now === generation) return owner;
      generation = now;
    }
  }

  private search(bank: number, uid: number): number {
    const { words } = this;
    let low = 0;
    let high = Atomics.load(words, bank);
    while (low < high) {
      const middle = (low + high) >>> 1;
      const row = bank + 1 + middle * OWNER_WORDS;
      if (Atomics.load(words, row + 1) >>> 0 < uid) low = middle + 1;
      else if (Atomics.load(words, row) >>> 0 > uid) high = middle;
      else return Atomics.load(words, row + 2) >>> 0;
    }
    return uid;
  }
}
