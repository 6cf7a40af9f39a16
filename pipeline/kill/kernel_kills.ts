/**
 * What the killer has to do with programs in the kernel that end the candidate themselves: it tells them
 * who that is and who is dying already, and takes over what they have signalled.
 *
 * @module
 */
import type { KernelCandidates } from "./kernel_trigger.ts";
import { CounterIndex, ProcessFlag, Trigger } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import type { Candidates } from "./candidates.ts";
import { RefusedStep, type ReportWriter } from "../messages/reports.ts";
import type { KillKernel } from "./kill_kernel.ts";
import type { KillReports } from "./kill_reports.ts";
import type { VictimRows } from "./victim_rows.ts";

/** That the kernel refuses a call is told at most so often. */
const REFUSAL_REPORT_NS = 60e9;

/** The killer has signalled it at the same moment, and told of it. */
const VICTIM_ALREADY = -2;

export interface KernelKillsContext {
  readonly memory: Memory;
  readonly kernel: KillKernel;
  readonly rows: VictimRows;
  readonly candidates: Candidates;
  readonly kernelCandidates: KernelCandidates;
  readonly reports: ReportWriter;
  readonly counters: Float64Array;
  readonly killReports: KillReports;
}

/** What a program tells of a process that it has signalled. */
export interface KernelKill {
  readonly userSlot: number;
  readonly pid: number;
  /** When it was signalled; nanoseconds. */
  readonly tsNs: number;
  /** From the page to the signal. */
  readonly tookNs: number;
  readonly usagePages: number;
}

/** `already`: the killer has signalled it too, and told of it. */
export type Adopted = "already" | "followed" | "unfollowed";

export class KernelKills {
  private readonly context: KernelKillsContext;
  private refusedNs = -Infinity;

  constructor(context: KernelKillsContext) {
    this.context = context;
  }

  /**
   * Makes the armed candidate of a user known to the programs. One that lends its mm is not: whoever runs
   * on that mm goes with it, and these must be found first.
   */
  arm(userSlot: number): void {
    const { memory, rows, kernelCandidates, candidates } = this.context;
    const { users, victims, processes } = memory;
    const row = rows.armedOf(userSlot);
    if (row < 0) return;
    const slot = victims.processSlot[row]!;
    if ((processes.flags[slot]! & ProcessFlag.lends) !== 0) return;
    const mmId = this.mmIdOf(slot);
    if (mmId === 0) return;
    kernelCandidates.arm(users.uid[userSlot]!, victims.pid[row]!, mmId);
    // The sweeper disarms whom a rule has come to protect, and may have looked before it was armed.
    if (candidates.isRuleProtected(slot) || candidates.ranking.avoids(slot)) {
      kernelCandidates.disarm(users.uid[userSlot]!);
    }
  }

  /** The id of the mm that a process runs on; 0 when no event has named it. */
  private mmIdOf(processSlot: number): number {
    const { processes, mms } = this.context.memory;
    const mm1 = processes.mmSlot1[processSlot]!;
    return mm1 === 0 ? 0 : mms.mmId[mm1 - 1]!;
  }

  /** The killer has signalled a process: for the programs too, what it has is pending. */
  noteDying(uid: number, pid: number, processSlot: number): void {
    const { kernelCandidates, candidates, reports } = this.context;
    const refusal = kernelCandidates.noteDying(uid, pid, this.mmIdOf(processSlot));
    if (refusal === undefined || candidates.nowNs - this.refusedNs < REFUSAL_REPORT_NS) return;
    this.refusedNs = candidates.nowNs;
    const text = new TextEncoder().encode(refusal);
    reports.put("kernelRefused", candidates.nowNs, [RefusedStep.dying], text);
  }

  /**
   * A program has signalled a process: from here on it is a victim like others, and told of like others.
   * One that is gone already, or for which there is no row, is nobody's to follow.
   */
  take({ userSlot, pid, tsNs, tookNs, usagePages }: KernelKill): Adopted {
    const { memory, rows, counters, killReports } = this.context;
    const { users, processes } = memory;
    const slot = rows.findProcess(pid);
    const victimPages = slot < 0 ? 0 : processes.pages[slot]!;
    const row = this.adopt(userSlot, pid, slot, tsNs);
    if (row === VICTIM_ALREADY) return "already";
    users.kills[userSlot]!++;
    counters[CounterIndex.kills]!++;
    killReports.put({
      row,
      userSlot,
      pid,
      victimPages,
      tsNs: tsNs - tookNs,
      trigger: Trigger.kernel,
      killedNs: tsNs,
      usagePages,
      creditPages: users.creditPages[userSlot]!,
      isDryRun: false,
    });
    return row < 0 ? "unfollowed" : "followed";
  }

  /**
   * @param processSlot Of the process in the tables; -1 when it has none any more.
   * @param tsNs When it was signalled.
   * @returns Its row; -1: it is gone already, or there is no room; {@link VICTIM_ALREADY}.
   */
  private adopt(userSlot: number, pid: number, processSlot: number, tsNs: number): number {
    const { memory, kernel, rows, candidates } = this.context;
    const { users, victims, processes } = memory;
    if (processSlot >= 0 && rows.isVictim(processSlot, processes.generation[processSlot]!)) {
      return VICTIM_ALREADY;
    }
    const row = this.rowOf(userSlot, pid, processSlot);
    if (row < 0) return row;
    const slot = victims.processSlot[row]!;
    const pages = processes.pages[slot]!;
    const { sharers } = candidates;
    let sharerCount = 0;
    if ((processes.flags[slot]! & ProcessFlag.lends) !== 0) {
      const uid = users.uid[userSlot]!;
      if (candidates.openSharers(slot, pid, uid)) sharerCount = sharers.kill(uid);
    }
    kernel.reap(victims.pidfd[row]!, pid, processes.taskCount[slot]! > 1);
    if (sharerCount > 0) sharers.hurry();
    sharers.close();
    rows.markDying(row, tsNs, pages, sharerCount, false);
    return row;
  }

  private rowOf(userSlot: number, pid: number, processSlot: number): number {
    const { memory, kernel, rows, candidates } = this.context;
    const { victims, processes } = memory;
    const armed = rows.armedOf(userSlot);
    if (armed >= 0 && victims.pid[armed] === pid) return armed;
    if (processSlot < 0) return -1;
    const handle = kernel.open(pid);
    if (handle < 0) return -1;
    const generation = processes.generation[processSlot]!;
    const row = rows.arm(userSlot, processSlot, generation, handle, candidates.nowNs, true);
    if (row < 0) kernel.close(handle);
    return row;
  }
}
