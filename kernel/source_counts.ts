/**
 * The counts of several parsers, summed up into a role's counters; a restarted worker's go on
 * where its predecessor's stopped.
 *
 * @module
 */
import { CounterIndex } from "../pipeline/layout.ts";
import type { ParserCounters } from "./page_format.ts";

const COUNTED = [
  ["events", CounterIndex.events],
  ["lifecycle", CounterIndex.lifecycle],
  ["lost", CounterIndex.lost],
  ["malformed", CounterIndex.malformed],
  ["foreign", CounterIndex.foreign],
] as const;

export class SourceCounts {
  private readonly counters: Float64Array;
  private readonly parsers: readonly { readonly counters: ParserCounters }[];
  private readonly before: Float64Array;

  constructor(
    counters: Float64Array,
    parsers: readonly { readonly counters: ParserCounters }[],
  ) {
    this.counters = counters;
    this.parsers = parsers;
    this.before = Float64Array.from(COUNTED, ([, index]) => counters[index]!);
  }

  store(): void {
    for (let i = 0; i < COUNTED.length; i++) {
      const [name, index] = COUNTED[i]!;
      let sum = this.before[i]!;
      for (let p = 0; p < this.parsers.length; p++) sum += this.parsers[p]!.counters[name];
      this.counters[index] = sum;
    }
  }
}
