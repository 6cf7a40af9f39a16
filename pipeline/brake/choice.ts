/**
 * Whom of a user's processes the brake comes down on, by what the tables say of their growth.
 *
 * @module
 */
import { gainedPages } from "../books/growth.ts";
import { UserRows } from "../books/user_rows.ts";
import { ProcessState } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import type { BrakeMode } from "../memory/settings.ts";
import type { BrakedUser } from "./braked_user.ts";
import { isGrower } from "./shares.ts";

/** Processes of one user whose limits are moved at one time; the fastest. */
export const MOVED_MAX = 64;
/** The same where all are braked: each inherits from its parent, so few need be set. */
export const MOVED_ALL_MAX = 1024;

/** A process that is to be braked, as the tables have it. */
export interface Candidate {
  readonly slot: number;
  readonly pid: number;
  /** Pages, in the last second. */
  readonly gained: number;
  readonly isGrower: boolean;
}

export class Choice {
  private readonly memory: Memory;
  private readonly userRows: UserRows;

  constructor(memory: Memory) {
    this.memory = memory;
    this.userRows = new UserRows(memory);
  }

  /** Living processes of a user. */
  *pidsOf(userSlot: number): Generator<number> {
    for (const slot of this.slotsOf(userSlot)) yield this.memory.processes.tgid[slot]!;
  }

  /**
   * Those that are to be braked, the fastest first: those that are, and who should be.
   *
   * @param isAbove The user is above soft.
   */
  of(user: BrakedUser, mode: BrakeMode, isAbove: boolean, nowNs: number): Candidate[] {
    const { processes, users } = this.memory;
    const hardPages = users.hardPages[user.slot]!;
    const found: { slot: number; pid: number; gained: number }[] = [];
    let fastest = 0;
    for (const slot of this.slotsOf(user.slot)) {
      // It asks before it allocates: what it was promised is its own.
      if (processes.asksGeneration1[slot] === processes.generation[slot]! + 1) continue;
      const gained = gainedPages(processes, slot, nowNs);
      fastest = Math.max(fastest, gained);
      found.push({ slot, pid: processes.tgid[slot]!, gained });
    }
    const chosen: Candidate[] = [];
    for (const one of found) {
      const grows = isGrower(one.gained, fastest, processes.pages[one.slot]!, hardPages);
      const isChosen = mode === "all" || (grows && isAbove) || user.members.has(one.pid);
      if (isChosen) chosen.push({ ...one, isGrower: grows });
    }
    return chosen.sort((a, b) => b.gained - a.gained);
  }

  private *slotsOf(userSlot: number): Generator<number> {
    const { processes } = this.memory;
    const { rows, count } = this.userRows.of(userSlot);
    for (let i = 0; i < count; i++) {
      const slot = rows[i]!;
      // Of root's, pid 1 is nobody's business.
      if (processes.userSlot[slot] !== userSlot || processes.tgid[slot]! <= 1) continue;
      if (processes.state[slot] === ProcessState.alive) yield slot;
    }
  }
}
