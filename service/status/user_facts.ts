/**
 * What the shared memory and the limits tell of one user, for the receipt of a kill and for whoever asks
 * about that user alone.
 *
 * @module
 */
import {
  formatUidRange,
  isNoLimit,
  type LimitRule,
  LimitRules,
  sameUids,
} from "../../pipeline/limits/limits.ts";
import { TABLE_HEADER_BYTES, TableWord, UserState } from "../../pipeline/memory/layout.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";
import type { UserFacts } from "../journal/events.ts";
import type { OriginRule } from "../limits/origin_rule.ts";

/** The row of a user; -1: nothing is known of it. @param uid That it counts for, unsigned. */
export function userSlotOf({ users, buffer, plan }: Memory, uid: number): number {
  const header = new Int32Array(buffer, plan.users, TABLE_HEADER_BYTES / 4);
  const highWater = Atomics.load(header, TableWord.highWater);
  for (let slot = 0; slot < highWater; slot++) {
    if (users.uid[slot]! >>> 0 !== uid) continue;
    if (Atomics.load(users.state, slot) !== UserState.free) return slot;
  }
  return -1;
}

/** The rule that holds for a user. @param rules Those in force. */
export function ruleOf(rules: readonly OriginRule[], uid: number): OriginRule | undefined {
  const found = new LimitRules();
  for (const rule of rules) found.set(rule);
  const rule: LimitRule | undefined = found.find(uid);
  return rule && rules.find((one) => sameUids(one, rule));
}

/** A rule for people: its uids, and who asked for it. */
export function ruleText(rule: OriginRule): string {
  const by = rule.origin === "control"
    ? "toom limit set"
    : rule.origin === "config"
    ? rule.place ?? "a file"
    : "toom run --limit";
  return `${formatUidRange(rule)}${isNoLimit(rule) ? " without a limit" : ""} by ${by}`;
}

/** As of now. @param rules Those in force. */
export function userFacts(memory: Memory, uid: number, rules: readonly OriginRule[]): UserFacts {
  const { users } = memory;
  const slot = userSlotOf(memory, uid);
  const rule = ruleOf(rules, uid);
  return {
    softPages: slot < 0 ? 0 : users.softPages[slot]!,
    promisedPages: slot < 0 ? 0 : Atomics.load(users.promisedPages, slot),
    peakPages: slot < 0 ? 0 : users.peakPages[slot]!,
    processes: slot < 0 ? 0 : users.processCount[slot]!,
    rule: rule === undefined ? null : ruleText(rule),
  };
}
