/**
 * The reader: the kernel's buffers in, records out. It never drops: when its ring is full it waits, the
 * kernel's buffer absorbs, and what is lost is lost there, where the kernel counts it.
 *
 * While every user is far from its limit it lets events gather for a moment after each turn that found
 * some: limits/urgency.ts.
 *
 * @module
 */
import { NAPS_MS } from "../limits/urgency.ts";
import { attachRole, BellSleeper } from "../memory/doorbell.ts";
import { CounterIndex, HeaderWord, Role, RoleWord } from "../memory/layout.ts";
import { attachCounters, type Memory } from "../memory/memory.ts";
import { RecordOutlet } from "../messages/record_outlet.ts";
import type { RecordWriter } from "../messages/record_writer.ts";
import type { Clock, TraceSource } from "../ports.ts";
import { ReadTurn } from "./read_turn.ts";

/** The kernel said so often in a row that there is data, and there was none: do not believe it. */
const FALSE_ALARMS_MAX = 8;
/** Instead of believing it, milliseconds. */
const FALSE_ALARM_REST_MS = 1;
/** Of a loss, nobody knows how many. */
const UNKNOWN_COUNT = -1;

export interface ReaderOptions {
  /** Of several, 0 for the first. */
  readonly index: number;
  /** Of this incarnation. */
  readonly epoch: number;
  readonly clock: Clock;
  /**
   * @param writer Where records go.
   * @param onPage To be called between pages.
   * @param counters Of this reader, which the source writes.
   */
  readonly openSource: (
    writer: RecordWriter,
    onPage: () => void,
    counters: Float64Array,
  ) => TraceSource;
}

export class Reader {
  private readonly header: Int32Array;
  private readonly words: Int32Array;
  private readonly counters: Float64Array;
  private readonly outlet: RecordOutlet;
  private readonly source: TraceSource;
  private readonly clock: Clock;
  private readonly bell: BellSleeper;
  private readonly turn: ReadTurn;
  private falseAlarms = 0;
  /** The last turn found something. */
  private isLively = false;

  constructor(memory: Memory, { index, epoch, clock, openSource }: ReaderOptions) {
    const role = Role.reader + index;
    this.header = memory.header;
    this.words = attachRole(memory, role);
    this.counters = attachCounters(memory, role);
    this.outlet = new RecordOutlet(memory, role, epoch, memory.plan.readerRings[index]!);
    this.clock = clock;
    this.bell = new BellSleeper(memory, role);
    this.turn = new ReadTurn(this.words);
    this.source = openSource(this.outlet.writer, () => this.outlet.publish(), this.counters);
  }

  /**
   * Begins. A successor tells of a loss, because its predecessor took data out of the pipes that never
   * became records; it has no time to rehearse.
   *
   * @param reads Rehearsed by the first.
   */
  start(reads: number): void {
    if (Atomics.load(this.words, RoleWord.epochSeen) > 0) {
      this.outlet.writer.lost(this.clock.nowNs(), this.source.firstCpu, UNKNOWN_COUNT);
      this.outlet.publish();
    } else this.rehearse(reads);
  }

  /** Goes through what must be quick, upon nobody. */
  rehearse(reads: number): void {
    this.source.rehearse(reads);
    // Of what is there, mostly nothing: calls of the kernel allocate until V8 has compiled them.
    for (let i = 0; i < reads; i++) {
      this.bell.listen();
      this.bell.sleep(0);
      this.take((i & 1) === 0);
    }
  }

  /** One turn, after a nap if events may wait. HOT. @returns Whether there was anything. */
  step(): boolean {
    this.bell.listen();
    const napMs = NAPS_MS[Atomics.load(this.header, HeaderWord.urgency)]!;
    if (this.isLively && napMs > 0) this.bell.sleep(napMs);
    this.isLively = this.take(napMs === 0) > 0;
    if (this.isLively) this.falseAlarms = 0;
    return this.isLively;
  }

  /** Waits until there is something to read. */
  sleep(timeoutMs: number): void {
    const { words } = this;
    if (this.falseAlarms > FALSE_ALARMS_MAX) {
      Atomics.wait(words, RoleWord.bell, words[RoleWord.bell]!, FALSE_ALARM_REST_MS);
    }
    if (this.source.wait(timeoutMs)) this.falseAlarms++;
    this.counters[CounterIndex.wakeups]!++;
  }

  /** HOT. @returns Bytes that were read. */
  private take(isChasing: boolean): number {
    this.turn.begin();
    const bytes = this.source.read(isChasing);
    this.outlet.publish();
    this.source.storeCounts();
    this.counters[CounterIndex.bytesRead]! += bytes;
    this.turn.end();
    return bytes;
  }
}
