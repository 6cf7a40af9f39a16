/**
 * Tasks that nobody announced: a task seen before its birth is a process of its own, "unresolved", which
 * its birth, or /proc, adopts. And those that have ended, so that older news does not bring them back.
 *
 * @module
 */
import { CounterIndex, ProcessFlag, ProcessState } from "../memory/layout.ts";
import type { Books } from "./books.ts";
import type { Kinship } from "./kinship.ts";
import type { Ownership } from "./ownership.ts";
import { RecentEnds } from "./recent_ends.ts";

export interface StrangersOptions {
  readonly books: Books;
  readonly counters: Float64Array;
  /** The user of tasks that nobody announced, until more is known. */
  readonly unknownUid: number;
  /** Asked to find out about a task that acts and that nobody announced. */
  readonly onUnknownTid: (tid: number) => void;
}

export class Strangers {
  readonly unknownUid: number;
  /** Tasks that ended, with their uid. */
  readonly endedTasks = new RecentEnds(8192);
  private readonly books: Books;
  private readonly counters: Float64Array;
  private readonly kin: Kinship;
  private readonly ownership: Ownership;
  private readonly onUnknownTid: (tid: number) => void;

  constructor(options: StrangersOptions, kin: Kinship, ownership: Ownership) {
    this.books = options.books;
    this.counters = options.counters;
    this.unknownUid = options.unknownUid;
    this.onUnknownTid = options.onUnknownTid;
    this.kin = kin;
    this.ownership = ownership;
  }

  /** A task that acted before its birth was taken for a process, and is a thread of another. */
  mergeStray(tid: number, process: number, tsNs: number): void {
    const { books } = this;
    const { processes } = books;
    const stray = books.findProcess(tid);
    if (stray < 0 || stray === process) return;
    if ((processes.flags[stray]! & ProcessFlag.unresolved) === 0) return;
    if (books.findTask(tid) >= 0) books.addTask(tid, process, tsNs);
    for (let mm1 = processes.mmFirst1[stray]!; mm1 !== 0; mm1 = processes.mmFirst1[stray]!) {
      this.ownership.handOver(mm1 - 1, process);
    }
    books.removeProcess(stray);
  }

  /** Process of a task; made, with an unknown user, for one that nobody announced. */
  processOrNew(tid: number, tgidHint: number, tsNs: number): number {
    const { books } = this;
    let process = books.processOfTid(tid);
    if (process >= 0) return process;
    const tgid = tgidHint !== 0 ? tgidHint : tid;
    process = books.findProcess(tgid);
    if (process < 0) {
      const isOver = this.endedTasks.hasEndedAfter(tgid, tsNs);
      const flags = isOver ? 0 : ProcessFlag.unresolved;
      process = books.addProcess(tgid, this.unknownUid, flags, tsNs);
      if (process < 0) return this.unattributed();
      if (isOver) {
        // Old news of the dead, for the sake of what it made: its children.
        books.processes.exitTsNs[process] = this.endedTasks.tsNs(tgid);
        Atomics.store(books.processes.state, process, ProcessState.exited);
      } else this.onUnknownTid(tid);
    }
    books.addTask(tid, process, tsNs);
    return process;
  }

  /**
   * A task that nobody announced runs on somebody's mm: a thread or a borrower. As a borrower it
   * may stay until its birth or /proc tells: that changes no owner either.
   *
   * @returns Whether there was room for it.
   */
  guess(tid: number, owner: number, tsNs: number): boolean {
    const { books } = this;
    if (this.endedTasks.hasEndedAfter(tid, tsNs)) return false;
    this.onUnknownTid(tid);
    const userSlot = books.processes.userSlot[owner]!;
    if (!books.hasRoomForTask(userSlot)) return false;
    const uid = books.users.uid[userSlot]!;
    const flags = ProcessFlag.unresolved | ProcessFlag.borrower;
    const process = books.addProcess(tid, uid, flags, tsNs);
    if (process < 0) return false;
    this.kin.setLender(process, owner);
    books.addTask(tid, process, tsNs);
    return true;
  }

  /** Counts what is nobody's. @returns -1. */
  unattributed(): number {
    this.counters[CounterIndex.unattributed]!++;
    return -1;
  }

  /** Whether a task of this number ended after that time: the news is older than its end. */
  hasEndedAfter(tid: number, tsNs: number): boolean {
    return this.endedTasks.hasEndedAfter(tid, tsNs);
  }
}
