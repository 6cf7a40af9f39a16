/**
 * What ended, and when: the newest few thousand ends, so that older news that arrives late does
 * not bring anything back. One entry a number modulo the size: a later end replaces an earlier one.
 *
 * @module
 */
export class RecentEnds {
  private readonly mask: number;
  private readonly numbers: Int32Array;
  private readonly timesNs: Float64Array;
  private readonly notes: Int32Array;

  /** @param size A power of two. */
  constructor(size: number) {
    this.mask = size - 1;
    this.numbers = new Int32Array(size);
    this.timesNs = new Float64Array(size);
    this.notes = new Int32Array(size);
  }

  /** @param note A number to be had back. */
  add(number: number, tsNs: number, note: number): void {
    const at = number & this.mask;
    if (this.numbers[at] === number && this.timesNs[at]! > tsNs) return;
    this.numbers[at] = number;
    this.timesNs[at] = tsNs;
    this.notes[at] = note;
  }

  /** Whether that number is known to have ended after that time. */
  hasEndedAfter(number: number, tsNs: number): boolean {
    const at = number & this.mask;
    return this.numbers[at] === number && this.timesNs[at]! > tsNs;
  }

  /** Time of the end. Ask only after {@link hasEndedAfter} said so. */
  tsNs(number: number): number {
    return this.timesNs[number & this.mask]!;
  }

  /** Note of the end. Ask only after {@link hasEndedAfter} said so. */
  note(number: number): number {
    return this.notes[number & this.mask]!;
  }
}
