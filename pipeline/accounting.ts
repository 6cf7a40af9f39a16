/**
 * The accounting agent: takes records from all rings, keeps the books, compares each user with
 * its limits, and orders the killer to arm or to act.
 *
 * It has no thread, no clock and no kernel of its own: the worker, the replay and the simulator
 * run the same agent on the same memory. What it does with a record is in accounting/.
 *
 * @module
 */
import {
  CounterIndex,
  HeaderWord,
  KIND_MASK,
  RecordKind,
  RecordWord,
  Role,
} from "./memory/layout.ts";
import type { MemberMask, Settings } from "./memory/settings.ts";
import { RulesView } from "./limits/published_rules.ts";
import { attachCounters, type Memory } from "./memory/memory.ts";
import { Attribution } from "./books/attribution.ts";
import { Books } from "./books/books.ts";
import { Doorbell } from "./memory/doorbell.ts";
import { Enforcement } from "./limits/enforcement.ts";
import type { KernelLimits } from "./kill/kernel_trigger.ts";
import { ProcFacts } from "./books/proc_facts.ts";
import { type Inbox, makeInbox } from "./messages/inbox.ts";
import { Questions } from "./messages/questions.ts";
import { DegradedReason, ReportWriter } from "./messages/reports.ts";
import { RoleLog, StepLog } from "./messages/role_log.ts";
import { LoggedKernelLimits } from "./limits/logged_limits.ts";
import { RingConsumer, type RingPlace, RingProducer } from "./memory/ring.ts";
import { Doubt } from "./accounting/doubt.ts";
import { EventTime } from "./accounting/event_time.ts";
import { OtherRecords } from "./accounting/other_records.ts";
import { RssEvents } from "./accounting/rss_events.ts";

const PAGE_TABLE_ENTRY_BYTES = 8;

/** Records taken from one ring before looking at the next. */
const BATCH_RECORDS = 512;
/** While readers fill their batches, the sweeper's ring gets a quarter of one. */
const SWEEPER_SHARE_SHIFT = 2;

export interface AccountingOptions {
  /** The user of processes that nobody announced and /proc has not told of yet. */
  readonly unknownUid: number;
  /** So near to its hard limit a user's events must not wait, see urgency.ts. */
  readonly marginPages: number;
  /** Wakes the sweeper, which sleeps in poll(2) and not on a bell. */
  readonly wakeSweeper: () => void;
  /** Wakes the coordinator, which sleeps in epoll_wait(2). */
  readonly wakeCoordinator: () => void;
  /**
   * Somebody answers queries from /proc, so that books in doubt need not decide. Default true; false
   * for a capture, which cannot be asked.
   */
  readonly hasProc?: boolean;
  /** Programs in the kernel that compare users with their limits too. */
  readonly kernel?: KernelLimits | undefined;
}

export class Accounting {
  readonly books: Books;
  private readonly facts: ProcFacts;
  private readonly enforcement: Enforcement;
  private readonly doubt: Doubt;
  private readonly rssEvents: RssEvents;
  private readonly others: OtherRecords;
  private readonly time = new EventTime();
  private readonly header: Int32Array;
  private readonly counters: Float64Array;
  private readonly readers: readonly Inbox[];
  private readonly sweeper: Inbox;
  private readonly killer: Inbox;
  private readonly wakeCoordinator: () => void;
  private readonly rules: RulesView;
  /** For recordings. */
  private readonly log: RoleLog;
  private readonly steps: StepLog;
  private readonly takenOf = (reader: number): number => this.readers[reader]!.ring.taken;
  private readonly countMask: MemberMask;
  private readonly creditsShares: boolean;
  private countsOthers = false;

  constructor(memory: Memory, options: AccountingOptions) {
    const { buffer, plan } = memory;
    const { time } = this;
    const header = this.header = memory.header;
    const counters = this.counters = attachCounters(memory, Role.accounting);
    const reports = new ReportWriter(
      new RingProducer(buffer, plan.reportRings[Role.accounting]!),
      counters,
      new Doorbell(memory, Role.supervisor),
    );
    const inbox = (place: RingPlace): Inbox => makeInbox(new RingConsumer(buffer, place));
    this.readers = plan.readerRings.map(inbox);
    this.sweeper = inbox(plan.sweeperRing);
    this.killer = inbox(plan.killerRing);
    this.log = new RoleLog(memory, plan.accountingLog);
    this.steps = new StepLog(this.log, this.readers.length);
    const questions = new Questions(new RingProducer(buffer, plan.queryRing), options.wakeSweeper);
    this.wakeCoordinator = options.wakeCoordinator;
    const rules = this.rules = new RulesView(memory.settings);
    rules.refresh();
    const { countMask, creditsShares, userProcessesMax } = rules.settings;
    this.countMask = countMask;
    this.creditsShares = creditsShares;
    const books = this.books = new Books(memory, counters, {
      countMask,
      creditsShares,
      userProcessesMax,
      onFull: (table, userSlot) => this.doubt.tableFull(table, userSlot),
      onUser: (userSlot) => this.enforcement.userAdded(userSlot),
      onCredit: (userSlot) => this.enforcement.creditChanged(userSlot, time.lastTsNs),
    });
    const attribution = new Attribution({
      books,
      counters,
      unknownUid: options.unknownUid,
      buildPagesMax: plan.capacity.pageBytes / PAGE_TABLE_ENTRY_BYTES,
      onUnknownTid: (tid) => questions.resolve(tid, time.lastTsNs),
    });
    const enforcement = this.enforcement = new Enforcement({
      memory,
      books,
      reports,
      counters,
      marginPages: options.marginPages,
      rules,
      kernel: options.kernel && new LoggedKernelLimits(options.kernel, this.log),
      measure: (uid) => questions.measure(uid, time.lastTsNs),
      verify: (uid) => questions.verify(uid, time.lastTsNs),
      brake: options.wakeSweeper,
    });
    const facts = this.facts = new ProcFacts(books, attribution, reports, counters);
    const hasProc = options.hasProc ?? true;
    const parts = { header, counters, books, attribution, facts, enforcement, reports, time };
    const doubt = this.doubt = new Doubt({ ...parts, questions, hasProc });
    this.rssEvents = new RssEvents(parts);
    this.others = new OtherRecords({ ...parts, doubt });
  }

  /**
   * Takes over the memory, and asks for everything to be read again when somebody was here before.
   *
   * @param reason {@link DegradedReason}: why somebody takes over.
   */
  start(reason: number = DegradedReason.workerRestart): void {
    const before = this.books.processSlots.used > 0 || this.header[HeaderWord.discovered] !== 0 ||
      Atomics.load(this.header, HeaderWord.degraded) !== 0;
    this.books.reset();
    this.enforcement.start();
    if (!before) return;
    // Until then the books of the predecessor were right.
    this.time.lastTsNs = this.counters[CounterIndex.lastTsNs]!;
    this.doubt.tookOver(reason);
  }

  /**
   * Works off what the rings hold, at most one batch of each.
   * @param nowNs CLOCK_MONOTONIC, or the time of the capture; nanoseconds.
   * @param records Size of a batch.
   * @param answers Of the killer, taken at most; a replay says how many.
   * @returns Records taken; 0 means there is nothing to do.
   */
  step(nowNs: number, records = BATCH_RECORDS, answers = records): number {
    this.doubt.step(nowNs);
    if (this.rules.refresh()) this.settingsChanged(nowNs);
    this.enforcement.refresh(nowNs);
    let taken = 0;
    for (let i = 0; i < this.readers.length; i++) taken += this.drain(this.readers[i]!, records);
    // What /proc says is older than what the readers had when it was read: readers first. But each
    // ring gets its share, because logins and recovery must not wait for a user's storm of events.
    if (this.facts.isEnding) taken += this.doubt.continueSweepEnd();
    else {
      const share = taken < records ? records : Math.max(1, records >> SWEEPER_SHARE_SHIFT);
      taken += this.drain(this.sweeper, share);
    }
    taken += this.drain(this.killer, answers);
    if (this.books.anyTouched) this.enforcement.compareTouched(nowNs);
    if (this.books.freedForWaits) {
      this.books.freedForWaits = false;
      this.wakeCoordinator();
    }
    if (this.log.recording !== 0) {
      const { sweeper, killer } = this;
      this.steps.stepped(
        nowNs,
        this.takenOf,
        sweeper.ring.taken,
        killer.ring.taken,
        this.rules.sequence,
      );
    }
    if (taken > 0) {
      this.counters[CounterIndex.batches]!++;
      this.counters[CounterIndex.lastTsNs] = this.time.lastTsNs;
    }
    return taken;
  }

  /** Limits or settings are others. */
  private settingsChanged(nowNs: number): void {
    this.books.userProcessesMax = this.rules.settings.userProcessesMax;
    this.enforcement.limitsChanged(nowNs);
    this.countsOthers = this.enforcement.countsOthers();
  }

  /** As of the last step. */
  get settings(): Settings {
    return this.rules.settings;
  }

  /**
   * Whether what counts, for anybody, is another thing than when this began. Then another one must take its place,
   * on the same memory: the books are sums of what counted, and all must be read again.
   */
  get isOutdated(): boolean {
    const { countMask, creditsShares } = this.rules.settings;
    return countMask !== this.countMask || creditsShares !== this.creditsShares ||
      this.countsOthers;
  }

  /** Whether a sleep would be wrong: a ring has records. */
  get ready(): boolean {
    for (let i = 0; i < this.readers.length; i++) if (this.readers[i]!.ring.ready) return true;
    return this.sweeper.ring.ready || this.killer.ring.ready;
  }

  private drain(inbox: Inbox, records: number): number {
    const { ring } = inbox;
    const { words, doubles } = ring;
    for (let left = records; left > 0; left--) {
      const word = ring.next();
      if (word < 0) break;
      const kindCpu = words[word + RecordWord.kindCpu]!;
      if ((kindCpu & KIND_MASK) === RecordKind.rss) this.rssEvents.apply(words, doubles, word);
      else this.others.apply(inbox, word, kindCpu);
      if (this.books.anyTouched) this.enforcement.compareTouched(doubles[word >> 1]!);
      // Nothing may come between the rows of a sweep that are still to be ended and what follows it.
      if (this.facts.isEnding) break;
    }
    return ring.release();
  }
}
