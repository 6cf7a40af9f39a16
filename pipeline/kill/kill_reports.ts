/**
 * Tells of kills: whose process, why, by how much, and who else was weighed. Made when the signal has been
 * sent (I6).
 *
 * @module
 */
import { SIGKILL, Unit, unitOf } from "../memory/kill_plan.ts";
import { HeaderWord, LANES, Member, type Trigger } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import { tagOf } from "../rules/tag.ts";
import type { ReportWriter } from "../messages/reports.ts";
import type { Candidates } from "./candidates.ts";
import type { KillKernel } from "./kill_kernel.ts";
import type { Receipt } from "./receipt.ts";
import type { VictimRows } from "./victim_rows.ts";

export interface KillReportsContext {
  readonly memory: Memory;
  readonly kernel: KillKernel;
  readonly rows: VictimRows;
  readonly candidates: Candidates;
  readonly reports: ReportWriter;
  readonly receipt: Receipt;
  /** Whether a user has a storm, see storms.ts. */
  readonly isStorm: (userSlot: number) => boolean;
}

/** What is told of a kill. */
export interface KillFacts {
  /** Of the victim; -1: it was gone before it got one. */
  readonly row: number;
  readonly userSlot: number;
  readonly pid: number;
  /** When the line was crossed, and when the signal was sent; nanoseconds. */
  readonly tsNs: number;
  readonly killedNs: number;
  readonly trigger: Trigger;
  /** What the victim had, if it has no row. */
  readonly victimPages?: number;
  /** What the user was charged. */
  readonly usagePages: number;
  readonly creditPages: number;
  readonly isDryRun: boolean;
  /** What was sent; SIGKILL when it is left out. */
  readonly signal?: number;
  /** Of its unit, beside the victim. */
  readonly members?: number;
}

/** What is told of a victim that was not braked. */
const NOT_BRAKED = -1;

/** What the brake had left a process, pages. */
function brakeLeftPages(processes: Memory["processes"], slot: number): number {
  const isBraked = Atomics.load(processes.brakedGeneration1, slot) ===
    processes.generation[slot]! + 1;
  return isBraked ? processes.brakeLeftPages[slot]! : NOT_BRAKED;
}

export class KillReports {
  private readonly context: KillReportsContext;

  constructor(context: KillReportsContext) {
    this.context = context;
  }

  /** Pages of each member that the victim has on the books now; -1 each when they are not known. */
  private memberPages(row: number): number[] {
    const { victims, mms } = this.context.memory;
    const mm = row < 0 ? -1 : victims.mmSlot1[row]! - 1;
    const isKnown = mm >= 0 && mms.generation[mm] === victims.mmGeneration[row];
    const { file, anon, swap, shmem } = Member;
    return [file, anon, swap, shmem].map((member) =>
      isKnown ? Math.max(0, mms.pages[mm * LANES.i32x4 + member]!) : -1
    );
  }

  put(facts: KillFacts): void {
    const { memory, kernel, rows, candidates, reports, receipt, isStorm } = this.context;
    const { users, processes, victims, header } = memory;
    const { row, userSlot, pid, tsNs, killedNs, trigger, usagePages, creditPages } = facts;
    const signal = facts.signal ?? SIGKILL;
    // The victim is dying by now, so this ranks those that were weighed beside it.
    candidates.rankOthers(userSlot);
    reports.put(
      "kill",
      killedNs,
      [
        users.uid[userSlot]!,
        pid,
        trigger,
        usagePages,
        users.hardPages[userSlot]!,
        row < 0 ? facts.victimPages ?? 0 : victims.pages[row]!,
        (killedNs - tsNs) / 1000,
        facts.isDryRun ? 1 : 0,
        row < 0 ? 0 : victims.sharers[row]!,
        creditPages,
        rows.freed.pages(userSlot),
        Atomics.load(header, HeaderWord.degraded),
        row < 0 ? NOT_BRAKED : brakeLeftPages(processes, victims.processSlot[row]!),
        candidates.ranking.policyWordOf(userSlot),
        // A program in the kernel has killed before the killer heard of it.
        candidates.nowNs > killedNs ? -1 : (candidates.nowNs - tsNs) / 1000,
        ...this.memberPages(row),
        signal,
        facts.members === undefined ? Unit.process : unitOf(users.plan[userSlot]!),
        facts.members ?? 0,
        signal === SIGKILL ? 0 : users.killGraceMs[userSlot]!,
        signal === SIGKILL ? 0 : users.ceilingPages[userSlot]!,
        isStorm(userSlot) ? 1 : 0,
        row < 0 ? 0 : tagOf(processes, victims.processSlot[row]!),
      ],
      kernel.comm(pid),
      receipt.rows(userSlot, pid, candidates.nowNs),
    );
  }
}
