/**
 * A sequence lock: one writer publishes a page of words, any number of readers copy it whole, and
 * nobody waits for anybody. The payload is accessed with Atomics too: around a sequence lock plain
 * reads may sink below the second look at the sequence, on arm64 they do.
 *
 * @module
 */

/** How often a reader tries again before it keeps what it has. */
const TRIES_MAX = 64;

/**
 * Publishes a page: readers see all of it or none. One writer at a time.
 *
 * @param words Of the page; the first is the sequence: odd while it is written, even when it is whole.
 * @param write Stores the other words, by Atomics.
 */
export function publishPage(words: Int32Array, write: () => void): void {
  // A writer that ended in the middle has left it odd.
  const writing = Atomics.load(words, 0) | 1;
  Atomics.store(words, 0, writing);
  write();
  Atomics.store(words, 0, (writing + 1) | 0);
}

/** A reader of a page. */
export class PageReader {
  private readonly words: Int32Array;
  private sequence = 0;

  constructor(words: Int32Array) {
    this.words = words;
  }

  /** Of the page that was copied last. */
  get copied(): number {
    return this.sequence;
  }

  /** Whether something was published since. One load. */
  get isNew(): boolean {
    return Atomics.load(this.words, 0) !== this.sequence;
  }

  /**
   * Copies what was published since; without allocation.
   *
   * @param copy Copies the page, by Atomics, to where nobody looks yet. May be called several times,
   *   and on a page that is half old and half new.
   * @returns Whether the last copy is whole, and new. False too while the writer writes: the next
   *   call tries again.
   */
  refresh(copy: () => void): boolean {
    const { words } = this;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const before = Atomics.load(words, 0);
      if (before === this.sequence) return false;
      if ((before & 1) !== 0) continue;
      copy();
      if (Atomics.load(words, 0) !== before) continue;
      this.sequence = before;
      return true;
    }
    return false;
  }
}
