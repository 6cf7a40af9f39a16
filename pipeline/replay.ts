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
  Member,
  MEMBER_COUNT,
  MmState,
  RECORD_BYTES,
  RecordKind,
  RecordWord,
  Role,
  RSS_CURR,
  RSS_MEMBER_MASK,
  RSS_NO_MM_ID,
  UserState,
} from "./layout.ts";
import { Accounting } from "./accounting.ts";
import { type MemberMask, NO_LIMIT_PAGES, UNKNOWN_UID } from "./books.ts";
import { Killer, type KillKernel, Refusal } from "./killer.ts";
import { type LimitRules, RulesPublisher } from "./limits.ts";
import { attachMemory, type Capacity, createMemory, type Memory } from "./memory.ts";
import type { VictimPolicy } from "./ranking.ts";
import { RecordWriter } from "./record_writer.ts";
import { readReport } from "./reports.ts";
import { RingConsumer, RingProducer } from "./ring.ts";

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

export interface ReplayMm {
  /** null where the line named none (Android's first form). */
  mmId: number | null;
  tgid: number | null;
  uid: number | null;
  pages: { file: number; anon: number; swap: number; shmem: number };
}

export interface ReplayDecision {
  ts: number;
  event: "soft" | "kill";
  uid: number | null;
  pid: number | null;
  usagePages: number;
  hardPages: number;
}

export interface ReplaySummary {
  events: number;
  lifecycle: number;
  lost: number;
  malformed: number;
  foreign: number;
  mms: ReplayMm[];
  users: {
    uid: number | null;
    usagePages: number;
    peakPages: number;
    limitPages: number | null;
  }[];
  decisions: ReplayDecision[];
}

/** What the parsers counted. */
export interface ParserCounts {
  readonly events: number;
  readonly lifecycle: number;
  readonly lost: number;
  readonly malformed: number;
  readonly foreign: number;
}

export class Replay {
  /** Where the parsers write. */
  readonly writer: RecordWriter;
  private readonly memory: Memory;
  private readonly accounting: Accounting;
  private readonly killer: Killer;
  private readonly ring: RingProducer;
  /** Reads along with accounting and never releases. */
  private readonly along: RingConsumer;
  private readonly accountingReports: RingConsumer;
  private readonly killerReports: RingConsumer;
  private readonly options: ReplayOptions;
  private readonly mms = new Map<number, ReplayMm>();
  private readonly decisions: ReplayDecision[] = [];
  private nowNs = 0;

  constructor(options: ReplayOptions) {
    const memory = attachMemory(createMemory(options.capacity));
    const { buffer, plan } = memory;
    this.memory = memory;
    this.options = options;
    new RulesPublisher(memory.rules).publish(options.limits);
    this.ring = new RingProducer(buffer, plan.readerRings[0]!);
    this.along = new RingConsumer(buffer, plan.readerRings[0]!);
    this.writer = new RecordWriter(this.ring, () => this.drain());
    this.accounting = new Accounting(memory, {
      countMask: options.countMask,
      unknownUid: options.assumeUid === undefined ? UNKNOWN_UID : options.assumeUid | 0,
      wakeSweeper: () => {},
    });
    this.accounting.start();
    const kernel: KillKernel = {
      open: (pid) => pid,
      check: () => Refusal.none,
      kill: () => 0,
      reap: () => {},
      exited: () => false,
      close: () => {},
      comm: () => new Uint8Array(0),
      nowNs: () => this.nowNs,
    };
    this.killer = new Killer(memory, kernel, {
      policy: options.policy,
      dryRun: false,
      patienceNs: 0,
    });
    this.accountingReports = new RingConsumer(buffer, plan.reportRings[Role.accounting]!);
    this.killerReports = new RingConsumer(buffer, plan.reportRings[Role.killer]!);
  }

  /**
   * Works off all that the parsers wrote, one record at a time: decisions then do not depend on
   * how the capture was cut into batches.
   */
  drain(): void {
    this.ring.publish();
    for (let word = this.along.next(); word >= 0; word = this.along.next()) {
      const { words, doubles } = this.along;
      const kindCpu = words[word + RecordWord.kindCpu]!;
      const isRss = (kindCpu & 0xff) === RecordKind.rss;
      const tsNs = doubles[word >> 1]!;
      const tid = words[word + RecordWord.tid]!;
      const a = words[word + RecordWord.a]!;
      const b = words[word + RecordWord.b]!;
      const c = words[word + RecordWord.c]!;
      this.nowNs = tsNs;
      this.accounting.step(tsNs, 1);
      if (this.killer.ready || this.killer.busy) {
        this.killer.step();
        this.accounting.step(tsNs);
      }
      this.collectDecisions();
      if (isRss) this.noteMm(tid, a, c);
      if (this.options.dump !== undefined) this.dump(tsNs, kindCpu, tid, a, b, c);
    }
  }

  private noteMm(tid: number, mmId: number, packed: number): void {
    const { books } = this.accounting;
    const unnamed = mmId === 0 || (packed & RSS_NO_MM_ID) !== 0;
    let mm: number;
    let key: number;
    if (unnamed) {
      const process = books.processOfTid(tid);
      if (process < 0) return;
      mm = books.processes.mmSlot1[process]! - 1;
      // Beyond every mm_id.
      key = 2 ** 33 + books.processes.tgid[process]!;
    } else {
      mm = books.findMm(mmId);
      key = mmId >>> 0;
    }
    let entry = this.mms.get(key);
    if (entry === undefined) {
      entry = {
        mmId: unnamed ? null : key,
        tgid: null,
        uid: null,
        pages: { file: 0, anon: 0, swap: 0, shmem: 0 },
      };
      this.mms.set(key, entry);
    }
    const { pages } = entry;
    if (mm < 0) {
      // It ended with this event: all members are zero, the owner is the last one known.
      pages.file =
        pages.anon =
        pages.swap =
        pages.shmem =
          0;
      return;
    }
    const { mms, processes, users } = books;
    const at = mm * MEMBER_COUNT;
    pages.file = mms.pages[at + Member.file]!;
    pages.anon = mms.pages[at + Member.anon]!;
    pages.swap = mms.pages[at + Member.swap]!;
    pages.shmem = mms.pages[at + Member.shmem]!;
    // An mm that is being built is its builder's only for the moment.
    if (mms.state[mm] === MmState.building && entry.tgid !== null) return;
    const process = mms.processSlot1[mm]! - 1;
    entry.tgid = processes.tgid[process]!;
    entry.uid = uidOrNull(users.uid[processes.userSlot[process]!]!);
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

  private dump(tsNs: number, kindCpu: number, tid: number, a: number, b: number, c: number): void {
    const cpu = kindCpu >> CPU_SHIFT;
    const kind = kindCpu & 0xff;
    if (kind === RecordKind.rss) {
      this.options.dump!(JSON.stringify({
        ts: tsNs,
        cpu,
        tid,
        mmId: (c & RSS_NO_MM_ID) !== 0 ? null : a >>> 0,
        curr: (c & RSS_CURR) !== 0 ? 1 : 0,
        member: c & RSS_MEMBER_MASK,
        bytes: b * this.options.capacity.pageBytes,
      }));
    } else if (kind === RecordKind.lost) {
      this.options.dump!(JSON.stringify({ ts: tsNs, cpu, lost: a < 0 ? null : a }));
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
      mms: [...this.mms.values()].sort((x, y) => (x.mmId ?? -1) - (y.mmId ?? -1)),
      users: rows,
      decisions: this.decisions,
    };
  }

  /** For tests: the books must add up (I3). */
  check(): void {
    this.accounting.books.checkSums();
    if (this.memory.plan.readerRings[0]!.recordBytes !== RECORD_BYTES) throw new Error("layout");
  }
}

function uidOrNull(uid: number): number | null {
  return uid === UNKNOWN_UID ? null : uid >>> 0;
}
