/**
 * The kernel's own trigger, as accounting and killer see it: programs that keep the pages of users
 * within the page fault, and end a candidate one page past the line.
 *
 * @module
 */

/** What programs know of a user. */
export const LineState = {
  /** Nothing: nobody has had them book it. */
  unknown: 0,
  /** Each page. */
  exact: 1,
  /** Not all, as there was no room for an address space. */
  inexact: 2,
  /** Other members than count for it now: they book it anew, or toom is about to start over. */
  otherMembers: 3,
} as const;
export type LineState = typeof LineState[keyof typeof LineState];

/** Accounting's end: who is over when. */
export interface KernelLimits {
  /**
   * Sets the line of a user.
   *
   * @param uid As in the tables.
   * @param limitPages Counted pages: hard and share credit.
   * @param mayKill Programs may end the user's candidate; else they only tell.
   * @param countMask What counts for the user.
   * @returns {@link LineState}: only of an exact one programs end anybody.
   */
  set(uid: number, limitPages: number, mayKill: boolean, countMask: number): LineState;
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
  /** Nobody is armed any more. */
  disarm(uid: number): void;
  /**
   * This process has signalled a process: what it has is pending.
   * @returns undefined, or why programs could not be told: nobody is armed then.
   */
  noteDying(uid: number, tgid: number, mmId: number): string | undefined;
}
