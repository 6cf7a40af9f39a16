/**
 * A capture run through the very same ring, accounting and killer as live events, with the
 * captured clock and without a kernel: what would have happened?
 *
 * A process that a decision kills goes on in the capture. Its pages stay on the books, but count
 * as being freed, so that the next decision is the one that would have followed.
 *
 * @module
 */
import {
  CPU_SHIFT,
  KIND_MASK,
  Member,
  MEMBER_COUNT,
  MmState,
  RECORD_BYTES,
  RECORD_WORDS,
  RecordKind,
  RecordWord,
  Role,
  RSS_CURR,
  RSS_MEMBER_MASK,
  RSS_NO_MM_ID,
  UserState,
} from "../memory/layout.ts";
import { Accounting } from "../accounting.ts";
import { type Books, NO_LIMIT_PAGES, UNKNOWN_UID } from "../books/books.ts";
import { Killer, type KillKernel, Refusal } from "../kill/killer.ts";
import { type LimitRules } from "../limits/limits.ts";
import { RulesPublisher } from "../limits/published_rules.ts";
import { attachMemory, type Capacity, createMemory, DEFAULT_CAPACITY } from "../memory/memory.ts";
import { DEFAULT_SETTINGS, type MemberMask, type VictimPolicy } from "../memory/settings.ts";
import { RecordWriter } from "../messages/record_writer.ts";
import type { ParserCounts, ReplayDecision, ReplayMm, ReplaySummary } from "./replay_summary.ts";
import { readReport } from "../messages/reports.ts";
import { ringBytes, RingConsumer, RingProducer } from "../memory/ring.ts";

export interface ReplayOptions {
  readonly capacity: Capacity;
  readonly countMask: MemberMask;
  readonly policy: VictimPolicy;
  readonly limits: LimitRules;
  /** The user of processes whose user the capture cannot tell; undefined: unknown. */
  readonly assumeUid: number | undefined;
  /** Called with one JSON object for each rss_stat event and loss. */
  readonly dump?: ((line: string) => void) | undefined;
}

/**
 * Room for a capture: more than for a daemon, as processes whose end was not captured stay for
 * good. The pages of what is not used are never touched.
 */
export const REPLAY_CAPACITY: Capacity = {
  ...DEFAULT_CAPACITY,
  processes: 65_536,
  tasks: 262_144,
  mms: 131_072,
};

/** Mms that are remembered; of more, the ended ones are forgotten, the oldest first. */
const MMS_MAX = 262_144;
/** Beyond every mm_id: where the keys of mms without one begin. */
const UNNAMED_KEY = 2 ** 33;
/** man 3 errno */
const ESRCH = 3;

export class Replay {
  /** Where the parsers write. */
  readonly writer: RecordWriter;
  private readonly accounting: Accounting;
  private readonly killer: Killer;
  private readonly victims: CapturedProcesses;
  /** From the parsers: whole batches. */
  private readonly staging: RingProducer;
  private readonly staged: RingConsumer;
  /** To accounting: one record at a time. */
  private readonly feed: RingProducer;
  private readonly accountingReports: RingConsumer;
  private readonly killerReports: RingConsumer;
  private readonly options: ReplayOptions;
  private readonly mms: MmNotes;
  private readonly decisions: ReplayDecision[] = [];
  private newestNs = -Infinity;
  private timesBack = 0;
  private timesBackNsMax = 0;
  /** Whether the killer has victims, or orders that wait. */
  private killerBusy = false;

  constructor(options: ReplayOptions) {
    const memory = attachMemory(createMemory(options.capacity));
    const { buffer, plan } = memory;
    this.options = options;
    new RulesPublisher(memory.settings).publish(options.limits, {
      ...DEFAULT_SETTINGS,
      countMask: options.countMask,
      // A capture does not tell what was copied after a fork, and nobody can measure it any more.
      creditsShares: false,
      victimPolicy: options.policy,
    });
    const records = options.capacity.ringRecords;
    const place = { byteOffset: 0, records, recordBytes: RECORD_BYTES };
    const stage = new SharedArrayBuffer(ringBytes(records, RECORD_BYTES));
    this.staging = new RingProducer(stage, place);
    this.staged = new RingConsumer(stage, place);
    this.writer = new RecordWriter(this.staging, () => this.drain());
    this.feed = new RingProducer(buffer, plan.readerRings[0]!);
    this.accounting = new Accounting(memory, {
      hasProc: false,
      unknownUid: options.assumeUid === undefined ? UNKNOWN_UID : options.assumeUid | 0,
      marginPages: 0,
      wakeSweeper: () => {},
      wakeCoordinator: () => {},
    });
    this.accounting.start();
    this.victims = new CapturedProcesses(this.accounting.books);
    this.killer = new Killer(memory, this.victims, {
      // Who was killed goes on in the capture, and counts as being freed until it ends there.
      patienceNs: Infinity,
    });
    this.mms = new MmNotes(this.accounting.books);
    this.accountingReports = new RingConsumer(buffer, plan.reportRings[Role.accounting]!);
    this.killerReports = new RingConsumer(buffer, plan.reportRings[Role.killer]!);
  }

  /**
   * Works off all that the parsers wrote, one record at a time: decisions then do not depend on
   * how the capture was cut into batches.
   */
  drain(): void {
    this.staging.publish();
    const { staged, accounting, victims, mms } = this;
    const { words, doubles } = staged;
    for (let word = staged.next(); word >= 0; word = staged.next()) {
      const tsNs = doubles[word >> 1]!;
      const kindCpu = words[word + RecordWord.kindCpu]!;
      const tid = words[word + RecordWord.tid]!;
      const a = words[word + RecordWord.a]!;
      const b = words[word + RecordWord.b]!;
      const c = words[word + RecordWord.c]!;
      this.pass(word);
      victims.now = tsNs;
      if (tsNs < this.newestNs) {
        this.timesBack++;
        this.timesBackNsMax = Math.max(this.timesBackNsMax, this.newestNs - tsNs);
      } else this.newestNs = tsNs;
      if ((kindCpu & KIND_MASK) === RecordKind.rss) {
        const ending = b <= 0 && (c & RSS_CURR) === 0;
        // Afterwards, nobody knows any more whose it was.
        if (ending) mms.note(tid, a, c);
        accounting.step(tsNs);
        mms.note(tid, a, c);
        if (this.killer.ready || (this.killerBusy && ending)) this.decide(tsNs);
      } else {
        accounting.step(tsNs);
        if (this.killer.ready || this.killerBusy) this.decide(tsNs);
      }
      this.collectDecisions();
      if (this.options.dump !== undefined) this.dump(tsNs, kindCpu, tid, a, b, c);
    }
    staged.release();
  }

  /** Hands one record on to accounting. */
  private pass(from: number): void {
    const { staged, feed } = this;
    const to = feed.claim();
    feed.doubles[to >> 1] = staged.doubles[from >> 1]!;
    for (let word: number = RecordWord.kindCpu; word < RECORD_WORDS; word++) {
      feed.words[to + word] = staged.words[from + word]!;
    }
    feed.advance();
    feed.publish();
  }

  /** Lets killer and accounting talk until nothing is left to say about this moment. */
  private decide(tsNs: number): void {
    do {
      this.killer.step();
      this.accounting.step(tsNs);
    } while (this.killer.ready);
    this.killerBusy = this.killer.busy;
  }

  private collectDecisions(): void {
    for (const ring of [this.accountingReports, this.killerReports]) {
      for (let report = readReport(ring); report !== undefined; report = readReport(ring)) {
        const { name, tsNs, values } = report;
        if (name !== "soft" && name !== "kill") continue;
        this.decisions.push({
          ts: tsNs,
          event: name,
          uid: uidOrNull(values["uid"]!),
          pid: name === "kill" ? values["pid"]! : null,
          usagePages: values["usagePages"]!,
          hardPages: values["hardPages"]!,
        });
      }
    }
  }

  /** JSON by hand: all values are numbers, and a capture has millions of them. */
  private dump(tsNs: number, kindCpu: number, tid: number, a: number, b: number, c: number): void {
    const { dump, capacity } = this.options;
    const cpu = kindCpu >> CPU_SHIFT;
    const kind = kindCpu & KIND_MASK;
    if (kind === RecordKind.rss) {
      const mmId = (c & RSS_NO_MM_ID) !== 0 ? null : a >>> 0;
      const curr = (c & RSS_CURR) !== 0 ? 1 : 0;
      dump!(
        `{"ts":${tsNs},"cpu":${cpu},"tid":${tid},"mmId":${mmId},"curr":${curr},` +
          `"member":${c & RSS_MEMBER_MASK},"bytes":${b * capacity.pageBytes}}`,
      );
    } else if (kind === RecordKind.lost) {
      dump!(`{"ts":${tsNs},"cpu":${cpu},"lost":${a < 0 ? null : a}}`);
    }
  }

  summary(counts: ParserCounts): ReplaySummary {
    const { users, userSlots } = this.accounting.books;
    const rows: ReplaySummary["users"] = [];
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      if (users.state[slot] === UserState.free) continue;
      const limitPages = users.hardPages[slot]!;
      rows.push({
        uid: uidOrNull(users.uid[slot]!),
        usagePages: users.usagePages[slot]!,
        peakPages: users.peakPages[slot]!,
        limitPages: limitPages === NO_LIMIT_PAGES ? null : limitPages,
      });
    }
    const { events, lifecycle, lost, malformed, foreign } = counts;
    return {
      events,
      lifecycle,
      lost,
      malformed,
      foreign,
      timesBack: this.timesBack,
      timesBackNsMax: this.timesBackNsMax,
      mms: this.mms.list(),
      users: rows,
      decisions: this.decisions,
    };
  }

  /** For tests: the books must add up (I3). */
  check(): void {
    this.accounting.books.checkSums();
  }
}

/** What is remembered of the mms of a capture: whose each was, also when it has ended. */
class MmNotes {
  private readonly books: Books;
  private readonly owners = new Map<number, { tgid: number | null; uid: number | null }>();

  constructor(books: Books) {
    this.books = books;
  }

  /**
   * Notes whose mm an event is about.
   * @returns Row of its user, -1 when it is not in the books.
   */
  note(tid: number, mmId: number, packed: number): number {
    const { books, owners } = this;
    const { mms, processes, users } = books;
    let mm: number;
    let key: number;
    if (mmId === 0 || (packed & RSS_NO_MM_ID) !== 0) {
      const process = books.processOfTid(tid);
      if (process < 0) return -1;
      mm = processes.mmSlot1[process]! - 1;
      key = UNNAMED_KEY + processes.tgid[process]!;
    } else {
      mm = books.findMm(mmId);
      key = mmId >>> 0;
    }
    if (mm < 0) return -1;
    let owner = owners.get(key);
    if (owner === undefined) {
      if (owners.size >= MMS_MAX) this.forgetEnded();
      owners.set(key, owner = { tgid: null, uid: null });
    }
    const process = mms.processSlot1[mm]! - 1;
    const user = processes.userSlot[process]!;
    // An mm that is being built is its builder's only for the moment.
    if (mms.state[mm] === MmState.building && owner.tgid !== null) return user;
    owner.tgid = processes.tgid[process]!;
    owner.uid = uidOrNull(users.uid[user]!);
    return user;
  }

  /** All of them, ended ones with no pages. */
  list(): ReplayMm[] {
    const { mms, processes, users } = this.books;
    const rows: ReplayMm[] = [];
    for (const [key, { tgid, uid }] of this.owners) {
      const mmId = key >= UNNAMED_KEY ? null : key;
      const mm = this.slotOf(key);
      if (mm < 0) {
        rows.push({ mmId, tgid, uid, pages: { file: 0, anon: 0, swap: 0, shmem: 0 } });
        continue;
      }
      const at = mm * MEMBER_COUNT;
      const process = mms.processSlot1[mm]! - 1;
      rows.push({
        mmId,
        tgid: processes.tgid[process]!,
        uid: uidOrNull(users.uid[processes.userSlot[process]!]!),
        pages: {
          file: mms.pages[at + Member.file]!,
          anon: mms.pages[at + Member.anon]!,
          swap: mms.pages[at + Member.swap]!,
          shmem: mms.pages[at + Member.shmem]!,
        },
      });
    }
    return rows.sort((x, y) => (x.mmId ?? -1) - (y.mmId ?? -1) || (x.tgid ?? 0) - (y.tgid ?? 0));
  }

  private slotOf(key: number): number {
    const { books } = this;
    if (key < UNNAMED_KEY) return books.findMm(key | 0);
    const process = books.findProcess(key - UNNAMED_KEY);
    return process < 0 ? -1 : books.processes.mmSlot1[process]! - 1;
  }

  private forgetEnded(): void {
    for (const key of this.owners.keys()) {
      if (this.owners.size <= MMS_MAX / 2) return;
      if (this.slotOf(key) < 0) this.owners.delete(key);
    }
  }
}

/** A process behind a handle. */
interface Captured {
  readonly slot: number;
  readonly generation: number;
}

/**
 * What stands for the kernel: processes are those of the books, signals end nobody. Those that were
 * killed are gone when the capture says so; until then the killer takes their pages as being freed.
 */
class CapturedProcesses implements KillKernel {
  /** Time of the newest record. */
  now = 0;
  private readonly books: Books;
  private readonly handles = new Map<number, Captured>();
  private handleCount = 0;

  constructor(books: Books) {
    this.books = books;
  }

  open(pid: number): number {
    const slot = this.books.findProcess(pid);
    if (slot < 0) return -ESRCH;
    const handle = this.handleCount++;
    this.handles.set(handle, { slot, generation: this.books.processes.generation[slot]! });
    return handle;
  }

  check(handle: number): number {
    return this.exited(handle) ? Refusal.gone : Refusal.none;
  }

  /** Nobody dies. */
  kill(): number {
    return 0;
  }

  reap(): void {}

  hurry(): void {}

  sharesMm(): boolean {
    return true;
  }

  /** A capture does not tell. */
  oomScoreAdj(): number {
    return 0;
  }

  exited(handle: number): boolean {
    const { slot, generation } = this.handles.get(handle)!;
    return this.books.processes.generation[slot] !== generation;
  }

  close(handle: number): void {
    this.handles.delete(handle);
  }

  comm(): Uint8Array {
    return new Uint8Array(0);
  }

  nowNs(): number {
    return this.now;
  }
}

function uidOrNull(uid: number): number | null {
  return uid === UNKNOWN_UID ? null : uid >>> 0;
}
