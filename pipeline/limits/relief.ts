/**
 * Whose process goes when the machine is short of memory and nobody need be over its limit.
 *
 * By `share`, those who are above half of their limit come into question, by how much of it they use and
 * by what the end of their largest process gives back, as far as that is wanted:
 *
 *     score = charged / hard * min(1, gives back / missing)
 *
 * So a user at 90 of 100 GiB goes before one at 1 of 64 MiB, and who cannot help is left alone. By
 * `over-soft`, those who are above their soft limit come first, by how many pages; by `largest`, whoever is
 * charged most goes, whatever its limit. Below half of a limit nobody is measured: there, pages that are
 * shared may count in each process.
 *
 * @module
 */
import { type Books, NO_LIMIT_PAGES, UNKNOWN_UID } from "../books/books.ts";
import { chargedPages, givesBackPages } from "../books/charge.ts";
import type { Dying } from "../kill/dying.ts";
import { ProcessState, UserState } from "../memory/layout.ts";
import type { MachineVictim } from "../memory/settings.ts";
import type { ReportWriter } from "../messages/reports.ts";

/** By `share`, users at or below this share of their hard limit lose nobody for the machine's sake. */
export const RELIEF_SHARE_MIN = 0.5;
/** A victim must give back what is missing, or at least this. */
export const RELIEF_BYTES_MIN = 16 * 2 ** 20;
/** That nobody's end would help is told at most this often. */
const NOBODY_REPORT_NS = 60e9;
/** A user of whom nobody could be taken is left out for so long. */
const FAILED_NS = 10e9;

export class Relief {
  private readonly books: Books;
  private readonly dying: Dying;
  private readonly reports: ReportWriter;
  private readonly pagesMin: number;
  private readonly policy: () => MachineVictim;
  /** By user slot: pages that its largest process gives back. */
  private readonly largestPages: Float64Array;
  private readonly failedUntilNs: Float64Array;

  private reportedNs = -Infinity;

  /** @param policy As of now. */
  constructor(
    books: Books,
    dying: Dying,
    reports: ReportWriter,
    pageBytes: number,
    policy: () => MachineVictim,
  ) {
    this.books = books;
    this.dying = dying;
    this.reports = reports;
    this.policy = policy;
    this.pagesMin = Math.floor(RELIEF_BYTES_MIN / pageBytes);
    this.largestPages = new Float64Array(books.userSlots.capacity);
    this.failedUntilNs = new Float64Array(books.userSlots.capacity);
  }

  /** What a victim must give back at least. @param missingPages To the floor. */
  usefulPages(missingPages: number): number {
    return Math.max(1, Math.min(missingPages, this.pagesMin));
  }

  /** Nobody of this user could be taken: the next reading looks at the others. */
  failed(userSlot: number, nowNs: number): void {
    this.failedUntilNs[userSlot] = nowNs + FAILED_NS;
  }

  /**
   * Chooses, and tells whom, or at most once a minute that nobody's end would help.
   *
   * @param reason {@link PressureReason}.
   * @param isOrdered By user slot: an order about it is with the killer.
   * @returns The user's slot; -1 when nothing is to be done.
   */
  find(nowNs: number, reason: number, missingPages: number, isOrdered: Uint8Array): number {
    // What is being freed is relief on its way.
    if (this.dying.count > 0) return -1;
    const userSlot = this.choose(nowNs, missingPages);
    if (userSlot < 0) {
      if (nowNs - this.reportedNs < NOBODY_REPORT_NS) return -1;
      this.reportedNs = nowNs;
      this.reports.put("pressure", nowNs, [reason, UNKNOWN_UID, 0]);
      return -1;
    }
    // Who has a grace has it no longer than the machine has memory.
    const { asked } = this.books.users;
    if (isOrdered[userSlot] !== 0 && asked[userSlot] === 0) return -1;
    this.reports.put("pressure", nowNs, [reason, this.books.users.uid[userSlot]!, 1]);
    return userSlot;
  }

  private choose(nowNs: number, missingPages: number): number {
    this.findLargest();
    const policy = this.policy();
    const chosen = this.chooseBy(policy, nowNs, missingPages);
    return chosen < 0 && policy === "over-soft"
      ? this.chooseBy("share", nowNs, missingPages)
      : chosen;
  }

  private chooseBy(policy: MachineVictim, nowNs: number, missingPages: number): number {
    const { users, userSlots } = this.books;
    const usefulPages = this.usefulPages(missingPages);
    let best = -1;
    let bestScore = 0;
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      if (users.state[slot] === UserState.free || users.hardPages[slot] === NO_LIMIT_PAGES) {
        continue;
      }
      const largest = this.largestPages[slot]!;
      if (largest < usefulPages || this.failedUntilNs[slot]! > nowNs) continue;
      const score = this.score(policy, slot, largest / Math.max(1, missingPages));
      if (score <= bestScore) continue;
      best = slot;
      bestScore = score;
    }
    return best;
  }

  /** Above 0: it comes into question. @param helps What its largest process gives back of what is missing. */
  private score(policy: MachineVictim, slot: number, helps: number): number {
    const { users } = this.books;
    const charged = chargedPages(users, slot);
    if (policy === "largest") return charged;
    if (policy === "over-soft") return charged - users.softPages[slot]!;
    const share = charged / Math.max(1, users.hardPages[slot]!);
    return share <= RELIEF_SHARE_MIN ? 0 : share * Math.min(1, helps);
  }

  private findLargest(): void {
    const { processes, processSlots } = this.books;
    this.largestPages.fill(0);
    for (let slot = 0; slot < processSlots.highWater; slot++) {
      if (processes.state[slot] !== ProcessState.alive) continue;
      const userSlot = processes.userSlot[slot]!;
      const pages = givesBackPages(processes, slot);
      if (pages > this.largestPages[userSlot]!) this.largestPages[userSlot] = pages;
    }
  }
}
