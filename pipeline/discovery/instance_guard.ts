/**
 * Watches over toom's trace instances: whoever is root, in whatever container, can write to their
 * files, and toom would see less, or nothing, without a word. What somebody else has changed is put
 * back and told, and the events that were missed meanwhile are a loss like any other.
 *
 * Not seen: what is changed and changed back between two looks.
 *
 * @module
 */
import type { GuardedInstance } from "../ports.ts";

/** What somebody else has done. */
export interface Tampering {
  /** One line: the file, and what it said. */
  readonly what: string;
  /** Whether it is as it was again. */
  readonly mended: boolean;
}

/** The same thing is told at most this often. */
const TOLD_EVERY_NS = 1e9;

export class InstanceGuard {
  private readonly instance: GuardedInstance;
  private readonly reportedNs: Float64Array;

  constructor(instance: GuardedInstance) {
    this.instance = instance;
    this.reportedNs = new Float64Array(instance.names.length).fill(-Infinity);
  }

  /**
   * Looks at every file, and mends what is not as it must be. Some 100 us.
   *
   * @param onTampering Called for each that is to be told of.
   * @returns Whether events may have been missed.
   */
  check(nowNs: number, onTampering: (tampering: Tampering) => void): boolean {
    const { instance, reportedNs } = this;
    const { names } = instance;
    let missed = false;
    for (let index = 0; index < names.length; index++) {
      const found = instance.look(index);
      if (found === undefined) continue;
      missed = true;
      const problem = instance.mend(index);
      if (nowNs - reportedNs[index]! < TOLD_EVERY_NS) continue;
      reportedNs[index] = nowNs;
      onTampering({
        what: `${names[index]} was ${found}${problem === undefined ? "" : ` (${problem})`}`,
        mended: problem === undefined,
      });
    }
    return missed;
  }
}
