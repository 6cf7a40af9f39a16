/**
 * Victim policies in words.
 *
 * @module
 */
import { policyWeights, VICTIM_POLICIES } from "../pipeline/memory/victim_policy.ts";
import { harmless } from "../service/fields/show.ts";

/** Behind "because". */
const REASONS = {
  largest: "its end gives back most",
  newest: "it was born last",
  growing: "it gained most within the last second",
  culprit: "it took the page that crossed the line",
} as const;

/** `its end gives back most (--victim largest)`, to stand behind "because". */
export function policyReason(policy: string): string {
  const weights = policyWeights(policy);
  // By a toom that knows others.
  if (weights === undefined) return `it was first by --victim ${harmless(policy)}`;
  const used = VICTIM_POLICIES.filter((name) => weights[name] > 0);
  const reason = used.length === 1 ? REASONS[used[0]!] : "it was first by the sum of measures";
  return `${reason} (--victim ${policy})`;
}
