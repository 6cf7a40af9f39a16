/**
 * Makes a recording: reads the rings to accounting beside it, and what accounting, killer and sweeper
 * write down, and gives chunks of a file. Has no thread and no clock of its own; nobody waits for it.
 *
 * In the file all that a step took stands before that step, so that it can be replayed as it is read.
 *
 * @module
 */
import { attachRole } from "../memory/doorbell.ts";
import { CounterIndex, HeaderWord, Role, RoleWord } from "../memory/layout.ts";
import { RulesView } from "../limits/published_rules.ts";
import { attachCounters, type Memory } from "../memory/memory.ts";
import { AccountingPosition } from "../messages/role_log.ts";
import { PACKED_RECORDS_MAX, RecordPacker } from "./pack_records.ts";
import {
  ChunkType,
  jsonBytes,
  type Keyframe,
  type Loss,
  type Packer,
  type RecordedKill,
  type RecordedSettings,
  type RecordingHead,
  RECORDS_HEAD_BYTES,
  Stream,
  writeChunk,
} from "./format.ts";
import { KeyframeWriter } from "./keyframe.ts";
import { RecordList } from "./record_list.ts";
import { RingTap } from "./ring_tap.ts";

/** Records that are gathered before they are packed. */
const CHUNK_RECORDS = 16_384;
/** And how long they are, at most. */
const CHUNK_NS_MAX = 1e9;
/** Facts of one chunk: with the longest texts, and each character escaped, it is not too large. */
const CHUNK_FACTS = 500;
/** Readings of the books, of which none was whole, before the last one has to do. */
const KEYFRAME_TRIES = 200;

/** One ring that is recorded. */
interface Source {
  readonly stream: number;
  readonly tap: RingTap;
  readonly gathered: RecordList;
  /** Number of the first record that is gathered. */
  first: number;
}

export interface RecorderOptions {
  readonly memory: Memory;
  readonly head: RecordingHead;
  readonly packer: Packer;
  /**
   * Takes a chunk of the file; must not keep the recorder from its next turn.
   * @param type What it holds.
   */
  readonly put: (bytes: Uint8Array<ArrayBuffer>, type: ChunkType) => void;
  /** Told before a keyframe with the settings of its time is put: all before it may be let go. */
  readonly onKeyframe?: () => void;
}

export class Recorder {
  /** Records of the rings to accounting in the file, and such that are not. */
  records = 0;
  lostRecords = 0;
  /** Bytes of all chunks. */
  bytes = 0;
  private readonly memory: Memory;
  private readonly options: RecorderOptions;
  private readonly packing = new RecordPacker();
  private readonly keyframes: KeyframeWriter;
  private readonly accountingCounters: Float64Array;
  private readonly position: AccountingPosition;
  private readonly accountingWords: Int32Array;
  private readonly rules: RulesView;
  private readonly readers: readonly Source[];
  private readonly sweeper: Source;
  private readonly accountingLog: Source;
  private readonly killerLog: Source;
  private readonly sweeperLog: Source;
  private readonly toAccounting: readonly Source[];
  /** Not recorded: a replay's killer gives its own. */
  private readonly killerAnswers: RingTap;
  /** Up to here accounting's log was written at the last turn. */
  private stepsUntil = 0;
  private gatheredSinceNs = Infinity;
  private kills: RecordedKill[] = [];
  private facts: unknown[] = [];
  private hasKeyframe = false;
  private isToBeRenewed = false;
  private gatheredCount = 0;
  private triesLeft = KEYFRAME_TRIES;

  constructor(options: RecorderOptions) {
    const { memory } = options;
    const { buffer, plan } = memory;
    this.options = options;
    this.memory = memory;
    this.accountingCounters = attachCounters(memory, Role.accounting);
    this.position = new AccountingPosition(memory);
    this.accountingWords = attachRole(memory, Role.accounting);
    this.rules = new RulesView(memory.settings);
    this.keyframes = new KeyframeWriter(memory, this.rules);
    const source = (stream: number, tap: RingTap): Source => ({
      stream,
      tap,
      gathered: new RecordList(),
      first: 0,
    });
    // A reader publishes page by page, the sweeper process by process: never more than half a ring.
    this.readers = plan.readerRings.map((place, reader) =>
      source(reader, new RingTap(buffer, place, place.records / 2))
    );
    const { sweeperRing, accountingLog, killerLog, sweeperLog } = plan;
    this.sweeper = source(
      Stream.sweeper,
      new RingTap(buffer, sweeperRing, sweeperRing.records / 2),
    );
    this.accountingLog = source(Stream.accountingLog, new RingTap(buffer, accountingLog, 1));
    this.killerLog = source(Stream.killerLog, new RingTap(buffer, killerLog, 1));
    this.sweeperLog = source(Stream.sweeperLog, new RingTap(buffer, sweeperLog, 1));
    this.killerAnswers = new RingTap(buffer, plan.killerRing, 1);
    this.toAccounting = [...this.readers, this.sweeper];
  }

  /** Puts the head: once, before the first turn. */
  start(): void {
    this.put(ChunkType.head, jsonBytes(this.options.head));
  }

  private put(type: ChunkType, payload: Uint8Array): void {
    const bytes = writeChunk(type, payload, this.options.packer);
    this.bytes += bytes.length;
    this.options.put(bytes, type);
  }

  /** Kills that toom has told of since the last turn. */
  noteKills(kills: readonly RecordedKill[]): void {
    this.kills.push(...kills);
  }

  /** What was read of processes; see ProcessFact of format.ts. */
  noteFacts(facts: readonly unknown[]): void {
    this.facts.push(...facts);
  }

  /** Whether records can be replayed from here on. */
  get isRunning(): boolean {
    return this.hasKeyframe;
  }

  /**
   * One turn: to be called every few milliseconds, before half a ring is written over.
   * @param nowNs CLOCK_MONOTONIC.
   * @returns Records that came.
   */
  step(nowNs: number): number {
    if (!this.hasKeyframe) {
      this.tryKeyframe(nowNs);
      return 1;
    }
    if (this.isToBeRenewed && this.isQuiet()) this.renewKeyframe(nowNs);
    this.gatheredCount = 0;
    this.copySettings();
    // Of the steps only those that were there at the last turn: what they took, and what the killer
    // did then, has been written by now.
    const until = this.stepsUntil;
    this.stepsUntil = this.accountingLog.tap.tail;
    this.gather(this.accountingLog, until, nowNs);
    this.gather(this.killerLog, undefined, nowNs);
    this.gather(this.sweeperLog, undefined, nowNs);
    for (const source of this.toAccounting) this.gather(source, undefined, nowNs);
    if (this.isFull() || nowNs - this.gatheredSinceNs >= CHUNK_NS_MAX) this.flush();
    if (!this.hasKeyframe) this.flush();
    return this.gatheredCount;
  }

  /** Nothing more is recorded until {@link step} is called again, which begins with a keyframe. */
  hold(nowNs: number): void {
    if (!this.hasKeyframe) return;
    this.flush();
    this.hasKeyframe = false;
    this.triesLeft = KEYFRAME_TRIES;
    const loss: Loss = { stream: Stream.sweeper, records: -1, tsNs: nowNs };
    this.put(ChunkType.loss, jsonBytes(loss));
  }

  /** At a quiet moment soon another keyframe is to be written, without a gap before it. */
  renew(): void {
    this.isToBeRenewed = true;
  }

  /** Ends the recording; nothing may follow. */
  end(nowNs: number): void {
    if (this.hasKeyframe) {
      this.step(nowNs);
      this.step(nowNs);
    }
    this.flush();
    const { records, lostRecords } = this;
    this.put(ChunkType.tail, jsonBytes({ endedNs: nowNs, records, lostRecords }));
  }

  private isFull(): boolean {
    return this.toAccounting.some(({ gathered }) => gathered.count >= CHUNK_RECORDS) ||
      this.accountingLog.gathered.count >= CHUNK_RECORDS ||
      this.killerLog.gathered.count >= CHUNK_RECORDS ||
      this.sweeperLog.gathered.count >= CHUNK_RECORDS;
  }

  private gather(source: Source, until: number | undefined, nowNs: number): void {
    const { tap, gathered } = source;
    if (until === undefined) tap.read();
    else tap.read(until);
    if (tap.lost > 0) {
      this.lostRecords += tap.lost;
      this.hasKeyframe = false;
      this.triesLeft = KEYFRAME_TRIES;
      const loss: Loss = { stream: source.stream, records: tap.lost, tsNs: nowNs };
      this.flush();
      this.put(ChunkType.loss, jsonBytes(loss));
    }
    if (tap.count === 0) return;
    if (gathered.count === 0) source.first = tap.first;
    gathered.putAll(tap.words, tap.count);
    this.gatheredCount += tap.count;
    if (this.gatheredSinceNs === Infinity) this.gatheredSinceNs = nowNs;
  }

  /** Writes what was gathered: settings and facts, records, and then in which order they were taken. */
  flush(): void {
    this.gatheredSinceNs = Infinity;
    this.putFacts();
    for (const source of this.toAccounting) {
      this.records += source.gathered.count;
      this.putRecords(source);
    }
    this.putRecords(this.killerLog);
    this.putRecords(this.sweeperLog);
    this.putRecords(this.accountingLog);
    if (this.kills.length > 0) this.put(ChunkType.kills, jsonBytes(this.kills));
    this.kills = [];
  }

  private putFacts(): void {
    for (let done = 0; done < this.facts.length; done += CHUNK_FACTS) {
      this.put(ChunkType.facts, jsonBytes(this.facts.slice(done, done + CHUNK_FACTS)));
    }
    this.facts = [];
  }

  private putRecords({ stream, gathered, first }: Source): void {
    for (let done = 0; done < gathered.count; done += PACKED_RECORDS_MAX) {
      const count = Math.min(PACKED_RECORDS_MAX, gathered.count - done);
      const words = gathered.words.subarray(done * 8, (done + count) * 8);
      const doubles = gathered.doubles.subarray(done * 4, (done + count) * 4);
      const packed = this.packing.pack(words, doubles, count);
      const payload = new Uint8Array(RECORDS_HEAD_BYTES + packed.length);
      const view = new DataView(payload.buffer);
      view.setUint32(0, stream, true);
      view.setInt32(4, (first + done) | 0, true);
      payload.set(packed, RECORDS_HEAD_BYTES);
      this.put(ChunkType.records, payload);
    }
    gathered.clear();
  }

  private copySettings(): void {
    // Before the steps that had them in force, which are not written yet.
    if (this.rules.refresh()) this.putSettings();
  }

  private putSettings(): void {
    const { rules } = this;
    const recorded: RecordedSettings = {
      sequence: rules.sequence,
      settings: { ...rules.settings },
      limits: rules.list(),
    };
    this.put(ChunkType.settings, jsonBytes(recorded));
  }

  // -------------------------------------------------------------------------------------- keyframes

  /** Accounting sleeps, or is between two steps as far as can be seen from here. */
  private mark(): string {
    const { readers, sweeper, accountingCounters } = this;
    const heads = [...readers, sweeper].map(({ tap }) => tap.head);
    heads.push(this.killerAnswers.head);
    const batches = accountingCounters[CounterIndex.batches];
    const parked = Atomics.load(this.accountingWords, RoleWord.parked);
    return [...heads, batches, parked].join();
  }

  /** Accounting sleeps, has taken all that there is, and nobody is dying. */
  private isQuiet(): boolean {
    return Atomics.load(this.accountingWords, RoleWord.parked) !== 0 &&
      this.memory.header[HeaderWord.victimsDying] === 0 &&
      this.killerAnswers.tail === this.killerAnswers.head &&
      this.toAccounting.every(({ tap }) => tap.tail === tap.head && tap.cursor === tap.head);
  }

  /** Another keyframe where all that came before it is written, and its steps are too. */
  private renewKeyframe(nowNs: number): void {
    const before = this.mark();
    const records = new RecordList();
    // Tags that come while the books are read are told twice rather than never.
    const tagsUntil = this.sweeperLog.tap.tail;
    const tsNs = this.accountingCounters[CounterIndex.lastTsNs]!;
    const processes = this.keyframes.write(tsNs, records);
    if (this.mark() !== before || !this.isQuiet()) return;
    this.isToBeRenewed = false;
    this.gather(this.accountingLog, undefined, tsNs);
    this.gather(this.killerLog, undefined, tsNs);
    this.gather(this.sweeperLog, tagsUntil, tsNs);
    this.flush();
    if (!this.hasKeyframe) return;
    this.stepsUntil = this.accountingLog.tap.tail;
    this.putKeyframe({ readNs: nowNs, tsNs, processes, isWhole: true }, records);
  }

  /** Reads the books, if accounting leaves them alone meanwhile. */
  private tryKeyframe(nowNs: number): void {
    const { memory, accountingCounters } = this;
    const isLast = --this.triesLeft <= 0;
    const isParked = Atomics.load(this.accountingWords, RoleWord.parked) !== 0;
    const isDying = memory.header[HeaderWord.victimsDying] !== 0;
    if (!isLast && (!isParked || isDying)) return;
    const before = this.mark();
    // Before the books are read: what comes while they are is told twice rather than never.
    const readerRecords = this.readers.map(({ tap }) => tap.head);
    const sweeperRecords = this.sweeper.tap.head;
    const stepsUntil = this.accountingLog.tap.tail;
    const killerUntil = this.killerLog.tap.tail;
    const tagsUntil = this.sweeperLog.tap.tail;
    const tsNs = accountingCounters[CounterIndex.lastTsNs]!;
    const position = this.position.now;
    const records = new RecordList();
    const processes = this.keyframes.write(tsNs, records);
    const isWhole = this.mark() === before && isParked;
    if (!isWhole && !isLast) return;
    this.readers.forEach(({ tap }, reader) => tap.cursor = readerRecords[reader]!);
    this.sweeper.tap.cursor = sweeperRecords;
    this.accountingLog.tap.cursor = this.stepsUntil = stepsUntil;
    this.killerLog.tap.cursor = killerUntil;
    this.sweeperLog.tap.cursor = tagsUntil;
    const logs = [this.accountingLog, this.killerLog, this.sweeperLog];
    for (const source of [...this.toAccounting, ...logs]) {
      source.gathered.clear();
    }
    this.hasKeyframe = true;
    this.putKeyframe({ readNs: nowNs, tsNs, processes, isWhole }, records, position);
  }

  private putKeyframe(
    read: Pick<Keyframe, "readNs" | "tsNs" | "processes" | "isWhole">,
    records: RecordList,
    position = this.position.now,
  ): void {
    this.options.onKeyframe?.();
    this.putFacts();
    this.rules.refresh();
    this.putSettings();
    const keyframe: Keyframe = {
      ...read,
      readerRecords: this.readers.map(({ tap }) => tap.cursor),
      sweeperRecords: this.sweeper.tap.cursor,
      killerRecords: this.killerAnswers.head,
      position,
      settings: this.rules.sequence,
      isDegraded: Atomics.load(this.memory.header, HeaderWord.degraded) !== 0,
    };
    this.put(ChunkType.keyframe, jsonBytes(keyframe));
    this.putRecords({ ...this.sweeper, stream: Stream.keyframe, gathered: records, first: 0 });
  }
}
