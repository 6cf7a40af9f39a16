/**
 * Users of whom somebody was asked to end by another signal than SIGKILL: until when they may, and what
 * comes then. One at a time of each user (I2): while somebody has a grace, nobody else is taken.
 *
 * @module
 */
import { chargedPages } from "../books/charge.ts";
import { isPlain, signalOf, unitOf } from "../memory/kill_plan.ts";
import { GraceOutcome, HeaderWord, OrderKind, ProcessFlag, VictimState } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import { NO_VICTIM_RETRY_NS } from "../memory/timing.ts";
import type { ReportWriter } from "../messages/reports.ts";
import type { Candidates } from "./candidates.ts";
import { UNPLACED } from "./carried_graces.ts";
import { type KillKernel, Refusal, Signal } from "./kill_kernel.ts";
import type { Units } from "./units.ts";
import type { VictimRows } from "./victim_rows.ts";
import type { WaitingUsers } from "./waiting_users.ts";

/** Whom toom had asked before it started over is looked for so often, and given up after so long. */
const PLACE_EVERY_NS = 100e6;
const PLACE_WITHIN_NS = 30e9;

export interface GracesContext {
  readonly memory: Memory;
  readonly kernel: KillKernel;
  readonly rows: VictimRows;
  readonly candidates: Candidates;
  readonly units: Units;
  readonly waiting: WaitingUsers;
  readonly reports: ReportWriter;
  /** As of {@link UnitsContext.noteDying}. */
  readonly noteDying: (uid: number, pid: number, processSlot: number) => void;
  readonly isDryRun: () => boolean;
  /** Tells of the end of a victim. */
  readonly tellEnd: (row: number, nowNs: number) => void;
}

export class Graces {
  private readonly context: GracesContext;
  private readonly hasExited = (handle: number): boolean => this.context.kernel.exited(handle);
  /** Rows of the user that is looked at, with a grace. */
  private readonly found: number[] = [];
  private userSlot = -1;
  private readonly find = (row: number, state: number): void => {
    if (state !== VictimState.asked) return;
    if (this.context.memory.victims.userSlot[row] === this.userSlot) this.found.push(row);
  };
  private doubtAskedNs = -Infinity;
  /** Users that are to be looked at in this step. */
  private readonly users = new Set<number>();
  private readonly findUser = (row: number, state: number): void => {
    const userSlot = this.context.memory.victims.userSlot[row]!;
    if (state === VictimState.asked && userSlot !== UNPLACED) this.users.add(userSlot);
  };
  /** As of which {@link place} looks, and when it is to look again. */
  private placeNs = 0;
  private placeAgainNs = 0;
  private readonly placeRow = (row: number, state: number): void => {
    const { victims } = this.context.memory;
    if (state === VictimState.asked && victims.userSlot[row] === UNPLACED) this.placeOne(row);
  };

  constructor(context: GracesContext) {
    this.context = context;
  }

  /** The first signal for a victim of a user: SIGKILL where there is no grace, or no time for one. */
  firstSignal(userSlot: number, kind: number): number {
    const { users } = this.context.memory;
    const packed = users.plan[userSlot]!;
    if (isPlain(packed) || kind !== OrderKind.kill) return Signal.kill;
    // Of processes that are too many nobody waits for one: meanwhile there would be more.
    if (users.excessProcesses[userSlot] !== 0 || users.killGraceMs[userSlot] === 0) {
      return Signal.kill;
    }
    return this.isAboveCeiling(userSlot) ? Signal.kill : signalOf(packed);
  }

  /** Until when a process that is asked now may take. */
  graceUntilNs(userSlot: number, nowNs: number): number {
    return nowNs + this.context.memory.users.killGraceMs[userSlot]! * 1e6;
  }

  /** What is not dying already is above the line from which on nobody has a grace. */
  private isAboveCeiling(userSlot: number): boolean {
    const { users } = this.context.memory;
    const dyingPages = this.context.rows.freed.pages(userSlot);
    return chargedPages(users, userSlot) - dyingPages > users.ceilingPages[userSlot]!;
  }

  /**
   * Finds in the books whom toom had asked before it started over: only then the user is looked at. To be
   * called before an order is acted on, so that nobody else is taken (I2).
   */
  place(nowNs: number): void {
    this.placeNs = nowNs;
    this.placeAgainNs = nowNs + PLACE_EVERY_NS;
    this.context.rows.forEach(this.placeRow);
  }

  private placeOne(row: number): void {
    const { memory, kernel, rows, reports } = this.context;
    const { victims, users, processes } = memory;
    const pid = victims.pid[row]!;
    const handle = victims.pidfd[row]!;
    if (kernel.exited(handle)) {
      const tookUs = (this.placeNs - victims.askedTsNs[row]!) / 1000;
      if (victims.isMember[row] === 0) {
        const exitStatus = kernel.exitStatus?.(handle, pid) ?? -1;
        const { uid, pages } = victims;
        const outcome = GraceOutcome.ended;
        const facts = [uid[row]!, pid, pages[row]!, tookUs, exitStatus, outcome, 0];
        reports.put("killed", this.placeNs, facts);
      }
      rows.free(row);
      return;
    }
    const slot = rows.findProcess(pid);
    const userSlot = slot < 0 ? -1 : processes.userSlot[slot]!;
    if (userSlot >= 0 && users.uid[userSlot] === victims.uid[row]) rows.place(row, userSlot, slot);
    else if (this.placeNs - victims.checkedTsNs[row]! > PLACE_WITHIN_NS) rows.free(row);
  }

  /** Looks at all who have a grace. @returns How many users have none any more. */
  step(nowNs: number): number {
    const { rows, memory } = this.context;
    // Books in which somebody is missing say too early that a user is below its limit.
    const isRead = rows.unplaced > 0 && Atomics.load(memory.header, HeaderWord.sweepDone) !== 0;
    if (isRead && nowNs >= this.placeAgainNs) this.place(nowNs);
    this.users.clear();
    this.context.rows.forEach(this.findUser);
    let done = 0;
    for (const userSlot of this.users) if (!this.look(userSlot, nowNs)) done++;
    return done;
  }

  /**
   * Looks at a user of whom somebody was asked to end.
   *
   * @returns Whether it goes on: then nobody else is to be taken. Accounting is answered at its end.
   */
  look(userSlot: number, nowNs: number): boolean {
    const { memory, waiting, candidates, rows } = this.context;
    const { users, victims, header } = memory;
    candidates.begin(nowNs);
    this.findRows(userSlot);
    this.endOfThemselves(nowNs);
    this.findRows(userSlot);
    if (this.found.length === 0) {
      // A successor of accounting may have given the row to another user meanwhile.
      Atomics.store(users.asked, userSlot, 0);
      waiting.end(userSlot);
      return false;
    }
    if (!rows.isOf(this.found[0]!, userSlot) || this.context.isDryRun()) {
      return this.spare(userSlot, nowNs);
    }
    if (this.isAboveCeiling(userSlot)) return this.finish(userSlot, nowNs, GraceOutcome.ceiling);
    if (this.found.some((row) => victims.graceUntilNs[row]! > nowNs)) return true;
    // I4: books that may be wrong do not decide; accounting has the user read, and orders again.
    if (header[HeaderWord.degraded] !== 0 && users.doubtTsNs[userSlot] !== 0) {
      if (nowNs - this.doubtAskedNs < NO_VICTIM_RETRY_NS) return true;
      this.doubtAskedNs = nowNs;
      waiting.end(userSlot);
      return true;
    }
    return rows.freed.overPages(userSlot) > 0
      ? this.finish(userSlot, nowNs, GraceOutcome.over)
      : this.spare(userSlot, nowNs);
  }

  private findRows(userSlot: number): void {
    this.found.length = 0;
    this.userSlot = userSlot;
    this.context.rows.forEach(this.find);
  }

  /** Who has ended is gone, and accounting is told. */
  private endOfThemselves(nowNs: number): void {
    const { memory, kernel, rows, candidates, tellEnd } = this.context;
    const { victims, processes } = memory;
    for (const row of this.found) {
      if (!kernel.exited(victims.pidfd[row]!)) continue;
      const slot = victims.processSlot[row]!;
      const generation = victims.processGeneration[row]!;
      if (processes.generation[slot] === generation) {
        candidates.gone(slot, generation, victims.pid[row]!);
      }
      victims.outcome[row] = GraceOutcome.ended;
      if (victims.isMember[row] === 0) this.tell(row, nowNs);
      tellEnd(row, nowNs);
      rows.free(row);
    }
  }

  /** The user is below its limit, or has none any more: who was asked may stay. */
  private spare(userSlot: number, nowNs: number): false {
    const { memory, rows, waiting } = this.context;
    for (const row of this.found) {
      memory.victims.outcome[row] = GraceOutcome.spared;
      if (memory.victims.isMember[row] === 0) this.tell(row, nowNs);
      rows.free(row);
    }
    waiting.end(userSlot);
    return false;
  }

  /** SIGKILL for all who were asked, and for who is in their unit by now. */
  finish(userSlot: number, nowNs: number, outcome: GraceOutcome): false {
    const { memory, rows, units, waiting } = this.context;
    const { users, victims } = memory;
    rows.relocate(userSlot, this.hasExited);
    this.findRows(userSlot);
    const unit = unitOf(users.plan[userSlot]!);
    for (const row of this.found) {
      const pid = victims.pid[row]!;
      const key = units.keyOf(pid, unit);
      const sharer = key === 0 ? 0 : units.sharerOf(pid, userSlot);
      victims.outcome[row] = outcome;
      const isMain = victims.isMember[row] === 0;
      if (!this.kill(row, userSlot)) continue;
      if (isMain) this.tell(row, nowNs);
      const order = { userSlot, unit, key, sharer, mainPid: pid, signal: Signal.kill };
      if (isMain) units.take({ ...order, graceUntilNs: 0 });
    }
    waiting.end(userSlot);
    return false;
  }

  /** @returns Whether it was sent SIGKILL; its row is free else. */
  private kill(row: number, userSlot: number): boolean {
    const { memory, kernel, rows, candidates, noteDying } = this.context;
    const { users, victims, processes } = memory;
    const uid = users.uid[userSlot]!;
    const pid = victims.pid[row]!;
    const handle = victims.pidfd[row]!;
    const slot = victims.processSlot[row]!;
    const generation = victims.processGeneration[row]!;
    const isKnown = processes.generation[slot] === generation;
    if (isKnown && candidates.isRuleProtected(slot)) {
      rows.free(row);
      return false;
    }
    // I1: it may have become another's within its grace, or protected.
    const refusal = candidates.isRuleProtected(slot)
      ? Refusal.protected
      : kernel.check(handle, pid, uid);
    victims.checkedTsNs[row] = candidates.nowNs;
    if (refusal !== Refusal.none) {
      candidates.refuses(slot, generation, uid, pid, refusal);
      rows.free(row);
      return false;
    }
    const pages = isKnown ? processes.pages[slot]! : victims.pages[row]!;
    const { sharers } = candidates;
    let sharerCount = 0;
    if (isKnown && (processes.flags[slot]! & ProcessFlag.lends) !== 0) {
      if (!candidates.openSharers(slot, pid, uid)) {
        rows.free(row);
        return false;
      }
      sharerCount = sharers.kill(uid);
    }
    const result = kernel.kill(handle, pid, Signal.kill);
    const killedNs = kernel.nowNs();
    if (result !== 0) {
      sharers.close();
      this.context.reports.put("killFailed", killedNs, [uid, pid, -result]);
      rows.free(row);
      return false;
    }
    kernel.reap(handle, pid, isKnown && processes.taskCount[slot]! > 1);
    if (sharerCount > 0) sharers.hurry();
    sharers.close();
    if (isKnown) noteDying(uid, pid, slot);
    rows.markDying(row, killedNs, pages, sharerCount, false);
    return true;
  }

  /** How a grace has ended. */
  private tell(row: number, nowNs: number): void {
    const { memory, reports, kernel } = this.context;
    const { victims, users } = memory;
    const pid = victims.pid[row]!;
    const userSlot = victims.userSlot[row]!;
    const tookUs = (nowNs - victims.askedTsNs[row]!) / 1000;
    reports.put(
      "grace",
      nowNs,
      [
        users.uid[userSlot]!,
        pid,
        victims.outcome[row]!,
        tookUs,
        chargedPages(users, userSlot),
        users.hardPages[userSlot]!,
      ],
      kernel.comm(pid),
    );
  }
}
