/**
 * What reading the shares of a process costs in CPU time. It is read on a thread of its own, which may
 * have to wait for a CPU and for the process's memory map: only the time from beginning to end can be
 * seen, of which the quickest readings of late tell how much is work.
 *
 * @module
 */

/** What a reading costs whatever it reads, as the pages that could be read in that time. */
const FIXED_PAGES = 1000;
/** A reading may cost so many times what the quickest cost for each page. */
const SPREAD = 2;
/** By how much the quickest is forgotten with each reading, because machines change their pace. */
const FORGET = 1.01;

export class ReadingCost {
  private nsPerPage = Infinity;

  /**
   * @param tookNs From the beginning of a reading to its end.
   * @param pages Pages that the process has mapped.
   * @returns What of it was work, nanoseconds, at most `tookNs`.
   */
  of(tookNs: number, pages: number): number {
    const weight = pages + FIXED_PAGES;
    this.nsPerPage = Math.min(this.nsPerPage * FORGET, tookNs / weight);
    return Math.min(tookNs, SPREAD * this.nsPerPage * weight);
  }
}
