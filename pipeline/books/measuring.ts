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
import { ProcessState } from "../memory/layout.ts";

export class Measuring {
  private readonly books: Books;
  private beganTsNs = 0;

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
  begin(uid: number, tsNs: number): void {
    this.beganTsNs = tsNs;
    const userSlot = this.books.findUser(uid);
    if (userSlot < 0) return;
    const { laterCreditPages, laterShareablePages } = this.books.mms;
    this.forEachMm(userSlot, (mm) => {
      laterCreditPages[mm] = 0;
      laterShareablePages[mm] = 0;
    });
  }

  /**
   * One process was read.
   *
   * @param sharedPages Pages that its end would not free, at least.
   * @param creditPages Its part of the user's credit, at least.
   * @param shareablePages Its part of the file and shmem pages that it maps, at least.
   */
  found(
    tgid: number,
    measure: number,
    sharedPages: number,
    creditPages: number,
    shareablePages: number,
  ): void {
    const { processes, mms } = this.books;
    const process = this.books.findProcess(tgid);
    const mm = process < 0 ? -1 : processes.mmSlot1[process]! - 1;
    if (mm < 0) return;
    mms.measureNumber[mm] = measure;
    mms.measuredSharedPages[mm] = sharedPages;
    mms.measuredCreditPages[mm] = creditPages;
    mms.measuredShareablePages[mm] = shareablePages;
  }

  /** Makes the user's credit what was found. @returns The user's slot, -1 when it has none. */
  end(uid: number, measure: number): number {
    const { books } = this;
    const { mms, users, shares } = books;
    const userSlot = books.findUser(uid);
    if (userSlot < 0) return -1;
    let shareable = 0;
    let change = 0;
    this.forEachMm(userSlot, (mm) => {
      shares.leaveOrigin(mm);
      const isMeasured = mms.measureNumber[mm] === measure;
      shareable += isMeasured ? mms.measuredShareablePages[mm]! : shares.shareablePages(mm);
    });
    this.forEachMm(userSlot, (mm) => {
      if (mms.measureNumber[mm] !== measure) {
        const counted = books.countedPages(mm);
        if (mms.bornTsNs[mm]! >= this.beganTsNs) {
          // It may have been its parent's heir since, and be charged for all that the parent had; those
          // that were read are charged for their parts of the same pages from now on.
          const atBirth = mms.laterCreditPages[mm]! + mms.laterShareablePages[mm]!;
          const credit = Math.max(mms.creditPages[mm]!, Math.min(atBirth, counted));
          change += shares.setCredit(mm, credit);
          shares.setShared(mm, Math.max(credit, mms.sharedPages[mm]!));
          return;
        }
        // It may be going at this moment: what it leaves is found with those that have it too.
        change += shares.setCredit(mm, counted);
        shares.setShared(mm, counted);
        return;
      }
      const counted = books.countedPages(mm);
      // What it maps since the measuring began is new as far as it has more than all were found to.
      const mapped = mms.laterShareablePages[mm]!;
      const ahead = Math.min(mapped, Math.max(0, shares.shareablePages(mm) - shareable));
      shareable += ahead;
      const later = mms.laterCreditPages[mm]! + mapped - ahead;
      const credit = Math.min(mms.measuredCreditPages[mm]! + later, counted);
      const shared = Math.max(credit, mms.measuredSharedPages[mm]! + later);
      change += shares.setCredit(mm, credit);
      shares.setShared(mm, Math.min(shared, counted));
    });
    users.shareablePages[userSlot] = shareable;
    // At once, because the killer must not see a sum of old and new parts.
    shares.creditUser(userSlot, change);
    return userSlot;
  }
}
