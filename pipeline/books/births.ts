/**
 * How processes and threads begin, and with them their mms: a fork builds the child's under the parent's
 * task and then names the child; an exec builds one under its own task and runs on it later; a child born
 * with CLONE_VM, but not as a thread, runs on its parent's (vfork, posix_spawn).
 *
 * @module
 */
import { MmState, ProcessFlag, ProcessState } from "../memory/layout.ts";
import { inheritTag } from "../rules/tag.ts";
import type { Books } from "./books.ts";
import type { Ends } from "./ends.ts";
import type { Kinship } from "./kinship.ts";
import type { MmLives } from "./mm_lives.ts";
import type { Ownership } from "./ownership.ts";
import type { Strangers } from "./strangers.ts";

/** include/uapi/linux/sched.h */
export const CLONE_VM = 0x100;
export const CLONE_THREAD = 0x10000;

export interface BirthsParts {
  readonly books: Books;
  readonly kin: Kinship;
  readonly lives: MmLives;
  readonly ownership: Ownership;
  readonly strangers: Strangers;
  readonly ends: Ends;
}

export class Births {
  private readonly books: Books;
  private readonly kin: Kinship;
  private readonly lives: MmLives;
  private readonly ownership: Ownership;
  private readonly strangers: Strangers;
  private readonly ends: Ends;

  constructor(parts: BirthsParts) {
    this.books = parts.books;
    this.kin = parts.kin;
    this.lives = parts.lives;
    this.ownership = parts.ownership;
    this.strangers = parts.strangers;
    this.ends = parts.ends;
  }

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
    const childIsOver = this.strangers.endedTasks.hasEndedAfter(childTid, tsNs);
    if (childIsOver && (cloneFlags & CLONE_THREAD) === 0) return;
    const parent = this.strangers.processOrNew(parentTid, parentTgid, tsNs);
    if (parent < 0) return;
    if ((cloneFlags & CLONE_THREAD) !== 0) {
      this.strangers.mergeStray(childTid, parent, tsNs);
      if (!childIsOver) books.addTask(childTid, parent, tsNs);
      return;
    }
    const tgid = processes.tgid[parent]!;
    const uid = processes.state[parent] === ProcessState.exited &&
        this.strangers.endedTasks.hasEndedAfter(tgid, tsNs)
      ? this.strangers.endedTasks.note(tgid)
      : users.uid[processes.userSlot[parent]!]!;
    let child = books.findProcess(childTid);
    if (child >= 0 && (processes.flags[child]! & ProcessFlag.unresolved) === 0) {
      // Either the number came back and the first owner's exit was not seen, or /proc was quicker
      // than this record.
      if (processes.seenTsNs[child]! < tsNs) {
        this.ends.finish(child, tsNs);
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
    inheritTag(processes, child, parent);
    books.addTask(childTid, child, tsNs);
    if ((processes.flags[parent]! & (ProcessFlag.unresolved | ProcessFlag.heir)) !== 0) {
      this.kin.inheritLater(child, parent);
    }
    if ((cloneFlags & CLONE_VM) !== 0) {
      this.becomeBorrower(child, parent, tsNs);
      return;
    }
    if (books.isBorrower(child)) this.kin.endBorrowing(child);
    processes.flags[child]! &= ~ProcessFlag.mayInherit;
    const built = this.lives.takeBuilt(books.findTask(parentTid), child);
    if (built >= 0) this.adoptBuilt(built, child, parent);
    else if ((processes.flags[child]! & ProcessFlag.hasExeced) === 0) {
      processes.flags[child]! |= ProcessFlag.forkUnseen;
    } else if (processes.mmSlot1[child] !== 0) books.shares.uncredit(processes.mmSlot1[child]! - 1);
    this.dropLeft(child);
    this.lives.dropIfOver(parent);
  }

  /** A child born with CLONE_VM; of one that was seen before its birth, what it ran on is known. */
  private becomeBorrower(child: number, parent: number, tsNs: number): void {
    const { books } = this;
    const { processes, mms } = books;
    const lender = this.kin.runsOn(parent);
    const hasExeced = (processes.flags[child]! & ProcessFlag.hasExeced) !== 0;
    const seenTsNs = processes.seenTsNs[child]!;
    // /proc was quicker than this record, and said that it runs on another mm by now.
    const wasOwner = !hasExeced && seenTsNs > tsNs && !books.isBorrower(child);
    if (!hasExeced) {
      processes.flags[child]! &= ~ProcessFlag.mayInherit;
      processes.flags[child]! |= ProcessFlag.borrower;
      this.kin.setLender(child, lender < 0 ? parent : lender);
    }
    if (wasOwner) this.kin.readAsOwner(child, seenTsNs);
    if (lender < 0) return;
    for (let mm1 = processes.mmFirst1[child]!; mm1 !== 0;) {
      const mm = mm1 - 1;
      mm1 = mms.sibling1[mm]!;
      const isMain = processes.mmSlot1[child] === mm + 1;
      if (mms.state[mm] === MmState.building || (hasExeced && isMain)) continue;
      if (wasOwner && mms.state[mm] === MmState.nameless) continue;
      if (wasOwner) this.lives.moveWithoutReadings(mm, lender);
      this.ownership.handOver(mm, lender);
    }
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
      this.lives.end(mm, mms.ownerTsNs[main]!);
      return;
    }
    const owner = mms.processSlot1[mm]! - 1;
    books.moveMm(mm, child);
    processes.mmSlot1[child] = mm + 1;
    mms.lastTid[mm] = 0;
    this.lives.dropIfOver(owner);
    if (main >= 0) books.absorbMm(main, mm);
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
      this.lives.end(mm, mms.ownerTsNs[main]!);
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
    if (oldPid !== pid) this.strangers.mergeStray(oldPid, process, tsNs);
    const task = books.findTask(oldPid);
    const built = this.lives.takeBuilt(task, process);
    this.kin.ownsFromNow(process);
    if (oldPid !== pid && task >= 0) books.removeTask(task);
    books.addTask(pid, process, tsNs);
    if (built < 0 || this.ownership.hasMovedOn(process, built, tsNs)) return;
    const owner = books.mms.processSlot1[built]! - 1;
    if (owner !== process) books.moveMm(built, process);
    this.ownership.own(built, process, pid, tsNs, true);
    if (owner !== process) this.lives.dropIfOver(owner);
  }
}
