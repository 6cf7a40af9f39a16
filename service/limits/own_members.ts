/**
 * Whether users differ in what counts for them.
 *
 * @module
 */
import type { LimitRule } from "../../pipeline/limits/limits.ts";
import type { MemberMask } from "../../pipeline/memory/settings.ts";

/** @param countMask What counts for users whose limit does not say. */
export function countsOwn(rules: readonly LimitRule[], countMask: MemberMask): boolean {
  return rules.some((rule) => (rule.countMask ?? countMask) !== countMask);
}
