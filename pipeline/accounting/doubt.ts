/**
 * Whether the books may be wrong (I4): losses, restarts and full tables put users in doubt, readings of
 * /proc, user by user or of all, end it. One state, which can be judged only as a whole.
 *
 * @module
 */
import { CounterIndex, HeaderWord, SweepFlag, Trigger, UserState } from "../memory/layout.ts";
import { type Books, TABLE_NAMES, UNKNOWN_UID } from "../books/books.ts";
import type { ProcFacts } from "../books/proc_facts.ts";
import type { Enforcement } from "../limits/enforcement.ts";
import type { Questions } from "../messages/questions.ts";
import { DegradedReason, type ReportWriter } from "../messages/reports.ts";
import type { EventTime } from "./event_time.ts";

/** That a table is full is told at most this often. */
const FULL_REPORT_EVERY_NS = 1e9;

export interface DoubtParts {
  readonly header: Int32Array;
  readonly counters: Float64Array;
  readonly books: Books;
  readonly facts: ProcFacts;
  readonly enforcement: Enforcement;
  readonly questions: Questions;
  readonly reports: ReportWriter;
  readonly time: EventTime;
  /** Somebody answers queries from /proc, so that books in doubt need not decide. */
  readonly hasProc: boolean;
}

export class Doubt {
  private readonly header: Int32Array;
  private readonly counters: Float64Array;
  private readonly books: Books;
  private readonly facts: ProcFacts;
  private readonly enforcement: Enforcement;
  private readonly questions: Questions;
  private readonly reports: ReportWriter;
  private readonly time: EventTime;
  private readonly hasProc: boolean;
  /** Beginning of the verification under way, and whose it is. */
  private verifyBeganNs = 0;
  private verifyUid = UNKNOWN_UID;
  private readonly fullReportedNs = new Float64Array(TABLE_NAMES.length);
  private degradedSinceNs = 0;
  private resyncAsked = false;
  /** The sweep whose end is under way. */
  private endingSweep = 0;
  private endingTsNs = 0;
  private endingFlags = 0;
  /** A table was full during this sweep: another sweep at once would not help. */
  private fullSinceSweep = false;

  constructor(parts: DoubtParts) {
    this.header = parts.header;
    this.counters = parts.counters;
    this.books = parts.books;
    this.facts = parts.facts;
    this.enforcement = parts.enforcement;
    this.questions = parts.questions;
    this.reports = parts.reports;
    this.time = parts.time;
    this.hasProc = parts.hasProc;
  }

  /** The books were somebody else's until now, and are empty. @param reason {@link DegradedReason}. */
  tookOver(reason: number): void {
    this.degrade(reason, this.time.lastTsNs);
    // What was read before now does not count: the events that followed it are gone with the books.
    this.degradedSinceNs = Infinity;
  }

  /** A step begins. */
  step(nowNs: number): void {
    if (this.degradedSinceNs !== Infinity) return;
    this.degradedSinceNs = nowNs;
    this.doubtAll();
  }

  lost(tsNs: number, cpu: number, count: number): void {
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
    this.degradedSinceNs = Math.max(tsNs, this.time.lastTsNs);
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

  // ----------------------------------------------------------------------- readings of one user

  verifyBegins(tsNs: number, uid: number): void {
    this.verifyBeganNs = tsNs;
    this.verifyUid = uid;
  }

  /** All processes that the books have of a user were read. */
  verified(tsNs: number, uid: number): void {
    const { users } = this.books;
    const userSlot = this.books.findUser(uid);
    if (userSlot < 0 || uid !== this.verifyUid) return;
    if (users.doubtTsNs[userSlot]! > this.verifyBeganNs) this.enforcement.endAskedVerify(userSlot);
    else users.doubtTsNs[userSlot] = 0;
    this.enforcement.tellKernel();
    this.enforcement.evaluate(userSlot, tsNs, Trigger.lastDefense);
  }

  // ---------------------------------------------------------------------------- readings of all

  private askResync(): void {
    if (this.resyncAsked) return;
    this.resyncAsked = true;
    this.questions.resync(this.time.lastTsNs);
  }

  sweepBegins(): void {
    this.resyncAsked = false;
    this.fullSinceSweep = false;
  }

  sweepEnd(tsNs: number, sweep: number, flags: number): void {
    if ((flags & SweepFlag.full) === 0) {
      // /proc could not be read. The next sweep tries again.
      this.facts.abandon();
      return;
    }
    this.enforcement.everybodyTold(this.time.lastTsNs);
    this.endingSweep = sweep;
    this.endingTsNs = tsNs;
    this.endingFlags = flags;
    if (!this.facts.beginEnd(tsNs, sweep)) this.sweepEnded(false);
    else this.continueSweepEnd();
  }

  /** @returns 1, for there is or was something to do. */
  continueSweepEnd(): number {
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
        const recoveredNs = Math.max(this.time.lastTsNs, this.endingTsNs);
        this.reports.put("recovered", recoveredNs, [sweep]);
      } else if (!this.fullSinceSweep) this.askResync();
    }
    this.counters[CounterIndex.sweeps]!++;
    Atomics.store(this.header, HeaderWord.sweepDone, sweep);
    // Rows of users in the kernel come and go with what the sweeper finds.
    this.enforcement.kernelSweepEnded();
  }

  /** A whole sweep has read everybody. */
  private endDoubts(): void {
    const { users, userSlots } = this.books;
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      if (users.doubtTsNs[slot] === 0) continue;
      users.doubtTsNs[slot] = 0;
      if (users.state[slot] === UserState.free) continue;
      this.enforcement.evaluate(slot, this.time.lastTsNs, Trigger.user);
    }
  }

  // --------------------------------------------------------------------------------- full tables

  /**
   * What found no room is summed up by the next sweep. A user that has its share of a table is in
   * doubt by itself; a table that is full for all concerns everybody.
   */
  tableFull(table: number, userSlot: number): void {
    if (this.time.lastTsNs - this.fullReportedNs[table]! >= FULL_REPORT_EVERY_NS) {
      this.fullReportedNs[table] = this.time.lastTsNs;
      const uid = userSlot < 0 ? UNKNOWN_UID : this.books.users.uid[userSlot]!;
      this.reports.put("tableFull", this.time.lastTsNs, [table, uid]);
    }
    if (userSlot >= 0 && !this.books.isFull(table)) {
      if (this.books.users.excessProcesses[userSlot] !== 0) this.books.touch(userSlot);
      return;
    }
    this.fullSinceSweep = true;
    this.markDegraded(DegradedReason.tableFull, this.time.lastTsNs);
  }
}
