/**
 * Which of a user's counted pages are counted more than once: the share credit, I10.
 *
 *     charged(user) = counted(user) - credit(user),  credit(user) = sum of creditPages of its mms
 *     own(mm)       = counted(mm) - creditPages(mm)
 *
 * The charge is a lower bound of what a user holds, because to each own page of an mm a page (or a
 * part of one) can be assigned that the mm maps and that is assigned to no other mm:
 *  - a page that an mm takes by itself is new, and assigned to it;
 *  - fork copies no page, so all of a child's pages are credited; a page that is copied later, of
 *    which no event tells, only adds one that is assigned to nobody;
 *  - an mm that gives pages back loses own pages first, as many as it gives back;
 *  - of file and shmem pages, each mm maps a page once, so an mm that has more of them than are
 *    assigned to all mms of its user (users.shareablePages) has as many new ones as it is ahead; how many
 *    are assigned to an mm at most (mms.assignedPages) is taken off that sum when it gives them back,
 *    ends, or leaves the user;
 *  - when an mm ends, the first of its children takes over what was assigned to it: of the child's
 *    pages, all but those that were credited to the parent itself at the fork;
 *  - a measuring assigns to each mm its part of each page (PSS, Documentation/filesystems/proc.rst).
 *
 * sharedPages is another number: pages that would still be in use if the mm ended. It does not
 * decide who is over, only whose end helps.
 *
 * One owner: the accounting worker.
 *
 * @module
 */
import { Member, MEMBER_COUNT } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import type { SlotAllocator } from "../memory/table.ts";

/** Members whose pages several processes map without a fork: each maps what another has made. */
const SHAREABLE_MASK = 1 << Member.file | 1 << Member.shmem;

export interface SharesOptions {
  /** The members that count for the user of an mm. */
  readonly countMask: (mmSlot: number) => number;
  /** Whether there are credits at all; else usage is the plain sum. */
  readonly isOn: boolean;
  /** Counted pages of an mm. */
  readonly countedPages: (mmSlot: number) => number;
  /** Told when a user's credit has changed. */
  readonly onCredit: (userSlot: number) => void;
}

export class Shares {
  readonly isOn: boolean;
  private readonly users: Memory["users"];
  private readonly processes: Memory["processes"];
  private readonly mms: Memory["mms"];
  private readonly mmSlots: SlotAllocator;
  private readonly countMask: (mmSlot: number) => number;
  private readonly countedPages: (mmSlot: number) => number;
  private readonly onCredit: (userSlot: number) => void;

  constructor(memory: Memory, mmSlots: SlotAllocator, options: SharesOptions) {
    this.users = memory.users;
    this.processes = memory.processes;
    this.mms = memory.mms;
    this.mmSlots = mmSlots;
    this.isOn = options.isOn;
    this.countMask = options.countMask;
    this.countedPages = options.countedPages;
    this.onCredit = options.onCredit;
  }

  /** A new mm has nothing. */
  clear(mmSlot: number): void {
    const { mms } = this;
    mms.creditPages[mmSlot] = 0;
    mms.sharedPages[mmSlot] = 0;
    mms.laterCreditPages[mmSlot] = 0;
    mms.laterShareablePages[mmSlot] = 0;
    mms.assignedPages[mmSlot] = 0;
    mms.keptCreditPages[mmSlot] = 0;
    mms.trimmedPages[mmSlot] = 0;
    mms.measureNumber[mmSlot] = 0;
    mms.originSlot1[mmSlot] = 0;
    mms.dependents[mmSlot] = 0;
  }

  // ------------------------------------------------------------------------------------- credits

  /** Credits an mm with pages that another has too, at most with all that it has. */
  credit(mmSlot: number, pages: number): void {
    this.mms.laterCreditPages[mmSlot]! += this.creditNow(mmSlot, pages);
  }

  /** As {@link credit}, of what a measuring under way is told otherwise. @returns How many pages. */
  private creditNow(mmSlot: number, pages: number): number {
    if (!this.isOn) return 0;
    const more = Math.min(pages, this.countedPages(mmSlot) - this.mms.creditPages[mmSlot]!);
    if (more <= 0) return 0;
    this.mms.keptCreditPages[mmSlot]! += more;
    this.changeCredit(mmSlot, more);
    this.capAssigned(mmSlot);
    this.raiseShared(mmSlot, this.mms.creditPages[mmSlot]!);
    return more;
  }

  /**
   * What an exec has built is new: nobody has it too, but for file and shmem pages, as far as the mm is
   * not ahead of all others of its user.
   */
  uncredit(mmSlot: number): void {
    const { mms } = this;
    const shareable = this.shareablePages(mmSlot);
    if (shareable !== 0) this.assignAhead(mmSlot, shareable);
    const kept = shareable - mms.assignedPages[mmSlot]!;
    const over = mms.creditPages[mmSlot]! - kept;
    if (over > 0) this.changeCredit(mmSlot, -over);
    this.setShared(mmSlot, mms.creditPages[mmSlot]!);
  }

  /** A fork has made an mm out of another, which may not be known (-1). */
  forked(mmSlot: number, originMmSlot: number): void {
    if (!this.isOn) return;
    const { mms } = this;
    this.credit(mmSlot, Infinity);
    if (originMmSlot < 0 || originMmSlot === mmSlot || mms.originSlot1[mmSlot] !== 0) return;
    mms.originSlot1[mmSlot] = originMmSlot + 1;
    // What its parent has from its own parent; and what it is credited with from now on.
    mms.keptCreditPages[mmSlot] = mms.creditPages[originMmSlot]!;
    mms.dependents[originMmSlot]!++;
    this.raiseShared(
      originMmSlot,
      Math.min(this.countedPages(mmSlot), this.countedPages(originMmSlot)),
    );
  }

  /**
   * An mm gives pages back, or all of them. Its charge may have been for parts of pages, which those who
   * have them too hold in full from now on. Before a measuring it is charged for whole pages only, of
   * which its children take over what it leaves.
   */
  orphan(mmSlot: number, pages: number): void {
    const { mms, users } = this;
    if (mms.measureNumber[mmSlot] === 0) return;
    const parts = mms.sharedPages[mmSlot]! - mms.creditPages[mmSlot]!;
    if (parts <= 0) return;
    users.orphanedPages[this.userOf(mmSlot)]! += Math.min(parts, pages);
  }

  /** An mm ends, or becomes another. Its pages are off the books already, or are taken off next. */
  end(mmSlot: number): void {
    const { mms } = this;
    if (mms.creditPages[mmSlot] !== 0) this.changeCredit(mmSlot, -mms.creditPages[mmSlot]!);
    if (mms.sharedPages[mmSlot] !== 0) this.setShared(mmSlot, 0);
    this.unassign(mmSlot, Infinity);
    if (mms.dependents[mmSlot] !== 0) this.passCredit(mmSlot);
    this.leaveOrigin(mmSlot);
  }

  /** The first child takes over what its parent leaves; the others are its children from now on. */
  private passCredit(mmSlot: number): void {
    const { mms } = this;
    let left = mms.dependents[mmSlot]!;
    let heir = -1;
    for (let child = 0; left > 0 && child < this.mmSlots.highWater; child++) {
      if (mms.originSlot1[child] !== mmSlot + 1) continue;
      left--;
      if (heir < 0) {
        heir = child;
        mms.originSlot1[child] = 0;
        this.inherit(child);
      } else {
        mms.originSlot1[child] = heir + 1;
        mms.dependents[heir]!++;
      }
    }
    mms.dependents[mmSlot] = 0;
    if (heir >= 0 && mms.dependents[heir] === 0) this.setShared(heir, mms.creditPages[heir]!);
  }

  /**
   * A child is charged for what it was credited with at its fork. Of file and shmem pages, which its parent
   * has given back one by one, others may have been charged for the same since: only those count by which
   * the child is ahead of all.
   */
  private inherit(mmSlot: number): void {
    const { mms, users } = this;
    const over = mms.creditPages[mmSlot]! - mms.keptCreditPages[mmSlot]!;
    if (over <= 0) return;
    const shareable = this.shareablePages(mmSlot);
    const ahead = Math.max(0, shareable - users.shareablePages[this.userOf(mmSlot)]!);
    const charged = Math.min(over, Math.max(0, over - shareable) + ahead);
    this.changeCredit(mmSlot, -charged);
    this.assign(mmSlot, mms.assignedPages[mmSlot]! + charged);
  }

  /** Forgets whose child an mm is. */
  leaveOrigin(mmSlot: number): void {
    const { mms } = this;
    const origin = mms.originSlot1[mmSlot]! - 1;
    if (origin < 0) return;
    mms.originSlot1[mmSlot] = 0;
    mms.dependents[origin]!--;
    // Its last child is gone, so it has alone what it does not have from its own parent.
    if (mms.dependents[origin] === 0) this.setShared(origin, mms.creditPages[origin]!);
  }

  /**
   * Children of a user's mms, which may be other users' by now, are nobody's: others of the user are
   * charged for parts of the same pages, so that they cannot be left to one in full.
   */
  leaveChildren(userSlot: number): void {
    const { originSlot1 } = this.mms;
    for (let child = 0; child < this.mmSlots.highWater; child++) {
      const origin = originSlot1[child]! - 1;
      if (origin >= 0 && this.userOf(origin) === userSlot) this.leaveOrigin(child);
    }
  }

  /** The children of an mm are nobody's: it ends, but another may be charged for what it had. */
  leaveChildrenOf(mmSlot: number): void {
    const { originSlot1, dependents } = this.mms;
    for (let child = 0; dependents[mmSlot] !== 0 && child < this.mmSlots.highWater; child++) {
      if (originSlot1[child] === mmSlot + 1) this.leaveOrigin(child);
    }
  }

  // --------------------------------------------------------------------------------- what changes

  /**
   * An mm that shares pages has given some back: it cannot be credited for more than it has. Without
   * shared pages there is nothing to do.
   */
  shrank(mmSlot: number, pages: number): void {
    const { mms } = this;
    this.orphan(mmSlot, pages);
    const counted = this.countedPages(mmSlot);
    const over = mms.creditPages[mmSlot]! - counted;
    if (over > 0) {
      mms.trimmedPages[mmSlot]! += over;
      this.changeCredit(mmSlot, -over);
    }
    if (mms.sharedPages[mmSlot]! > counted) this.setShared(mmSlot, counted);
    this.capAssigned(mmSlot);
  }

  /** An mm has given back pages of a counted member that is not anon: its own first. */
  gaveBack(mmSlot: number, member: number, pages: number): void {
    if (this.isShareable(member)) this.unassign(mmSlot, pages);
  }

  /** An mm has more pages of a counted member that is not anon: what is new there may be shared. */
  grew(mmSlot: number, member: number, delta: number): void {
    if (this.isShareable(member)) this.grewShareable(mmSlot, delta);
    else if (member === Member.swap) this.grewSwap(mmSlot, delta);
  }

  /** Whether others may have pages of a counted member without a fork, and there are credits. */
  private isShareable(member: number): boolean {
    return this.isOn && ((SHAREABLE_MASK >> member) & 1) !== 0;
  }

  /** An mm has more file or shmem pages. */
  private grewShareable(mmSlot: number, delta: number): void {
    this.mms.laterShareablePages[mmSlot]! += delta;
    const ahead = this.assignAhead(mmSlot, delta);
    if (ahead < delta) this.creditNow(mmSlot, delta - ahead);
  }

  /**
   * Assigns to an mm, of file and shmem pages, those of which it has more than are assigned to all mms of
   * its user, at most `pagesMax`. @returns How many.
   */
  private assignAhead(mmSlot: number, pagesMax: number): number {
    const ahead = this.shareablePages(mmSlot) - this.users.shareablePages[this.userOf(mmSlot)]!;
    const more = Math.min(ahead, pagesMax);
    if (more <= 0) return 0;
    this.setAssigned(mmSlot, this.mms.assignedPages[mmSlot]! + more);
    return more;
  }

  private unassign(mmSlot: number, pages: number): void {
    const assigned = this.mms.assignedPages[mmSlot]!;
    if (assigned !== 0) this.setAssigned(mmSlot, Math.max(0, assigned - pages));
  }

  /** To an mm no more is assigned than it is charged for. */
  private capAssigned(mmSlot: number): void {
    const { creditPages, assignedPages } = this.mms;
    const own = this.countedPages(mmSlot) - creditPages[mmSlot]!;
    if (assignedPages[mmSlot]! > own) this.setAssigned(mmSlot, own);
  }

  /** Assigns so many file and shmem pages to an mm, as far as it has them and is charged for them. */
  assign(mmSlot: number, pagesMax: number): void {
    const own = this.countedPages(mmSlot) - this.mms.creditPages[mmSlot]!;
    this.setAssigned(mmSlot, Math.min(pagesMax, own, this.shareablePages(mmSlot)));
  }

  /** Sets what is assigned to an mm, and keeps the sum of its user. */
  private setAssigned(mmSlot: number, pages: number): void {
    const { assignedPages } = this.mms;
    this.users.shareablePages[this.userOf(mmSlot)]! += pages - assignedPages[mmSlot]!;
    assignedPages[mmSlot] = pages;
  }

  /**
   * Other members count for an mm, which is nobody's sum at this moment.
   * @param addedPages What counts from now on.
   */
  recount(mmSlot: number, addedPages: number): void {
    const { mms } = this;
    const counted = this.countedPages(mmSlot);
    const added = this.isOn ? addedPages : 0;
    mms.creditPages[mmSlot] = Math.min(counted, mms.creditPages[mmSlot]! + added);
    mms.sharedPages[mmSlot] = Math.min(counted, mms.sharedPages[mmSlot]! + added);
    mms.keptCreditPages[mmSlot]! += added;
    mms.laterCreditPages[mmSlot]! += added;
  }

  /** An mm leaves its user. @returns What was assigned to it there, for {@link joinUser}. */
  leaveUser(mmSlot: number): number {
    const assigned = this.mms.assignedPages[mmSlot]!;
    this.setAssigned(mmSlot, 0);
    return assigned;
  }

  /** An mm comes to another user, whose mms may have the same pages: it is credited with what they may have. */
  joinUser(mmSlot: number, assigned: number): void {
    if (assigned === 0) return;
    const own = this.countedPages(mmSlot) - this.mms.creditPages[mmSlot]!;
    const more = this.assignAhead(mmSlot, Math.min(assigned, own));
    if (more < assigned) this.credit(mmSlot, assigned - more);
  }

  private userOf(mmSlot: number): number {
    return this.processes.userSlot[this.mms.processSlot1[mmSlot]! - 1]!;
  }

  /** Swapping out takes a page first and gives an entry then, which is shared as the page was. */
  private grewSwap(mmSlot: number, delta: number): void {
    const { trimmedPages } = this.mms;
    const back = Math.min(trimmedPages[mmSlot]!, delta);
    if (back === 0) return;
    trimmedPages[mmSlot]! -= back;
    this.credit(mmSlot, back);
  }

  /** Counted file and shmem pages of an mm. */
  shareablePages(mmSlot: number): number {
    const { pages } = this.mms;
    const base = mmSlot * MEMBER_COUNT;
    const mask = this.isOn ? this.countMask(mmSlot) : 0;
    return (mask & (1 << Member.file) ? pages[base + Member.file]! : 0) +
      (mask & (1 << Member.shmem) ? pages[base + Member.shmem]! : 0);
  }

  // -------------------------------------------------------------------------------------- columns

  /** Changes the credit of an mm, and with it that of its user. */
  changeCredit(mmSlot: number, change: number): void {
    if (change === 0) return;
    this.mms.creditPages[mmSlot]! += change;
    this.creditProcess(this.mms.processSlot1[mmSlot]! - 1, change);
  }

  /** Sets the credit of an mm and its process. @returns The change, which its user gets by itself. */
  setCredit(mmSlot: number, pages: number): number {
    const { mms, processes } = this;
    const change = pages - mms.creditPages[mmSlot]!;
    mms.creditPages[mmSlot] = pages;
    processes.creditPages[mms.processSlot1[mmSlot]! - 1]! += change;
    return change;
  }

  /** The credit of an mm comes to a process, or leaves it with the mm. */
  creditProcess(processSlot: number, change: number): void {
    if (change === 0) return;
    this.processes.creditPages[processSlot]! += change;
    this.creditUser(this.processes.userSlot[processSlot]!, change);
  }

  /** The credit of a process comes to a user, or leaves it with the process. */
  creditUser(userSlot: number, change: number): void {
    if (change === 0) return;
    this.users.creditPages[userSlot]! += change;
    this.onCredit(userSlot);
  }

  setShared(mmSlot: number, pages: number): void {
    const { mms, processes } = this;
    processes.sharedPages[mms.processSlot1[mmSlot]! - 1]! += pages - mms.sharedPages[mmSlot]!;
    mms.sharedPages[mmSlot] = pages;
  }

  private raiseShared(mmSlot: number, pages: number): void {
    if (pages > this.mms.sharedPages[mmSlot]!) this.setShared(mmSlot, pages);
  }
}
