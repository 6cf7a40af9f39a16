/**
 * Many measurements as a few numbers.
 *
 * @module
 */

/** All in the unit of the values. Percentiles are nearest ranks: values that were seen. */
export interface Summary {
  readonly count: number;
  readonly min: number;
  readonly p10: number;
  readonly p25: number;
  readonly median: number;
  readonly p75: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** `undefined` when there are no values: JSON knows no NaN. */
export function summarize(values: readonly number[]): Summary | undefined {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  const rank = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]!;
  return {
    count: sorted.length,
    min: rank(0),
    p10: rank(0.1),
    p25: rank(0.25),
    median: rank(0.5),
    p75: rank(0.75),
    p90: rank(0.9),
    p99: rank(0.99),
    max: rank(1),
  };
}

/** @throws {Error} When there are no values. */
export function median(values: readonly number[]): number {
  const summary = summarize(values);
  if (summary === undefined) throw new Error("no values, no median");
  return summary.median;
}

/** Ratios of values that were measured in the same round. */
export function pairedRatios(values: readonly number[], bases: readonly number[]): number[] {
  return values.slice(0, bases.length).map((value, i) => value / bases[i]!);
}

/** As many digits as a reader needs: 3 that count, thousands apart. */
export function pretty(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const digits = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 3;
  const [whole, fraction] = value.toFixed(digits).split(".") as [string, string?];
  const spaced = whole.replace(/\B(?=(\d{3})+$)/g, " ");
  return fraction === undefined ? spaced : `${spaced}.${fraction}`;
}
