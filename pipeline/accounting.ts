/**
 * The accounting agent: takes records from all rings, keeps the books, compares each user with
 * its limits, and orders the killer to arm or to act.
 *
 * It has no thread, no clock and no kernel of its own: the worker, the replay and the simulator
 * run the same agent on the same memory.
 *
 * @module
 */
import {
  CounterIndex,
  CPU_SHIFT,
  HeaderWord,
  KIND_MASK,
  MmState,
  OrderKind,
  PressureReason,
  RecordKind,
  RecordWord,
  Role,
  RoleWord,
  RSS_CURR,
  RSS_MEMBER_MASK,
  RSS_NO_MM_ID,
  SweepFlag,
  Trigger,
  UserState,
} from "./layout.ts";
import { attachCounters, type Memory } from "./memory.ts";
import { Attribution } from "./attribution.ts";
import { Books, type MemberMask, NO_LIMIT_PAGES, TABLE_NAMES, UNKNOWN_UID } from "./books.ts";
import { attachRole, Doorbell } from "./doorbell.ts";
import { Dying } from "./dying.ts";
import { RulesView } from "./limits.ts";
import { Measuring } from "./measuring.ts";
import { ProcFacts } from "./proc_facts.ts";
import { DegradedReason, ReportWriter } from "./reports.ts";
import { RingConsumer, RingProducer } from "./ring.ts";
import { Relief } from "./relief.ts";
import { Urgency } from "./urgency.ts";
import { invariant } from "./invariant.ts";

/** Above soft, the victims are ranked again every so many pages: the original's early bootstrap. */
export const ARM_EVERY_PAGES = 10;
/**
 * But not sooner than this after the last time. A wake-up of the killer costs accounting as much as
 * ten events, so that at ten events for each it would never make up for a delay once it had one.
 */
export const ARM_EVERY_NS = 1e6;

/** The same thing about the same user is told at most this often. */
const REPORT_EVERY_NS = 1e9;

const PAGE_TABLE_ENTRY_BYTES = 8;

/** A user is verified, or measured, at most this often on accounting's own account. */
const ASK_EVERY_NS = 5e6;

/** Records taken from one ring before looking at the next. */
const BATCH_RECORDS = 512;
/** While readers fill their batches, the sweeper's ring gets a quarter of one. */
const SWEEPER_SHARE_SHIFT = 2;

export interface AccountingOptions {
  /** Counted members. */
  readonly countMask: MemberMask;
  /** The user of processes that nobody announced and /proc has not told of yet. */
  readonly unknownUid: number;
  /** So near to its hard limit a user's events must not wait, see {@link Urgency}. */
  readonly marginPages: number;
  /** Wakes the sweeper, which sleeps in poll(2) and not on a bell. */
  readonly wakeSweeper: () => void;
  /** Wakes the coordinator, which sleeps in epoll_wait(2). */
  readonly wakeCoordinator: () => void;
  /** Whether soft arms the killer. Default true; without, all is left to do at hard. */
  readonly arms?: boolean;
  /** Pages that are counted more than once are credited. Default true; else usage is the sum. */
  readonly creditsShares?: boolean;
  /** Processes of one user at one time; one that has more counts as over its limit. */
  readonly userProcessesMax?: number;
  /**
   * Somebody answers queries from /proc, so that books in doubt need not decide. Default true; false
   * for a capture, which cannot be asked.
   */
  readonly hasProc?: boolean;
}

export class Accounting {
  readonly books: Books;
  private readonly attribution: Attribution;
  private readonly facts: ProcFacts;
  private readonly measuring: Measuring;
  private readonly header: Int32Array;
  private readonly counters: Float64Array;
  private readonly rules: RulesView;
  private readonly readers: readonly RingConsumer[];
  private readonly sweeper: RingConsumer;
  private readonly killer: RingConsumer;
  private readonly orders: RingProducer;
  private readonly queries: RingProducer;
  private readonly killerBell: Doorbell;
  private readonly killerRole: Int32Array;
  private readonly reports: ReportWriter;
  private readonly wakeSweeper: () => void;
  private readonly wakeCoordinator: () => void;
  private readonly arms: boolean;
  private readonly hasProc: boolean;
  /** By user slot: a kill was ordered and not answered yet. */
  private readonly killOrdered: Uint8Array;
  /** By user slot: orders to arm so far, and when the last was given. */
  private readonly armsOrdered: Int32Array;
  private readonly armOrderedNs: Float64Array;
  private readonly softReportedNs: Float64Array;
  private readonly urgency: Urgency;
  private readonly dying: Dying;
  private readonly relief: Relief;
  /** By user slot: up to so many charged pages a user is below soft and far from hard. */
  private readonly farPages: Float64Array;
  /** By user slot: its growth up to so many counted pages changes nothing, and is not looked at. */
  private readonly quietPages: Float64Array;
  /** By user slot: when it was asked to be verified, and to be measured. */
  private readonly verifyAskedNs: Float64Array;
  private readonly measureAskedNs: Float64Array;
  /** Beginning of the verification under way, and whose it is. */
  private verifyBeganNs = 0;
  private verifyUid = UNKNOWN_UID;
  private readonly fullReportedNs = new Float64Array(TABLE_NAMES.length);
  /** Time of the record that counts at present: a field, not an argument, see {@link rss}. */
  private readonly nowNs = new Float64Array(1);
  private killerEpoch: number;
  private degradedSinceNs = 0;
  private lastTsNs = 0;
  private resyncAsked = false;
  /** Outside of sweeps, /proc is read for logins: that is news of the user, not the timer. */
  private readingTrigger: Trigger = Trigger.user;
  /** The sweep whose end is under way. */
  private endingSweep = 0;
  private endingFlags = 0;
  /** A table was full during this sweep: another sweep at once would not help. */
  private fullSinceSweep = false;

  constructor(memory: Memory, options: AccountingOptions) {
    const { buffer, plan } = memory;
    this.header = memory.header;
    this.counters = attachCounters(memory, Role.accounting);
    this.reports = new ReportWriter(
      new RingProducer(buffer, plan.reportRings[Role.accounting]!),
      this.counters,
      new Doorbell(memory, Role.supervisor),
    );
    this.rules = new RulesView(memory.rules);
    this.rules.refresh();
    this.readers = plan.readerRings.map((place) => new RingConsumer(buffer, place));
    this.sweeper = new RingConsumer(buffer, plan.sweeperRing);
    this.killer = new RingConsumer(buffer, plan.killerRing);
    this.orders = new RingProducer(buffer, plan.orderRing);
    this.queries = new RingProducer(buffer, plan.queryRing);
    this.killerBell = new Doorbell(memory, Role.killer);
    this.killerRole = attachRole(memory, Role.killer);
    this.killerEpoch = Atomics.load(this.killerRole, RoleWord.epoch);
    this.wakeSweeper = options.wakeSweeper;
    this.wakeCoordinator = options.wakeCoordinator;
    this.arms = options.arms ?? true;
    this.hasProc = options.hasProc ?? true;
    this.killOrdered = new Uint8Array(plan.capacity.users);
    this.armsOrdered = new Int32Array(plan.capacity.users);
    this.armOrderedNs = new Float64Array(plan.capacity.users).fill(-Infinity);
    this.softReportedNs = new Float64Array(plan.capacity.users).fill(-Infinity);
    this.urgency = new Urgency(memory, options.marginPages);
    this.farPages = new Float64Array(plan.capacity.users).fill(Infinity);
    this.quietPages = new Float64Array(plan.capacity.users).fill(Infinity);
    this.verifyAskedNs = new Float64Array(plan.capacity.users).fill(-Infinity);
    this.measureAskedNs = new Float64Array(plan.capacity.users).fill(-Infinity);
    this.books = new Books(memory, this.counters, {
      countMask: options.countMask,
      creditsShares: options.creditsShares ?? true,
      userProcessesMax: options.userProcessesMax ?? plan.capacity.processes,
      onFull: (table, userSlot) => this.tableFull(table, userSlot),
      onUser: (userSlot) => this.userAdded(userSlot),
      onCredit: (userSlot) => this.creditChanged(userSlot),
    });
    this.attribution = new Attribution(
      this.books,
      this.counters,
      options.unknownUid,
      plan.capacity.pageBytes / PAGE_TABLE_ENTRY_BYTES,
      (tid) => this.ask(RecordKind.resolve, tid),
    );
    this.measuring = new Measuring(this.books);
    this.dying = new Dying(memory);
    this.relief = new Relief(this.books, this.dying, this.reports, plan.capacity.pageBytes);
    this.facts = new ProcFacts(this.books, this.attribution, this.reports, this.counters);
  }

  /** Takes over the memory, and asks for everything to be read again when somebody was here before. */
  start(): void {
    const before = this.books.processSlots.used > 0 || this.header[HeaderWord.discovered] !== 0;
    this.books.reset();
    this.armsOrdered.set(this.books.users.armsDone);
    for (let slot = 0; slot < this.books.userSlots.highWater; slot++) this.limitUser(slot);
    if (!before) return;
    this.degrade(DegradedReason.workerRestart, this.lastTsNs);
    // What was read before now does not count: the events that followed it are gone with the books.
    this.degradedSinceNs = Infinity;
  }

  /**
   * Works off what the rings hold, at most one batch of each.
   * @param nowNs CLOCK_MONOTONIC, or the time of the capture; nanoseconds.
   * @param records Size of a batch.
   * @returns Records taken; 0 means there is nothing to do.
   */
  step(nowNs: number, records = BATCH_RECORDS): number {
    if (this.degradedSinceNs === Infinity) {
      this.degradedSinceNs = nowNs;
      this.doubtAll();
    }
    if (this.rules.refresh()) this.limitsChanged(nowNs);
    const killerEpoch = Atomics.load(this.killerRole, RoleWord.epoch);
    if (killerEpoch !== this.killerEpoch) {
      this.killerEpoch = killerEpoch;
      this.killerRestarted(nowNs);
    }
    let taken = 0;
    for (let i = 0; i < this.readers.length; i++) taken += this.drain(this.readers[i]!, records);
    // What /proc says is older than what the readers had when it was read: readers first. But each
    // ring gets its share, because logins and recovery must not wait for a user's storm of events.
    if (this.facts.isEnding) taken += this.continueSweepEnd();
    else {
      const share = taken < records ? records : Math.max(1, records >> SWEEPER_SHARE_SHIFT);
      taken += this.drain(this.sweeper, share);
    }
    taken += this.drain(this.killer, records);
    if (this.books.anyTouched) this.compareTouched(nowNs);
    if (this.books.freedForWaits) {
      this.books.freedForWaits = false;
      this.wakeCoordinator();
    }
    if (taken > 0) {
      this.counters[CounterIndex.batches]!++;
      this.counters[CounterIndex.lastTsNs] = this.lastTsNs;
    }
    return taken;
  }

  /** Whether a sleep would be wrong: a ring has records. */
  get ready(): boolean {
    for (let i = 0; i < this.readers.length; i++) if (this.readers[i]!.ready) return true;
    return this.sweeper.ready || this.killer.ready;
  }

  private drain(ring: RingConsumer, records: number): number {
    const { words, doubles } = ring;
    for (let left = records; left > 0; left--) {
      const word = ring.next();
      if (word < 0) break;
      const kindCpu = words[word + RecordWord.kindCpu]!;
      const tid = words[word + RecordWord.tid]!;
      const a = words[word + RecordWord.a]!;
      const b = words[word + RecordWord.b]!;
      const c = words[word + RecordWord.c]!;
      const d = words[word + RecordWord.d]!;
      if ((kindCpu & KIND_MASK) === RecordKind.rss) this.rss(doubles, word >> 1, tid, a, b, c, d);
      else this.other(doubles[word >> 1]!, kindCpu, tid, a, b, c, d);
      if (this.books.anyTouched) this.compareTouched(doubles[word >> 1]!);
      // Nothing may come between the rows of a sweep that are still to be ended and what follows it.
      if (this.facts.isEnding) break;
    }
    return ring.release();
  }

  /**
   * One rss_stat event: one mm, one process, one user, whatever the number of any.
   *
   * It is told where its time is, not the time, and hands on none either: V8 allocates for a double
   * that is an argument of a function which is not inlined, and what is allocated is collected.
   */
  private rss(
    doubles: Float64Array,
    at: number,
    tid: number,
    mmId: number,
    sizePages: number,
    packed: number,
    tgidHint: number,
  ): void {
    const tsNs = doubles[at]!;
    this.counters[CounterIndex.events]!++;
    this.lastTsNs = tsNs;
    const { books } = this;
    const { mms, processes } = books;
    const curr = (packed & RSS_CURR) !== 0;
    let isUnannounced = false;
    let mm: number;
    // An mm_id of 0 is what every mm has before the kernel's pointer hash is seeded.
    if (mmId === 0 || (packed & RSS_NO_MM_ID) !== 0) {
      if (!curr) {
        this.counters[CounterIndex.unattributed]!++;
        return;
      }
      mm = this.attribution.ownMm(tid, tgidHint, tsNs);
    } else {
      mm = books.findMm(mmId);
      if (mm < 0) {
        mm = this.attribution.unknownMm(mmId, tid, curr, sizePages, tgidHint, tsNs);
        isUnannounced = this.facts.degraded && mm >= 0 && curr && books.isEmpty(mm);
      } else if (curr && mms.lastTid[mm] !== tid) {
        mm = this.attribution.claim(mm, tid, tgidHint, tsNs);
      }
    }
    if (mm < 0) return;
    // Before Linux 6.2 a counter may dip below zero while threads hold parts of it back.
    const pages = sizePages > 0 ? sizePages : 0;
    const delta = books.setMember(mm, packed & RSS_MEMBER_MASK, pages, tsNs);
    if (delta > 0) {
      // What a fork builds is its parent's; what an exec builds is told apart when it is done.
      if (!curr && mms.state[mm] === MmState.building) books.shares.credit(mm, delta);
      // After a loss its fork may be what was lost: all but this page may be its parent's then.
      else if (isUnannounced) books.shares.credit(mm, delta - 1);
      const user = processes.userSlot[mms.processSlot1[mm]! - 1]!;
      if (books.users.usagePages[user]! > this.quietPages[user]!) {
        this.nowNs[0] = tsNs;
        this.near(user, Trigger.user);
      }
    } else if (delta < 0) {
      const user = processes.userSlot[mms.processSlot1[mm]! - 1]!;
      if (this.isNear(user)) this.under(user);
    }
    if (pages === 0 && !curr && books.isEmpty(mm)) this.attribution.mmEmpty(mm);
  }

  private other(
    tsNs: number,
    kindCpu: number,
    tid: number,
    a: number,
    b: number,
    c: number,
    d: number,
  ): void {
    const { attribution, facts, counters } = this;
    switch (kindCpu & KIND_MASK) {
      case RecordKind.newTask:
        counters[CounterIndex.lifecycle]!++;
        attribution.newTask(tid, a, b, d, tsNs);
        break;
      case RecordKind.exec:
        counters[CounterIndex.lifecycle]!++;
        attribution.exec(a, b, tsNs);
        break;
      case RecordKind.exit:
        counters[CounterIndex.lifecycle]!++;
        attribution.exit(a, b, tsNs);
        break;
      case RecordKind.free:
        counters[CounterIndex.lifecycle]!++;
        attribution.free(a, tsNs);
        break;
      case RecordKind.lost:
        this.lost(tsNs, kindCpu >> CPU_SHIFT, a);
        break;
      case RecordKind.proc:
        facts.process(tsNs, tid, a, b, c, d);
        break;
      case RecordKind.procPages:
        this.evaluate(facts.pages(tsNs, tid, a, b, c, d), tsNs, this.readingTrigger);
        break;
      case RecordKind.task:
        facts.task(tsNs, tid, a);
        break;
      case RecordKind.gone:
        facts.gone(tsNs, tid, a !== 0);
        break;
      case RecordKind.sweepBegin:
        this.resyncAsked = false;
        this.fullSinceSweep = false;
        this.readingTrigger = Trigger.lastDefense;
        facts.begin(tsNs, tid, b);
        break;
      case RecordKind.sweepEnd:
        this.sweepEnd(tsNs, tid, a);
        this.readingTrigger = Trigger.user;
        break;
      case RecordKind.measureBegin:
        this.measuring.begin(a, tsNs);
        Atomics.store(this.header, HeaderWord.measureBegun, tid);
        break;
      case RecordKind.measured:
        this.measuring.found(tid, a, b, c, d);
        break;
      case RecordKind.measureEnd:
        this.measureEnds(tid, a, tsNs);
        break;
      case RecordKind.verifyBegin:
        this.verifyBeganNs = tsNs;
        this.verifyUid = tid;
        break;
      case RecordKind.verifyEnd:
        this.verified(tsNs, tid);
        break;
      case RecordKind.oomVictim:
        this.oomVictim(tsNs, a);
        break;
      case RecordKind.pressure:
        this.pressure(tsNs, a, b);
        break;
      case RecordKind.victimGone:
        this.victimGone(tsNs, tid, a, b);
        break;
      case RecordKind.order:
        if (a === OrderKind.recheck) this.recheck(tsNs, b, d, tid !== 0);
        break;
      default:
        invariant(false, `accounting: a record of unknown kind ${kindCpu & KIND_MASK}`);
    }
  }

  // ------------------------------------------------------------------------------------- limits

  private userAdded(userSlot: number): void {
    this.urgency.leave(userSlot);
    this.killOrdered[userSlot] = 0;
    this.armsOrdered[userSlot] = this.books.users.armsDone[userSlot]!;
    this.softReportedNs[userSlot] = -Infinity;
    this.armOrderedNs[userSlot] = -Infinity;
    this.limitUser(userSlot);
  }

  private limitUser(userSlot: number): void {
    const { users } = this.books;
    const rule = this.rules.find(users.uid[userSlot]!);
    const hardPages = rule === undefined ? NO_LIMIT_PAGES : rule.hardPages;
    const softPages = rule === undefined ? NO_LIMIT_PAGES : rule.softPages;
    Atomics.store(users.hardPages, userSlot, hardPages);
    Atomics.store(users.softPages, userSlot, softPages);
    const farPages = this.urgency.limit(userSlot, hardPages);
    this.farPages[userSlot] = rule === undefined ? Infinity : Math.min(softPages, farPages);
    this.creditChanged(userSlot);
  }

  /**
   * An event compares counted pages, so that a credit costs it nothing. A user whose credit decides
   * is measured, because no event tells of what it copies.
   */
  private creditChanged(userSlot: number): void {
    const { users } = this.books;
    const creditPages = users.creditPages[userSlot]!;
    this.quietPages[userSlot] = this.farPages[userSlot]! + creditPages;
    if (creditPages === 0 || users.usagePages[userSlot]! <= users.hardPages[userSlot]!) return;
    if (this.lastTsNs - this.measureAskedNs[userSlot]! < REPORT_EVERY_NS) return;
    this.measureAskedNs[userSlot] = this.lastTsNs;
    this.ask(RecordKind.measure, users.uid[userSlot]!);
  }

  /** What a user is charged: a lower bound of what it holds. */
  private chargedPages(userSlot: number): number {
    const { usagePages, creditPages } = this.books.users;
    return usagePages[userSlot]! - creditPages[userSlot]!;
  }

  /** Whether a user is over its hard limit, or over the number of processes it may have. */
  private isOver(userSlot: number): boolean {
    const { hardPages, excessProcesses } = this.books.users;
    if (this.chargedPages(userSlot) > hardPages[userSlot]!) return true;
    return excessProcesses[userSlot] !== 0 && hardPages[userSlot] !== NO_LIMIT_PAGES;
  }

  /** New limits count at once, for those who are above them already too. */
  private limitsChanged(nowNs: number): void {
    const { books } = this;
    for (let slot = 0; slot < books.userSlots.highWater; slot++) {
      if (books.users.state[slot] === UserState.free) continue;
      this.limitUser(slot);
      this.under(slot);
      this.evaluate(slot, nowNs, Trigger.user);
    }
  }

  private evaluate(userSlot: number, tsNs: number, trigger: Trigger): void {
    if (userSlot < 0) return;
    const { usagePages } = this.books.users;
    if (usagePages[userSlot]! > this.quietPages[userSlot]! || this.isOver(userSlot)) {
      this.nowNs[0] = tsNs;
      this.near(userSlot, trigger);
    } else if (this.isNear(userSlot)) this.under(userSlot);
  }

  /** Whether there is something to take back when a user shrinks. */
  private isNear(userSlot: number): boolean {
    return this.urgency.byUser[userSlot] !== 0 ||
      this.books.users.state[userSlot]! > UserState.ok;
  }

  /** A user has grown, and is past soft or not far from hard. */
  private near(userSlot: number, trigger: Trigger): void {
    const { users } = this.books;
    const chargedPages = this.chargedPages(userSlot);
    this.urgency.look(userSlot, Math.min(chargedPages, NO_LIMIT_PAGES) | 0);
    if (this.isOver(userSlot)) {
      this.overHard(userSlot, trigger);
      return;
    }
    let quietPages = this.urgency.nextPages(userSlot);
    const softPages = users.softPages[userSlot]!;
    if (chargedPages > softPages) {
      this.overSoft(userSlot, trigger);
      const nextArmPages = chargedPages + ARM_EVERY_PAGES - 1;
      quietPages = Math.min(quietPages, nextArmPages, users.hardPages[userSlot]!);
    } else quietPages = Math.min(quietPages, softPages);
    this.quietPages[userSlot] = quietPages + users.creditPages[userSlot]!;
  }

  /** Users whose pages came or went as a whole: by birth, exit, /proc, a change of user. */
  private compareTouched(tsNs: number): void {
    const { users } = this.books;
    for (let slot = this.books.takeTouched(); slot >= 0; slot = this.books.takeTouched()) {
      if (users.state[slot] === UserState.free) continue;
      this.under(slot);
      this.evaluate(slot, tsNs, Trigger.user);
    }
  }

  /** A user is over its hard limit, and has just grown. */
  private overHard(userSlot: number, trigger: Trigger): void {
    const { users } = this.books;
    const tsNs = this.nowNs[0]!;
    if (users.state[userSlot] === UserState.ok) this.reportSoft(userSlot, tsNs);
    if (users.state[userSlot] !== UserState.hard) {
      users.crossedTsNs[userSlot] = tsNs;
      Atomics.store(users.state, userSlot, UserState.hard);
    }
    if (this.facts.degraded && users.doubtTsNs[userSlot] !== 0) {
      this.askVerify(userSlot, tsNs);
      return;
    }
    // I2: what is being freed is no reason to kill; what comes on top of it is, at once.
    if (this.killOrdered[userSlot] !== 0) return;
    const isAnyDying = this.header[HeaderWord.victimsDying] !== 0;
    if (isAnyDying && this.dying.isEnough(userSlot)) return;
    if (this.order(OrderKind.kill, userSlot, tsNs, trigger)) this.killOrdered[userSlot] = 1;
  }

  /** A user is above soft and not above hard, and has just grown. */
  private overSoft(userSlot: number, trigger: Trigger): void {
    const { users } = this.books;
    const tsNs = this.nowNs[0]!;
    if (users.state[userSlot] === UserState.ok) {
      Atomics.store(users.state, userSlot, UserState.soft);
      this.reportSoft(userSlot, tsNs);
    }
    if (!this.arms || tsNs - this.armOrderedNs[userSlot]! < ARM_EVERY_NS) return;
    // One order to arm at a time: the killer, not the events, sets the pace. It may have done more
    // than was ordered by us: what a predecessor ordered.
    const armsDone = Atomics.load(users.armsDone, userSlot);
    if (((this.armsOrdered[userSlot]! - armsDone) | 0) > 0) return;
    if (this.order(OrderKind.arm, userSlot, tsNs, trigger)) {
      this.armsOrdered[userSlot] = (armsDone + 1) | 0;
      this.armOrderedNs[userSlot] = tsNs;
    }
  }

  /** At most one report a user and second: who dances on the line must not flood the log. */
  private reportSoft(userSlot: number, tsNs: number): void {
    if (tsNs - this.softReportedNs[userSlot]! < REPORT_EVERY_NS) return;
    this.softReportedNs[userSlot] = tsNs;
    const { uid, softPages, hardPages } = this.books.users;
    this.reports.put("soft", tsNs, [
      uid[userSlot]!,
      this.chargedPages(userSlot),
      softPages[userSlot]!,
      hardPages[userSlot]!,
    ]);
  }

  /** A user has shrunk, or its limits have changed. */
  private under(userSlot: number): void {
    const { users } = this.books;
    const chargedPages = this.chargedPages(userSlot);
    this.urgency.look(userSlot, chargedPages);
    this.quietPages[userSlot] = this.farPages[userSlot]! + users.creditPages[userSlot]!;
    if (this.isOver(userSlot)) return;
    if (chargedPages <= users.softPages[userSlot]!) {
      if (users.state[userSlot] !== UserState.ok) {
        Atomics.store(users.state, userSlot, UserState.ok);
        users.crossedTsNs[userSlot] = 0;
      }
    } else if (users.state[userSlot] === UserState.hard) {
      Atomics.store(users.state, userSlot, UserState.soft);
    }
  }

  /**
   * Tells the killer, at once.
   * @param about First word of the order, see {@link RecordKind}.
   * @returns false when its ring is full; the next event tries again.
   */
  private order(
    kind: number,
    userSlot: number,
    tsNs: number,
    trigger: Trigger,
    about = this.books.users.uid[userSlot]!,
  ): boolean {
    const word = this.orders.claim();
    if (word < 0) {
      this.counters[CounterIndex.ordersShed]!++;
      return false;
    }
    const { words, doubles } = this.orders;
    const { users } = this.books;
    doubles[word >> 1] = tsNs;
    words[word + RecordWord.kindCpu] = RecordKind.order;
    words[word + RecordWord.tid] = about;
    words[word + RecordWord.a] = kind;
    words[word + RecordWord.b] = userSlot;
    words[word + RecordWord.c] = trigger;
    words[word + RecordWord.d] = users.generation[userSlot]!;
    this.orders.advance();
    this.orders.publish();
    this.killerBell.ring();
    return true;
  }

  // ------------------------------------------------------------------- answers of the killer

  private recheck(tsNs: number, userSlot: number, generation: number, nobody: boolean): void {
    const { users } = this.books;
    if (users.generation[userSlot] !== generation) return;
    this.killOrdered[userSlot] = 0;
    if (nobody) this.relief.failed(userSlot, tsNs);
    this.evaluate(userSlot, tsNs, Trigger.user);
  }

  private victimGone(tsNs: number, pid: number, processSlot: number, generation: number): void {
    const { processes } = this.books;
    if (processes.generation[processSlot] !== generation || processes.tgid[processSlot] !== pid) {
      return;
    }
    this.attribution.killed(processSlot, tsNs);
  }

  private killerRestarted(nowNs: number): void {
    this.killOrdered.fill(0);
    this.armsOrdered.set(this.books.users.armsDone);
    this.armOrderedNs.fill(-Infinity);
    this.limitsChanged(nowNs);
  }

  // ---------------------------------------------------------------------- loss, sweeps, pressure

  private lost(tsNs: number, cpu: number, count: number): void {
    this.counters[CounterIndex.lost]! += count > 0 ? count : 1;
    this.reports.put("lost", tsNs, [count, cpu]);
    this.degrade(DegradedReason.lost, tsNs);
  }

  /** The books are not to be trusted from here on, until a sweep that began later has ended. */
  private degrade(reason: number, tsNs: number): void {
    this.markDegraded(reason, tsNs);
    this.askResync();
  }

  private markDegraded(reason: number, tsNs: number): void {
    this.degradedSinceNs = Math.max(tsNs, this.lastTsNs);
    this.doubtAll();
    if (Atomics.exchange(this.header, HeaderWord.degraded, 1) === 0) {
      this.reports.put("degraded", tsNs, [reason]);
    }
    this.facts.degraded = true;
  }

  /**
   * I4: every user's books may be wrong, and do not decide before it was read from /proc. Nobody is
   * in doubt while the books are not degraded.
   */
  private doubtAll(): void {
    if (!this.hasProc) return;
    const { users, userSlots } = this.books;
    users.doubtTsNs.fill(Math.max(1, this.degradedSinceNs), 0, userSlots.highWater);
  }

  /** The user is over by books that may be wrong: what it has is read, and then compared again. */
  private askVerify(userSlot: number, tsNs: number): void {
    if (tsNs - this.verifyAskedNs[userSlot]! < ASK_EVERY_NS) return;
    this.verifyAskedNs[userSlot] = tsNs;
    this.ask(RecordKind.verify, this.books.users.uid[userSlot]!);
  }

  /** All processes that the books have of a user were read. */
  private verified(tsNs: number, uid: number): void {
    const { users } = this.books;
    const userSlot = this.books.findUser(uid);
    if (userSlot < 0 || uid !== this.verifyUid) return;
    if (users.doubtTsNs[userSlot]! > this.verifyBeganNs) this.verifyAskedNs[userSlot] = -Infinity;
    else users.doubtTsNs[userSlot] = 0;
    this.evaluate(userSlot, tsNs, Trigger.lastDefense);
  }

  // ----------------------------------------------------------------------------------- measuring

  private measureEnds(measure: number, uid: number, tsNs: number): void {
    const userSlot = this.measuring.end(uid, measure);
    if (userSlot < 0) return;
    this.measureAskedNs[userSlot] = -Infinity;
    this.under(userSlot);
    this.evaluate(userSlot, tsNs, Trigger.lastDefense);
  }

  private askResync(): void {
    if (this.resyncAsked) return;
    this.resyncAsked = true;
    this.ask(RecordKind.resync, 0);
  }

  private sweepEnd(tsNs: number, sweep: number, flags: number): void {
    this.endingSweep = sweep;
    this.endingFlags = flags;
    if ((flags & SweepFlag.full) === 0 || !this.facts.beginEnd(tsNs, sweep)) {
      this.sweepEnded(false);
    } else this.continueSweepEnd();
  }

  /** @returns 1, for there is or was something to do. */
  private continueSweepEnd(): number {
    if (this.facts.continueEnd()) this.sweepEnded(true);
    return 1;
  }

  private sweepEnded(isWhole: boolean): void {
    const { endingSweep: sweep, endingFlags: flags } = this;
    if (this.facts.degraded && (flags & SweepFlag.full) !== 0) {
      const isLater = this.facts.beganTsNs >= this.degradedSinceNs;
      if (isWhole && isLater && !this.fullSinceSweep) {
        this.facts.degraded = false;
        Atomics.store(this.header, HeaderWord.degraded, 0);
        this.endDoubts();
        this.reports.put("recovered", this.lastTsNs, [sweep]);
      } else if (!this.fullSinceSweep) this.askResync();
    }
    this.counters[CounterIndex.sweeps]!++;
    Atomics.store(this.header, HeaderWord.sweepDone, sweep);
  }

  /** A whole sweep has read everybody. */
  private endDoubts(): void {
    const { users, userSlots } = this.books;
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      if (users.doubtTsNs[slot] === 0) continue;
      users.doubtTsNs[slot] = 0;
      if (users.state[slot] !== UserState.free) this.evaluate(slot, this.lastTsNs, Trigger.user);
    }
  }

  /** The machine is short: somebody whose end helps loses a process. */
  private pressure(tsNs: number, reason: number, missingPages: number): void {
    const { killOrdered, relief } = this;
    const userSlot = relief.find(tsNs, reason, missingPages, killOrdered);
    if (userSlot < 0) return;
    const trigger = reason === PressureReason.psi ? Trigger.kernel : Trigger.lastDefense;
    const useful = relief.usefulPages(missingPages);
    if (this.order(OrderKind.relieve, userSlot, tsNs, trigger, useful)) killOrdered[userSlot] = 1;
  }

  /** The kernel's own OOM killer has chosen: logged and credited, nothing else to do. */
  private oomVictim(tsNs: number, pid: number): void {
    const { processes, users } = this.books;
    const process = this.books.processOfTid(pid);
    const uid = process < 0 ? UNKNOWN_UID : users.uid[processes.userSlot[process]!]!;
    this.reports.put("kernelKill", tsNs, [pid, uid]);
  }

  private ask(kind: number, tid: number): void {
    const word = this.queries.claim();
    if (word < 0) return; // The next full sweep answers all questions.
    this.queries.doubles[word >> 1] = this.lastTsNs;
    this.queries.words[word + RecordWord.kindCpu] = kind;
    this.queries.words[word + RecordWord.tid] = tid;
    this.queries.advance();
    this.queries.publish();
    this.wakeSweeper();
  }

  /**
   * What found no room is summed up by the next sweep. A user that has its share of a table is in
   * doubt by itself; a table that is full for all concerns everybody.
   */
  private tableFull(table: number, userSlot: number): void {
    if (this.lastTsNs - this.fullReportedNs[table]! >= REPORT_EVERY_NS) {
      this.fullReportedNs[table] = this.lastTsNs;
      const uid = userSlot < 0 ? UNKNOWN_UID : this.books.users.uid[userSlot]!;
      this.reports.put("tableFull", this.lastTsNs, [table, uid]);
    }
    if (userSlot >= 0 && !this.books.isFull(table)) {
      if (this.books.users.excessProcesses[userSlot] !== 0) this.books.touch(userSlot);
      return;
    }
    this.fullSinceSweep = true;
    this.markDegraded(DegradedReason.tableFull, this.lastTsNs);
  }
}
