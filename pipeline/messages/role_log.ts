/**
 * What accounting, killer and sweeper write down for recordings: in which order they took what, when,
 * what the kernel answered, and what rules say of a process. Each has a ring of its own that nobody empties: the writer goes round and round
 * and waits for nobody, and who reads too slowly sees that it has missed some.
 *
 * Nothing is written while nobody records: one load of the header.
 *
 * @module
 */
import {
  CounterIndex,
  HeaderWord,
  RECORD_WORDS,
  RecordKind,
  RecordWord,
  RING_HEADER_BYTES,
  RingWord,
  Role,
} from "../memory/layout.ts";
import { attachCounters, type Memory } from "../memory/memory.ts";
import type { RingPlace } from "../memory/ring.ts";

/** A run of steps that took from one ring only is written down at least so often. */
const RUN_NS_MAX = 10e6;
const AGE_NS_MAX = 0x7fffffff;
const NOBODY = -1;
const SWEEPER = -2;

/** The writing end of one role. One thread at a time. */
export class RoleLog {
  private readonly header: Int32Array;
  private readonly ring: Int32Array;
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly mask: number;
  private cursor: number;

  constructor(memory: Memory, { byteOffset, records }: RingPlace) {
    const at = byteOffset + RING_HEADER_BYTES;
    this.header = memory.header;
    this.ring = new Int32Array(memory.buffer, byteOffset, RING_HEADER_BYTES / 4);
    this.words = new Int32Array(memory.buffer, at, records * RECORD_WORDS);
    this.doubles = new Float64Array(memory.buffer, at, records * RECORD_WORDS / 2);
    this.mask = records - 1;
    this.cursor = Atomics.load(this.ring, RingWord.tail);
  }

  /** Number of the recording that was begun last; 0: nobody records. */
  get recording(): number {
    return this.header[HeaderWord.recording]!;
  }

  put(tsNs: number, kind: RecordKind, tid: number, a: number, b: number, c: number, d = 0): void {
    const { words } = this;
    const word = (this.cursor & this.mask) * RECORD_WORDS;
    this.doubles[word >> 1] = tsNs;
    words[word + RecordWord.kindCpu] = kind;
    words[word + RecordWord.tid] = tid;
    words[word + RecordWord.a] = a;
    words[word + RecordWord.b] = b;
    words[word + RecordWord.c] = c;
    words[word + RecordWord.d] = d;
    this.cursor = (this.cursor + 1) | 0;
    Atomics.store(this.ring, RingWord.tail, this.cursor);
  }

  /** The killer is done with an order. @param position Of accounting when it began. */
  acted(beganNs: number, orderTsNs: number, uid: number, order: number, position: number): void {
    const ageNs = Math.max(0, Math.min(AGE_NS_MAX, beganNs - orderTsNs));
    this.put(beganNs, RecordKind.acted, uid, ageNs, position, order);
  }

  /** The sweeper has stored a tag. @param position Of accounting before it did. */
  tagged(tsNs: number, pid: number, tag: number, position: number): void {
    this.put(tsNs, RecordKind.tagged, pid, tag, position, 0);
  }
}

/** How far accounting is, for whoever acts beside it. */
export class AccountingPosition {
  private readonly counters: Float64Array;
  private readonly sweeperRing: Int32Array;
  private readonly killerRing: Int32Array;

  constructor(memory: Memory) {
    const { buffer, plan } = memory;
    const header = ({ byteOffset }: RingPlace): Int32Array =>
      new Int32Array(buffer, byteOffset, RING_HEADER_BYTES / 4);
    this.counters = attachCounters(memory, Role.accounting);
    this.sweeperRing = header(plan.sweeperRing);
    this.killerRing = header(plan.killerRing);
  }

  /**
   * A number that grows with each record that accounting takes, modulo 2^32: events and life-cycle
   * records counted, and records given back of the rings of sweeper and killer.
   */
  get now(): number {
    const { counters } = this;
    const counted = counters[CounterIndex.events]! + counters[CounterIndex.lifecycle]!;
    return (counted % 0x1_0000_0000 + Atomics.load(this.sweeperRing, RingWord.head) +
      Atomics.load(this.killerRing, RingWord.head)) | 0;
  }
}

/** The order in which accounting takes records from its rings. */
export class StepLog {
  private readonly log: RoleLog;
  /** By reader, records taken so far. */
  private readonly taken: Int32Array;
  private sweeperTaken = 0;
  private killerTaken = 0;
  private settings = 0;
  private nowNs = 0;
  /** The last steps took only from this reader's ring, or the sweeper's, and are not written down yet. */
  private run: number = NOBODY;
  private writtenNs = 0;
  private recording = 0;

  constructor(log: RoleLog, readers: number) {
    this.log = log;
    this.taken = new Int32Array(readers);
  }

  /**
   * After a step of accounting, while somebody records.
   *
   * @param nowNs Of the step.
   * @param takenOf Records taken from the ring of a reader so far.
   */
  stepped(
    nowNs: number,
    takenOf: (reader: number) => number,
    sweeperTaken: number,
    killerTaken: number,
    settings: number,
  ): void {
    const { taken } = this;
    if (this.recording !== this.log.recording) {
      this.recording = this.log.recording;
      this.run = NOBODY;
      this.writtenNs = nowNs;
      for (let reader = 0; reader < taken.length; reader++) taken[reader] = takenOf(reader);
      this.killerTaken = killerTaken;
      this.takeOver(nowNs, sweeperTaken, settings);
      this.write(0);
      return;
    }
    let moved: number = sweeperTaken === this.sweeperTaken ? NOBODY : SWEEPER;
    let movedCount = moved === NOBODY ? 0 : 1;
    for (let reader = 0; reader < taken.length; reader++) {
      if (takenOf(reader) === taken[reader]) continue;
      moved = reader;
      movedCount++;
    }
    // What the killer answers is taken last, and what it changes counts for what comes next.
    const isOther = settings !== this.settings || killerTaken !== this.killerTaken;
    if (this.run !== NOBODY && (isOther || movedCount > 1 || moved !== this.run)) {
      if (movedCount === 0 && !isOther) return;
      this.write(Math.max(0, this.run));
      this.run = NOBODY;
    }
    if (movedCount > 1 || isOther) {
      const sweeperBefore = this.sweeperTaken;
      this.nowNs = nowNs;
      this.settings = settings;
      for (let reader = 0; reader < taken.length; reader++) {
        if (takenOf(reader) === taken[reader]) continue;
        taken[reader] = takenOf(reader);
        this.sweeperTaken = sweeperBefore;
        this.write(reader);
      }
      this.killerTaken = killerTaken;
      this.takeOver(nowNs, sweeperTaken, settings);
      this.write(0);
      return;
    }
    if (movedCount === 0) return;
    if (moved >= 0) taken[moved] = takenOf(moved);
    this.takeOver(nowNs, sweeperTaken, settings);
    this.run = moved;
    if (nowNs - this.writtenNs < RUN_NS_MAX) return;
    this.write(Math.max(0, moved));
    this.run = NOBODY;
  }

  private takeOver(nowNs: number, sweeperTaken: number, settings: number): void {
    this.nowNs = nowNs;
    this.sweeperTaken = sweeperTaken;
    this.settings = settings;
  }

  private write(reader: number): void {
    this.writtenNs = this.nowNs;
    this.log.put(
      this.nowNs,
      RecordKind.stepped,
      reader,
      this.taken[reader]!,
      this.sweeperTaken,
      this.settings,
      this.killerTaken,
    );
  }
}
