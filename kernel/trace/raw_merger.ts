/**
 * The pages of all CPUs, merged into one stream by time.
 *
 * @module
 */
import type { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import type { RawPageCursor } from "./raw_parser.ts";

/**
 * Merges the CPUs' events by time: always takes from the cursor whose next event is oldest, and as
 * many as come before any other's. One run costs O(CPUs), an event inside of a run nothing.
 */
export class RawMerger {
  private readonly cursors: readonly RawPageCursor[];
  private readonly refill: (index: number) => boolean;
  /** 1 for a CPU that had nothing more to give. */
  private readonly dry: Uint8Array;

  /**
   * @param cursors One a CPU; their order is the index that `refill` is given.
   * @param refill Called when a cursor is exhausted: loads the next sub-buffer into it and returns
   *   true, or returns false when there is none, and is then not called again for that CPU before
   *   the next {@link drain}. As it comes between any two pages of a CPU, it is also the place to
   *   publish; and to end a drain that writers keep alive, by returning false.
   */
  constructor(cursors: readonly RawPageCursor[], refill: (index: number) => boolean) {
    this.cursors = cursors;
    this.refill = refill;
    this.dry = new Uint8Array(cursors.length);
  }

  /**
   * Writes everything that the CPUs have. A CPU that runs dry no longer holds up the others, so
   * what it gets meanwhile comes with the next drain, and may be older than what this one wrote.
   */
  drain(writer: RecordWriter): void {
    const { cursors, dry } = this;
    dry.fill(0);
    for (let index = 0; index < cursors.length; index++) this.replenish(index);
    for (;;) {
      let first = -1;
      let firstNs = Infinity;
      let secondNs = Infinity;
      for (let index = 0; index < cursors.length; index++) {
        const tsNs = cursors[index]!.nextTsNs;
        if (tsNs < firstNs) {
          secondNs = firstNs;
          firstNs = tsNs;
          first = index;
        } else if (tsNs < secondNs) {
          secondNs = tsNs;
        }
      }
      if (first < 0) return;
      const cursor = cursors[first]!;
      cursor.limitTsNs = secondNs;
      cursor.emit(writer);
      this.replenish(first);
    }
  }

  private replenish(index: number): void {
    const cursor = this.cursors[index]!;
    while (cursor.done && this.dry[index] === 0) {
      if (!this.refill(index)) this.dry[index] = 1;
    }
  }
}
