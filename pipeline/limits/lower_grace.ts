/**
 * Limits that were lowered below what a user has: programs that ask are held to the new one at once,
 * and the user's soft limit is the new one, but its hard limit stays the former one for a while, so that
 * it may give memory back before it loses a process.
 *
 * A grace ends when its time is over, when the user has come below the new limit, or when the limit is
 * raised again. Another lowering within a grace does not prolong it. There is none for a first limit:
 * whoever had none, or was not known, is over the limit at once.
 *
 * Its end is kept in the user's row, so that another accounting goes on with it.
 *
 * @module
 */
import { type Books, NO_LIMIT_PAGES } from "../books/books.ts";
import { chargedPages } from "../books/charge.ts";
import type { LimitRule } from "./limits.ts";
import type { RulesView } from "./published_rules.ts";

/** While there is a grace, users are compared with their new limits so often. */
const LOOK_EVERY_NS = 100e6;

export class LowerGrace {
  /** When {@link takeOver} is to be asked next. */
  nextNs = 0;
  private readonly books: Books;
  private readonly rules: RulesView;
  private nextSlot = 0;

  constructor(books: Books, rules: RulesView) {
    this.books = books;
    this.rules = rules;
  }

  /**
   * The hard limit that counts for a user from now on, pages.
   *
   * @param rule That holds for it by what was published; undefined: none.
   */
  hardPages(userSlot: number, rule: LimitRule | undefined, nowNs: number): number {
    const { users } = this.books;
    if (rule === undefined) {
      users.graceUntilNs[userSlot] = 0;
      return NO_LIMIT_PAGES;
    }
    const formerPages = users.hardPages[userSlot]!;
    if (this.isGiven(userSlot, rule, formerPages, nowNs)) return formerPages;
    users.graceUntilNs[userSlot] = 0;
    return rule.hardPages;
  }

  private isGiven(
    userSlot: number,
    rule: LimitRule,
    formerPages: number,
    nowNs: number,
  ): boolean {
    const { users } = this.books;
    const isLowered = formerPages !== NO_LIMIT_PAGES && rule.hardPages < formerPages;
    if (!isLowered || rule.isAtOnce === true) return false;
    const untilNs = users.graceUntilNs[userSlot]!;
    if (untilNs > nowNs && !this.isKnown(userSlot)) return this.lookAgain(nowNs);
    if (chargedPages(users, userSlot) <= rule.hardPages) return false;
    if (untilNs !== 0) return untilNs > nowNs && this.lookAgain(nowNs);
    const { lowerGraceMs } = this.rules.settings;
    if (lowerGraceMs === 0) return false;
    users.graceUntilNs[userSlot] = nowNs + lowerGraceMs * 1e6;
    return this.lookAgain(nowNs);
  }

  /** Whether its books may say that it has come below: those of a successor are read anew first. */
  private isKnown(userSlot: number): boolean {
    const { processCount, doubtTsNs } = this.books.users;
    return processCount[userSlot] !== 0 && doubtTsNs[userSlot] === 0;
  }

  private lookAgain(nowNs: number): true {
    this.nextNs = Math.min(this.nextNs, nowNs + LOOK_EVERY_NS);
    return true;
  }

  /**
   * The next user whose grace is over, or who has come below its new limit.
   *
   * @returns Its slot; -1 when there is none any more, until {@link nextNs}.
   */
  takeOver(nowNs: number): number {
    const { users, userSlots } = this.books;
    if (this.nextSlot === 0) this.nextNs = Infinity;
    while (this.nextSlot < userSlots.highWater) {
      const slot = this.nextSlot++;
      const untilNs = users.graceUntilNs[slot]!;
      if (untilNs === 0) continue;
      if (untilNs <= nowNs) return slot;
      const hardPages = this.rules.hardPagesOf(users.uid[slot]!);
      if (this.isKnown(slot) && chargedPages(users, slot) <= hardPages) return slot;
      this.lookAgain(nowNs);
    }
    this.nextSlot = 0;
    return -1;
  }
}
