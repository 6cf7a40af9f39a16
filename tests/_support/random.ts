/**
 * Randomness that can be had again.
 *
 * @module
 */

/** A small seeded generator: xorshift32. Not for anything that must be hard to guess. */
export class Random {
  private state: number;

  constructor(seed: number) {
    // Any state but 0; and close seeds should not give close sequences.
    this.state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 0) || 1;
    this.next();
    this.next();
  }

  /** 32 bits, unsigned. */
  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return x >>> 0;
  }

  /** An integer from 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor(this.next() / 2 ** 32 * limit);
  }

  /** An integer from `first` to `last`, both inclusive. */
  between(first: number, last: number): number {
    return first + this.below(last - first + 1);
  }

  /** True once in `times` on average. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  /** One of the list. */
  pick<T>(list: readonly T[]): T {
    const value = list[this.below(list.length)];
    if (value === undefined) throw new RangeError("Cannot pick from an empty list");
    return value;
  }

  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.next() >>> 11;
  }
}

/**
 * Runs the body with a few seeds, or with the one in the environment variable SEED; names the seed
 * when it fails.
 */
export function withSeeds(count: number, body: (random: Random, seed: number) => void): void {
  const given = Deno.env.get("SEED");
  const first = given === undefined ? 1 : Number(given);
  const last = given === undefined ? count : first;
  for (let seed = first; seed <= last; seed++) {
    try {
      body(new Random(seed), seed);
    } catch (cause) {
      throw new Error(`Failed with SEED=${seed}: ${cause}`, { cause });
    }
  }
}
