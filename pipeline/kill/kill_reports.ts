/**
 * Tells of kills: whose process, why, by how much, and who else was weighed. Made when the signal has been
 * sent (I6).
 *
 * @module
 */
import { HeaderWord, type Trigger } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
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
}

export class KillReports {
  private readonly context: KillReportsContext;

  constructor(context: KillReportsContext) {
    this.context = context;
  }

  put(facts: KillFacts): void {
    const { memory, kernel, rows, candidates, reports, receipt } = this.context;
    const { users, victims, header } = memory;
    const { row, userSlot, pid, tsNs, killedNs, trigger, usagePages, creditPages } = facts;
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
      ],
      kernel.comm(pid),
      receipt.rows(userSlot, pid, candidates.nowNs),
    );
  }
}
