/**
 * The accounting agent: takes records from all rings, keeps the books, compares each user with
 * its limits, and orders the killer to arm or to act.
 *
 * It has no thread, no clock and no kernel of its own: the worker, the replay and the simulator
 * run the same agent on the same memory.
 *
 * Longer than 450 lines, because each kind of record is applied here, and because losses, sweeps and
 * verifications change one state of doubt, which can be judged only as a whole.
 *
 * @module
 */
import {
  CounterIndex,
  CPU_SHIFT,
  HeaderWord,
  KIND_MASK,
  MEMBER_COUNT,
  MmState,
  RecordKind,
  RecordWord,
  Role,
  RSS_CURR,
  RSS_MEMBER_MASK,
  RSS_NO_MM_ID,
  SweepFlag,
  Trigger,
  UserState,
} from "./memory/layout.ts";
import type { MemberMask, Settings } from "./memory/settings.ts";
import { RulesView } from "./limits/published_rules.ts";
import { attachCounters, type Memory } from "./memory/memory.ts";
import { Attribution } from "./books/attribution.ts";
import { Books, TABLE_NAMES, UNKNOWN_UID } from "./books/books.ts";
import { Doorbell } from "./memory/doorbell.ts";
import { Enforcement } from "./limits/enforcement.ts";
import type { KernelLimits } from "./kill/kernel_trigger.ts";
import { Measuring } from "./books/measuring.ts";
import { ProcFacts } from "./books/proc_facts.ts";
import { type Inbox, makeInbox } from "./messages/inbox.ts";
import { Questions } from "./messages/questions.ts";
import { DegradedReason, ReportWriter } from "./messages/reports.ts";
import { RingConsumer, type RingPlace, RingProducer } from "./memory/ring.ts";
import { invariant } from "./memory/invariant.ts";

/** That a table is full is told at most this often. */
const FULL_REPORT_EVERY_NS = 1e9;

const PAGE_TABLE_ENTRY_BYTES = 8;

/** Records taken from one ring before looking at the next. */
const BATCH_RECORDS = 512;
/** While readers fill their batches, the sweeper's ring gets a quarter of one. */
const SWEEPER_SHARE_SHIFT = 2;

export interface AccountingOptions {
  /** Counted members. */
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
  private readonly attribution: Attribution;
  private readonly facts: ProcFacts;
  private readonly measuring: Measuring;
  private readonly enforcement: Enforcement;
  private readonly header: Int32Array;
  private readonly counters: Float64Array;
  private readonly readers: readonly Inbox[];
  private readonly sweeper: Inbox;
  private readonly killer: Inbox;
  private readonly questions: Questions;
  private readonly reports: ReportWriter;
  private readonly wakeCoordinator: () => void;
  private readonly hasProc: boolean;
  private readonly rules: RulesView;
  private readonly countMask: MemberMask;
  private readonly creditsShares: boolean;
  /** Beginning of the verification under way, and whose it is. */
  private verifyBeganNs = 0;
  private verifyUid = UNKNOWN_UID;
  private readonly fullReportedNs = new Float64Array(TABLE_NAMES.length);
  private degradedSinceNs = 0;
  private lastTsNs = 0;
  private resyncAsked = false;
  /** Outside of sweeps, /proc is read for logins: that is news of the user, not the timer. */
  private readingTrigger: Trigger = Trigger.user;
  /** The sweep whose end is under way. */
  private endingSweep = 0;
  private endingTsNs = 0;
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
    const inbox = (place: RingPlace): Inbox => makeInbox(new RingConsumer(buffer, place));
    this.readers = plan.readerRings.map(inbox);
    this.sweeper = inbox(plan.sweeperRing);
    this.killer = inbox(plan.killerRing);
    this.questions = new Questions(new RingProducer(buffer, plan.queryRing), options.wakeSweeper);
    this.wakeCoordinator = options.wakeCoordinator;
    this.hasProc = options.hasProc ?? true;
    this.rules = new RulesView(memory.settings);
    this.rules.refresh();
    const { settings } = this.rules;
    this.countMask = settings.countMask;
    this.creditsShares = settings.creditsShares;
    this.books = new Books(memory, this.counters, {
      countMask: this.countMask,
      creditsShares: this.creditsShares,
      userProcessesMax: settings.userProcessesMax,
      onFull: (table, userSlot) => this.tableFull(table, userSlot),
      onUser: (userSlot) => this.enforcement.userAdded(userSlot),
      onCredit: (userSlot) => this.enforcement.creditChanged(userSlot, this.lastTsNs),
    });
    this.attribution = new Attribution(
      this.books,
      this.counters,
      options.unknownUid,
      plan.capacity.pageBytes / PAGE_TABLE_ENTRY_BYTES,
      (tid) => this.questions.resolve(tid, this.lastTsNs),
    );
    this.measuring = new Measuring(this.books);
    this.enforcement = new Enforcement({
      memory,
      books: this.books,
      reports: this.reports,
      counters: this.counters,
      marginPages: options.marginPages,
      rules: this.rules,
      kernel: options.kernel,
      measure: (uid) => this.questions.measure(uid, this.lastTsNs),
      verify: (uid) => this.questions.verify(uid, this.lastTsNs),
    });
    this.facts = new ProcFacts(this.books, this.attribution, this.reports, this.counters);
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
    this.lastTsNs = this.counters[CounterIndex.lastTsNs]!;
    this.degrade(reason, this.lastTsNs);
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
    if (this.rules.refresh()) this.settingsChanged(nowNs);
    this.enforcement.refresh(nowNs);
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
    if (this.books.anyTouched) this.enforcement.compareTouched(nowNs);
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

  /** Limits or settings are others. */
  private settingsChanged(nowNs: number): void {
    this.books.userProcessesMax = this.rules.settings.userProcessesMax;
    this.enforcement.limitsChanged(nowNs);
  }

  /** As of the last step. */
  get settings(): Settings {
    return this.rules.settings;
  }

  /**
   * Whether what counts is another thing than when this began. Then another one must take its place,
   * on the same memory: the books are sums of what counted, and all must be read again.
   */
  get isOutdated(): boolean {
    const { countMask, creditsShares } = this.rules.settings;
    return countMask !== this.countMask || creditsShares !== this.creditsShares;
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
      if ((kindCpu & KIND_MASK) === RecordKind.rss) this.rss(words, doubles, word);
      else this.other(inbox, word, kindCpu);
      if (this.books.anyTouched) this.enforcement.compareTouched(doubles[word >> 1]!);
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
  private rss(words: Int32Array, doubles: Float64Array, word: number): void {
    const tsNs = doubles[word >> 1]!;
    // Field by field of RSS, without its view: this is done ten million times a second.
    const tid = words[word + RecordWord.tid]!;
    const mmId = words[word + RecordWord.a]!;
    const sizePages = words[word + RecordWord.b]!;
    const packed = words[word + RecordWord.c]!;
    const tgidHint = words[word + RecordWord.d]!;
    this.counters[CounterIndex.events]!++;
    this.lastTsNs = tsNs;
    const { books, enforcement } = this;
    const { mms, processes } = books;
    const curr = (packed & RSS_CURR) !== 0;
    let isOthers = false;
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
      } else if (mms.lastTid[mm] !== tid) {
        if (curr) {
          mm = this.attribution.claim(mm, tid, tgidHint, tsNs);
          isOthers = this.attribution.isGuess;
        } else isOthers = this.attribution.foreign(mm, tid, sizePages, tsNs);
      }
    }
    if (mm < 0) return;
    // Before Linux 6.2 a counter may dip below zero while threads hold parts of it back.
    const pages = sizePages > 0 ? sizePages : 0;
    const member = packed & RSS_MEMBER_MASK;
    const isFirst = mms.tsNs[mm * MEMBER_COUNT + member] === 0;
    const delta = books.setMember(mm, member, pages, tsNs);
    if (delta > 0) {
      // What a fork builds is its parent's, even if its child was read before; what an exec builds is
      // told apart when it is done.
      const isBuilt = !curr &&
        (mms.state[mm] === MmState.building || tsNs < mms.bornTsNs[mm]!);
      if (isBuilt || isOthers) books.shares.credit(mm, delta);
      else if (isFirst && (this.facts.degraded || this.attribution.isForkUnseen(mm))) {
        // Its fork was not seen, or may be what was lost: all but this page may be its parent's then.
        books.shares.credit(mm, delta - 1);
      }
      const user = processes.userSlot[mms.processSlot1[mm]! - 1]!;
      // Nobody announced it so far. Perhaps its fork is read later, and all of it is its parent's.
      if (books.users.uid[user] === UNKNOWN_UID) books.shares.credit(mm, delta);
      if (books.users.usagePages[user]! > enforcement.quietPages[user]!) {
        enforcement.nowNs[0] = tsNs;
        enforcement.compare(user, Trigger.user);
      }
    } else if (delta < 0) {
      const user = processes.userSlot[mms.processSlot1[mm]! - 1]!;
      if (enforcement.mayGoBack(user)) enforcement.under(user);
    }
    if (pages === 0 && !curr && books.isEmpty(mm)) this.attribution.mmEmpty(mm);
  }

  private other(inbox: Inbox, word: number, kindCpu: number): void {
    const { attribution, enforcement, facts, counters } = this;
    const tsNs = inbox.ring.doubles[word >> 1]!;
    switch (kindCpu & KIND_MASK) {
      case RecordKind.newTask: {
        counters[CounterIndex.lifecycle]!++;
        const { parentTid, childTid, cloneFlags, parentTgid } = inbox.newTask.at(word);
        attribution.newTask(parentTid, childTid, cloneFlags, parentTgid, tsNs);
        break;
      }
      case RecordKind.exec: {
        counters[CounterIndex.lifecycle]!++;
        const { pid, oldPid } = inbox.exec.at(word);
        attribution.exec(pid, oldPid, tsNs);
        break;
      }
      case RecordKind.exit: {
        counters[CounterIndex.lifecycle]!++;
        const { pid, groupDead } = inbox.exit.at(word);
        attribution.exit(pid, groupDead, tsNs);
        break;
      }
      case RecordKind.free:
        counters[CounterIndex.lifecycle]!++;
        attribution.free(inbox.free.at(word).pid, tsNs);
        break;
      case RecordKind.inherited: {
        const { pages, uid } = inbox.inherited.at(word);
        enforcement.kernel?.chargeInherited(uid, pages);
        break;
      }
      case RecordKind.kernelKill: {
        const { tid, uid, usagePages, tookNs } = inbox.kernelKill.at(word);
        enforcement.killedByKernel(tsNs, tid, uid, usagePages, tookNs);
        break;
      }
      case RecordKind.lost:
        this.lost(tsNs, kindCpu >> CPU_SHIFT, inbox.lost.at(word).events);
        break;
      case RecordKind.proc: {
        const { tgid, uid, startTicks, bornLow, packed } = inbox.proc.at(word);
        facts.process(tsNs, tgid, uid, startTicks, bornLow, packed);
        break;
      }
      case RecordKind.procPages: {
        const { tgid, filePages, anonPages, swapPages, shmemPages } = inbox.procPages.at(word);
        const user = facts.pages(tsNs, tgid, filePages, anonPages, swapPages, shmemPages);
        enforcement.evaluate(user, tsNs, this.readingTrigger);
        break;
      }
      case RecordKind.lender: {
        const { tgid, lenderTgid } = inbox.lender.at(word);
        facts.lender(tsNs, tgid, lenderTgid);
        break;
      }
      case RecordKind.task: {
        const { tid, tgid } = inbox.task.at(word);
        facts.task(tsNs, tid, tgid);
        break;
      }
      case RecordKind.gone: {
        const { tid, isUntraced } = inbox.gone.at(word);
        facts.gone(tsNs, tid, isUntraced !== 0);
        break;
      }
      case RecordKind.sweepBegin: {
        const { number, errorPages } = inbox.sweepBegin.at(word);
        this.resyncAsked = false;
        this.fullSinceSweep = false;
        this.readingTrigger = Trigger.lastDefense;
        if (this.header[HeaderWord.sweepDone] === 0) this.enforcement.firstSweepBegins();
        facts.begin(tsNs, number, errorPages);
        break;
      }
      case RecordKind.sweepEnd: {
        const { number, flags } = inbox.sweepEnd.at(word);
        this.sweepEnd(tsNs, number, flags);
        this.readingTrigger = Trigger.user;
        break;
      }
      case RecordKind.measureBegin: {
        const { number, uid } = inbox.measureBegin.at(word);
        this.measuring.begin(uid, tsNs);
        Atomics.store(this.header, HeaderWord.measureBegun, number);
        break;
      }
      case RecordKind.measured: {
        const { tgid, number, sharedPages, creditPages, shareablePages } = inbox.measured.at(word);
        this.measuring.found(tgid, number, sharedPages, creditPages, shareablePages);
        break;
      }
      case RecordKind.measureEnd: {
        const { number, uid } = inbox.measureEnd.at(word);
        this.measureEnds(number, uid, tsNs);
        break;
      }
      case RecordKind.verifyBegin:
        this.verifyBeganNs = tsNs;
        this.verifyUid = inbox.verifyBegin.at(word).uid;
        break;
      case RecordKind.verifyEnd:
        this.verified(tsNs, inbox.verifyEnd.at(word).uid);
        break;
      case RecordKind.oomVictim:
        this.oomVictim(tsNs, inbox.oomVictim.at(word).pid);
        break;
      case RecordKind.pressure: {
        const { reason, missingPages } = inbox.pressure.at(word);
        enforcement.pressure(tsNs, reason, missingPages);
        break;
      }
      case RecordKind.victimGone: {
        const { pid, processSlot, generation } = inbox.victimGone.at(word);
        this.victimGone(tsNs, pid, processSlot, generation);
        break;
      }
      case RecordKind.recheck: {
        const { userSlot, generation, isNobody } = inbox.recheck.at(word);
        enforcement.recheck(tsNs, userSlot, generation, isNobody !== 0);
        break;
      }
      default:
        invariant(false, `accounting: a record of unknown kind ${kindCpu & KIND_MASK}`);
    }
  }

  // ------------------------------------------------------------------- answers of the killer

  private victimGone(tsNs: number, pid: number, processSlot: number, generation: number): void {
    const { processes } = this.books;
    if (processes.generation[processSlot] !== generation || processes.tgid[processSlot] !== pid) {
      return;
    }
    this.attribution.killed(processSlot, tsNs);
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
    this.enforcement.tellKernel();
  }

  /**
   * I4: every user's books may be wrong, and do not decide before it was read from /proc. Nobody is
   * in doubt while the books are not degraded.
   */
  private doubtAll(): void {
    if (!this.hasProc) return;
    const { users, userSlots } = this.books;
    users.doubtTsNs.fill(Math.max(1, this.degradedSinceNs), 0, userSlots.highWater);
    this.enforcement.tellKernel();
  }

  /** All processes that the books have of a user were read. */
  private verified(tsNs: number, uid: number): void {
    const { users } = this.books;
    const userSlot = this.books.findUser(uid);
    if (userSlot < 0 || uid !== this.verifyUid) return;
    if (users.doubtTsNs[userSlot]! > this.verifyBeganNs) this.enforcement.endAskedVerify(userSlot);
    else users.doubtTsNs[userSlot] = 0;
    this.enforcement.tellKernel();
    this.enforcement.evaluate(userSlot, tsNs, Trigger.lastDefense);
  }

  // ----------------------------------------------------------------------------------- measuring

  private measureEnds(measure: number, uid: number, tsNs: number): void {
    const userSlot = this.measuring.end(uid, measure);
    if (userSlot < 0) return;
    this.enforcement.measured(userSlot, tsNs);
  }

  private askResync(): void {
    if (this.resyncAsked) return;
    this.resyncAsked = true;
    this.questions.resync(this.lastTsNs);
  }

  private sweepEnd(tsNs: number, sweep: number, flags: number): void {
    if ((flags & SweepFlag.full) === 0) {
      // /proc could not be read. The next sweep tries again.
      this.facts.abandon();
      return;
    }
    this.enforcement.everybodyTold(this.lastTsNs);
    this.endingSweep = sweep;
    this.endingTsNs = tsNs;
    this.endingFlags = flags;
    if (!this.facts.beginEnd(tsNs, sweep)) this.sweepEnded(false);
    else this.continueSweepEnd();
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
        const recoveredNs = Math.max(this.lastTsNs, this.endingTsNs);
        this.reports.put("recovered", recoveredNs, [sweep]);
      } else if (!this.fullSinceSweep) this.askResync();
    }
    this.counters[CounterIndex.sweeps]!++;
    Atomics.store(this.header, HeaderWord.sweepDone, sweep);
    // Rows of users in the kernel come and go with what the sweeper finds.
    this.enforcement.tellKernel();
  }

  /** A whole sweep has read everybody. */
  private endDoubts(): void {
    const { users, userSlots } = this.books;
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      if (users.doubtTsNs[slot] === 0) continue;
      users.doubtTsNs[slot] = 0;
      if (users.state[slot] === UserState.free) continue;
      this.enforcement.evaluate(slot, this.lastTsNs, Trigger.user);
    }
  }

  /** The kernel's own OOM killer has chosen: logged and credited, nothing else to do. */
  private oomVictim(tsNs: number, pid: number): void {
    const { processes, users } = this.books;
    const process = this.books.processOfTid(pid);
    const uid = process < 0 ? UNKNOWN_UID : users.uid[processes.userSlot[process]!]!;
    this.reports.put("kernelKill", tsNs, [pid, uid]);
  }

  /**
   * What found no room is summed up by the next sweep. A user that has its share of a table is in
   * doubt by itself; a table that is full for all concerns everybody.
   */
  private tableFull(table: number, userSlot: number): void {
    if (this.lastTsNs - this.fullReportedNs[table]! >= FULL_REPORT_EVERY_NS) {
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
