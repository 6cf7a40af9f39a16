/**
 * Users whose limit is about to be lower than what they have.
 *
 * @module
 */
import { NO_LIMIT_PAGES } from "../../pipeline/books/books.ts";
import { chargedPages } from "../../pipeline/books/charge.ts";
import { isNoLimit, type LimitRule, type LimitRules } from "../../pipeline/limits/limits.ts";
import { UserState } from "../../pipeline/memory/layout.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";

export interface LoweredUser {
  readonly uid: number;
  /** Charged. */
  readonly usagePages: number;
  /** The new limit. */
  readonly rule: LimitRule;
}

/** To be asked before the rules are published: the tables have the limits of before. */
export function loweredUsers(memory: Memory, rules: LimitRules): readonly LoweredUser[] {
  const { users } = memory;
  const lowered: LoweredUser[] = [];
  for (let slot = 0; slot < users.uid.length; slot++) {
    if (users.state[slot] === UserState.free) continue;
    const uid = users.uid[slot]! >>> 0;
    const formerPages = Atomics.load(users.hardPages, slot);
    const rule = rules.find(uid);
    if (rule === undefined || isNoLimit(rule) || formerPages === NO_LIMIT_PAGES) continue;
    const usagePages = chargedPages(users, slot);
    if (rule.hardPages < formerPages && usagePages > rule.hardPages) {
      lowered.push({ uid, usagePages, rule });
    }
  }
  return lowered;
}
