/**
 * How processes end: their exit comes before their memory goes, /proc has them no more, or the killer has
 * seen its victim go.
 *
 * @module
 */
import { MmState, ProcessState } from "../memory/layout.ts";
import type { Books } from "./books.ts";
import { type Kinship, Passing } from "./kinship.ts";
import type { MmLives } from "./mm_lives.ts";
import type { Strangers } from "./strangers.ts";

export class Ends {
  private readonly books: Books;
  private readonly kin: Kinship;
  private readonly lives: MmLives;
  private readonly strangers: Strangers;

  constructor(books: Books, kin: Kinship, lives: MmLives, strangers: Strangers) {
    this.books = books;
    this.kin = kin;
    this.lives = lives;
    this.strangers = strangers;
  }

  /** sched_process_exit: comes before the memory goes, so the process stays until that is gone. */
  exit(pid: number, groupDead: number, tsNs: number): void {
    const { books } = this;
    const { processes } = books;
    const task = books.findTask(pid);
    const process = task >= 0 ? books.tasks.processSlot[task]! : books.findProcess(pid);
    if (process < 0) {
      this.bury(pid, tsNs, this.strangers.unknownUid);
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
      if (this.lives.isReborn(main, tsNs)) return; // dropIfOver() was called.
      // Borrowers keep the mm alive. Of one that is empty already, no teardown will tell.
      if (!this.kin.passMm(process, main, tsNs) && books.isEmpty(main)) books.removeMm(main);
    }
    this.lives.dropIfOver(process);
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
  finish(process: number, tsNs: number): number {
    const { processes } = this.books;
    const main = processes.mmSlot1[process]! - 1;
    if (main >= 0 && !this.books.isEmpty(main)) {
      this.kin.passMm(process, main, tsNs, Passing.missed);
    }
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

  private bury(tid: number, tsNs: number, uid: number): void {
    this.strangers.endedTasks.add(tid, tsNs, uid);
  }
}
