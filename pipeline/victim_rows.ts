/**
 * The killer's rows: candidates that are armed, at most one a user, and victims that are dying.
 * They lie in shared memory, so that a restarted killer finds the pidfds of its predecessor.
 *
 * @module
 */
import { ProcessState, VICTIMS_MAX, VictimState } from "./layout.ts";
import type { Memory } from "./memory.ts";

/** Rows kept for victims, so that candidates of many users cannot take them all. */
const DYING_RESERVE = 64;

export class VictimRows {
  /** Victims that are dying. */
  dying = 0;
  private readonly memory: Memory;
  private readonly close: (handle: number) => void;
  /** Rows at and above this are free. */
  private end = 0;

  /** @param close Lets go of a handle. */
  constructor(memory: Memory, close: (handle: number) => void) {
    this.memory = memory;
    this.close = close;
  }

  /** Takes over what a predecessor had open: victims stay watched, candidates are let go. */
  adopt(): void {
    const { state } = this.memory.victims;
    this.end = VICTIMS_MAX;
    this.dying = 0;
    for (let row = 0; row < VICTIMS_MAX; row++) {
      if (state[row] === VictimState.armed) this.free(row);
      else if (state[row] === VictimState.dying) this.dying++;
    }
    this.shrink();
  }

  /**
   * Arms a candidate.
   * @param checkedNs When its identity was checked.
   * @param isUrgent It is to be killed now: the reserve, and others' candidates, may be used.
   * @returns Its row, -1 when there is no room.
   */
  arm(
    userSlot: number,
    processSlot: number,
    generation: number,
    handle: number,
    checkedNs: number,
    isUrgent: boolean,
  ): number {
    const { victims, users, processes } = this.memory;
    const row = this.take(isUrgent);
    if (row < 0) return -1;
    victims.userSlot[row] = userSlot;
    victims.userGeneration[row] = users.generation[userSlot]!;
    victims.processSlot[row] = processSlot;
    victims.processGeneration[row] = generation;
    victims.pid[row] = processes.tgid[processSlot]!;
    victims.pidfd[row] = handle;
    victims.pages[row] = processes.pages[processSlot]!;
    victims.checkedTsNs[row] = checkedNs;
    victims.state[row] = VictimState.armed;
    if (row >= this.end) this.end = row + 1;
    return row;
  }

  private take(isUrgent: boolean): number {
    const { state } = this.memory.victims;
    const limit = isUrgent ? VICTIMS_MAX : VICTIMS_MAX - DYING_RESERVE;
    for (let row = 0; row < limit; row++) if (state[row] === VictimState.free) return row;
    if (!isUrgent) return -1;
    for (let row = 0; row < VICTIMS_MAX; row++) {
      if (state[row] !== VictimState.armed) continue;
      this.free(row);
      return row;
    }
    return -1;
  }

  /** From candidate to victim. */
  markDying(row: number, killedNs: number, pages: number): void {
    const { victims } = this.memory;
    victims.killTsNs[row] = killedNs;
    victims.pages[row] = pages;
    victims.state[row] = VictimState.dying;
    this.dying++;
  }

  free(row: number): void {
    const { victims } = this.memory;
    if (victims.state[row] === VictimState.dying) this.dying--;
    this.close(victims.pidfd[row]!);
    victims.state[row] = VictimState.free;
    if (row === this.end - 1) this.shrink();
  }

  private shrink(): void {
    const { state } = this.memory.victims;
    while (this.end > 0 && state[this.end - 1] === VictimState.free) this.end--;
  }

  /** Row of the user's candidate, -1 when it has none. */
  armedOf(userSlot: number): number {
    const { victims } = this.memory;
    for (let row = 0; row < this.end; row++) {
      if (victims.state[row] === VictimState.armed && this.isOf(row, userSlot)) return row;
    }
    return -1;
  }

  /** Whether a row is about this process. */
  isAbout(row: number, processSlot: number, generation: number): boolean {
    const { victims } = this.memory;
    return victims.processSlot[row] === processSlot &&
      victims.processGeneration[row] === generation;
  }

  /** Whether a row is about this user, and not about one that had the slot before. */
  isOf(row: number, userSlot: number): boolean {
    const { victims, users } = this.memory;
    return victims.userSlot[row] === userSlot &&
      victims.userGeneration[row] === users.generation[userSlot];
  }

  /** Whether the user has a victim that was killed after `sinceNs`. */
  hasVictimSince(userSlot: number, sinceNs: number): boolean {
    if (this.dying === 0) return false;
    const { victims } = this.memory;
    for (let row = 0; row < this.end; row++) {
      if (
        victims.state[row] === VictimState.dying && victims.killTsNs[row]! > sinceNs &&
        this.isOf(row, userSlot)
      ) return true;
    }
    return false;
  }

  /** Whether a process is a victim already. */
  isDying(processSlot: number, generation: number): boolean {
    if (this.dying === 0) return false;
    const { state } = this.memory.victims;
    for (let row = 0; row < this.end; row++) {
      if (state[row] === VictimState.dying && this.isAbout(row, processSlot, generation)) {
        return true;
      }
    }
    return false;
  }

  /** Pages of the user that are being freed: they must not cost a second process its life. */
  dyingPages(userSlot: number): number {
    if (this.dying === 0) return 0;
    const { victims, processes } = this.memory;
    let pages = 0;
    for (let row = 0; row < this.end; row++) {
      if (victims.state[row] !== VictimState.dying || !this.isOf(row, userSlot)) continue;
      const slot = victims.processSlot[row]!;
      if (processes.generation[slot] !== victims.processGeneration[row]) continue;
      if (processes.state[slot] === ProcessState.free) continue;
      pages += processes.pages[slot]!;
    }
    return pages;
  }

  /** Calls `visit` with each row in use. It may free that row. */
  forEach(visit: (row: number, state: number) => void): void {
    const { state } = this.memory.victims;
    for (let row = 0; row < this.end; row++) {
      if (state[row] !== VictimState.free) visit(row, state[row]!);
    }
  }
}
