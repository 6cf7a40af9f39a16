/**
 * The kernel's own trigger, as accounting and killer see it: programs that keep the pages of users
 * within the page fault, and end a candidate one page past the line.
 *
 * @module
 */

/** Accounting's end: who is over when. */
export interface KernelLimits {
  /**
   * Sets the line of a user.
   *
   * @param uid As in the tables.
   * @param limitPages Counted pages: hard and share credit.
   * @param mayKill Programs may end the user's candidate; else they only tell.
   * @returns false when not all of its pages are known to programs: then they only tell.
   */
  set(uid: number, limitPages: number, mayKill: boolean): boolean;
  /** The credit has what a fork copied: from here on programs charge it. @param pages 0 or more. */
  chargeInherited(uid: number, pages: number): void;
  /** Nobody is armed any more. */
  clearCandidate(uid: number): void;
}

/** The killer's end: who goes, and who goes already. */
export interface KernelCandidates {
  /**
   * Arms a process.
   * @param mmId Of the mm that it runs on, as records name it.
   */
  arm(uid: number, tgid: number, mmId: number): void;
  /** This process has signalled a process: what it has is pending. */
  noteDying(uid: number, tgid: number, mmId: number): void;
}
