/**
 * A reader's word that says whether it has counted all events that it has taken from the kernel. The
 * kernel counts events at read(2), the reader when it has made records of them; in between it may
 * stand still for as long as it has no CPU or its ring is full.
 *
 * @module
 */
import { RoleWord } from "../memory/layout.ts";

/** The writing side: of the reader. */
export class ReadTurn {
  private readonly words: Int32Array;

  /** @param words Of the reader's role. */
  constructor(words: Int32Array) {
    this.words = words;
  }

  /** Call before anything is taken. A predecessor may have ended within a turn. HOT. */
  begin(): void {
    Atomics.store(this.words, RoleWord.readTurn, (this.words[RoleWord.readTurn]! + 1) | 1);
  }

  /** Call when all that was taken is counted. HOT. */
  end(): void {
    Atomics.store(this.words, RoleWord.readTurn, this.words[RoleWord.readTurn]! + 1);
  }
}

/** Whether a reader was within a turn; what it had counted before is seen by who asks this first. */
export function isWithinTurn(words: Int32Array): boolean {
  return (Atomics.load(words, RoleWord.readTurn) & 1) !== 0;
}

/** Number of turns that a reader has begun or ended, modulo 2^31; ended when it grows. */
export function turnsEnded(words: Int32Array): number {
  return Atomics.load(words, RoleWord.readTurn) >>> 1;
}
