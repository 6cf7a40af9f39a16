/**
 * Tells programs in the kernel where each user's line is, and about whom they may decide: not about users
 * whose books are in doubt, because candidate and credit come from these.
 *
 * @module
 */
import { type Books, TableNumber } from "../books/books.ts";
import { HeaderWord, UserState } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import type { ReportWriter } from "../messages/reports.ts";
import type { KernelLimits } from "../kill/kernel_trigger.ts";
import type { RulesView } from "./published_rules.ts";

/** That the kernel's books of somebody are not exact is told at most so often. */
const INEXACT_REPORT_NS = 60e9;

export interface KernelLinesContext {
  readonly memory: Memory;
  readonly books: Books;
  readonly reports: ReportWriter;
  readonly rules: RulesView;
  readonly kernel: KernelLimits;
}

export class KernelLines {
  private readonly context: KernelLinesContext;
  private inexactReportedNs = -Infinity;

  constructor(context: KernelLinesContext) {
    this.context = context;
  }

  /** @param isFirstSweep Not everybody is known: nobody is to be killed. */
  tellAll(nowNs: number, isFirstSweep: boolean): void {
    const { users, userSlots } = this.context.books;
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      if (users.state[slot] !== UserState.free) this.tell(slot, nowNs, isFirstSweep);
    }
  }

  /** As {@link tellAll}, of one user. */
  tell(userSlot: number, nowNs: number, isFirstSweep: boolean): void {
    const { memory, books, reports, rules, kernel } = this.context;
    const { uid, hardPages, creditPages, doubtTsNs } = books.users;
    const isDoubtful = memory.header[HeaderWord.degraded] !== 0 && doubtTsNs[userSlot] !== 0;
    const { dryRun, arms, kernelTrigger } = rules.settings;
    const mayKill = kernelTrigger && arms && !dryRun && !isDoubtful && !isFirstSweep;
    const limitPages = hardPages[userSlot]! + creditPages[userSlot]!;
    if (kernel.set(uid[userSlot]!, limitPages, mayKill)) return;
    if (nowNs - this.inexactReportedNs < INEXACT_REPORT_NS) return;
    this.inexactReportedNs = nowNs;
    reports.put("tableFull", nowNs, [TableNumber.kernelSlots, uid[userSlot]!]);
  }
}
