/**
 * What is being freed: the pages of victims that were signalled and are not gone yet. They must not
 * cost another process its life (I2). Accounting and killer use the same sum, so that accounting
 * orders exactly when the killer will act.
 *
 * @module
 */
import { HeaderWord, MmState, ProcessState, VictimState } from "../memory/layout.ts";
import { chargedPages, ownPages } from "../books/charge.ts";
import type { Memory } from "../memory/memory.ts";

export class Dying {
  private readonly memory: Memory;

  constructor(memory: Memory) {
    this.memory = memory;
  }

  /** Victims of all users that are dying; those that have stopped giving memory back do not count. */
  get count(): number {
    return this.memory.header[HeaderWord.victimsDying]!;
  }

  /**
   * Pages of the user that are being freed, as the books have them now: what a victim still gets
   * between signal and death is freed with the rest.
   */
  pages(userSlot: number): number {
    if (this.count === 0) return 0;
    const { victims, users, header } = this.memory;
    const end = header[HeaderWord.victimsEnd]!;
    let pages = 0;
    for (let row = 0; row < end; row++) {
      if (victims.state[row] !== VictimState.dying || victims.userSlot[row] !== userSlot) continue;
      if (victims.userGeneration[row] !== users.generation[userSlot]) continue;
      pages += this.pagesOf(row);
    }
    return pages;
  }

  /** Processes of the user that are being ended. */
  private processes(userSlot: number): number {
    if (this.count === 0) return 0;
    const { victims, users, header } = this.memory;
    const end = header[HeaderWord.victimsEnd]!;
    let processes = 0;
    for (let row = 0; row < end; row++) {
      if (victims.state[row] !== VictimState.dying || victims.userSlot[row] !== userSlot) continue;
      if (victims.userGeneration[row] !== users.generation[userSlot]) continue;
      processes += 1 + victims.sharers[row]!;
    }
    return processes;
  }

  /**
   * How far a user is over its limit without the dying, pages; at least 1 when it still has more
   * processes than it may have.
   */
  overPages(userSlot: number): number {
    const { users, header } = this.memory;
    // Asked when every microsecond counts: nothing is called that need not be.
    const usedPages = users.creditPages[userSlot] === 0
      ? users.usagePages[userSlot]!
      : chargedPages(users, userSlot);
    const dyingPages = header[HeaderWord.victimsDying] === 0 ? 0 : this.pages(userSlot);
    const over = usedPages - dyingPages - users.hardPages[userSlot]!;
    if (over > 0) return over;
    const excess = users.excessProcesses[userSlot]!;
    if (excess === 0) return over;
    return excess > this.processes(userSlot) ? 1 : over;
  }

  /** Whether somebody of the user is dying, and what remains without is at or below hard. */
  isEnough(userSlot: number): boolean {
    return this.count > 0 && this.overPages(userSlot) <= 0;
  }

  /** Pages that go with the victim of a row: its own, and its mm's when that has passed to a sharer. */
  pagesOf(row: number): number {
    const { victims, processes } = this.memory;
    const slot = victims.processSlot[row]!;
    const isThere = processes.generation[slot] === victims.processGeneration[row] &&
      processes.state[slot] !== ProcessState.free;
    const own = isThere ? ownPages(processes, slot) : 0;
    const holder = this.holderOf(row);
    if (holder < 0 || (isThere && holder === slot)) return own;
    if (processes.userSlot[holder] !== victims.userSlot[row]) return own;
    return own + ownPages(processes, holder);
  }

  /** The process that has the victim's mm in the books now; -1 when the mm is gone. */
  holderOf(row: number): number {
    const { victims, mms } = this.memory;
    const mm = victims.mmSlot1[row]! - 1;
    if (mm < 0 || mms.generation[mm] !== victims.mmGeneration[row]) return -1;
    // Its id may have come back: then this is another mm.
    if (mms.state[mm] === MmState.free || mms.bornTsNs[mm]! > victims.killTsNs[row]!) return -1;
    return mms.processSlot1[mm]! - 1;
  }
}
