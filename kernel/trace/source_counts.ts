/**
 * The counts of several parsers, summed up into a role's counters; a restarted worker's go on
 * where its predecessor's stopped.
 *
 * @module
 */
import { CounterIndex } from "../../pipeline/memory/layout.ts";
import type { ParserCounters } from "./page_format.ts";

const COUNTED = [
  CounterIndex.events,
  CounterIndex.lifecycle,
  CounterIndex.lost,
  CounterIndex.malformed,
  CounterIndex.foreign,
] as const;

export class SourceCounts {
  private readonly counters: Float64Array;
  private readonly parsers: readonly { readonly counters: ParserCounters }[];
  /** In the order of {@link COUNTED}. */
  private readonly before: Float64Array;

  constructor(
    counters: Float64Array,
    parsers: readonly { readonly counters: ParserCounters }[],
  ) {
    this.counters = counters;
    this.parsers = parsers;
    this.before = Float64Array.from(COUNTED, (index) => counters[index]!);
  }

  /** HOT: counter by counter, as V8 allocates for numbers that are read by a name in a variable. */
  store(): void {
    const { counters, parsers, before } = this;
    let events = before[0]!;
    let lifecycle = before[1]!;
    let lost = before[2]!;
    let malformed = before[3]!;
    let foreign = before[4]!;
    for (let p = 0; p < parsers.length; p++) {
      const counted = parsers[p]!.counters;
      events += counted.events;
      lifecycle += counted.lifecycle;
      lost += counted.lost;
      malformed += counted.malformed;
      foreign += counted.foreign;
    }
    counters[CounterIndex.events] = events;
    counters[CounterIndex.lifecycle] = lifecycle;
    counters[CounterIndex.lost] = lost;
    counters[CounterIndex.malformed] = malformed;
    counters[CounterIndex.foreign] = foreign;
  }
}
