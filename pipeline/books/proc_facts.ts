/**
 * What /proc says, brought into the books: processes that were there before toom or that it
 * missed, users that changed, and the repair after a loss.
 *
 * A reading is an absolute value with the time before it was taken, so newer events win and the
 * order in which both arrive does not matter.
 *
 * @module
 */
import {
  CounterIndex,
  MEMBER_COUNT,
  MmState,
  ProcessFlag,
  ProcessState,
} from "../memory/layout.ts";
import { bornNsOf, ProcFlag, UserState } from "../memory/layout.ts";
import type { Attribution } from "./attribution.ts";
import type { Books } from "./books.ts";
import { Drift } from "./drift.ts";
import { OverflowSums } from "./overflow_row.ts";
import type { ReportWriter } from "../messages/reports.ts";

/** A member that changed this recently differs from /proc because it moves, not because of drift. */
const QUIET_NS = 20e6;
/** An mm that its process left and nobody spoke of for this long is over. */
const FORGOTTEN_NS = 1e9;
/** Older than the window of the victim policy `growing`. */
const OLD_NS = 1e9;
/** Rows looked at in one go at the end of a sweep: some 0.2 ms when all of them have ended. */
const END_ROWS = 256;

export class ProcFacts {
  /** After a loss every difference is drift. Set by the accounting agent. */
  degraded = false;
  /** When the sweep under way, or the last one, began. */
  beganTsNs = 0;
  private readonly books: Books;
  private readonly attribution: Attribution;
  private readonly counters: Float64Array;
  private readonly drift: Drift;
  private readonly sizes = new Int32Array(MEMBER_COUNT);
  private sweep = 0;
  /** Marks rows: a sweeper that ends within a sweep gives its successor's the same number. */
  private sweepsBegun = 0;
  private errorPages = 0;
  private isSweeping = false;
  /** Slot of the process whose pages come next, -1 when they are of no use. */
  private current = -1;
  private currentGeneration = 0;
  private currentIsNews = false;
  private currentMayShare = false;
  /** What is read of it is not what the books have. */
  private currentDiffers = false;
  /** The user of the process whose pages come next and which found no row; -1 none. */
  private overflowUser = -1;
  private overflowTgid = 0;
  private readonly overflow: OverflowSums;
  /** The end of a sweep, as far as it has come: the next row; -1 when none is under way. */
  private endRow = -1;
  private endTsNs = 0;

  constructor(
    books: Books,
    attribution: Attribution,
    reports: ReportWriter,
    counters: Float64Array,
  ) {
    this.books = books;
    this.attribution = attribution;
    this.counters = counters;
    this.drift = new Drift(books, reports, counters);
    this.overflow = new OverflowSums(books);
  }

  /**
   * A sweep begins.
   * @param errorPages By how much /proc may be wrong on this kernel, pages a member: differences
   *   up to this are not repaired, unless events were lost.
   */
  begin(tsNs: number, sweep: number, errorPages: number): void {
    this.beganTsNs = tsNs;
    this.sweep = sweep;
    this.sweepsBegun = (this.sweepsBegun + 1) | 0;
    this.errorPages = errorPages;
    this.isSweeping = true;
    this.overflow.clear();
  }

  /** A process as /proc/PID/status has it; its pages follow in the next record. */
  process(
    tsNs: number,
    tgid: number,
    uid: number,
    startTicks: number,
    bornLow: number,
    flags: number,
  ): void {
    this.current = -1;
    this.overflowUser = -1;
    const { books, attribution } = this;
    const { processes, users } = books;
    let slot = books.findProcess(tgid);
    // One that is alive may have lost its leader since, which is no end. But a row that nobody announced
    // may be there for what the process did between its exit and its end.
    const isAnnounced = slot >= 0 && (processes.flags[slot]! & ProcessFlag.unresolved) === 0;
    if (!isAnnounced && attribution.strangers.hasEndedAfter(tgid, tsNs)) return;
    if (slot >= 0 && startTicks !== 0) {
      const known = processes.startTicks[slot]!;
      if (known !== 0 && known !== startTicks) {
        attribution.ends.vanish(slot, tsNs);
        slot = -1;
      }
    }
    if (slot >= 0 && processes.state[slot] === ProcessState.exited) return;
    this.currentIsNews = slot < 0;
    if (slot < 0) {
      slot = books.addProcess(tgid, uid, 0, tsNs);
      if (slot < 0) {
        this.overflows(tgid, uid, flags);
        return;
      }
    }
    const unresolved = (processes.flags[slot]! & ProcessFlag.unresolved) !== 0;
    if (unresolved) this.currentIsNews = true;
    const uidBefore = users.uid[processes.userSlot[slot]!]!;
    if (unresolved || (processes.flags[slot]! & ProcessFlag.heir) !== 0) {
      attribution.kin.resolve(slot, uid);
    } else if (uidBefore !== uid) {
      books.moveProcess(slot, uid);
    }
    const borrowedBefore = books.isBorrower(slot);
    processes.startTicks[slot] = startTicks;
    processes.bornTsNs[slot] = Math.min(processes.bornTsNs[slot]!, bornNsOf(bornLow, flags));
    processes.seenTsNs[slot] = tsNs;
    processes.sweepNumber[slot] = this.sweepsBegun;
    if ((flags & ProcFlag.borrows) === 0) attribution.kin.readAsOwner(slot, tsNs);
    else if (!books.isBorrower(slot) && !this.isOnOwnMmSince(slot, tsNs)) {
      // What it was thought to have is its parent's, whose own reading tells how much it is.
      processes.flags[slot]! &= ~(ProcessFlag.hasExeced | ProcessFlag.mayInherit);
      processes.flags[slot]! |= ProcessFlag.borrower;
      this.dropMms(slot);
    }
    // Of one that has just left its parent's mm, the reading may still be of that mm.
    if (!books.isBorrower(slot) && !borrowedBefore) {
      this.current = slot;
      this.currentGeneration = processes.generation[slot]!;
      this.currentMayShare = (flags & ProcFlag.mayShare) !== 0;
    } else this.noteDrift(processes.userSlot[slot]!, this.dropForgotten(slot, tsNs));
  }

  /**
   * Whose mm the process of the record before runs on. Its birth may not have been seen, and without
   * this what it does to that mm would be nobody's.
   */
  lender(tsNs: number, tgid: number, lenderTgid: number): void {
    const { books, attribution } = this;
    const { kin } = attribution;
    const slot = books.findProcess(tgid);
    if (slot < 0 || !books.isBorrower(slot)) return;
    const named = books.findProcess(lenderTgid);
    const lender = named < 0 ? -1 : kin.runsOn(named);
    if (lender < 0 || lender === slot) return;
    if (lender !== kin.runsOn(slot)) kin.setLender(slot, lender);
    kin.readAsBorrower(slot, tsNs);
  }

  /** A process that found no row: in a sweep, its pages are summed up with those of its like. */
  private overflows(tgid: number, uid: number, flags: number): void {
    const user = this.books.findUser(uid);
    if (user < 0 || !this.isSweeping) return;
    this.overflow.addProcess(user);
    if ((flags & ProcFlag.borrows) !== 0) return;
    this.overflowUser = user;
    this.overflowTgid = tgid;
  }

  /**
   * The pages of the process of the record before.
   * @returns The user's slot, to be compared with its limits; -1 when there was nothing to do.
   */
  pages(
    tsNs: number,
    tgid: number,
    filePages: number,
    anonPages: number,
    swapPages: number,
    shmemPages: number,
  ): number {
    const { books, current: slot } = this;
    const { processes } = books;
    if (this.overflowUser >= 0 && this.overflowTgid === tgid) {
      const user = this.overflowUser;
      this.overflowUser = -1;
      this.overflow.addPages(user, filePages, anonPages, swapPages, shmemPages);
      return -1;
    }
    if (slot < 0 || processes.tgid[slot] !== tgid) return -1;
    this.current = -1;
    // Events may come between the two records, the end of the process among them.
    if (processes.generation[slot] !== this.currentGeneration) return -1;
    if (processes.state[slot] !== ProcessState.alive) return -1;
    const peakUser = processes.userSlot[slot]!;
    const peakPages = books.users.peakPages[peakUser]!;
    const user = this.bookPages(slot, tsNs, filePages, anonPages, swapPages, shmemPages);
    // What is charged first and credited then was no peak.
    books.settlePeak(peakUser, peakPages);
    return user;
  }

  /** As {@link pages}, of a process that is there. */
  private bookPages(
    slot: number,
    tsNs: number,
    filePages: number,
    anonPages: number,
    swapPages: number,
    shmemPages: number,
  ): number {
    const { books, sizes } = this;
    const { processes } = books;
    sizes[0] = filePages;
    sizes[1] = anonPages;
    sizes[2] = swapPages;
    sizes[3] = shmemPages;
    const isBefore = this.isBeforeAnExec(slot, tsNs);
    let mm = processes.mmSlot1[slot]! - 1;
    // Until now it might have been a child with nothing but what its parent has.
    const hasOwn = mm >= 0 && this.currentIsNews && !this.currentMayShare;
    if (isBefore) {
      if (hasOwn) books.shares.uncredit(mm);
      return hasOwn ? processes.userSlot[slot]! : -1;
    }
    let drift = this.dropForgotten(slot, tsNs);
    this.currentDiffers = this.currentIsNews || mm < 0;
    if (mm < 0) {
      if ((filePages | anonPages | swapPages | shmemPages) === 0) return -1;
      mm = books.addMm(0, MmState.nameless, slot, tsNs);
      if (mm < 0) return -1;
      processes.mmSlot1[slot] = mm + 1;
    }
    for (let member = 0; member < MEMBER_COUNT; member++) {
      drift += this.correct(mm, member, sizes[member]!, tsNs);
    }
    if (hasOwn && this.isOfReading(mm, tsNs)) books.shares.uncredit(mm);
    // Nothing is known of its fork: it may hold nothing but what another holds too. But what is as it was
    // may have been measured meanwhile, and that counts: else each sweep would free it of its charge.
    const isUntold = this.currentIsNews || books.mms.state[mm] === MmState.nameless;
    if (this.currentMayShare && this.currentDiffers && isUntold) {
      books.shares.credit(mm, Infinity);
    }
    const userSlot = processes.userSlot[slot]!;
    if (this.currentIsNews) {
      // What is old has not grown; what was born a moment ago, and is read because it is not
      // traced yet, has.
      if (tsNs - processes.bornTsNs[slot]! > OLD_NS) books.settleGrowth(slot);
    } else this.noteDrift(userSlot, drift);
    return userSlot;
  }

  /** Sets one member. @returns The difference, when it is one that must be owned up to. */
  private correct(mm: number, member: number, pages: number, tsNs: number): number {
    const { mms } = this.books;
    const at = mm * MEMBER_COUNT + member;
    const knownTsNs = mms.tsNs[at]!;
    const difference = pages - mms.pages[at]!;
    if (knownTsNs > tsNs) return 0;
    const differs = Math.abs(difference) > this.errorPages;
    this.currentDiffers ||= differs;
    if (!this.degraded && knownTsNs > 0 && !differs) return 0;
    const delta = this.books.setRead(mm, member, pages, tsNs);
    // No event has told of it, so nothing is known of what its fork has built of it.
    if (knownTsNs === 0 && this.currentMayShare) this.books.shares.credit(mm, delta);
    return this.degraded || tsNs - knownTsNs > QUIET_NS ? delta : 0;
  }

  /**
   * Whether a reading is of an mm, and not of the one for which its process has left it by an exec: then it
   * may still be given back, by somebody else.
   */
  private isOfReading(mm: number, tsNs: number): boolean {
    return this.books.newestTsNs(mm) <= tsNs || this.books.mms.ownerTsNs[mm]! > tsNs;
  }

  /** Whether the reading is of an mm before the one that the process has, or is building. */
  private isBeforeAnExec(slot: number, tsNs: number): boolean {
    const { mms, processes } = this.books;
    const main1 = processes.mmSlot1[slot]!;
    // One that was forked and has executed nothing has had no other mm.
    if (this.currentMayShare && (processes.flags[slot]! & ProcessFlag.hasExeced) === 0) {
      return false;
    }
    if (main1 !== 0) return mms.bornTsNs[main1 - 1]! > tsNs;
    for (let mm1 = processes.mmFirst1[slot]!; mm1 !== 0; mm1 = mms.sibling1[mm1 - 1]!) {
      if (mms.bornTsNs[mm1 - 1]! > tsNs) return true;
    }
    return false;
  }

  /** Whether a process runs on an mm of its own since a reading of /proc, by an exec or as an heir. */
  private isOnOwnMmSince(slot: number, tsNs: number): boolean {
    const { mms, processes } = this.books;
    if (this.attribution.kin.hasInheritedSince(slot, tsNs)) return true;
    if ((processes.flags[slot]! & ProcessFlag.hasExeced) === 0) return false;
    const main = processes.mmSlot1[slot]! - 1;
    return main < 0 || mms.ownerTsNs[main]! > tsNs;
  }

  private dropMms(slot: number): void {
    const { books } = this;
    const { mms, processes } = books;
    for (let mm1 = processes.mmFirst1[slot]!; mm1 !== 0;) {
      const mm = mm1 - 1;
      mm1 = mms.sibling1[mm]!;
      if (mms.state[mm] !== MmState.building) books.removeMm(mm);
    }
  }

  /**
   * Drops the mms that a living process has left behind; after a loss, even those that it may be
   * building: what is built speaks again. @returns Minus their pages.
   */
  private dropForgotten(slot: number, tsNs: number): number {
    const { books } = this;
    const { mms, processes } = books;
    let drift = 0;
    for (let mm1 = processes.mmFirst1[slot]!; mm1 !== 0;) {
      const mm = mm1 - 1;
      mm1 = mms.sibling1[mm]!;
      if (processes.mmSlot1[slot] === mm + 1) continue;
      if (!this.isQuiet(books.newestTsNs(mm), tsNs)) continue;
      drift -= books.countedPages(mm);
      books.removeMm(mm);
    }
    return drift;
  }

  /**
   * Whether nothing has been heard since a time, as of a reading, for so long that nothing is to come.
   * After a loss that is soon, but not before the events of that time have been taken.
   */
  private isQuiet(sinceNs: number, tsNs: number): boolean {
    if (tsNs - sinceNs >= FORGOTTEN_NS) return true;
    const heardNs = Math.min(tsNs, this.counters[CounterIndex.lastTsNs]!);
    return this.degraded && heardNs - sinceNs >= QUIET_NS;
  }

  /** A thread as /proc/PID/task has it. */
  task(tsNs: number, tid: number, tgid: number): void {
    const process = this.books.findProcess(tgid);
    if (process < 0 || this.attribution.strangers.hasEndedAfter(tid, tsNs)) return;
    if (tid !== tgid) this.attribution.strangers.mergeStray(tid, process, tsNs);
    this.books.addTask(tid, process, tsNs);
  }

  /**
   * /proc has no such process, or none of a user that counts.
   * @param isUntraced No event could tell of its end, so that the books knew of it is no error.
   */
  gone(tsNs: number, tgid: number, isUntraced: boolean): void {
    const { books } = this;
    const slot = books.findProcess(tgid);
    if (slot < 0 || books.processes.bornTsNs[slot]! > tsNs) return;
    if (books.processes.seenTsNs[slot]! > tsNs) return;
    const userSlot = books.processes.userSlot[slot]!;
    const pages = this.attribution.ends.vanish(slot, tsNs);
    if (!isUntraced) this.noteDrift(userSlot, -pages);
  }

  /**
   * A full sweep has ended: what it did not see, and is older than it, is no more. What there is to
   * do is done by {@link continueEnd}, some rows at a time, because a whole table may have vanished.
   * @returns false when its beginning was not seen: then it proves nothing.
   */
  beginEnd(tsNs: number, sweep: number): boolean {
    if (sweep !== this.sweep) return false;
    this.endRow = 0;
    this.endTsNs = tsNs;
    return true;
  }

  /** The sweep under way has not seen everybody, and proves nothing. */
  abandon(): void {
    this.isSweeping = false;
  }

  /** Whether the end of a sweep is under way. */
  get isEnding(): boolean {
    return this.endRow >= 0;
  }

  /** @returns Whether the end has been reached. */
  continueEnd(): boolean {
    const { books } = this;
    const { processes } = books;
    const { highWater } = books.processSlots;
    const until = Math.min(highWater, this.endRow + END_ROWS);
    for (let slot = this.endRow; slot < until; slot++) {
      if (processes.state[slot] === ProcessState.free) continue;
      if (processes.sweepNumber[slot] === this.sweepsBegun) continue;
      if (processes.bornTsNs[slot]! >= this.beganTsNs) continue;
      if (processes.seenTsNs[slot]! >= this.beganTsNs) continue;
      if (this.isBeingTornDown(slot)) continue;
      if ((processes.flags[slot]! & ProcessFlag.overflow) !== 0) continue;
      this.noteDrift(
        processes.userSlot[slot]!,
        // It may have ended as late as now, and what it did before that is still to come.
        -this.attribution.ends.vanish(slot, this.endTsNs),
      );
    }
    this.endRow = until;
    if (until < highWater) return false;
    this.endRow = -1;
    this.endUsers();
    this.isSweeping = false;
    return true;
  }

  /** Whether a process that has exited, which no sweep sees, still gives its memory back. */
  private isBeingTornDown(slot: number): boolean {
    const { books, endTsNs } = this;
    const { processes, mms } = books;
    if (processes.state[slot] !== ProcessState.exited) return false;
    if (!this.isQuiet(processes.exitTsNs[slot]!, endTsNs)) return true;
    for (let mm1 = processes.mmFirst1[slot]!; mm1 !== 0; mm1 = mms.sibling1[mm1 - 1]!) {
      if (!this.isQuiet(books.newestTsNs(mm1 - 1), endTsNs)) return true;
    }
    return false;
  }

  /** What a whole sweep says of each user: drift, and those of its processes that found no row. */
  private endUsers(): void {
    const { books } = this;
    const { users } = books;
    for (let user = 0; user < books.userSlots.highWater; user++) {
      if (users.state[user] === UserState.free) continue;
      this.overflow.settle(user, this.endTsNs);
      this.drift.tell(user, this.beganTsNs);
    }
  }

  /** Only sweeps own up to drift: a login is read because it is not traced yet. */
  private noteDrift(userSlot: number, pages: number): void {
    if (this.isSweeping) this.drift.note(userSlot, pages);
  }
}
