/**
 * Whose mm is it? The ownership rules, from measured sequences of events:
 *
 *  - fork builds the child's mm under the parent's tid with curr=0, and only then names the child
 *    (task_newtask); exec builds the new mm under its own tid with curr=0 and runs on it later;
 *  - curr=1 by a task says that its process runs on that mm, unless the task was born with CLONE_VM
 *    but not as a thread (vfork, posix_spawn): such a borrower runs on its parent's;
 *  - other curr=0 (reclaim, process_vm_writev, teardown) changes sizes, never the owner;
 *  - an mm whose members are all zero is over, and its id may come back within 100 us.
 *
 * Events of different CPUs may arrive out of order. Sizes do not care, as each member carries its
 * time; ownership follows the newest claim, and a task seen before its birth is adopted by it.
 *
 * @module
 */
import { CounterIndex, MEMBER_COUNT, MmState, ProcessFlag, ProcessState } from "./layout.ts";
import type { Books } from "./books.ts";

/** include/uapi/linux/sched.h */
const CLONE_VM = 0x100;
const CLONE_THREAD = 0x10000;

/** Exits that are remembered, so that older news does not bring a process back. */
const TOMBSTONES = 8192;

export class Attribution {
  private readonly books: Books;
  private readonly counters: Float64Array;
  private readonly unknownUid: number;
  private readonly onUnknownTid: (tid: number) => void;
  private readonly tombTgid = new Int32Array(TOMBSTONES);
  private readonly tombTsNs = new Float64Array(TOMBSTONES);

  /**
   * @param unknownUid The user of tasks that nobody announced, until more is known.
   * @param onUnknownTid Asked to find out about a task that acts and that nobody announced.
   */
  constructor(
    books: Books,
    counters: Float64Array,
    unknownUid: number,
    onUnknownTid: (tid: number) => void,
  ) {
    this.books = books;
    this.counters = counters;
    this.unknownUid = unknownUid;
    this.onUnknownTid = onUnknownTid;
  }

  // ------------------------------------------------------------------------------- rss_stat

  /** The mm that a task without mm_id in its line speaks of: its own. -1 when there is no room. */
  ownMm(tid: number, tgidHint: number, tsNs: number): number {
    const { processes, mms } = this.books;
    const process = this.runsOn(this.processOrNew(tid, tgidHint, tsNs));
    if (process < 0) return -1;
    const mm1 = processes.mmSlot1[process]!;
    if (mm1 !== 0) return mm1 - 1;
    const mm = this.books.addMm(0, MmState.nameless, process);
    if (mm >= 0) {
      processes.mmSlot1[process] = mm + 1;
      mms.lastTid[mm] = tid;
    }
    return mm;
  }

  /** An mm_id that is not in the books. @returns Its new slot, -1 when it cannot be placed. */
  unknownMm(mmId: number, tid: number, curr: boolean, tgidHint: number, tsNs: number): number {
    const { books } = this;
    const { processes, mms, tasks } = books;
    const actor = this.processOrNew(tid, tgidHint, tsNs);
    if (actor < 0) return -1;
    if (!curr) {
      const last1 = processes.mmSlot1[actor]!;
      if (
        processes.state[actor] === ProcessState.exited && last1 !== 0 &&
        mms.state[last1 - 1] === MmState.nameless
      ) {
        // Teardown of what was read from /proc and never spoke since.
        books.nameMm(last1 - 1, mmId);
        return last1 - 1;
      }
      const mm = books.addMm(mmId, MmState.building, actor);
      const task = books.addTask(tid, actor, tsNs);
      if (mm >= 0 && task >= 0) tasks.buildingMmSlot1[task] = mm + 1;
      return mm;
    }
    const process = this.runsOn(actor);
    const main1 = processes.mmSlot1[process]!;
    if (main1 !== 0 && mms.state[main1 - 1] === MmState.nameless) {
      books.nameMm(main1 - 1, mmId);
      mms.lastTid[main1 - 1] = tid;
      return main1 - 1;
    }
    const mm = books.addMm(mmId, MmState.live, process);
    if (mm >= 0) this.own(mm, process, tid, tsNs);
    return mm;
  }

  /** curr=1 by a task that was not the last to claim this mm. */
  claim(mm: number, tid: number, tgidHint: number, tsNs: number): void {
    const { books } = this;
    const { processes, mms, tasks } = books;
    const owner = mms.processSlot1[mm]! - 1;
    const building = mms.state[mm] === MmState.building;
    let process = books.processOfTid(tid);
    if (process < 0 && tgidHint !== 0) process = books.findProcess(tgidHint);
    if (process < 0) {
      if (!building && processes.state[owner] === ProcessState.alive) {
        // Most likely a thread that nobody announced; if not, its birth or /proc will tell.
        books.addTask(tid, owner, tsNs);
        mms.lastTid[mm] = tid;
        this.onUnknownTid(tid);
        return;
      }
      process = this.processOrNew(tid, tgidHint, tsNs);
      if (process < 0) return;
    }
    if (books.isBorrower(process)) {
      const task = books.findTask(tid);
      if (task < 0 || !building || tasks.buildingMmSlot1[task] !== mm + 1) {
        mms.lastTid[mm] = tid;
        return;
      }
      // It built this one itself: an exec. From here on it has an mm of its own.
      this.endBorrowing(process);
    }
    if (tsNs < mms.ownerTsNs[mm]!) return;
    if (process !== owner) books.moveMm(mm, process);
    this.absorbNameless(process, mm, tid);
    this.own(mm, process, tid, tsNs);
  }

  /**
   * What /proc said of a process goes into the mm that turns out to be its own; but not when it
   * built that mm itself, for then it has left the old one by exec.
   */
  private absorbNameless(process: number, mm: number, tid: number): void {
    const { processes, mms, tasks } = this.books;
    const nameless = processes.mmSlot1[process]! - 1;
    if (nameless < 0 || nameless === mm || mms.state[nameless] !== MmState.nameless) return;
    const task = this.books.findTask(tid);
    if (task < 0 || tasks.buildingMmSlot1[task] !== mm + 1) {
      for (let member = 0; member < MEMBER_COUNT; member++) {
        const from = nameless * MEMBER_COUNT + member;
        if (mms.tsNs[mm * MEMBER_COUNT + member] === 0) {
          this.books.setMember(mm, member, mms.pages[from]!, mms.tsNs[from]!);
        }
      }
    }
    this.books.removeMm(nameless);
  }

  private own(mm: number, process: number, tid: number, tsNs: number): void {
    const { processes, mms, tasks } = this.books;
    mms.state[mm] = MmState.live;
    mms.lastTid[mm] = tid;
    mms.ownerTsNs[mm] = tsNs;
    processes.mmSlot1[process] = mm + 1;
    const task = this.books.findTask(tid);
    if (task >= 0 && tasks.buildingMmSlot1[task] === mm + 1) tasks.buildingMmSlot1[task] = 0;
  }

  // ----------------------------------------------------------------------------- life cycle

  /** task_newtask: a thread, a process with the mm that its parent built, or a borrower. */
  newTask(
    parentTid: number,
    childTid: number,
    cloneFlags: number,
    parentTgid: number,
    tsNs: number,
  ): void {
    const { books } = this;
    const { processes, tasks, users } = books;
    if (this.isOldNews(childTid, tsNs)) return;
    const parent = this.processOrNew(parentTid, parentTgid, tsNs);
    if (parent < 0) return;
    if ((cloneFlags & CLONE_THREAD) !== 0) {
      books.addTask(childTid, parent, tsNs);
      return;
    }
    const uid = users.uid[processes.userSlot[parent]!]!;
    let child = books.findProcess(childTid);
    if (child >= 0 && (processes.flags[child]! & ProcessFlag.unresolved) === 0) {
      if (processes.bornTsNs[child]! > tsNs) return;
      // The number came back and the first owner's exit was not seen.
      books.removeProcess(child);
      child = -1;
    }
    if (child >= 0) {
      processes.flags[child]! &= ~ProcessFlag.unresolved;
      books.moveProcess(child, uid);
    } else {
      child = books.addProcess(childTid, uid, 0, tsNs);
      if (child < 0) return;
    }
    books.addTask(childTid, child, tsNs);
    if ((cloneFlags & CLONE_VM) !== 0) {
      processes.flags[child]! |= ProcessFlag.borrower;
      processes.lenderSlot1[child] = this.runsOn(parent) + 1;
      return;
    }
    const parentTask = books.findTask(parentTid);
    const building1 = parentTask >= 0 ? tasks.buildingMmSlot1[parentTask]! : 0;
    if (building1 === 0) return;
    tasks.buildingMmSlot1[parentTask] = 0;
    const { state, processSlot1 } = books.mms;
    // The slot may have been freed and taken since, when the fork that built it failed.
    if (state[building1 - 1] !== MmState.building || processSlot1[building1 - 1] !== parent + 1) {
      return;
    }
    books.moveMm(building1 - 1, child);
    processes.mmSlot1[child] = building1;
  }

  /** sched_process_exec: whatever it ran on before, from here on it has an mm of its own. */
  exec(pid: number, oldPid: number, tsNs: number): void {
    const { books } = this;
    const process = books.processOfTid(pid);
    if (process < 0) return;
    if (books.isBorrower(process)) this.endBorrowing(process);
    if (oldPid !== pid) {
      const task = books.findTask(oldPid);
      if (task >= 0) books.removeTask(task);
    }
    books.addTask(pid, process, tsNs);
  }

  /**
   * sched_process_exit: comes before the memory goes, so the process stays until that is gone.
   * @returns The process when it is over as a whole, else -1.
   */
  exit(pid: number, groupDead: number, tsNs: number): number {
    const { books } = this;
    const { processes } = books;
    const task = books.findTask(pid);
    const process = task >= 0 ? books.tasks.processSlot[task]! : books.findProcess(pid);
    if (process < 0) {
      if (groupDead !== 0) this.bury(pid, tsNs);
      return -1;
    }
    if (processes.bornTsNs[process]! > tsNs) return -1;
    if (task >= 0) books.removeTask(task);
    if (groupDead === 0 || (groupDead < 0 && processes.taskCount[process]! > 0)) return -1;
    processes.exitTsNs[process] = tsNs;
    Atomics.store(processes.state, process, ProcessState.exited);
    this.bury(processes.tgid[process]!, tsNs);
    this.dropIfOver(process);
    return process;
  }

  /** sched_process_free: no task of that number is left, so neither is its memory. */
  free(pid: number, tsNs: number): void {
    const { books } = this;
    const process = books.findProcess(pid);
    if (process < 0 || books.processes.bornTsNs[process]! > tsNs) return;
    const { state, exitTsNs } = books.processes;
    // A leader whose thread took over by exec frees a number, not a process.
    if (state[process] !== ProcessState.exited || exitTsNs[process]! > tsNs) return;
    this.finish(process);
  }

  /**
   * Ends a process that the kernel says is no more. An mm that somebody still borrows goes to the
   * borrower. @returns Pages that were still on the books.
   */
  finish(process: number): number {
    const { books } = this;
    const { processes } = books;
    const borrower = processes.pages[process] === 0 ? -1 : this.borrowerOf(process);
    if (borrower >= 0) {
      const main1 = processes.mmSlot1[process]!;
      this.endBorrowing(borrower);
      if (main1 !== 0) {
        books.moveMm(main1 - 1, borrower);
        processes.mmSlot1[borrower] = main1;
      }
    }
    return books.removeProcess(process);
  }

  /** Somebody outside has seen that a process is gone. */
  vanish(process: number, tsNs: number): number {
    this.bury(this.books.processes.tgid[process]!, tsNs);
    return this.finish(process);
  }

  private borrowerOf(lender: number): number {
    const { processes, processSlots } = this.books;
    for (let slot = 0; slot < processSlots.highWater; slot++) {
      if (processes.state[slot] === ProcessState.alive && this.books.isBorrower(slot)) {
        if (processes.lenderSlot1[slot] === lender + 1) return slot;
      }
    }
    return -1;
  }

  /** An mm that became empty is over; so is its process when it has exited. */
  mmEmpty(mm: number): void {
    const owner = this.books.mms.processSlot1[mm]! - 1;
    this.books.removeMm(mm);
    this.dropIfOver(owner);
  }

  private dropIfOver(process: number): void {
    const { processes } = this.books;
    if (processes.state[process] === ProcessState.exited && processes.mmFirst1[process] === 0) {
      this.books.removeProcess(process);
    }
  }

  // -------------------------------------------------------------------------------- helpers

  private endBorrowing(process: number): void {
    const { processes } = this.books;
    processes.flags[process]! &= ~ProcessFlag.borrower;
    processes.lenderSlot1[process] = 0;
  }

  /** The process whose mm a process runs on: itself, or its lender. */
  private runsOn(process: number): number {
    if (process < 0 || !this.books.isBorrower(process)) return process;
    const lender = this.books.processes.lenderSlot1[process]! - 1;
    return lender >= 0 ? lender : process;
  }

  /** Process of a task; made, with an unknown user, for one that nobody announced. */
  private processOrNew(tid: number, tgidHint: number, tsNs: number): number {
    const { books } = this;
    let process = books.processOfTid(tid);
    if (process >= 0) return process;
    const tgid = tgidHint !== 0 ? tgidHint : tid;
    process = books.findProcess(tgid);
    if (process < 0) {
      process = books.addProcess(tgid, this.unknownUid, ProcessFlag.unresolved, tsNs);
      if (process < 0) {
        this.counters[CounterIndex.unattributed]!++;
        return -1;
      }
      this.onUnknownTid(tid);
    }
    books.addTask(tid, process, tsNs);
    return process;
  }

  private bury(tgid: number, tsNs: number): void {
    const at = tgid & (TOMBSTONES - 1);
    this.tombTgid[at] = tgid;
    this.tombTsNs[at] = tsNs;
  }

  /** Whether a process of this number exited after that time: the news is older than its end. */
  isOldNews(tgid: number, tsNs: number): boolean {
    const at = tgid & (TOMBSTONES - 1);
    return this.tombTgid[at] === tgid && this.tombTsNs[at]! > tsNs;
  }
}
