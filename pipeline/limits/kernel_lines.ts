/**
 * Tells programs in the kernel where each user's line is, and about whom they may decide: not about users
 * whose books are in doubt, because candidate and credit come from these.
 *
 * @module
 */
import { type Books, TableNumber } from "../books/books.ts";
import { NO_LIMIT_PAGES } from "../books/user_table.ts";
import { isPlain } from "../memory/kill_plan.ts";
import { HeaderWord, UserState } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import { asksForCulprit } from "../memory/victim_policy.ts";
import type { ReportWriter } from "../messages/reports.ts";
import { type KernelLimits, LineState } from "../kill/kernel_trigger.ts";
import type { RulesView } from "./published_rules.ts";

/** That the kernel's books of somebody are not exact is told at most so often, for each reason. */
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
  private unknownReportedNs = -Infinity;
  /** By user slot. */
  private readonly isDeciding: Uint8Array;
  /** By user slot: programs have a row for it. */
  private readonly isKnown: Uint8Array;

  constructor(context: KernelLinesContext) {
    this.context = context;
    const { users } = context.memory.plan.capacity;
    this.isDeciding = new Uint8Array(users);
    this.isKnown = new Uint8Array(users);
  }

  /** Whether programs end the user's candidate when a page of it crosses the line. */
  decides(userSlot: number): boolean {
    return this.isDeciding[userSlot] !== 0;
  }

  /** @param isFirstSweep Not everybody is known: nobody is to be killed. */
  tellAll(nowNs: number, isFirstSweep: boolean): void {
    const { users, userSlots } = this.context.books;
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      if (users.state[slot] !== UserState.free) this.tell(slot, nowNs, isFirstSweep);
    }
  }

  /**
   * A sweep has ended, which has everybody booked who has a process: who is not found no room.
   * @param isFirstSweep As of {@link tellAll}.
   */
  sweepEnded(nowNs: number, isFirstSweep: boolean): void {
    this.tellAll(nowNs, isFirstSweep);
    if (nowNs - this.unknownReportedNs < INEXACT_REPORT_NS) return;
    const { users, userSlots } = this.context.books;
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      if (users.state[slot] === UserState.free || users.processCount[slot] === 0) continue;
      if (users.hardPages[slot] === NO_LIMIT_PAGES || this.isKnown[slot] !== 0) continue;
      this.unknownReportedNs = nowNs;
      const { reports } = this.context;
      reports.put("tableFull", nowNs, [TableNumber.kernelUsers, users.uid[slot]!]);
      return;
    }
  }

  /** As {@link tellAll}, of one user. */
  tell(userSlot: number, nowNs: number, isFirstSweep: boolean): void {
    const { memory, books, reports, rules, kernel } = this.context;
    const { uid, hardPages, creditPages, doubtTsNs, plan, victimPolicy, countMask } = books.users;
    const isDoubtful = memory.header[HeaderWord.degraded] !== 0 && doubtTsNs[userSlot] !== 0;
    const { dryRun, arms, kernelTrigger } = rules.settings;
    // They know the candidate, and not who may be one: whom the page decides about, toom decides. What
    // needs thought (another signal, a unit, an end within a grace) is left to it too.
    const policy = victimPolicy[userSlot] || rules.policyWord;
    const mayKill = kernelTrigger && arms && !dryRun && !isDoubtful && !isFirstSweep &&
      isPlain(plan[userSlot]!) && !asksForCulprit(policy);
    const limitPages = hardPages[userSlot]! + creditPages[userSlot]!;
    const state = kernel.set(uid[userSlot]!, limitPages, mayKill, countMask[userSlot]!);
    this.isDeciding[userSlot] = mayKill && state === LineState.exact ? 1 : 0;
    this.isKnown[userSlot] = state === LineState.unknown ? 0 : 1;
    if (state !== LineState.inexact) return;
    if (nowNs - this.inexactReportedNs < INEXACT_REPORT_NS) return;
    this.inexactReportedNs = nowNs;
    reports.put("tableFull", nowNs, [TableNumber.kernelSlots, uid[userSlot]!]);
  }
}
