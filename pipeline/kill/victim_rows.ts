/**
 * The killer's rows: candidates that are armed, at most one a user, and victims that are dying.
 * They lie in shared memory, so that a restarted killer finds the pidfds of its predecessor.
 *
 * @module
 */
import {
  GraceOutcome,
  HeaderWord,
  ProcessState,
  TABLE_HEADER_BYTES,
  TableWord,
  VICTIMS_MAX,
  VictimState,
} from "../memory/layout.ts";
import { UNPLACED } from "./carried_graces.ts";
import { Dying } from "./dying.ts";
import type { Memory } from "../memory/memory.ts";

/** Rows kept for victims, so that candidates of many users cannot take them all. */
const DYING_RESERVE = 64;

export class VictimRows {
  /** What the victims give back. */
  readonly freed: Dying;
  /** Victims that are not gone, stuck ones and those that have a grace included. */
  signalled = 0;
  /** Of these, those that have a grace. */
  asked = 0;
  /** Of these, those that a toom before has asked and that are not found in the books yet. */
  unplaced = 0;
  private readonly memory: Memory;
  private readonly close: (handle: number) => void;
  private readonly processHeader: Int32Array;
  /** Rows at and above this are free. */
  private end = 0;
  /** By row: fewest pages seen since the signal, and when. */
  private readonly leastPages = new Int32Array(VICTIMS_MAX);
  private readonly progressNs = new Float64Array(VICTIMS_MAX);

  /** @param close Lets go of a handle. */
  constructor(memory: Memory, close: (handle: number) => void) {
    this.freed = new Dying(memory);
    const { buffer, plan } = memory;
    this.processHeader = new Int32Array(buffer, plan.processes, TABLE_HEADER_BYTES / 4);
    this.memory = memory;
    this.close = close;
  }

  /** Victims that are dying; those that are stuck do not count. */
  get dying(): number {
    return this.freed.count;
  }

  /** Takes over what a predecessor had open: victims stay watched, candidates are let go. */
  adopt(): void {
    const { state, killTsNs, isDryRun } = this.memory.victims;
    this.end = VICTIMS_MAX;
    this.signalled = 0;
    this.asked = 0;
    this.unplaced = 0;
    let dying = 0;
    for (let row = 0; row < VICTIMS_MAX; row++) {
      if (state[row] === VictimState.free) continue;
      if (state[row] === VictimState.armed) {
        this.free(row);
        continue;
      }
      this.signalled++;
      if (state[row] === VictimState.asked) {
        this.asked++;
        if (this.memory.victims.userSlot[row] === UNPLACED) this.unplaced++;
        continue;
      }
      // Of a dry run nobody is dying: it begins anew.
      if (isDryRun[row] !== 0) {
        this.free(row);
        continue;
      }
      if (state[row] === VictimState.dying) dying++;
      this.leastPages[row] = this.freed.pagesOf(row);
      this.progressNs[row] = killTsNs[row]!;
    }
    this.memory.header[HeaderWord.victimsDying] = dying;
    this.shrink();
    this.countAsked();
  }

  /** How many of each user have a grace: a predecessor may have ended between row and count. */
  private countAsked(): void {
    const { users } = this.memory;
    const counts = new Int32Array(users.asked.length);
    this.forEach((row, state) => {
      const userSlot = this.memory.victims.userSlot[row]!;
      if (state === VictimState.asked && this.isOf(row, userSlot)) counts[userSlot]!++;
    });
    for (const [userSlot, count] of counts.entries()) {
      if (users.asked[userSlot] !== count) Atomics.store(users.asked, userSlot, count);
    }
  }

  /** Whoever a toom before has asked is found in the books. */
  place(row: number, userSlot: number, processSlot: number): void {
    const { victims, users, processes } = this.memory;
    victims.userSlot[row] = userSlot;
    victims.userGeneration[row] = users.generation[userSlot]!;
    victims.processSlot[row] = processSlot;
    victims.processGeneration[row] = processes.generation[processSlot]!;
    this.unplaced--;
    Atomics.add(users.asked, userSlot, 1);
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
    victims.isDryRun[row] = 0;
    victims.isMember[row] = 0;
    victims.askedTsNs[row] = 0;
    victims.outcome[row] = GraceOutcome.none;
    victims.state[row] = VictimState.armed;
    if (row >= this.end) this.moveEnd(row + 1);
    return row;
  }

  /** Has a row follow what its victim left behind: a process that shares its mm. */
  retarget(
    row: number,
    processSlot: number,
    generation: number,
    pid: number,
    handle: number,
  ): void {
    const { victims } = this.memory;
    this.close(victims.pidfd[row]!);
    victims.processSlot[row] = processSlot;
    victims.processGeneration[row] = generation;
    victims.pid[row] = pid;
    victims.pidfd[row] = handle;
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

  /**
   * After a restart of accounting, processes lie in other rows of its tables: finds those of the
   * user's victims anew, by pid. That has not come back, as long as the victim is there.
   */
  relocate(userSlot: number, hasExited: (handle: number) => boolean): void {
    const { victims, processes, mms } = this.memory;
    for (let row = 0; row < this.end; row++) {
      const state = victims.state[row];
      if (state !== VictimState.dying && state !== VictimState.asked) continue;
      if (!this.isOf(row, userSlot)) continue;
      const known = victims.processSlot[row]!;
      if (processes.generation[known] === victims.processGeneration[row]) continue;
      if (this.freed.holderOf(row) >= 0 || hasExited(victims.pidfd[row]!)) continue;
      const slot = this.findProcess(victims.pid[row]!);
      if (slot < 0) continue;
      const mm1 = processes.mmSlot1[slot]!;
      victims.processSlot[row] = slot;
      victims.processGeneration[row] = processes.generation[slot]!;
      victims.mmSlot1[row] = mm1;
      victims.mmGeneration[row] = mm1 === 0 ? 0 : mms.generation[mm1 - 1]!;
    }
  }

  /** Slot of a living process in the tables; -1 when it has none. */
  findProcess(pid: number): number {
    const { tgid, state } = this.memory.processes;
    const highWater = Atomics.load(this.processHeader, TableWord.highWater);
    for (let slot = 0; slot < highWater; slot++) {
      if (tgid[slot] === pid && state[slot] === ProcessState.alive) return slot;
    }
    return -1;
  }

  /** From candidate to one that was asked to end, and has a grace. @param pages That it has. */
  markAsked(row: number, askedNs: number, graceUntilNs: number, pages: number): void {
    const { victims, users } = this.memory;
    victims.askedTsNs[row] = askedNs;
    victims.graceUntilNs[row] = graceUntilNs;
    victims.killTsNs[row] = askedNs;
    victims.pages[row] = pages;
    victims.sharers[row] = 0;
    victims.mmSlot1[row] = 0;
    victims.uid[row] = users.uid[victims.userSlot[row]!]!;
    victims.state[row] = VictimState.asked;
    this.signalled++;
    this.asked++;
    Atomics.add(users.asked, victims.userSlot[row]!, 1);
  }

  /** A row's grace is over, by whatever. */
  private endGrace(row: number): void {
    const { victims, users } = this.memory;
    this.asked--;
    const userSlot = victims.userSlot[row]!;
    if (userSlot === UNPLACED) this.unplaced--;
    else if (this.isOf(row, userSlot)) Atomics.sub(users.asked, userSlot, 1);
  }

  /** From candidate, or from one that was asked to end, to victim. @param sharers Others that ran on its mm and were signalled. */
  markDying(
    row: number,
    killedNs: number,
    pages: number,
    sharers: number,
    isDryRun: boolean,
  ): void {
    const { victims, processes, mms, header } = this.memory;
    const mm1 = processes.mmSlot1[victims.processSlot[row]!]!;
    if (victims.state[row] === VictimState.asked) this.endGrace(row);
    else this.signalled++;
    victims.killTsNs[row] = killedNs;
    victims.pages[row] = pages;
    victims.mmSlot1[row] = mm1;
    victims.mmGeneration[row] = mm1 === 0 ? 0 : mms.generation[mm1 - 1]!;
    victims.sharers[row] = sharers;
    victims.isDryRun[row] = isDryRun ? 1 : 0;
    victims.state[row] = VictimState.dying;
    this.leastPages[row] = pages;
    this.progressNs[row] = killedNs;
    header[HeaderWord.victimsDying]!++;
  }

  /**
   * Looks whether a dying victim makes progress. One that has given nothing back for so long is
   * stuck: its memory is not being freed, and counts as its user's again.
   * @returns Whether it has become stuck just now.
   */
  becomesStuck(row: number, nowNs: number, patienceNs: number): boolean {
    if (this.memory.victims.state[row] !== VictimState.dying) return false;
    const pages = this.freed.pagesOf(row);
    if (pages < this.leastPages[row]!) {
      this.leastPages[row] = pages;
      this.progressNs[row] = nowNs;
      return false;
    }
    if (nowNs - this.progressNs[row]! < patienceNs) return false;
    this.memory.victims.state[row] = VictimState.stuck;
    this.memory.header[HeaderWord.victimsDying]!--;
    return true;
  }

  free(row: number): void {
    const { victims, header } = this.memory;
    if (victims.state[row] === VictimState.dying) header[HeaderWord.victimsDying]!--;
    if (victims.state[row] === VictimState.asked) this.endGrace(row);
    if (victims.state[row] !== VictimState.armed) this.signalled--;
    this.close(victims.pidfd[row]!);
    victims.state[row] = VictimState.free;
    if (row === this.end - 1) this.shrink();
  }

  private shrink(): void {
    const { state } = this.memory.victims;
    let end = this.end;
    while (end > 0 && state[end - 1] === VictimState.free) end--;
    this.moveEnd(end);
  }

  private moveEnd(end: number): void {
    this.end = end;
    this.memory.header[HeaderWord.victimsEnd] = end;
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

  /** Whether the user has a victim that is dying. */
  hasDying(userSlot: number): boolean {
    if (this.dying === 0) return false;
    const { state } = this.memory.victims;
    for (let row = 0; row < this.end; row++) {
      if (state[row] === VictimState.dying && this.isOf(row, userSlot)) return true;
    }
    return false;
  }

  /** Whether a process is a victim already, or has what one left to those that shared its mm. */
  isVictim(processSlot: number, generation: number): boolean {
    if (this.signalled === 0) return false;
    const { victims, processes } = this.memory;
    const mm1 = processes.mmSlot1[processSlot]!;
    for (let row = 0; row < this.end; row++) {
      if (!isSignalled(victims.state[row]!)) continue;
      if (this.isAbout(row, processSlot, generation)) return true;
      if (mm1 !== 0 && victims.mmSlot1[row] === mm1 && this.freed.holderOf(row) === processSlot) {
        return true;
      }
    }
    return false;
  }

  /** Pages of the user that victims have which do not go. */
  stuckPages(userSlot: number): number {
    const { victims } = this.memory;
    let pages = 0;
    for (let row = 0; row < this.end; row++) {
      if (victims.state[row] !== VictimState.stuck || !this.isOf(row, userSlot)) continue;
      pages += this.freed.pagesOf(row);
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

function isSignalled(state: number): boolean {
  return state === VictimState.dying || state === VictimState.stuck || state === VictimState.asked;
}
