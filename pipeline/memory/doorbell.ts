/**
 * Waking workers: a word that everybody may raise and one thread sleeps on. The system call
 * happens only when somebody sleeps there.
 *
 * @module
 */
import { ROLE_BLOCK_BYTES, RoleWord } from "./layout.ts";
import type { Memory } from "./memory.ts";

/** The words of one role. */
export function attachRole(memory: Memory, role: number): Int32Array {
  return new Int32Array(
    memory.buffer,
    memory.plan.roles + role * ROLE_BLOCK_BYTES,
    ROLE_BLOCK_BYTES / 4,
  );
}

/** The ringing side. */
export class Doorbell {
  private readonly words: Int32Array;

  constructor(memory: Memory, role: number) {
    this.words = attachRole(memory, role);
  }

  ring(): void {
    Atomics.add(this.words, RoleWord.bell, 1);
    if (Atomics.load(this.words, RoleWord.parked) !== 0) {
      Atomics.notify(this.words, RoleWord.bell);
    }
  }
}

/** The sleeping side: read the bell, look for work, sleep if there was none and nobody rang. */
export class BellSleeper {
  private readonly words: Int32Array;
  private seen = 0;

  constructor(memory: Memory, role: number) {
    this.words = attachRole(memory, role);
  }

  /** Call before looking for work: whoever rings after this is not missed. */
  listen(): void {
    this.seen = Atomics.load(this.words, RoleWord.bell);
  }

  /** Sleeps until the bell rings (or has rung since {@link listen}), or the time is over. */
  sleep(timeoutMs: number): void {
    Atomics.store(this.words, RoleWord.parked, 1);
    // A ring between listen() and here changed the word, and wait() returns at once.
    Atomics.wait(this.words, RoleWord.bell, this.seen, timeoutMs);
    Atomics.store(this.words, RoleWord.parked, 0);
  }
}
