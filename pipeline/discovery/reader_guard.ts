/**
 * Finds out that somebody else reads the pipes of pages, which takes the events away from toom: the
 * kernel counts what was read by anybody, toom what it has got. (Where toom reads text, the kernel
 * lets nobody else do so.)
 *
 * The two are not read at one moment, so a look gives bounds of their difference. What the readers had
 * counted before the kernel was asked gives an upper bound. What they have counted afterwards gives a
 * lower bound, but only if each of them has been outside of its turn of reading in between: within a
 * turn it has taken events that it has not counted, for as long as it stands still. Of readers that
 * never rest, several looks give a lower bound, as a turn takes no more than so much.
 *
 * @module
 */
import { attachRole } from "../memory/doorbell.ts";
import { CounterIndex, Role, RoleWord } from "../memory/layout.ts";
import { attachCounters, type Memory } from "../memory/memory.ts";
import type { TraceCounts } from "../ports.ts";
import { isWithinTurn, turnsEnded } from "../reading/read_turn.ts";

/** Looks in a row that a verdict about readers that never rest rests on. */
const BUSY_LOOKS = 25;
/** In one of these looks at least, their turns have taken fewer events than that. */
const IN_FLIGHT_EVENTS_MAX = 16_384;
/** Who goes on reading is told of at most this often, with all that it has read meanwhile. */
const TOLD_EVERY_NS = 1e9;

interface WatchedReader {
  readonly words: Int32Array;
  readonly counters: Float64Array;
  /** As of the last look that counted. */
  turnsEnded: number;
}

export class ReaderGuard {
  private readonly counts: TraceCounts;
  private readonly readers: readonly WatchedReader[];
  /** Sum of the readers' epochs; at first as if all were the first. */
  private epochs: number;
  /** Events by which the kernel may be ahead for a known reason, at least as many as it is. */
  private known = 0;
  private readBefore = 0;
  private reportedNs = -Infinity;
  /** Of readers that do not rest: looks in a row, and by how much the kernel was ahead in each. */
  private busyLooks = 0;
  private readonly busyAhead = new Float64Array(BUSY_LOOKS);

  constructor(memory: Memory, counts: TraceCounts) {
    this.counts = counts;
    this.readers = Array.from({ length: memory.plan.capacity.readers }, (_, index) => ({
      words: attachRole(memory, Role.reader + index),
      counters: attachCounters(memory, Role.reader + index),
      turnsEnded: 0,
    }));
    this.epochs = this.readers.length;
  }

  /** @returns What is to be told: somebody reads, or has emptied the buffers. */
  check(nowNs: number): string | undefined {
    const gotBefore = this.eventsGot();
    const read = this.counts.eventsRead();
    if (read < 0) return undefined;
    const isAtRest = this.areAtRest();
    const hasMoved = isAtRest || this.haveMoved();
    const ahead = read - this.eventsGot();
    const aheadMost = read - gotBefore;
    const wasEmptied = read < this.readBefore;
    this.readBefore = read;
    // What a reader had taken when it ended was never counted.
    if (wasEmptied || !this.areTheSame()) this.restart(aheadMost);
    if (wasEmptied) return "the buffers were emptied";
    const leastAhead = isAtRest ? ahead : hasMoved ? this.busy(ahead) : -Infinity;
    if (isAtRest) this.busyLooks = 0;
    const stolen = leastAhead - this.known;
    if (stolen > 0) {
      if (nowNs - this.reportedNs < TOLD_EVERY_NS) return undefined;
      this.reportedNs = nowNs;
      this.restart(aheadMost);
      return `${stolen} events were read by somebody else`;
    }
    this.known = Math.min(this.known, aheadMost);
    return undefined;
  }

  /** Takes a look at busy readers. @returns By how much the kernel is ahead at least. */
  private busy(ahead: number): number {
    this.busyAhead[this.busyLooks++ % BUSY_LOOKS] = ahead;
    if (this.busyLooks < BUSY_LOOKS) return -Infinity;
    return this.busyAhead.reduce((least, one) => Math.min(least, one)) - IN_FLIGHT_EVENTS_MAX;
  }

  private restart(known: number): void {
    this.known = known;
    this.busyLooks = 0;
  }

  /** Whether all readers are outside of their turns, each at some moment of this call. */
  private areAtRest(): boolean {
    for (const { words } of this.readers) if (isWithinTurn(words)) return false;
    return true;
  }

  /** Whether each reader rests or has ended a turn since the last look that found so. */
  private haveMoved(): boolean {
    for (const reader of this.readers) {
      if (isWithinTurn(reader.words) && turnsEnded(reader.words) === reader.turnsEnded) {
        return false;
      }
    }
    for (const reader of this.readers) reader.turnsEnded = turnsEnded(reader.words);
    return true;
  }

  private eventsGot(): number {
    let sum = 0;
    for (const { counters } of this.readers) {
      sum += counters[CounterIndex.events]! + counters[CounterIndex.lifecycle]! +
        counters[CounterIndex.malformed]! + counters[CounterIndex.foreign]!;
    }
    return sum;
  }

  /** Whether the readers are those of the last look. */
  private areTheSame(): boolean {
    let epochs = 0;
    for (const { words } of this.readers) epochs += Atomics.load(words, RoleWord.epoch);
    const isSame = epochs === this.epochs;
    this.epochs = epochs;
    return isSame;
  }
}
