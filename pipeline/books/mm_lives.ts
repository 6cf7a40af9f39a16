/**
 * Lives of mms: an mm whose members are all zero is over, and its id may come back within 100 us, so that
 * the next life may be built while news of the last is still on its way.
 *
 * @module
 */
import { CounterIndex, MEMBER_COUNT, MmState, ProcessState } from "../memory/layout.ts";
import type { Books } from "./books.ts";
import { RecentEnds } from "./recent_ends.ts";

export class MmLives {
  private readonly books: Books;
  private readonly counters: Float64Array;
  private readonly buildPagesMax: number;
  private readonly endedMms = new RecentEnds(16384);

  /**
   * @param buildPagesMax Fork copies a page table at a time: an mm that is first heard of with more
   *   pages than one maps is not being built, but a stranger's.
   */
  constructor(books: Books, counters: Float64Array, buildPagesMax: number) {
    this.books = books;
    this.counters = counters;
    this.buildPagesMax = buildPagesMax;
  }

  /** Ends the mm that its process has left, at that time. */
  end(mm: number, tsNs: number): void {
    this.endedMms.add(this.books.mms.mmId[mm]!, tsNs, 0);
    this.books.removeMm(mm);
  }

  /** Whether this is news of an mm that was over before this one took its id. */
  isOfFormerLife(mmId: number, tsNs: number): boolean {
    if (!this.endedMms.hasEndedAfter(mmId, tsNs)) return false;
    this.counters[CounterIndex.stale]!++;
    return true;
  }

  /**
   * curr=0 by a task that is not known to run on this mm: a stranger, or the id has come back and
   * this is the next life being built, while the teardown of the last is still on its way. What
   * the task does next, fork or exec, will tell.
   *
   * @returns Whether the task is of another process than the mm, or may be: then what the mm gains may be
   *   of its next life, and that of the task's own process.
   */
  foreign(mm: number, tid: number, pages: number, tsNs: number): boolean {
    const { tasks, mms } = this.books;
    if (mms.state[mm] !== MmState.live) {
      if (mms.state[mm] === MmState.building) this.mayBuildAnew(mm, tid, pages, tsNs);
      return false;
    }
    const task = this.books.findTask(tid);
    // After a loss: nobody knows whose it is.
    if (task < 0) return true;
    if (mms.processSlot1[mm] === tasks.processSlot[task]! + 1) return false;
    if (pages > this.buildPagesMax) return true;
    tasks.buildingMmSlot1[task] = mm + 1;
    if (mms.foreignTid[mm] !== tid) {
      mms.foreignTid[mm] = tid;
      mms.foreignTsNs[mm] = tsNs;
    }
    this.isReborn(mm, -1);
    return true;
  }

  /**
   * Another process changes what one was thought to build: that was a stranger's write to an mm of which
   * nobody tells, and whose id has come back since, or this is another such write.
   */
  private mayBuildAnew(mm: number, tid: number, pages: number, tsNs: number): void {
    const { books } = this;
    const { tasks, mms, processes } = books;
    const owner = mms.processSlot1[mm]! - 1;
    const task = books.findTask(tid);
    if (task < 0 || tasks.processSlot[task] === owner) return;
    // A child has it already, or this is older.
    if (processes.mmSlot1[owner] === mm + 1 || tsNs <= books.newestTsNs(mm)) return;
    if (pages > this.buildPagesMax) return;
    this.endedMms.add(mms.mmId[mm]!, tsNs, 0);
    books.rebirth(mm, tsNs);
    books.moveMm(mm, tasks.processSlot[task]!);
    tasks.buildingMmSlot1[task] = mm + 1;
    this.dropIfOver(owner);
  }

  /**
   * Whether an mm has been built anew since its process was done with it: then it goes to the
   * builder. @param endTsNs When the process left it; -1 asks whether it has exited.
   */
  isReborn(mm: number, endTsNs: number): boolean {
    const { books } = this;
    const { mms, processes, tasks } = books;
    const foreignTsNs = mms.foreignTsNs[mm]!;
    const owner = mms.processSlot1[mm]! - 1;
    if (foreignTsNs === 0) return false;
    if (endTsNs < 0) {
      if (processes.state[owner] !== ProcessState.exited) return false;
      endTsNs = processes.exitTsNs[owner]!;
    }
    const task = books.findTask(mms.foreignTid[mm]!);
    if (foreignTsNs <= endTsNs || task < 0) return false;
    this.endedMms.add(mms.mmId[mm]!, foreignTsNs, 0);
    books.rebirth(mm, foreignTsNs);
    books.moveMm(mm, tasks.processSlot[task]!);
    this.dropIfOver(owner);
    return true;
  }

  /**
   * The mm that a task has just built, by fork or exec; -1 none.
   * @param runner The process that runs on it from now on.
   */
  takeBuilt(task: number, runner: number): number {
    const { tasks, mms } = this.books;
    if (task < 0) return -1;
    const mm = tasks.buildingMmSlot1[task]! - 1;
    tasks.buildingMmSlot1[task] = 0;
    if (mm < 0) return -1;
    // The slot may have been freed and taken since, when the fork that built it failed.
    if (mms.processSlot1[mm] === tasks.processSlot[task]! + 1) {
      return mms.state[mm] === MmState.building ? mm : -1;
    }
    if (mms.state[mm] !== MmState.live) return -1;
    // Its owner spoke after that, so nobody has built it anew. The owner may be the runner itself,
    // read before its birth because its CPU's buffer came first.
    if (mms.ownerTsNs[mm]! > mms.foreignTsNs[mm]!) {
      return mms.processSlot1[mm] === runner + 1 ? mm : -1;
    }
    if (mms.foreignTid[mm] !== tasks.tid[task]) return -1;
    // Somebody else's: the id came back before the end of the last life did.
    this.endedMms.add(mms.mmId[mm]!, mms.foreignTsNs[mm]!, 0);
    this.books.rebirth(mm, mms.foreignTsNs[mm]!);
    return mm;
  }

  /** An mm that became empty is over; so is its process when it has exited. */
  mmEmpty(mm: number): void {
    const { mms } = this.books;
    const owner = mms.processSlot1[mm]! - 1;
    if (mms.state[mm] !== MmState.nameless) {
      this.endedMms.add(mms.mmId[mm]!, this.newestEventNs(mm), 0);
    }
    this.books.removeMm(mm);
    this.dropIfOver(owner);
  }

  /**
   * Time of the newest event of an mm. A reading of its process may be newer than its teardown: it is of
   * the program that the process runs by then, and the id may have come back before that.
   */
  private newestEventNs(mm: number): number {
    const { books } = this;
    let newestNs = 0;
    for (let member = 0; member < MEMBER_COUNT; member++) {
      const tsNs = books.mms.tsNs[mm * MEMBER_COUNT + member]!;
      if (!books.isRead(mm, member)) newestNs = Math.max(newestNs, tsNs);
    }
    return newestNs;
  }

  /**
   * An mm turns out to be another process's. What /proc has said of the one that it was taken for stays
   * with that; whatever is told of the mm is news.
   */
  moveWithoutReadings(mm: number, process: number): void {
    const { books } = this;
    const { mms, processes } = books;
    const owner = mms.processSlot1[mm]! - 1;
    const isTaken = books.takeReadings(mm, -Infinity);
    books.moveMm(mm, process);
    if (!isTaken || processes.state[owner] !== ProcessState.alive) return;
    if (processes.mmSlot1[owner] !== 0 || books.isBorrower(owner)) return;
    const read = books.addMm(0, MmState.nameless, owner, processes.seenTsNs[owner]!);
    if (read < 0) return;
    processes.mmSlot1[owner] = read + 1;
    books.bookTaken(read);
  }

  /** Forgets a process that has exited, when its last mm is gone. */
  dropIfOver(process: number): void {
    const { processes } = this.books;
    if (processes.state[process] === ProcessState.exited && processes.mmFirst1[process] === 0) {
      this.books.removeProcess(process);
    }
  }
}
