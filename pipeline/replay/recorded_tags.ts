/**
 * What rules said of processes, as a recording has it: each tag is put on its process when accounting
 * is as far as it was when the sweeper stored it.
 *
 * @module
 */
import { RECORD_WORDS, RecordWord } from "../memory/layout.ts";
import { putBareTag, type TagColumns } from "../rules/tag.ts";

interface Recorded {
  readonly tsNs: number;
  readonly pid: number;
  readonly tag: number;
  /** Of accounting, counted from the keyframe on. */
  readonly position: number;
}

/** A tag whose process does not come within so many records is of none that the replay has. */
const EARLY_RECORDS_MAX = 8192;
/** Applied ones that are kept, so that the list is not moved for each. */
const APPLIED_MAX = 1024;

export class RecordedTags {
  private readonly processes: TagColumns;
  private readonly findProcess: (pid: number) => number;
  /** In the order in which they were stored, from {@link next} on. */
  private tags: Recorded[] = [];
  private next = 0;
  /**
   * By pid: tags that were stored while accounting was in the middle of records that it had not given
   * back, so that their processes come a little later here.
   */
  private readonly early = new Map<number, Recorded>();

  constructor(processes: TagColumns, findProcess: (pid: number) => number) {
    this.processes = processes;
    this.findProcess = findProcess;
  }

  /** The books begin anew. */
  clear(): void {
    this.tags = [];
    this.next = 0;
    this.early.clear();
  }

  /** @param positionThere Of accounting at the keyframe, as the recorder counted it. */
  take(words: Int32Array, doubles: Float64Array, count: number, positionThere: number): void {
    for (let word = 0; word < count * RECORD_WORDS; word += RECORD_WORDS) {
      this.tags.push({
        tsNs: doubles[word >> 1]!,
        pid: words[word + RecordWord.tid]!,
        tag: words[word + RecordWord.a]!,
        position: (words[word + RecordWord.b]! - positionThere) | 0,
      });
    }
  }

  /** Puts a tag of the keyframe on its process. */
  put(pid: number, tag: number): void {
    const slot = this.findProcess(pid);
    if (slot >= 0) putBareTag(this.processes, slot, tag);
  }

  /**
   * Puts those on their processes that were there when accounting was at a position.
   *
   * @param position Records taken since the keyframe.
   * @param clockNs Of those stored at this very position, only such until then.
   */
  apply(position: number, clockNs: number): void {
    if (this.early.size > 0) this.applyEarly(position);
    for (let tag = this.tags[this.next]; tag !== undefined; tag = this.tags[this.next]) {
      const ahead = (tag.position - position) | 0;
      if (ahead > 0 || (ahead === 0 && tag.tsNs > clockNs)) return;
      this.next++;
      this.early.delete(tag.pid);
      const slot = this.findProcess(tag.pid);
      if (slot >= 0) putBareTag(this.processes, slot, tag.tag);
      else this.early.set(tag.pid, tag);
      if (this.next < APPLIED_MAX) continue;
      this.tags.splice(0, this.next);
      this.next = 0;
    }
  }

  private applyEarly(position: number): void {
    for (const [pid, tag] of this.early) {
      const slot = this.findProcess(pid);
      if (slot >= 0) putBareTag(this.processes, slot, tag.tag);
      else if (((position - tag.position) | 0) < EARLY_RECORDS_MAX) continue;
      this.early.delete(pid);
    }
  }

  /** Records that may be taken before the next one is due, at least 0; Infinity: none is known. */
  until(position: number): number {
    const tag = this.tags[this.next];
    return tag === undefined ? Infinity : Math.max(0, (tag.position - position) | 0);
  }
}
