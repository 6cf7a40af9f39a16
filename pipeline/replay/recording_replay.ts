/**
 * A recording run through the very accounting and killer again: with the settings that it was made with,
 * the decisions are those that were made; with others, it tells what would have happened.
 *
 * Records are taken in the order in which accounting took them then, one by one, and the killer acts
 * when it did. Under other settings it acts at once, and programs in the kernel decide nothing: their
 * kills are left out, and the roles decide at the same pages. Who is killed then goes on in the
 * recording; its pages count as being freed. Who was killed in the recording has ended there, and what
 * it would have used after that nobody knows.
 *
 * Longer than 450 lines, because records, the killer's acts and its answers advance one position
 * together, which can be judged only as a whole.
 *
 * @module
 */
import { orderKindOf } from "../messages/records.ts";
import { Accounting } from "../accounting.ts";
import { NO_LIMIT_PAGES, UNKNOWN_UID } from "../books/books.ts";
import { Killer } from "../kill/killer.ts";
import { type KernelCandidates, type KernelLimits, LineState } from "../kill/kernel_trigger.ts";
import type { Question } from "../kill/logged_kernel.ts";
import { LimitRules } from "../limits/limits.ts";
import { RulesPublisher } from "../limits/published_rules.ts";
import {
  HeaderWord,
  KIND_MASK,
  OrderKind,
  ProcessState,
  RECORD_WORDS,
  RecordKind,
  RecordWord,
  Role,
  UserState,
} from "../memory/layout.ts";
import { attachMemory, createMemory, type Memory } from "../memory/memory.ts";
import { DEFAULT_SETTINGS, type Settings } from "../memory/settings.ts";
import { PATIENCE_NS } from "../memory/timing.ts";
import { RingConsumer, RingProducer } from "../memory/ring.ts";
import { DegradedReason, readReport } from "../messages/reports.ts";
import {
  type Chunk,
  ChunkType,
  jsonOf,
  type Keyframe,
  type Loss,
  type ProcessFact,
  type RecordedKill,
  type RecordedSettings,
  type RecordingHead,
  type RecordingTail,
  RECORDS_HEAD_BYTES,
  Stream,
} from "../recording/format.ts";
import { unpackRecords } from "../recording/pack_records.ts";
import { RingTap } from "../recording/ring_tap.ts";
import type { Patterns } from "../rules/matcher.ts";
import type { VictimRule } from "../rules/victim_rule.ts";
import { RecordedKernel } from "./recorded_kernel.ts";
import { OtherRules } from "./other_rules.ts";
import { RecordedTags } from "./recorded_tags.ts";
import { RecordQueue } from "./record_queue.ts";
import { UsageSeries } from "./usage_series.ts";

/** Other settings than the recording's; what is left out stays. */
export interface WhatIf {
  /** The limits in place of those in force at a time. */
  readonly limits?: (recorded: LimitRules) => LimitRules;
  readonly settings?: Partial<Settings>;
  /** The rules about who dies in place of what rules said then. */
  readonly rules?: readonly VictimRule[];
  /** Needed where one of {@link rules} has a pattern. */
  readonly patterns?: Patterns | undefined;
}

/** Somebody was killed, or would have been. */
export interface ReplayedKill {
  readonly tsNs: number;
  readonly uid: number;
  readonly pid: number;
  readonly comm: string;
  readonly usagePages: number;
  readonly hardPages: number;
  readonly victimPages: number;
}

/** Acts of the killer that are looked at for the one that an order is about. */
const ACTS_AHEAD_MAX = 64;
/** An act whose order has not come so long after it is not one of this replay. */
const ACT_HOLDS_NS = 50e6;
/** Records of a reader that are taken at one go, where the killer did nothing. */
const BATCH_RECORDS = 256;
/** Between the killer's looks at its clock within one act. */
const ANSWER_NS = 2e6;
/** The killer looks after its victims this often. */
const WATCH_NS = 1e6;
/** And if that has changed nothing so often, less often. */
const WATCHES_MAX = 3000;
const IDLE_NS = 100e6;

/** Words of the header from here on are of accounting and killer. */
const HEADER_FIRST_STATE: number = HeaderWord.degraded;

/** Steps of accounting from an index on. */
interface StepsLeft {
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  readonly count: number;
  readonly index: number;
}

/** When the killer worked off an order. */
interface Act {
  readonly uid: number;
  readonly order: number;
  readonly orderTsNs: number;
  readonly beganNs: number;
  readonly position: number;
}

export class RecordingReplay {
  readonly head: RecordingHead;
  readonly kills: ReplayedKill[] = [];
  /** As the recording tells of them. */
  readonly recordedKills: RecordedKill[] = [];
  readonly losses: Loss[] = [];
  /** Times that nothing is known of, because records were lost. */
  readonly gaps: { fromNs: number; untilNs: number }[] = [];
  readonly usage = new UsageSeries();
  tail: RecordingTail | undefined;
  keyframes = 0;
  records = 0;
  firstNs = Infinity;
  lastNs = -Infinity;
  /** Keyframes whose books may be of different moments. */
  tornKeyframes = 0;
  /** The books and all that accounting and killer share, as they are where the replay is: to be read. */
  readonly memory: Memory;
  private readonly whatIf: WhatIf | undefined;
  private readonly kernel: RecordedKernel;
  private readonly publisher: RulesPublisher;
  private readonly readers: readonly RecordQueue[];
  private readonly sweeper = new RecordQueue();
  private readonly tags: RecordedTags;
  private readonly otherRules: OtherRules | undefined;
  private readonly readerRings: readonly RingProducer[];
  private readonly sweeperRing: RingProducer;
  private readonly orders: RingTap;
  private readonly reports: readonly RingConsumer[];
  private readonly pages = new Map<number, RecordedSettings>();
  private readonly lineStates = new Map<number, LineState>();
  private accounting: Accounting;
  private killer: Killer;
  /** What the killer did, in its order, from {@link actNext} on. */
  private acts: Act[] = [];
  private actNext = 0;
  private isKillerBusy = false;
  private nextWatchNs = 0;
  private watches = 0;
  private keyframe: Keyframe | undefined;
  private hasBooks = false;
  /** The records of the keyframe under way are taken. */
  private isKeyframeWanted = false;
  /** How far accounting was at the keyframe, and answers of the killer that it had taken. */
  private positionThere = 0;
  private answersThere = 0;
  /** Since then. */
  private position = 0;
  private answersTaken = 0;
  private settings = -1;
  private nowNs = 0;
  /** Steps after this time are not taken yet. */
  private untilNs = Infinity;
  /** And those of the last chunk that are left for that. */
  private rest: StepsLeft | undefined;

  constructor(head: RecordingHead, whatIf?: WhatIf) {
    this.head = head;
    this.whatIf = whatIf;
    this.memory = attachMemory(createMemory({
      readers: head.readers,
      ringRecords: 4096,
      users: head.users,
      processes: head.processes,
      tasks: head.tasks,
      mms: head.mms,
      rules: head.rules,
      pageBytes: head.pageBytes,
    }));
    const { buffer, plan } = this.memory;
    this.kernel = new RecordedKernel({
      isExact: whatIf === undefined,
      isAlive: (pid) => this.isAlive(pid),
    });
    this.publisher = new RulesPublisher(this.memory.settings);
    this.readers = plan.readerRings.map(() => new RecordQueue());
    this.readerRings = plan.readerRings.map((place) => new RingProducer(buffer, place));
    this.sweeperRing = new RingProducer(buffer, plan.sweeperRing);
    this.orders = new RingTap(buffer, plan.orderRing, 1);
    this.reports = [Role.accounting, Role.killer].map((role) =>
      new RingConsumer(buffer, plan.reportRings[role]!)
    );
    this.accounting = this.makeAccounting();
    this.accounting.start();
    this.killer = this.makeKiller();
    const { memory } = this;
    const findProcess = (pid: number): number => this.accounting.books.findProcess(pid);
    this.tags = new RecordedTags(memory.processes, findProcess);
    this.otherRules = whatIf?.rules &&
      new OtherRules({ memory, findProcess, rules: whatIf.rules, patterns: whatIf.patterns });
  }

  private makeAccounting(): Accounting {
    const hasKernel = this.head.source === "bpf" && this.whatIf === undefined;
    return new Accounting(this.memory, {
      unknownUid: UNKNOWN_UID,
      marginPages: this.head.marginPages,
      wakeSweeper: () => {},
      wakeCoordinator: () => {},
      kernel: hasKernel ? this.kernelLimits() : undefined,
    });
  }

  private kernelLimits(): KernelLimits {
    return {
      set: (uid) => this.lineStates.get(uid) ?? LineState.exact,
      chargeInherited: () => {},
      clearCandidate: () => {},
    };
  }

  private makeKiller(): Killer {
    const candidates: KernelCandidates = {
      arm: () => {},
      disarm: () => {},
      noteDying: () => undefined,
    };
    const isExact = this.whatIf === undefined;
    const killer = new Killer(this.memory, this.kernel, {
      // Under other settings a victim goes on in the recording, and counts as being freed.
      patienceNs: isExact ? PATIENCE_NS : Infinity,
      kernelCandidates: isExact && this.head.source === "bpf" ? candidates : undefined,
    });
    killer.start();
    return killer;
  }

  private isAlive(pid: number): boolean {
    const slot = this.accounting.books.findProcess(pid);
    return slot >= 0 && this.memory.processes.state[slot] === ProcessState.alive;
  }

  /**
   * Takes the next chunk of the file, in their order, without the head.
   * @param untilNs What accounting did after this time (CLOCK_MONOTONIC, nanoseconds) is left for
   * {@link resume}, and no other chunk may be taken before that is done.
   * @throws {Error} When what a chunk holds cannot be understood; what came before it counts.
   */
  take({ type, payload }: Chunk, untilNs = Infinity): void {
    this.untilNs = untilNs;
    switch (type) {
      case ChunkType.head:
        break;
      case ChunkType.settings: {
        const recorded = jsonOf(payload) as RecordedSettings;
        this.pages.set(recorded.sequence, recorded);
        break;
      }
      case ChunkType.keyframe:
        this.keyframe = jsonOf(payload) as Keyframe;
        break;
      case ChunkType.records:
        this.takeRecords(payload);
        break;
      case ChunkType.facts:
        this.takeFacts(jsonOf(payload) as ProcessFact[]);
        break;
      case ChunkType.kills:
        this.recordedKills.push(...jsonOf(payload) as RecordedKill[]);
        break;
      case ChunkType.loss:
        this.losses.push(jsonOf(payload) as Loss);
        this.drainRest();
        if (this.hasBooks) this.gaps.push({ fromNs: this.lastNs, untilNs: Infinity });
        this.hasBooks = false;
        break;
      case ChunkType.tail:
        this.tail = jsonOf(payload) as RecordingTail;
        break;
    }
  }

  /**
   * Goes on with what {@link take} has left, up to another time.
   * @returns Whether nothing is left: the next chunk may be taken.
   */
  resume(untilNs: number): boolean {
    const { rest } = this;
    if (rest === undefined) return true;
    this.untilNs = untilNs;
    this.rest = undefined;
    this.takeSteps(rest.words, rest.doubles, rest.count, rest.index);
    // Set anew where the time was reached.
    return (this.rest as StepsLeft | undefined) === undefined;
  }

  /**
   * The end of the file. What is there and no step tells of, was taken after the last one; of a file that
   * was cut, what the killer did then may be missing, and it is left out.
   */
  end(): void {
    if (this.tail === undefined) {
      this.usage.sample(this.nowNs, this.accounting.books, true);
      return;
    }
    this.drainRest();
    // What the killer did is known to the end; what was not yet answered, is now.
    while (this.accounting.ready || this.killer.ready) {
      while (this.accounting.ready) this.accounting.step(this.nowNs);
      if (this.killer.ready) this.runKiller(this.nowNs, Infinity);
    }
    this.usage.sample(this.nowNs, this.accounting.books, true);
  }

  // --------------------------------------------------------------------------------------- records

  private takeFacts(facts: readonly ProcessFact[]): void {
    this.kernel.noteFacts(facts);
    this.otherRules?.noteFacts(facts);
  }

  private takeRecords(payload: Uint8Array): void {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    const stream = view.getUint32(0, true);
    const first = view.getInt32(4, true);
    const { count, words, doubles } = unpackRecords(payload.subarray(RECORDS_HEAD_BYTES));
    if (stream === Stream.keyframe) this.takeKeyframe(words, doubles, count, first);
    else if (!this.hasBooks) return;
    else if (stream === Stream.accountingLog) this.takeSteps(words, doubles, count);
    else if (stream === Stream.killerLog) this.takeKillerLog(words, doubles, count);
    else if (stream === Stream.sweeperLog) {
      if (this.otherRules === undefined) this.tags.take(words, doubles, count, this.positionThere);
    } else if (stream === Stream.sweeper) this.sweeper.put(words, doubles, count, first);
    else {
      const reader = this.readers[stream];
      if (reader === undefined) throw new Error(`records of an unknown stream ${stream}`);
      reader.put(words, doubles, count, first);
    }
  }

  /** The books, as they were, in one chunk or several; what was here before is over. */
  private takeKeyframe(
    words: Int32Array,
    doubles: Float64Array,
    count: number,
    first: number,
  ): void {
    const { keyframe } = this;
    if (keyframe === undefined) return;
    if (first === 0) {
      this.keyframes++;
      this.isKeyframeWanted = !this.hasBooks;
      if (this.isKeyframeWanted) this.beginBooks(keyframe);
    }
    if (!this.isKeyframeWanted) return;
    this.feedBooks(keyframe, words, doubles, count);
    for (const [pid, scoreAdj] of this.kernel.raisedScores()) {
      this.killer.learnScoreAdj(pid, scoreAdj);
    }
  }

  private beginBooks(keyframe: Keyframe): void {
    if (!keyframe.isWhole) this.tornKeyframes++;
    this.applySettings(keyframe.settings);
    const { header } = this.memory;
    // Empty books, and nothing that tells a successor of a predecessor.
    this.accounting.books.reset();
    header.fill(0, HEADER_FIRST_STATE);
    this.accounting = this.makeAccounting();
    this.accounting.start();
    this.memory.victims.state.fill(0);
    this.killer = this.makeKiller();
    this.acts = [];
    this.actNext = 0;
    for (const reader of this.readers) reader.clear();
    this.sweeper.clear();
    this.tags.clear();
    this.otherRules?.apply(keyframe.readNs);
    this.hasBooks = true;
    this.nowNs = Math.max(this.nowNs, keyframe.readNs);
    this.usage.nextNs = keyframe.readNs;
    this.positionThere = keyframe.position;
    this.position = 0;
    this.answersThere = keyframe.killerRecords;
    this.answersTaken = 0;
    const gap = this.gaps.at(-1);
    if (gap?.untilNs === Infinity) gap.untilNs = keyframe.readNs;
    if (this.firstNs === Infinity) this.firstNs = keyframe.readNs;
    this.readers.forEach((reader, index) => reader.next = keyframe.readerRecords[index]!);
    this.sweeper.next = keyframe.sweeperRecords;
  }

  private feedBooks(
    keyframe: Keyframe,
    words: Int32Array,
    doubles: Float64Array,
    count: number,
  ): void {
    for (let index = 0; index < count; index++) {
      const word = index * RECORD_WORDS;
      if ((words[word + RecordWord.kindCpu]! & KIND_MASK) === RecordKind.tagged) {
        if (this.otherRules === undefined) {
          this.tags.put(words[word + RecordWord.tid]!, words[word + RecordWord.a]!);
        }
        continue;
      }
      this.feed(this.sweeperRing, words, doubles, word);
      this.sweeperRing.publish();
      while (this.accounting.step(keyframe.tsNs) > 0);
      this.lookAnew(words, word);
      while (this.killer.ready) this.runKiller(keyframe.tsNs, Infinity);
    }
    this.kernel.clockNs = keyframe.readNs;
  }

  private takeKillerLog(words: Int32Array, doubles: Float64Array, count: number): void {
    for (let index = 0; index < count; index++) {
      const word = index * RECORD_WORDS;
      const tsNs = doubles[word >> 1]!;
      const tid = words[word + RecordWord.tid]!;
      const a = words[word + RecordWord.a]!;
      const b = words[word + RecordWord.b]!;
      const c = words[word + RecordWord.c]!;
      if ((words[word + RecordWord.kindCpu]! & KIND_MASK) === RecordKind.answered) {
        this.kernel.note(tsNs, tid, a as Question, b, c);
      } else if (this.whatIf === undefined) {
        if (this.actNext > ACTS_AHEAD_MAX) {
          this.acts.splice(0, this.actNext);
          this.actNext = 0;
        }
        this.acts.push({ uid: tid, order: c, orderTsNs: tsNs - a, beganNs: tsNs, position: b });
      }
    }
  }

  private takeSteps(
    words: Int32Array,
    doubles: Float64Array,
    count: number,
    first = 0,
  ): void {
    for (let index = first; index < count; index++) {
      const word = index * RECORD_WORDS;
      if (doubles[word >> 1]! > this.untilNs) {
        this.rest = { words, doubles, count, index };
        return;
      }
      const tid = words[word + RecordWord.tid]!;
      const a = words[word + RecordWord.a]!;
      if ((words[word + RecordWord.kindCpu]! & KIND_MASK) === RecordKind.lineTold) {
        this.lineStates.set(tid, a as LineState);
        continue;
      }
      if (this.hasBooks) this.replaceOutdated();
      this.applySettings(words[word + RecordWord.c]!);
      const nowNs = doubles[word >> 1]!;
      const reader = this.readers[tid];
      if (reader !== undefined) this.drain(reader, this.readerRings[tid]!, a, nowNs);
      this.drain(this.sweeper, this.sweeperRing, words[word + RecordWord.b]!, nowNs);
      if (this.whatIf === undefined) {
        this.takeAnswers(words[word + RecordWord.d]! - this.answersThere, nowNs);
      } else this.skipAnswers(words[word + RecordWord.d]! - this.answersThere);
      this.passTo(nowNs);
    }
  }

  /** Takes the records of a queue below a number. */
  private drain(queue: RecordQueue, ring: RingProducer, until: number, nowNs: number): void {
    while (((until - queue.next) | 0) > 0) {
      const isReaders = this.whatIf === undefined && ring !== this.sweeperRing;
      if (isReaders && this.drainMany(queue, ring, until, nowNs)) continue;
      const word = queue.take();
      if (word < 0) return;
      this.record(ring, queue.words, queue.doubles, word, nowNs);
    }
  }

  /**
   * Takes records of a reader up to where the killer did something, at one go.
   * @returns false when that is the next one.
   */
  private drainMany(queue: RecordQueue, ring: RingProducer, until: number, nowNs: number): boolean {
    const act = this.acts[this.actNext];
    const wanted = (until - queue.next) | 0;
    const toAct = act === undefined
      ? BATCH_RECORDS
      : (act.position - this.positionThere - this.position) | 0;
    this.tags.apply(this.position, Infinity);
    const most = Math.min(wanted, toAct - 1, this.tags.until(this.position), BATCH_RECORDS);
    if (most < 2 || this.killer.ready) return false;
    let taken = 0;
    for (; taken < most; taken++) {
      const word = queue.take();
      if (word < 0) break;
      const { words, doubles } = queue;
      const kind = words[word + RecordWord.kindCpu]! & KIND_MASK;
      if (kind <= RecordKind.free) this.position++;
      const tsNs = doubles[word >> 1]!;
      if (tsNs > this.lastNs) this.lastNs = tsNs;
      this.feed(ring, words, doubles, word);
    }
    if (taken === 0) return false;
    ring.publish();
    this.records += taken;
    if (this.lastNs > this.nowNs) this.nowNs = this.lastNs;
    this.accounting.step(nowNs, taken, 0);
    if (this.killer.ready) this.actAsThen(this.lastNs);
    if (this.nowNs >= this.usage.nextNs) {
      this.usage.sample(this.nowNs, this.accounting.books, false);
    }
    return true;
  }

  /** Takes all that is left, by its time. */
  private drainRest(): void {
    if (!this.hasBooks) return;
    const queues = [...this.readers, this.sweeper];
    for (;;) {
      let next: RecordQueue | undefined;
      for (const queue of queues) {
        if (queue.peekNs < (next?.peekNs ?? Infinity)) next = queue;
      }
      if (next === undefined) return;
      const index = this.readers.indexOf(next);
      const word = next.take();
      const ring = index < 0 ? this.sweeperRing : this.readerRings[index]!;
      const tsNs = next.doubles[word >> 1]!;
      this.record(ring, next.words, next.doubles, word, Math.max(this.nowNs, tsNs));
    }
  }

  private feed(ring: RingProducer, words: Int32Array, doubles: Float64Array, word: number): void {
    const to = ring.claim();
    ring.doubles[to >> 1] = doubles[word >> 1]!;
    for (let at: number = RecordWord.kindCpu; at < RECORD_WORDS; at++) {
      ring.words[to + at] = words[word + at]!;
    }
    ring.advance();
  }

  /** One record, and all that follows from it. */
  private record(
    ring: RingProducer,
    words: Int32Array,
    doubles: Float64Array,
    word: number,
    nowNs: number,
  ): void {
    const kind = words[word + RecordWord.kindCpu]! & KIND_MASK;
    const tsNs = doubles[word >> 1]!;
    this.records++;
    const isOfPrograms = kind === RecordKind.kernelKill || kind === RecordKind.kernelOver;
    if (this.whatIf !== undefined && isOfPrograms) return;
    if (this.isKillerBusy && this.whatIf !== undefined) this.watchUntil(Math.min(tsNs, nowNs));
    this.tags.apply(this.position, Infinity);
    this.otherRules?.apply(Math.min(tsNs, nowNs));
    this.feed(ring, words, doubles, word);
    ring.publish();
    const { accounting } = this;
    if (tsNs > this.nowNs) this.nowNs = tsNs;
    if (ring === this.sweeperRing || kind <= RecordKind.free) this.position++;
    if (this.whatIf === undefined) {
      accounting.step(nowNs, 1, 0);
      if (kind === RecordKind.sweepEnd) { while (accounting.step(nowNs, 1, 0) > 0); }
      this.actAsThen(tsNs);
    } else {
      accounting.step(nowNs, 1);
      if (kind === RecordKind.sweepEnd) { while (accounting.step(nowNs, 1) > 0); }
      this.lookAnew(words, word);
      while (this.killer.ready) this.runKiller(tsNs, Infinity);
    }
    if (this.nowNs >= this.usage.nextNs) this.usage.sample(this.nowNs, accounting.books, false);
    if (tsNs > this.lastNs) this.lastNs = tsNs;
  }

  /** A process was born or read: it may be new, or another user's. */
  private lookAnew(words: Int32Array, word: number): void {
    if (this.otherRules === undefined) return;
    const kind = words[word + RecordWord.kindCpu]! & KIND_MASK;
    if (kind === RecordKind.proc) this.otherRules.look(words[word + RecordWord.tid]!);
    else if (kind === RecordKind.newTask) this.otherRules.look(words[word + RecordWord.a]!);
  }

  // ----------------------------------------------------------------------------------------- time

  /** Time passes in which nothing came. */
  private passTo(nowNs: number): void {
    if (this.whatIf === undefined) this.actAsThen(nowNs);
    else if (this.isKillerBusy) this.watchUntil(nowNs);
    if (nowNs > this.nowNs) this.nowNs = nowNs;
  }

  /** Looks after victims, as the killer does again and again. */
  private watchUntil(untilNs: number): void {
    while (this.isKillerBusy && this.nextWatchNs <= untilNs) {
      this.watches++;
      const clockNs = Math.max(this.kernel.clockNs, this.nextWatchNs);
      this.nextWatchNs += this.watches > WATCHES_MAX ? IDLE_NS : WATCH_NS;
      this.runKiller(clockNs, Infinity);
    }
  }

  // ----------------------------------------------------------------------------------- the killer

  /** Whether accounting is as far as it was when the killer acted. */
  private isReached({ position }: Act): boolean {
    return ((position - this.positionThere - this.position) | 0) <= 0;
  }

  /** The killer does what it did by now. */
  private actAsThen(tsNs: number): void {
    for (;;) {
      const act = this.acts[this.actNext];
      if (act === undefined) {
        // None is known: it acts at once.
        if (!this.killer.ready) return;
        this.runKiller(tsNs, 1);
        continue;
      }
      if (act.order === OrderKind.look) {
        if (!this.isReached(act)) {
          if (!this.killer.ready) return;
        } else {
          this.actNext++;
          this.runKiller(act.beganNs, 0);
          continue;
        }
      }
      if (!this.killer.ready) {
        // Its order does not come, when the killer is known to have done something else by now.
        const next = this.acts[this.actNext + 1];
        const isPast = next !== undefined && this.isReached(next);
        if (!this.isReached(act) || !(isPast || tsNs - act.beganNs >= ACT_HOLDS_NS)) return;
        this.actNext++;
        continue;
      }
      const index = this.actOf();
      if (index < 0) {
        this.runKiller(tsNs, 1);
        continue;
      }
      const found = this.acts[index]!;
      if (!this.isReached(found)) return;
      // What came before it, as far as it is of this replay.
      while (this.actNext < index) {
        const before = this.acts[this.actNext++]!;
        if (before.order === OrderKind.look) this.runKiller(before.beganNs, 0);
      }
      this.actNext = index + 1;
      this.runKiller(found.beganNs, 1);
    }
  }

  /** Number of the act in which the killer worked off the order that comes next; -1: unknown. */
  private actOf(): number {
    this.orders.read((this.orders.cursor + 1) | 0);
    const { words, doubles } = this.orders;
    // It is read again as long as it waits.
    this.orders.cursor = this.orders.first;
    const orderTsNs = doubles[0]!;
    const isAdopt = (words[RecordWord.kindCpu]! & KIND_MASK) === RecordKind.adopt;
    const order = isAdopt ? OrderKind.adopt : orderKindOf(words[RecordWord.a]!);
    const userSlot = isAdopt ? words[RecordWord.a]! : words[RecordWord.b]!;
    const uid = this.memory.users.uid[userSlot];
    const end = Math.min(this.acts.length, this.actNext + ACTS_AHEAD_MAX);
    for (let index = this.actNext; index < end; index++) {
      const act = this.acts[index]!;
      if (act.uid !== uid || act.order !== order) continue;
      // One that follows from an answer of the killer's has the time of that answer.
      const spanNs = order === OrderKind.arm ? 1 : ANSWER_NS;
      if (Math.abs(act.orderTsNs - orderTsNs) < spanNs) return index;
    }
    return -1;
  }

  private runKiller(clockNs: number, ordersMax: number): void {
    this.kernel.clockNs = Math.max(this.kernel.clockNs, clockNs);
    this.tags.apply(this.position, clockNs);
    this.otherRules?.apply(clockNs);
    const handled = Math.min(ordersMax, (this.orders.tail - this.orders.cursor) | 0);
    this.killer.step(ordersMax);
    this.orders.cursor = (this.orders.cursor + handled) | 0;
    if (this.whatIf !== undefined) {
      while (this.accounting.ready) this.accounting.step(Math.max(clockNs, this.nowNs), 1);
    }
    const isBusy = this.killer.busy;
    if (isBusy && !this.isKillerBusy) {
      this.nextWatchNs = this.kernel.clockNs + WATCH_NS;
      this.watches = 0;
    }
    this.isKillerBusy = isBusy;
    this.collect();
  }

  /** Accounting takes as many answers of the killer as it had taken then. */
  private takeAnswers(until: number, nowNs: number): void {
    const wanted = (until - this.answersTaken) | 0;
    if (wanted <= 0) return;
    this.answersTaken = until | 0;
    this.position += wanted;
    this.accounting.step(nowNs, 1, wanted);
    this.actAsThen(nowNs);
  }

  /** The recorded killer's answers are none here, but accounting was so much further after them. */
  private skipAnswers(until: number): void {
    const wanted = (until - this.answersTaken) | 0;
    if (wanted <= 0) return;
    this.answersTaken = until | 0;
    this.position += wanted;
  }

  private collect(): void {
    for (const ring of this.reports) {
      for (let report = readReport(ring); report !== undefined; report = readReport(ring)) {
        if (report.name !== "kill") continue;
        const { tsNs, values, text } = report;
        const uid = values["uid"]! >>> 0;
        const usagePages = values["usagePages"]!;
        this.kills.push({
          tsNs,
          uid,
          pid: values["pid"]!,
          comm: new TextDecoder().decode(text),
          usagePages,
          hardPages: values["hardPages"]!,
          victimPages: values["victimPages"]!,
        });
        this.usage.note(tsNs, uid, usagePages);
        if (this.whatIf !== undefined) this.usage.killed(values["pid"]!, this.accounting.books);
      }
    }
  }

  // ------------------------------------------------------------------------------------- settings

  /** Puts the settings of a sequence in force, or the nearest later ones that the file has. */
  private applySettings(sequence: number): void {
    if (sequence === this.settings) return;
    this.settings = sequence;
    const later = [...this.pages.keys()].filter((one) => one >= sequence);
    const recorded = this.pages.get(later.length === 0 ? sequence : Math.min(...later));
    if (recorded === undefined) return;
    const { whatIf } = this;
    let rules = new LimitRules();
    for (const rule of recorded.limits) rules.set(rule);
    if (whatIf?.limits !== undefined) rules = whatIf.limits(rules);
    const settings: Settings = {
      ...DEFAULT_SETTINGS,
      ...recorded.settings,
      ...whatIf?.settings,
      ...(whatIf === undefined ? {} : { kernelTrigger: false, lowerGraceMs: 0 }),
    };
    this.publisher.publish(rules, settings);
    this.usage.limits(this.nowNs, rules);
    if (!this.hasBooks) return;
    this.replaceOutdated();
  }

  /** Other members count since the last step, for all or for a user: another accounting took its place. */
  private replaceOutdated(): void {
    if (!this.accounting.isOutdated) return;
    this.accounting = this.makeAccounting();
    this.accounting.start(DegradedReason.settings);
  }

  /** What users had at the end. */
  users(): { uid: number; usagePages: number; peakPages: number; hardPages: number | null }[] {
    const { users, userSlots } = this.accounting.books;
    const rows = [];
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      if (users.state[slot] === UserState.free || users.uid[slot] === UNKNOWN_UID) continue;
      const hardPages = users.hardPages[slot]!;
      rows.push({
        uid: users.uid[slot]! >>> 0,
        usagePages: users.usagePages[slot]! - users.creditPages[slot]!,
        peakPages: users.peakPages[slot]!,
        hardPages: hardPages === NO_LIMIT_PAGES ? null : hardPages,
      });
    }
    return rows;
  }
}
