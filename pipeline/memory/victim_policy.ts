/**
 * Victim policies: which of a user's processes goes, by one measure or by several with weights.
 *
 * @module
 */

/**
 * `largest`: its end gives back most; `newest`: youngest; `growing`: gained most in the last second;
 * `culprit`: it took the page that crossed the line.
 */
export const VICTIM_POLICIES = ["largest", "newest", "growing", "culprit"] as const;
export type PolicyName = typeof VICTIM_POLICIES[number];
/** One of them, or several with weights: `largest=2,growing=1`, in the order of the names. */
export type VictimPolicy = PolicyName | `${PolicyName}=${string}`;

/** Weights are whole numbers from 1 to this. */
export const POLICY_WEIGHT_MAX = 100;

/** By policy, 0: it does not count. */
export type PolicyWeights = Readonly<Record<PolicyName, number>>;

/** The canonical text of weights: that of a single policy is its name. */
export function policyText(weights: PolicyWeights): VictimPolicy {
  const used = VICTIM_POLICIES.filter((name) => weights[name] > 0);
  if (used.length === 1) return used[0]!;
  return used.map((name) => `${name}=${weights[name]}`).join(",") as VictimPolicy;
}

/** The weights of a canonical text; undefined: it is none. */
export function policyWeights(policy: string): PolicyWeights | undefined {
  const weights = { largest: 0, newest: 0, growing: 0, culprit: 0 };
  for (const part of policy.split(",")) {
    const [name, weight] = part.includes("=") ? part.split("=") : [part, "1"];
    if (!isName(name) || weights[name] !== 0 || !/^[1-9]\d{0,2}$/.test(weight!)) return undefined;
    weights[name] = Number(weight);
    if (weights[name] > POLICY_WEIGHT_MAX) return undefined;
  }
  return weights;
}

function isName(name: string | undefined): name is PolicyName {
  return (VICTIM_POLICIES as readonly (string | undefined)[]).includes(name);
}

/** Weights as one word, a byte each; never 0. @returns 0: it is no policy. */
export function packPolicy(policy: VictimPolicy): number {
  const weights = policyWeights(policy);
  if (weights === undefined) return 0;
  return VICTIM_POLICIES.reduce((word, name, index) => word | weights[name] << index * 8, 0);
}

/** @param word As of {@link packPolicy}. */
export function unpackPolicy(word: number): VictimPolicy {
  const weights = { largest: 0, newest: 0, growing: 0, culprit: 0 };
  VICTIM_POLICIES.forEach((name, index) => weights[name] = weightIn(word, index));
  return policyText(weights);
}

/** The weight of a policy, by its index in {@link VICTIM_POLICIES}. */
export function weightIn(word: number, index: number): number {
  return word >>> index * 8 & 0xff;
}

/** Whether it matters who took the page that crossed the line. */
export function asksForCulprit(word: number): boolean {
  return weightIn(word, VICTIM_POLICIES.indexOf("culprit")) > 0;
}
