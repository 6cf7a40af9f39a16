/**
 * Whose mm is it? The ownership rules, from measured sequences of events:
 *
 *  - fork builds the child's mm under the parent's tid with curr=0, and only then names the child
 *    (task_newtask); exec builds the new mm under its own tid with curr=0 and runs on it later;
 *  - curr=1 by a task says that its process runs on that mm, unless the task was born with CLONE_VM
 *    but not as a thread (vfork, posix_spawn): such a borrower runs on its parent's;
 *  - a process runs on one mm: when it takes another, the one before is over, or its borrowers';
 *  - other curr=0 (reclaim, process_vm_writev, teardown) changes sizes, never the owner;
 *  - an mm whose members are all zero is over, and its id may come back within 100 us.
 *
 * Events of different CPUs may arrive out of order. Sizes do not care, as each member carries its
 * time; ownership follows the newest claim; a task seen before its birth is a process of its own,
 * "unresolved", which its birth, or /proc, adopts; what has ended is remembered, so that older
 * news does not bring it back.
 *
 * A claim, a birth, an exec and an exit each rely on what the others leave, in any order. Each has a file;
 * they meet in {@link Ownership}, {@link Strangers} and {@link MmLives}.
 *
 * @module
 */
import { Births } from "./births.ts";
import { Claims } from "./claims.ts";
import { Clashes } from "./clashes.ts";
import { Ends } from "./ends.ts";
import { Kinship } from "./kinship.ts";
import { MmLives } from "./mm_lives.ts";
import { Ownership } from "./ownership.ts";
import { Strangers, type StrangersOptions } from "./strangers.ts";

export interface AttributionOptions extends StrangersOptions {
  /** As of {@link MmLives}. */
  readonly buildPagesMax: number;
}

export class Attribution {
  /** Who borrows whose mm, and who inherits whose user. */
  readonly kin: Kinship;
  readonly lives: MmLives;
  readonly strangers: Strangers;
  readonly claims: Claims;
  readonly births: Births;
  readonly ends: Ends;

  constructor(options: AttributionOptions) {
    const { books, counters, buildPagesMax, onUnknownTid } = options;
    const kin = this.kin = new Kinship(books);
    const lives = this.lives = new MmLives(books, counters, buildPagesMax);
    const ownership = new Ownership(books, kin, lives);
    const strangers = this.strangers = new Strangers(options, kin, ownership);
    const clashes = new Clashes(books, onUnknownTid);
    const parts = { books, counters, kin, lives, ownership, strangers };
    this.claims = new Claims({ ...parts, clashes, buildPagesMax });
    const ends = this.ends = new Ends(books, kin, lives, strangers);
    this.births = new Births({ ...parts, ends });
  }
}
