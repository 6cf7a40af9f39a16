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
 * Longer than 450 lines, because these rules decide together: a claim, a birth, an exec and an exit
 * each rely on what the others leave, in any order.
 *
 * @module
 */
import {
  CounterIndex,
  MEMBER_COUNT,
  MmState,
  ProcessFlag,
  ProcessState,
} from "../memory/layout.ts";
import type { Books } from "./books.ts";
import { Clashes } from "./clashes.ts";
import { Kinship } from "./kinship.ts";
import { RecentEnds } from "./recent_ends.ts";

/**
 * A reading of /proc takes no longer than this from the time that it carries to what it saw, unless the
 * sweeper has to wait for a CPU.
 */
const READING_NS_MAX = 5e6;

/** include/uapi/linux/sched.h */
export const CLONE_VM = 0x100;
export const CLONE_THREAD = 0x10000;

export class Attribution {
  /** Who borrows whose mm, and who inherits whose user. */
  readonly kin: Kinship;
  /** Ids that two living mms have. */
  private readonly clashes: Clashes;
  private readonly books: Books;
  private readonly counters: Float64Array;
  /**
   * Whether the task of the last {@link claim} is taken for one of the mm's process because nobody
   * announced it: what it has gained may be of the mm's next life, of which its fork will tell.
   */
  isGuess = false;
  private readonly unknownUid: number;
  private readonly buildPagesMax: number;
  private readonly onUnknownTid: (tid: number) => void;
  /** Tasks that ended, with their uid. */
  private readonly endedTasks = new RecentEnds(8192);
  private readonly endedMms = new RecentEnds(16384);

  /**
   * @param unknownUid The user of tasks that nobody announced, until more is known.
   * @param buildPagesMax Fork copies a page table at a time: an mm that is first heard of with
   *   more pages than one maps is not being built, but a stranger's.
   * @param onUnknownTid Asked to find out about a task that acts and that nobody announced.
   */
  constructor(
    books: Books,
    counters: Float64Array,
    unknownUid: number,
    buildPagesMax: number,
    onUnknownTid: (tid: number) => void,
  ) {
    this.kin = new Kinship(books);
    this.clashes = new Clashes(books, onUnknownTid);
    this.books = books;
    this.counters = counters;
    this.unknownUid = unknownUid;
    this.buildPagesMax = buildPagesMax;
    this.onUnknownTid = onUnknownTid;
  }

  // ------------------------------------------------------------------------------- rss_stat

  /** The mm that a task without mm_id in its line speaks of: its own. -1 when there is no room. */
  ownMm(tid: number, tgidHint: number, tsNs: number): number {
    const { processes, mms } = this.books;
    const actor = this.processOrNew(tid, tgidHint, tsNs);
    if (actor < 0) return -1;
    const process = this.kin.runsOn(actor);
    if (process < 0) return this.unattributed();
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
    if (!this.clashes.isEmpty && this.clashes.isContested(mmId, tsNs)) return this.unattributed();
    if (this.isOfFormerLife(mmId, tsNs)) return -1;
    const actor = this.processOrNew(tid, tgidHint, tsNs);
    if (actor < 0) return -1;
    if (!curr) return this.foreignMm(mmId, tid, actor, pages, tsNs);
    const { processes, mms } = books;
    let process = this.kin.runsOn(actor);
    if (process < 0) return this.unattributed();
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
    if (this.hasMovedOn(process, -1, tsNs)) {
      this.counters[CounterIndex.stale]!++;
      return -1;
    }
    const mm = books.addMm(mmId, MmState.live, process, tsNs);
    if (mm >= 0) this.own(mm, process, tid, tsNs, false);
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
      if (main < 0 || mms.state[main] !== MmState.nameless) return this.unattributed();
      books.nameMm(main, mmId);
      return main;
    }
    if (pages > this.buildPagesMax) return this.unattributed();
    const mm = books.addMm(mmId, MmState.building, actor, tsNs);
    const task = books.addTask(tid, actor, tsNs);
    if (mm >= 0 && task >= 0) tasks.buildingMmSlot1[task] = mm + 1;
    return mm;
  }

  /**
   * curr=0 by a task that is not known to run on this mm: a stranger, or the id has come back and
   * this is the next life being built, while the teardown of the last is still on its way. What
   * the task does next, fork or exec, will tell.
   *
   * @returns Whether the task is of another process than the mm: then what the mm gains may be of its
   *   next life, and that of the task's own process.
   */
  foreign(mm: number, tid: number, pages: number, tsNs: number): boolean {
    const { tasks, mms } = this.books;
    if (mms.state[mm] !== MmState.live) return false;
    const task = this.books.findTask(tid);
    if (task < 0 || mms.processSlot1[mm] === tasks.processSlot[task]! + 1) return false;
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
   * Whether an mm has been built anew since its process was done with it: then it goes to the
   * builder. @param endTsNs When the process left it; -1 asks whether it has exited.
   */
  private isReborn(mm: number, endTsNs: number): boolean {
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

  /** Whether this is news of an mm that was over before this one took its id. */
  isOfFormerLife(mmId: number, tsNs: number): boolean {
    if (!this.endedMms.hasEndedAfter(mmId, tsNs)) return false;
    this.counters[CounterIndex.stale]!++;
    return true;
  }

  /**
   * The mm that a task has just built, by fork or exec; -1 none.
   * @param runner The process that runs on it from now on.
   */
  private takeBuilt(task: number, runner: number): number {
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

  private unattributed(): number {
    this.counters[CounterIndex.unattributed]!++;
    return -1;
  }

  /** curr=1 by a task that was not the last to claim this mm. @returns -1 when it is no more. */
  claim(mm: number, tid: number, tgidHint: number, tsNs: number): number {
    const { books } = this;
    const { processes, mms } = books;
    const owner = mms.processSlot1[mm]! - 1;
    const building = mms.state[mm] === MmState.building;
    this.isGuess = false;
    // Who ran on the mm that had this id before it was built: read late, from another CPU's buffer.
    if (building && tsNs < mms.bornTsNs[mm]!) {
      this.counters[CounterIndex.stale]!++;
      return -1;
    }
    let process = books.processOfTid(tid);
    if (process < 0 && tgidHint !== 0) process = books.findProcess(tgidHint);
    if (process < 0) {
      if (!building && processes.state[owner] === ProcessState.alive) {
        mms.lastTid[mm] = tid;
        this.isGuess = this.guess(tid, owner, tsNs);
        return mm;
      }
      process = this.processOrNew(tid, tgidHint, tsNs);
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
    if (tsNs < mms.ownerTsNs[mm]! || this.hasMovedOn(process, mm, tsNs)) return mm;
    // Old news of the dead, of whom it is not known any more that it borrowed.
    if (
      process !== owner && !building && processes.state[process] === ProcessState.exited &&
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
    if (process !== owner) books.moveMm(mm, process);
    this.own(mm, process, tid, tsNs, built);
    if (process !== owner) this.dropIfOver(owner);
    return mm;
  }

  /**
   * A task that nobody announced runs on somebody's mm: a thread or a borrower. As a borrower it
   * may stay until its birth or /proc tells: that changes no owner either.
   *
   * @returns Whether there was room for it.
   */
  private guess(tid: number, owner: number, tsNs: number): boolean {
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

  /** Whether a process has been seen on another mm later than this. */
  private hasMovedOn(process: number, mm: number, tsNs: number): boolean {
    const { processes, mms } = this.books;
    const main = processes.mmSlot1[process]! - 1;
    return main >= 0 && main !== mm && mms.ownerTsNs[main]! > tsNs;
  }

  /** @param built It built the mm itself: what it ran on before is not the same. */
  private own(mm: number, process: number, tid: number, tsNs: number, built: boolean): void {
    const { processes, mms, tasks } = this.books;
    const before = processes.mmSlot1[process]! - 1;
    // What an exec builds is new: nobody shares it. A child that runs on what its parent's fork built
    // has that mm already.
    if (built && before !== mm) this.books.shares.uncredit(mm);
    processes.mmSlot1[process] = mm + 1;
    processes.flags[process]! &= ~ProcessFlag.mayInherit;
    mms.state[mm] = MmState.live;
    mms.lastTid[mm] = tid;
    mms.ownerTsNs[mm] = tsNs;
    // A reading of /proc from while the exec was building it is still of the mm before.
    if (built && before !== mm) mms.bornTsNs[mm] = Math.max(mms.bornTsNs[mm]!, tsNs);
    const task = this.books.findTask(tid);
    if (task >= 0 && tasks.buildingMmSlot1[task] === mm + 1) tasks.buildingMmSlot1[task] = 0;
    if (before >= 0 && before !== mm) this.leave(before, process, mm, tsNs, built);
  }

  /** A process ran on `mm` before it took another. */
  private leave(mm: number, process: number, next: number, tsNs: number, built: boolean): void {
    const { books } = this;
    const { processes, mms } = books;
    if (mms.state[mm] === MmState.nameless) {
      // What /proc said goes into the mm that turns out to be meant.
      if (!built || mms.bornTsNs[mm]! > tsNs) this.absorb(mm, next);
      else if (!books.isEmpty(mm) && this.kin.passMm(process, mm, tsNs, true)) return;
      books.removeMm(mm);
      return;
    }
    if (this.isReborn(mm, tsNs)) return;
    // It may have been its parent's, which only its birth can tell.
    if ((processes.flags[process]! & ProcessFlag.unresolved) !== 0) return;
    if (!books.isEmpty(mm) && this.kin.passMm(process, mm, tsNs, built)) return;
    this.endedMms.add(mms.mmId[mm]!, tsNs, 0);
    books.removeMm(mm);
  }

  private absorb(nameless: number, mm: number): void {
    const { mms } = this.books;
    for (let member = 0; member < MEMBER_COUNT; member++) {
      const from = nameless * MEMBER_COUNT + member;
      if (mms.tsNs[mm * MEMBER_COUNT + member]! >= mms.tsNs[from]!) continue;
      this.books.setMember(mm, member, mms.pages[from]!, mms.tsNs[from]!);
    }
    this.books.shares.credit(mm, mms.creditPages[nameless]! - mms.creditPages[mm]!);
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
    const { processes, users } = books;
    const childIsOver = this.endedTasks.hasEndedAfter(childTid, tsNs);
    if (childIsOver && (cloneFlags & CLONE_THREAD) === 0) return;
    const parent = this.processOrNew(parentTid, parentTgid, tsNs);
    if (parent < 0) return;
    if ((cloneFlags & CLONE_THREAD) !== 0) {
      this.mergeStray(childTid, parent, tsNs);
      if (!childIsOver) books.addTask(childTid, parent, tsNs);
      return;
    }
    const tgid = processes.tgid[parent]!;
    const uid = processes.state[parent] === ProcessState.exited &&
        this.endedTasks.hasEndedAfter(tgid, tsNs)
      ? this.endedTasks.note(tgid)
      : users.uid[processes.userSlot[parent]!]!;
    let child = books.findProcess(childTid);
    if (child >= 0 && (processes.flags[child]! & ProcessFlag.unresolved) === 0) {
      // Either the number came back and the first owner's exit was not seen, or /proc was quicker
      // than this record.
      if (processes.seenTsNs[child]! < tsNs) {
        this.finish(child, tsNs);
        child = -1;
      }
    }
    if (child < 0) {
      child = books.addProcess(childTid, uid, 0, tsNs);
      if (child < 0) return;
    } else if ((processes.flags[child]! & ProcessFlag.unresolved) !== 0) {
      this.kin.resolve(child, uid);
    }
    processes.bornTsNs[child] = Math.min(processes.bornTsNs[child]!, tsNs);
    books.addTask(childTid, child, tsNs);
    if ((processes.flags[parent]! & (ProcessFlag.unresolved | ProcessFlag.heir)) !== 0) {
      this.kin.inheritLater(child, parent);
    }
    if ((cloneFlags & CLONE_VM) !== 0) {
      this.becomeBorrower(child, parent);
      return;
    }
    if (books.isBorrower(child)) this.kin.endBorrowing(child);
    processes.flags[child]! &= ~ProcessFlag.mayInherit;
    const built = this.takeBuilt(books.findTask(parentTid), child);
    if (built >= 0) this.adoptBuilt(built, child, parent);
    else if ((processes.flags[child]! & ProcessFlag.hasExeced) === 0) {
      processes.flags[child]! |= ProcessFlag.forkUnseen;
    } else if (processes.mmSlot1[child] !== 0) books.shares.uncredit(processes.mmSlot1[child]! - 1);
    this.dropLeft(child);
    this.dropIfOver(parent);
  }

  /** A child born with CLONE_VM; of one that was seen before its birth, what it ran on is known. */
  private becomeBorrower(child: number, parent: number): void {
    const { books } = this;
    const { processes, mms } = books;
    const lender = this.kin.runsOn(parent);
    const hasExeced = (processes.flags[child]! & ProcessFlag.hasExeced) !== 0;
    if (!hasExeced) {
      processes.flags[child]! &= ~ProcessFlag.mayInherit;
      processes.flags[child]! |= ProcessFlag.borrower;
      this.kin.setLender(child, lender < 0 ? parent : lender);
    }
    if (lender < 0) return;
    for (let mm1 = processes.mmFirst1[child]!; mm1 !== 0;) {
      const mm = mm1 - 1;
      mm1 = mms.sibling1[mm]!;
      const isMain = processes.mmSlot1[child] === mm + 1;
      if (mms.state[mm] === MmState.building || (hasExeced && isMain)) continue;
      this.handOver(mm, lender);
    }
  }

  /** An mm that turns out to be the one on which a process runs. */
  private handOver(mm: number, process: number): void {
    const { books } = this;
    const { mms, processes } = books;
    if (mms.state[mm] === MmState.nameless) {
      // Nobody named it, so nothing but a reading of somebody else's is lost.
      books.removeMm(mm);
      return;
    }
    books.moveMm(mm, process);
    if (mms.state[mm] === MmState.building || processes.mmSlot1[process] === mm + 1) return;
    const claimedNs = mms.ownerTsNs[mm]!;
    if (!this.hasMovedOn(process, mm, claimedNs)) this.own(mm, process, 0, claimedNs, false);
  }

  /** The mm that a fork built goes to the child. */
  private adoptBuilt(mm: number, child: number, parent: number): void {
    const { books } = this;
    const { processes, mms } = books;
    const main = processes.mmSlot1[child]! - 1;
    if (mms.processSlot1[mm] === child + 1) {
      if (main === mm) this.creditFork(mm, parent);
      return;
    }
    if (main >= 0 && mms.state[main] !== MmState.nameless) {
      // The child runs on another already, which it has built itself.
      books.shares.uncredit(main);
      this.endedMms.add(mms.mmId[mm]!, mms.ownerTsNs[main]!, 0);
      books.removeMm(mm);
      return;
    }
    const owner = mms.processSlot1[mm]! - 1;
    books.moveMm(mm, child);
    processes.mmSlot1[child] = mm + 1;
    mms.lastTid[mm] = 0;
    this.dropIfOver(owner);
    if (main >= 0) {
      this.absorb(main, mm);
      books.removeMm(main);
    }
    this.creditFork(mm, parent);
  }

  /** What a fork has built holds nothing yet but what its parent's mm holds too. */
  private creditFork(mm: number, parent: number): void {
    const lender = this.kin.runsOn(parent);
    const { shares, processes } = this.books;
    shares.forked(mm, lender < 0 ? -1 : processes.mmSlot1[lender]! - 1);
  }

  /** Mms that a process left while nobody knew whose they were. */
  private dropLeft(process: number): void {
    const { books } = this;
    const { processes, mms } = books;
    const main = processes.mmSlot1[process]! - 1;
    if (main < 0) return;
    for (let mm1 = processes.mmFirst1[process]!; mm1 !== 0;) {
      const mm = mm1 - 1;
      mm1 = mms.sibling1[mm]!;
      if (mm === main || mms.state[mm] === MmState.building) continue;
      this.endedMms.add(mms.mmId[mm]!, mms.ownerTsNs[main]!, 0);
      books.removeMm(mm);
    }
  }

  /**
   * Whether an mm is that of a child whose birth was announced, but not what its fork has built: its
   * parent was not recorded from the beginning of the fork.
   */
  isForkUnseen(mm: number): boolean {
    const { processes, mms } = this.books;
    return (processes.flags[mms.processSlot1[mm]! - 1]! & ProcessFlag.forkUnseen) !== 0;
  }

  /** sched_process_exec: whatever it ran on before, from here on it has an mm of its own. */
  exec(pid: number, oldPid: number, tsNs: number): void {
    const { books } = this;
    const process = books.processOfTid(pid);
    if (process < 0) return;
    if (oldPid !== pid) this.mergeStray(oldPid, process, tsNs);
    const task = books.findTask(oldPid);
    const built = this.takeBuilt(task, process);
    this.kin.ownsFromNow(process);
    if (oldPid !== pid && task >= 0) books.removeTask(task);
    books.addTask(pid, process, tsNs);
    if (built < 0 || this.hasMovedOn(process, built, tsNs)) return;
    const owner = books.mms.processSlot1[built]! - 1;
    if (owner !== process) books.moveMm(built, process);
    this.own(built, process, pid, tsNs, true);
    if (owner !== process) this.dropIfOver(owner);
  }

  /** sched_process_exit: comes before the memory goes, so the process stays until that is gone. */
  exit(pid: number, groupDead: number, tsNs: number): void {
    const { books } = this;
    const { processes } = books;
    const task = books.findTask(pid);
    const process = task >= 0 ? books.tasks.processSlot[task]! : books.findProcess(pid);
    if (process < 0) {
      this.bury(pid, tsNs, this.unknownUid);
      return;
    }
    if (processes.bornTsNs[process]! > tsNs) return;
    const uid = books.users.uid[processes.userSlot[process]!]!;
    this.bury(pid, tsNs, uid);
    const main = processes.mmSlot1[process]! - 1;
    // A last thread that is not the leader tears down, and that names what only /proc told of.
    const isNameless = main >= 0 && books.mms.state[main] === MmState.nameless;
    if (task >= 0 && !(isNameless && groupDead > 0)) books.removeTask(task);
    if (groupDead === 0 || (groupDead < 0 && processes.taskCount[process]! > 0)) return;
    processes.exitTsNs[process] = tsNs;
    Atomics.store(processes.state, process, ProcessState.exited);
    this.bury(processes.tgid[process]!, tsNs, uid);
    if (main >= 0) {
      if (this.isReborn(main, tsNs)) return; // dropIfOver was called.
      // Borrowers keep the mm alive. Of one that is empty already, no teardown will tell.
      if (!this.kin.passMm(process, main, tsNs) && books.isEmpty(main)) books.removeMm(main);
    }
    this.dropIfOver(process);
  }

  /** sched_process_free: no task of that number is left, so neither is its memory. */
  free(pid: number, tsNs: number): void {
    const { books } = this;
    const process = books.findProcess(pid);
    if (process < 0 || books.processes.bornTsNs[process]! > tsNs) return;
    const { state, exitTsNs } = books.processes;
    // A leader whose thread took over by exec frees a number, not a process.
    if (state[process] !== ProcessState.exited || exitTsNs[process]! > tsNs) return;
    this.finish(process, tsNs);
  }

  /**
   * Ends a process that the kernel says is no more. An mm that somebody still borrows goes to the
   * borrower. @returns Pages that were still on the books.
   */
  private finish(process: number, tsNs: number): number {
    const { processes } = this.books;
    const main = processes.mmSlot1[process]! - 1;
    if (main >= 0 && !this.books.isEmpty(main)) this.kin.passMm(process, main, tsNs);
    return this.books.removeProcess(process);
  }

  /** Somebody outside has seen that a process is gone. */
  vanish(process: number, tsNs: number): number {
    const { processes, users } = this.books;
    this.bury(processes.tgid[process]!, tsNs, users.uid[processes.userSlot[process]!]!);
    return this.finish(process, tsNs);
  }

  /** A victim is gone, but its child may be on its way: what it was building stays for that. */
  killed(process: number, tsNs: number): void {
    const { books } = this;
    const { processes, mms } = books;
    const wasAlive = processes.state[process] === ProcessState.alive;
    let isBuilding = false;
    for (let mm1 = processes.mmFirst1[process]!; mm1 !== 0; mm1 = mms.sibling1[mm1 - 1]!) {
      isBuilding ||= mms.state[mm1 - 1] === MmState.building;
    }
    if (!wasAlive || !isBuilding) {
      this.vanish(process, tsNs);
      return;
    }
    this.bury(processes.tgid[process]!, tsNs, books.users.uid[processes.userSlot[process]!]!);
    processes.exitTsNs[process] = tsNs;
    Atomics.store(processes.state, process, ProcessState.exited);
    const main = processes.mmSlot1[process]! - 1;
    if (main >= 0 && !this.kin.passMm(process, main, tsNs)) books.removeMm(main);
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
    const { mms, processes } = this.books;
    const readNs = processes.seenTsNs[mms.processSlot1[mm]! - 1]!;
    let newestNs = 0;
    for (let member = 0; member < MEMBER_COUNT; member++) {
      const tsNs = mms.tsNs[mm * MEMBER_COUNT + member]!;
      if (tsNs !== readNs) newestNs = Math.max(newestNs, tsNs);
    }
    return newestNs;
  }

  private dropIfOver(process: number): void {
    const { processes } = this.books;
    if (processes.state[process] === ProcessState.exited && processes.mmFirst1[process] === 0) {
      this.books.removeProcess(process);
    }
  }

  // ------------------------------------------------------------------------------ who is who

  /** A task that acted before its birth was taken for a process, and is a thread of another. */
  mergeStray(tid: number, process: number, tsNs: number): void {
    const { books } = this;
    const { processes } = books;
    const stray = books.findProcess(tid);
    if (stray < 0 || stray === process) return;
    if ((processes.flags[stray]! & ProcessFlag.unresolved) === 0) return;
    if (books.findTask(tid) >= 0) books.addTask(tid, process, tsNs);
    for (let mm1 = processes.mmFirst1[stray]!; mm1 !== 0; mm1 = processes.mmFirst1[stray]!) {
      this.handOver(mm1 - 1, process);
    }
    books.removeProcess(stray);
  }

  /** Process of a task; made, with an unknown user, for one that nobody announced. */
  private processOrNew(tid: number, tgidHint: number, tsNs: number): number {
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

  private bury(tid: number, tsNs: number, uid: number): void {
    this.endedTasks.add(tid, tsNs, uid);
  }

  /** Whether a task of this number ended after that time: the news is older than its end. */
  hasEndedAfter(tid: number, tsNs: number): boolean {
    return this.endedTasks.hasEndedAfter(tid, tsNs);
  }
}
