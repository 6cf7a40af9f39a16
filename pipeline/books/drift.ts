/**
 * Drift: what a sweep has found that the books had otherwise, by user, signed pages. Told once a sweep,
 * because one that is far from 0 means that events were lost.
 *
 * @module
 */
import { CounterIndex } from "../memory/layout.ts";
import type { ReportWriter } from "../messages/reports.ts";
import { UNKNOWN_UID } from "./books.ts";
import type { Books } from "./books.ts";

export class Drift {
  private readonly books: Books;
  private readonly reports: ReportWriter;
  private readonly counters: Float64Array;
  private readonly pages: Float64Array;

  constructor(books: Books, reports: ReportWriter, counters: Float64Array) {
    this.books = books;
    this.reports = reports;
    this.counters = counters;
    this.pages = new Float64Array(books.userSlots.capacity);
  }

  note(userSlot: number, pages: number): void {
    if (pages === 0) return;
    this.pages[userSlot]! += pages;
    this.counters[CounterIndex.driftPages]! += Math.abs(pages);
  }

  /** Tells of a user, and begins anew. @param beganTsNs When the sweep began. */
  tell(userSlot: number, beganTsNs: number): void {
    const pages = this.pages[userSlot]!;
    if (pages === 0) return;
    this.pages[userSlot] = 0;
    const uid = this.books.users.uid[userSlot]!;
    if (uid !== UNKNOWN_UID) this.reports.put("drift", beganTsNs, [uid, pages]);
  }
}
