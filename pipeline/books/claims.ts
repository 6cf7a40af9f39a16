/**
 * What rss_stat says of whose an mm is: curr=1 by a task claims the mm for its process, curr=0 by a task
 * that is not known to run on it builds it, tears it down, or is a stranger's.
 *
 * @module
 */
import { CounterIndex, MmState, ProcessFlag, ProcessState } from "../memory/layout.ts";
import type { Books } from "./books.ts";
import type { Clashes } from "./clashes.ts";
import { type Kinship, READING_NS_MAX } from "./kinship.ts";
import type { MmLives } from "./mm_lives.ts";
import type { Ownership } from "./ownership.ts";
import type { Strangers } from "./strangers.ts";

export interface ClaimsParts {
  readonly books: Books;
  readonly counters: Float64Array;
  readonly kin: Kinship;
  readonly lives: MmLives;
  readonly ownership: Ownership;
  readonly strangers: Strangers;
  /** Ids that two living mms have. */
  readonly clashes: Clashes;
  /** As of {@link MmLives}. */
  readonly buildPagesMax: number;
}

export class Claims {
  /**
   * Whether the task of the last {@link claim} is taken for one of the mm's process because nobody
   * announced it: what it has gained may be of the mm's next life, of which its fork will tell.
   */
  isGuess = false;
  private readonly books: Books;
  private readonly counters: Float64Array;
  private readonly kin: Kinship;
  private readonly lives: MmLives;
  private readonly ownership: Ownership;
  private readonly strangers: Strangers;
  private readonly clashes: Clashes;
  private readonly buildPagesMax: number;

  constructor(parts: ClaimsParts) {
    this.books = parts.books;
    this.counters = parts.counters;
    this.kin = parts.kin;
    this.lives = parts.lives;
    this.ownership = parts.ownership;
    this.strangers = parts.strangers;
    this.clashes = parts.clashes;
    this.buildPagesMax = parts.buildPagesMax;
  }

  /** The mm that a task without mm_id in its line speaks of: its own. -1 when there is no room. */
  ownMm(tid: number, tgidHint: number, tsNs: number): number {
    const { processes, mms } = this.books;
    const actor = this.strangers.processOrNew(tid, tgidHint, tsNs);
    if (actor < 0) return -1;
    const process = this.kin.runsOn(actor);
    if (process < 0) return this.strangers.unattributed();
    const mm1 = processes.mmSlot1[process]!;
    if (mm1 !== 0) return mm1 - 1;
    const mm = this.books.addMm(0, MmState.nameless, process, tsNs);
    if (mm >= 0) {
      processes.mmSlot1[process] = mm + 1;
      mms.lastTid[mm] = tid;
    }
    return mm;
  }

  /** An mm_id that is not in the books. @returns Its new slot, -1 when it cannot be placed. */
  unknownMm(
    mmId: number,
    tid: number,
    curr: boolean,
    pages: number,
    tgidHint: number,
    tsNs: number,
  ): number {
    const { books } = this;
    if (!this.clashes.isEmpty && this.clashes.isContested(mmId, tsNs)) {
      return this.strangers.unattributed();
    }
    if (this.lives.isOfFormerLife(mmId, tsNs)) return -1;
    const actor = this.strangers.processOrNew(tid, tgidHint, tsNs);
    if (actor < 0) return -1;
    if (!curr) return this.foreignMm(mmId, tid, actor, pages, tsNs);
    const { processes, mms } = books;
    let process = this.kin.runsOn(actor);
    if (process < 0) return this.strangers.unattributed();
    if (process !== actor && this.kin.runsNamed(process)) {
      // The lender's is known and this is another: the exec that ended the borrowing comes late.
      this.kin.ownsFromNow(actor);
      process = actor;
    }
    const main = processes.mmSlot1[process]! - 1;
    if (main >= 0 && mms.state[main] === MmState.nameless) {
      if (mms.bornTsNs[main]! > tsNs) {
        // Older than the reading: this may be an mm from before an exec, or its parent's.
        this.counters[CounterIndex.stale]!++;
        return -1;
      }
      books.nameMm(main, mmId);
      mms.lastTid[main] = tid;
      mms.ownerTsNs[main] = tsNs;
      return main;
    }
    if (this.ownership.hasMovedOn(process, -1, tsNs)) {
      this.counters[CounterIndex.stale]!++;
      return -1;
    }
    const mm = books.addMm(mmId, MmState.live, process, tsNs);
    if (mm >= 0) this.ownership.own(mm, process, tid, tsNs, false);
    return mm;
  }

  /** curr=0 and never heard of: under construction, or being torn down, or a stranger's. */
  private foreignMm(
    mmId: number,
    tid: number,
    actor: number,
    pages: number,
    tsNs: number,
  ): number {
    const { books } = this;
    const { processes, mms, tasks } = books;
    if (processes.state[actor] === ProcessState.exited && tsNs >= processes.exitTsNs[actor]!) {
      const main = processes.mmSlot1[actor]! - 1;
      // Teardown; of what was read from /proc and never spoke, or of what is off the books anyway.
      if (main < 0 || mms.state[main] !== MmState.nameless) return this.strangers.unattributed();
      books.nameMm(main, mmId);
      return main;
    }
    if (pages > this.buildPagesMax) return this.strangers.unattributed();
    const mm = books.addMm(mmId, MmState.building, actor, tsNs);
    const task = books.addTask(tid, actor, tsNs);
    if (mm >= 0 && task >= 0) tasks.buildingMmSlot1[task] = mm + 1;
    return mm;
  }

  /** curr=1 by a task that was not the last to claim this mm. @returns -1 when it is no more. */
  claim(mm: number, tid: number, tgidHint: number, tsNs: number): number {
    const { books } = this;
    const { processes, mms } = books;
    const owner = mms.processSlot1[mm]! - 1;
    const building = mms.state[mm] === MmState.building;
    // What a fork has built and its child has got has a runner, though that was not seen on it yet.
    const hasRunner = !building || processes.mmSlot1[owner] === mm + 1;
    this.isGuess = false;
    // Who ran on the mm that had this id before it was built: read late, from another CPU's buffer.
    if (building && tsNs < mms.bornTsNs[mm]!) {
      this.counters[CounterIndex.stale]!++;
      return -1;
    }
    let process = books.processOfTid(tid);
    if (process < 0 && tgidHint !== 0) process = books.findProcess(tgidHint);
    if (process < 0) {
      if (hasRunner && processes.state[owner] === ProcessState.alive) {
        mms.lastTid[mm] = tid;
        this.isGuess = this.strangers.guess(tid, owner, tsNs);
        return mm;
      }
      process = this.strangers.processOrNew(tid, tgidHint, tsNs);
      if (process < 0) return mm;
    }
    // What a process built itself and then runs on comes from an exec.
    const built = building && owner === process;
    if (
      !building && process !== owner && processes.state[owner] === ProcessState.alive &&
      (processes.flags[process]! & ~ProcessFlag.lends) === ProcessFlag.unresolved
    ) {
      // Born of vfork, most likely: nobody else runs on the mm of a living process.
      processes.flags[process]! |= ProcessFlag.borrower;
      this.kin.setLender(process, owner);
    }
    if (books.isBorrower(process)) {
      if (!built) {
        mms.lastTid[mm] = tid;
        this.isGuess = (processes.flags[process]! & ProcessFlag.unresolved) !== 0;
        return mm;
      }
      this.kin.ownsFromNow(process);
    }
    if (tsNs < mms.ownerTsNs[mm]! || this.ownership.hasMovedOn(process, mm, tsNs)) return mm;
    // Old news of the dead, of whom it is not known any more that it borrowed.
    if (
      process !== owner && hasRunner && processes.state[process] === ProcessState.exited &&
      processes.state[owner] === ProcessState.alive
    ) return mm;
    const isLender = process !== owner && this.kin.lenderOf(process) === owner;
    // What its lender has was built by a fork, and the lender itself may not have used it yet.
    const isLent = isLender && processes.mmSlot1[owner] === mm + 1;
    if (process !== owner && (!building || isLent)) {
      // From before /proc said that it borrows no more. A reading has the time before it was taken, so
      // the exec that it saw may be a moment later than that.
      const saidNs = processes.seenTsNs[process]! + (isLender ? READING_NS_MAX : 0);
      if (tsNs < saidNs) return mm;
    }
    if (!building && process !== owner && this.clashes.isClash(mm, owner, process)) return -1;
    if (built) this.kin.ownsFromNow(process);
    if (process !== owner) this.lives.moveWithoutReadings(mm, process);
    this.ownership.own(mm, process, tid, tsNs, built);
    if (process !== owner) this.lives.dropIfOver(owner);
    return mm;
  }
}
