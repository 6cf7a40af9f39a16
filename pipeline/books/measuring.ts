/**
 * What a measuring of a user's shared pages has found, brought into the books.
 *
 * The sweeper announces a measuring, waits until accounting has begun it (HeaderWord.measureBegun),
 * and reads each process that the user had then, one after the other, while the user goes on. All
 * that may change meanwhile makes the credit too high rather than too low, so that the charge stays a
 * lower bound: mms that are younger keep the credit of their fork, older ones that could not be read
 * are credited in full, and what an mm has been credited with since the beginning comes on top.
 *
 * @module
 */
import type { Books } from "./books.ts";
import { ProcessFlag, ProcessState } from "../memory/layout.ts";

/** What was found of a process, pages: the record MEASURED. */
export interface Found {
  /** Pages that its end would not free, at least. */
  readonly sharedPages: number;
  /** Its part of the user's credit, at least. */
  readonly creditPages: number;
  /** Of its credit, what it has of file and shmem. */
  readonly mappedCreditPages: number;
  /** Its part of file and shmem pages, at least. */
  readonly shareablePages: number;
}

export class Measuring {
  private readonly books: Books;
  private beganTsNs = 0;
  /** Number of the measuring under way, or of the last one; 0 before the first. */
  private measure = 0;
  /** Of the user that is measured, as of the beginning. */
  private orphanedPages = 0;

  constructor(books: Books) {
    this.books = books;
  }

  /** Calls `visit` with each mm of a user, O(table). */
  private forEachMm(userSlot: number, visit: (mmSlot: number) => void): void {
    const { processes, processSlots, mms } = this.books;
    for (let slot = 0; slot < processSlots.highWater; slot++) {
      if (processes.state[slot] === ProcessState.free) continue;
      if (processes.userSlot[slot] !== userSlot) continue;
      for (let mm1 = processes.mmFirst1[slot]!; mm1 !== 0; mm1 = mms.sibling1[mm1 - 1]!) {
        visit(mm1 - 1);
      }
    }
  }

  /** From here on, what the user's mms are credited with, and what they map, is kept apart. */
  begin(uid: number, measure: number, tsNs: number): void {
    this.beganTsNs = tsNs;
    this.measure = measure;
    const userSlot = this.books.findUser(uid);
    if (userSlot < 0) return;
    this.orphanedPages = this.books.users.orphanedPages[userSlot]!;
    const { laterCreditPages, laterShareablePages } = this.books.mms;
    this.forEachMm(userSlot, (mm) => {
      laterCreditPages[mm] = 0;
      laterShareablePages[mm] = 0;
    });
  }

  /** One process was read; before a measuring has begun, that says nothing. */
  found(tgid: number, found: Found): void {
    const { processes, mms } = this.books;
    const process = this.books.findProcess(tgid);
    const mm = process < 0 ? -1 : processes.mmSlot1[process]! - 1;
    if (mm < 0 || this.measure === 0) return;
    mms.measureNumber[mm] = this.measure;
    mms.measuredSharedPages[mm] = found.sharedPages;
    mms.measuredCreditPages[mm] = found.creditPages;
    mms.measuredMappedCreditPages[mm] = found.mappedCreditPages;
    mms.measuredShareablePages[mm] = found.shareablePages;
  }

  /**
   * Whether an mm that is younger for the books is older in truth: that of a process which came to them
   * by a reading of /proc since the measuring began. It may share with those that were measured.
   */
  private isOlder(mmSlot: number): boolean {
    const { mms, processes } = this.books;
    const process = mms.processSlot1[mmSlot]! - 1;
    return processes.bornTsNs[process]! < this.beganTsNs &&
      (processes.flags[process]! & ProcessFlag.hasExeced) === 0;
  }

  /** Makes the user's credit what was found. @returns The user's slot, -1 when it has none. */
  end(uid: number, measure: number): number {
    const { books } = this;
    const { mms, users, shares } = books;
    const userSlot = books.findUser(uid);
    if (userSlot < 0) return -1;
    /** File and shmem pages that are assigned to mms of the user, at most. */
    let assigned = 0;
    let change = 0;
    /** Pages that the measured share and are charged for their parts of. */
    let sharedParts = 0;
    shares.leaveChildren(userSlot);
    this.forEachMm(userSlot, (mm) => {
      shares.leaveOrigin(mm);
      if (mms.measureNumber[mm] !== measure) return;
      assigned += mms.measuredShareablePages[mm]!;
      sharedParts += Math.max(0, mms.measuredSharedPages[mm]! - mms.measuredCreditPages[mm]!);
    });
    this.forEachMm(userSlot, (mm) => {
      const counted = books.countedPages(mm);
      const isMeasured = mms.measureNumber[mm] === measure;
      if (!isMeasured && mms.bornTsNs[mm]! < this.beganTsNs) {
        // It may be going at this moment: what it leaves is found with those that have it too.
        change += shares.setCredit(mm, counted);
        shares.setShared(mm, counted);
        shares.assign(mm, 0);
        return;
      }
      const part = isMeasured ? mms.measuredShareablePages[mm]! : 0;
      const mapped = this.mappedFromOthers(mm, assigned, part);
      const later = mms.laterCreditPages[mm]! + mapped;
      const found = isMeasured ? mms.measuredMappedCreditPages[mm]! : 0;
      const own = Math.max(0, shares.shareablePages(mm) - found - mapped);
      assigned += own - part;
      if (isMeasured) {
        const credit = Math.min(mms.measuredCreditPages[mm]! + later, counted);
        const shared = Math.max(credit, mms.measuredSharedPages[mm]! + later);
        change += shares.setCredit(mm, credit);
        shares.setShared(mm, Math.min(shared, counted));
      } else {
        // It may have been its parent's heir since, and be charged for all that the parent had; those
        // that were read are charged for their parts of the same pages from now on.
        let atBirth = later;
        if (this.isOlder(mm)) {
          const parts = Math.min(sharedParts, counted);
          sharedParts -= parts;
          atBirth += parts;
        }
        const credit = Math.max(mms.creditPages[mm]!, Math.min(atBirth, counted));
        change += shares.setCredit(mm, credit);
        shares.setShared(mm, Math.max(credit, mms.sharedPages[mm]!));
      }
      shares.assign(mm, own);
    });
    // What was left since the beginning may have been read before that, or after.
    const orphaned = users.orphanedPages[userSlot]! - this.orphanedPages;
    users.orphanedPages[userSlot] = Math.max(0, orphaned);
    this.orphanedPages = 0;
    // At once, because the killer must not see a sum of old and new parts.
    shares.creditUser(userSlot, change);
    return userSlot;
  }

  /**
   * Of the file and shmem pages that an mm has mapped since the measuring began, those that may be
   * another's: no more than are assigned to others, and none of those by which it is ahead of all.
   */
  private mappedFromOthers(mmSlot: number, assignedPages: number, part: number): number {
    const { shares, mms } = this.books;
    const mapped = mms.laterShareablePages[mmSlot]!;
    const ahead = Math.max(0, shares.shareablePages(mmSlot) - assignedPages);
    return Math.max(0, Math.min(mapped - ahead, assignedPages - part));
  }
}
