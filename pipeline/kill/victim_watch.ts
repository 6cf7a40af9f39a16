/**
 * What becomes of victims: whether they are gone, or stuck, and who goes on to hold their memory.
 *
 * @module
 */
import { DRY_RUN_PATIENCE_NS, HEARD_OF_NS } from "../memory/timing.ts";
import { CounterIndex, GraceOutcome, Role, VICTIMS_MAX, VictimState } from "../memory/layout.ts";
import { attachCounters, type Memory } from "../memory/memory.ts";
import type { ReportWriter } from "../messages/reports.ts";
import type { Candidates } from "./candidates.ts";
import type { KernelKill } from "./kernel_kills.ts";
import type { KillKernel } from "./kill_kernel.ts";
import { Part } from "./verdicts.ts";
import type { VictimRows } from "./victim_rows.ts";
import type { WaitingUsers } from "./waiting_users.ts";

/** What the watch works with. */
export interface VictimWatchParts {
  readonly memory: Memory;
  readonly kernel: KillKernel;
  readonly rows: VictimRows;
  readonly candidates: Candidates;
  readonly reports: ReportWriter;
  readonly waiting: WaitingUsers;
  /** A victim that has given nothing back for so long is stuck, and not dying any more; nanoseconds. */
  readonly patienceNs: number;
  /** Whether a user has a storm, see storms.ts. */
  readonly isStorm: (userSlot: number) => boolean;
}

/** Of an exit status that nobody has read. */
const NO_STATUS = -1;

export class VictimWatch {
  private readonly memory: Memory;
  private readonly kernel: KillKernel;
  private readonly rows: VictimRows;
  private readonly candidates: Candidates;
  private readonly reports: ReportWriter;
  private readonly waiting: WaitingUsers;
  private readonly patienceNs: number;
  private readonly isStorm: VictimWatchParts["isStorm"];
  private readonly accountingCounters: Float64Array;
  private readonly watchRow = (row: number, state: number): void => this.watch(row, state);
  private readonly forgetRow = (row: number): void => {
    if (this.memory.victims.isDryRun[row] !== 0) this.forget(row);
  };
  /** Victims that are gone, or stuck, since the last look. */
  private changes = 0;
  /** By row of a victim: when its end was seen, if that is later than its signal. */
  private readonly endedNs = new Float64Array(VICTIMS_MAX);

  constructor(parts: VictimWatchParts) {
    this.memory = parts.memory;
    this.kernel = parts.kernel;
    this.rows = parts.rows;
    this.candidates = parts.candidates;
    this.reports = parts.reports;
    this.waiting = parts.waiting;
    this.patienceNs = parts.patienceNs;
    this.isStorm = parts.isStorm;
    this.accountingCounters = attachCounters(parts.memory, Role.accounting);
  }

  /** Looks whether victims are gone. @returns How many are, or are stuck now. */
  step(): number {
    this.changes = 0;
    this.rows.forEach(this.watchRow);
    return this.changes;
  }

  /** Rows of a dry run count no more; those who were signalled are victims still. */
  forgetDryRun(): void {
    this.rows.forEach(this.forgetRow);
  }

  private watch(row: number, state: number): void {
    const { victims, processes } = this.memory;
    const slot = victims.processSlot[row]!;
    const generation = victims.processGeneration[row]!;
    if (state === VictimState.armed) {
      if (processes.generation[slot] !== generation) this.rows.free(row);
      return;
    }
    // graces.ts looks after it.
    if (state === VictimState.asked) return;
    const { patienceNs } = this;
    // Nobody was signalled: a victim is none any more after a while.
    const dryRun = victims.isDryRun[row] !== 0;
    const nowNs = this.kernel.nowNs();
    const tookNs = nowNs - victims.killTsNs[row]!;
    const userSlot = victims.userSlot[row]!;
    const isOver = dryRun ? tookNs >= DRY_RUN_PATIENCE_NS : this.kernel.exited(victims.pidfd[row]!);
    if (!isOver) {
      if (dryRun || state === VictimState.stuck) return;
      if (victims.sharers[row]! > 0) this.killLateSharers(row, victims.pid[row]!);
      if (!this.rows.becomesStuck(row, nowNs, patienceNs)) return;
      if (this.rows.isOf(row, userSlot)) this.waiting.end(userSlot);
      this.changes++;
      return;
    }
    if (!dryRun) {
      this.candidates.begin(nowNs);
      if (processes.generation[slot] === generation) {
        this.candidates.gone(slot, generation, victims.pid[row]!);
      }
      if (this.follows(row)) {
        this.rows.becomesStuck(row, nowNs, patienceNs);
        return;
      }
      this.tellEnd(row, nowNs);
    }
    this.forget(row);
    this.changes++;
  }

  /** A victim is gone; who only went with its unit is not told of. */
  tellEnd(row: number, nowNs: number): void {
    const { victims, users } = this.memory;
    if (victims.isMember[row] !== 0) return;
    const userSlot = victims.userSlot[row]!;
    const pid = victims.pid[row]!;
    const exitStatus = this.kernel.exitStatus?.(victims.pidfd[row]!, pid) ?? NO_STATUS;
    // From the first signal.
    const signalNs = victims.askedTsNs[row]! || victims.killTsNs[row]!;
    this.reports.put("killed", nowNs, [
      users.uid[userSlot]!,
      pid,
      victims.pages[row]!,
      (nowNs - signalNs) / 1000,
      exitStatus,
      victims.outcome[row]!,
      this.isStorm(userSlot) ? 1 : 0,
    ]);
  }

  /**
   * The end of a victim that has no row: it was gone before it could be opened. What it gave back is what its
   * user has less than when it was signalled.
   */
  tellUnfollowed({ userSlot, pid, tsNs, usagePages }: KernelKill, nowNs: number): void {
    const { users } = this.memory;
    const freedPages = Math.max(0, usagePages - users.usagePages[userSlot]!);
    this.reports.put("killed", nowNs, [
      users.uid[userSlot]!,
      pid,
      freedPages,
      (nowNs - tsNs) / 1000,
      NO_STATUS,
      GraceOutcome.none,
      this.isStorm(userSlot) ? 1 : 0,
    ]);
  }

  /** A row counts no more, and whoever waits for its end need not. */
  forget(row: number): void {
    const userSlot = this.memory.victims.userSlot[row]!;
    const isCurrent = this.rows.isOf(row, userSlot);
    this.rows.free(row);
    if (isCurrent) this.waiting.end(userSlot);
  }

  /** Those that came to share the mm of a victim since it was signalled. */
  private killLateSharers(row: number, ownerPid: number): void {
    const holder = this.rows.freed.holderOf(row);
    if (holder < 0) return;
    const { victims, users } = this.memory;
    if (this.candidates.sharers.find(holder) === 0) return;
    this.candidates.sharers.killLate(ownerPid, users.uid[victims.userSlot[row]!]!);
  }

  /**
   * A victim has ended, but its mm may live on with those that share it: the row follows.
   * @returns false when the memory is gone, or with somebody who has nothing to do with the victim.
   */
  private follows(row: number): boolean {
    const { victims, processes, users } = this.memory;
    const { rows } = this;
    const { sharers } = this.candidates;
    const holder = rows.freed.holderOf(row);
    if (holder < 0) return false;
    const generation = processes.generation[holder]!;
    // Accounting has yet to hear that the victim is gone, and gives the mm to a sharer then.
    if (rows.isAbout(row, holder, generation)) return sharers.find(holder) > 0;
    const userSlot = victims.userSlot[row]!;
    if (!rows.isOf(row, userSlot) || processes.userSlot[holder] !== userSlot) return false;
    const part = this.candidates.verdicts.partOf(holder, generation);
    if (part === Part.apart) return false;
    // Who was not signalled may have executed a program, and the books will hear of it yet. If not,
    // it is a process as any other.
    if (part === Part.unknown) return !this.isHeardOf(row);
    const pid = processes.tgid[holder]!;
    const uid = users.uid[userSlot]!;
    const handle = this.candidates.open(holder, generation, uid);
    // Gone: accounting hears of that, and there may be another one.
    if (handle < 0) return this.candidates.isGone(holder);
    rows.retarget(row, holder, generation, pid, handle);
    this.killLateSharers(row, pid);
    return true;
  }

  /** Whether accounting has heard of what was before the end of a row's victim, or is quiet. */
  private isHeardOf(row: number): boolean {
    const { endedNs } = this;
    if (this.memory.victims.killTsNs[row]! > endedNs[row]!) endedNs[row] = this.candidates.nowNs;
    return this.accountingCounters[CounterIndex.lastTsNs]! >= endedNs[row]! ||
      this.candidates.nowNs - endedNs[row]! >= HEARD_OF_NS;
  }
}
