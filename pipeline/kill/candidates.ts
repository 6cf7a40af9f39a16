/**
 * The candidates of a kill: ranks a user's processes, opens and checks them, and remembers what it
 * found out about each, so that the killer can tell beforehand whether killing would help.
 *
 * @module
 */
import { CHECK_HOLDS_NS } from "../memory/timing.ts";
import { CounterIndex, ProcessState } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import type { VictimPolicy } from "../memory/settings.ts";
import { chargedPages, ownPages } from "../books/charge.ts";
import { type KillKernel, Refusal } from "./kill_kernel.ts";
import { type LeavesOut, Ranking } from "./ranking.ts";
import { effectOf, tagOf } from "../rules/tag.ts";
import { Effect } from "../rules/victim_rule.ts";
import type { ReportWriter } from "../messages/reports.ts";
import { Sharers } from "./sharers.ts";
import { UserRows } from "../books/user_rows.ts";
import { Verdicts } from "./verdicts.ts";
import type { VictimRows } from "./victim_rows.ts";

/** man 3 errno */
export const ESRCH = 3;

export interface CandidatesContext {
  readonly memory: Memory;
  readonly kernel: KillKernel;
  /** As it is at the start: see {@link Ranking.policy}. */
  readonly policy: VictimPolicy;
  readonly rows: VictimRows;
  readonly reports: ReportWriter;
  readonly counters: Float64Array;
  /** Tells accounting that a process is gone. */
  readonly tellEnded: (pid: number, processSlot: number, generation: number) => void;
}

export class Candidates {
  readonly ranking: Ranking;
  readonly verdicts: Verdicts;
  readonly sharers: Sharers;
  /** Pages of candidates that turned out to be gone, and are on the books still. */
  gonePages = 0;
  /** Time of the act under way. */
  nowNs = 0;
  private readonly memory: Memory;
  private readonly kernel: KillKernel;
  private readonly rows: VictimRows;
  private readonly reports: ReportWriter;
  private readonly counters: Float64Array;
  private readonly tellEnded: CandidatesContext["tellEnded"];
  private readonly userRows: UserRows;
  private readonly firstOf: (processSlot: number, generation: number) => number;
  private readonly leavesOut: LeavesOut;
  /** Candidates that turned out to be gone in the act under way. */
  private endedCount = 0;
  /** Number of the act under way, and by process slot that in which it turned out to be gone. */
  private actNumber = 0;
  private readonly endedIn: Int32Array;

  constructor(context: CandidatesContext) {
    const { memory, kernel } = context;
    this.memory = memory;
    this.kernel = kernel;
    this.rows = context.rows;
    this.reports = context.reports;
    this.counters = context.counters;
    this.tellEnded = context.tellEnded;
    this.ranking = new Ranking(memory, context.policy);
    this.userRows = new UserRows(memory);
    this.verdicts = new Verdicts(memory);
    this.sharers = new Sharers(memory, kernel, this.verdicts);
    this.endedIn = new Int32Array(memory.plan.capacity.processes);
    this.leavesOut = (slot, generation) => this.mustLeaveOut(slot, generation);
    this.firstOf = (slot, generation) => this.verdicts.volunteered(slot, generation);
  }

  /** From here on, what was found gone before is looked at anew. */
  begin(nowNs: number): void {
    this.nowNs = nowNs;
    this.gonePages = 0;
    this.endedCount = 0;
    this.actNumber = (this.actNumber + 1) | 0;
  }

  rank(userSlot: number, leastPages: number, needPages: number): void {
    const firstOf = this.verdicts.volunteerCount > 0 ? this.firstOf : undefined;
    const leavesOut = this.leavesNobodyOut ? undefined : this.leavesOut;
    this.ranking.rank(userSlot, this.nowNs, leavesOut, leastPages, firstOf, needPages);
  }

  /** Ranks those that were weighed beside a victim, now that it is dying. */
  rankOthers(userSlot: number): void {
    this.ranking.rank(userSlot, this.nowNs, this.leavesOut);
  }

  /** Nobody is gone, dying or spared. So it is mostly, and then no row is looked at for that. */
  private get leavesNobodyOut(): boolean {
    return this.endedCount === 0 && this.rows.signalled === 0 &&
      this.verdicts.outUntilNs <= this.nowNs;
  }

  /** Whether a process must be left out: it is gone, a victim already, or was spared for a while. */
  mustLeaveOut(slot: number, generation: number): boolean {
    return !this.leavesNobodyOut &&
      (this.isGone(slot) || this.verdicts.isOut(slot, generation, this.nowNs) ||
        this.rows.isVictim(slot, generation));
  }

  /**
   * Whether those that may be killed would bring the user to or below hard, and not only for the
   * moment: what the protected have gained within the last second would be gained again. Asked when
   * the first candidate does not suffice alone, or somebody is protected. Reads no more processes
   * than would have to be killed.
   */
  isWorthwhile(userSlot: number): boolean {
    const { processes } = this.memory;
    const { ranking, verdicts } = this;
    let isCertain = false;
    // Each round may find that one more is protected, so that the sums must be made anew.
    while (!isCertain) {
      let killablePages = 0;
      let wantedPages = this.overPages(userSlot);
      const { rows, count } = this.userRows.of(userSlot);
      for (let i = 0; i < count; i++) {
        const slot = rows[i]!;
        if (!this.isCandidate(slot, userSlot)) continue;
        const generation = processes.generation[slot]!;
        const isProtected = this.isRuleProtected(slot);
        if (isProtected || verdicts.protectorOf(slot, generation) !== 0) {
          wantedPages += Math.max(0, ranking.gainedPages(slot, this.nowNs));
        }
        if (!isProtected && !this.mustLeaveOut(slot, generation)) {
          killablePages += ownPages(processes, slot);
        }
      }
      if (killablePages < wantedPages) return false;
      isCertain = this.verify(userSlot, rows, count, wantedPages);
    }
    return true;
  }

  /** @returns false when somebody had to be left out, and the sums are not what they were. */
  private verify(userSlot: number, rows: Int32Array, count: number, wantedPages: number): boolean {
    const { processes, users } = this.memory;
    const { ranking, verdicts } = this;
    const uid = users.uid[userSlot]!;
    let pages = 0;
    // The best first, as they would go first; they may come a second time among all.
    for (let i = -ranking.count; i < count && pages < wantedPages; i++) {
      const slot = i < 0 ? ranking.best[ranking.count + i]!.slot : rows[i]!;
      if (!this.isCandidate(slot, userSlot)) continue;
      const generation = processes.generation[slot]!;
      if (this.isRuleProtected(slot) || this.mustLeaveOut(slot, generation)) continue;
      if (i >= 0 && this.isRanked(slot)) continue;
      if (!verdicts.isAccepted(slot, generation, this.nowNs - CHECK_HOLDS_NS)) {
        const handle = this.open(slot, generation, uid);
        if (handle < 0) return false;
        this.kernel.close(handle);
        if (!this.openSharers(slot, processes.tgid[slot]!, uid)) return false;
        this.sharers.close();
      }
      pages += ownPages(processes, slot);
    }
    return true;
  }

  /** Whether killing may not help, because somebody is protected: of the user by a rule, or at all. */
  get isAnyProtected(): boolean {
    return this.ranking.hasProtected || this.verdicts.protectedCount > 0;
  }

  /** Whether a rule protects a process. */
  isRuleProtected(slot: number): boolean {
    return effectOf(tagOf(this.memory.processes, slot)) === Effect.protect;
  }

  private isCandidate(slot: number, userSlot: number): boolean {
    const { processes } = this.memory;
    return processes.userSlot[slot] === userSlot && processes.state[slot] !== ProcessState.free &&
      processes.pages[slot]! > 0;
  }

  private isRanked(slot: number): boolean {
    for (let i = 0; i < this.ranking.count; i++) {
      if (this.ranking.best[i]!.slot === slot) return true;
    }
    return false;
  }

  /** Names those that are protected, the largest first. */
  reportNoVictim(userSlot: number): void {
    const { users, processes } = this.memory;
    const { verdicts } = this;
    const pids = [0, 0, 0];
    const pages = [0, 0, 0];
    // Of the largest: what a rule says of it.
    let tag = 0;
    let count = 0;
    let protectedPages = 0;
    const { rows, count: rowCount } = this.userRows.of(userSlot);
    for (let i = 0; i < rowCount; i++) {
      const slot = rows[i]!;
      if (!this.isCandidate(slot, userSlot)) continue;
      const pid = this.isRuleProtected(slot)
        ? processes.tgid[slot]!
        : verdicts.protectorOf(slot, processes.generation[slot]!);
      if (pid === 0) continue;
      const held = processes.pages[slot]!;
      count++;
      protectedPages += held;
      const at = pages.findIndex((other) => held > other);
      if (at < 0) continue;
      if (at === 0) tag = tagOf(processes, slot);
      pids.splice(at, 0, pid);
      pages.splice(at, 0, held);
      pids.length = pages.length = 3;
    }
    this.reports.put("noVictim", this.nowNs, [
      users.uid[userSlot]!,
      chargedPages(users, userSlot),
      users.hardPages[userSlot]!,
      count,
      protectedPages,
      this.rows.stuckPages(userSlot),
      ...pids,
      tag,
    ], count > 0 ? this.kernel.comm(pids[0]!) : undefined);
  }

  /** Opens and checks a candidate. @returns Its handle, -1 when it must be left alone. */
  open(slot: number, generation: number, uid: number): number {
    const pid = this.memory.processes.tgid[slot]!;
    const handle = this.kernel.open(pid);
    if (handle < 0) {
      if (handle === -ESRCH) this.gone(slot, generation, pid);
      else this.fails(slot, uid, pid, -handle);
      return -1;
    }
    const refusal = this.kernel.check(handle, pid, uid);
    if (refusal === Refusal.none) {
      this.verdicts.accept(slot, this.nowNs);
      return handle;
    }
    this.kernel.close(handle);
    this.refuses(slot, generation, uid, pid, refusal);
    return -1;
  }

  /** What a check said against a candidate. */
  refuses(
    slot: number,
    generation: number,
    uid: number,
    pid: number,
    refusal: number,
  ): void {
    if (refusal === Refusal.gone) this.gone(slot, generation, pid);
    else if (refusal === Refusal.protected) this.verdicts.protect(slot, this.kernel.nowNs(), pid);
    else if (refusal === Refusal.unknown) this.fails(slot, uid, pid, 0);
    else this.verdicts.leaveOut(slot, this.kernel.nowNs());
  }

  /** It is there, and cannot be killed: told, counted, and left alone for a while. */
  private fails(slot: number, uid: number, pid: number, errno: number): void {
    const nowNs = this.kernel.nowNs();
    this.verdicts.leaveOut(slot, nowNs);
    this.counters[CounterIndex.killsFailed]!++;
    this.reports.put("killFailed", nowNs, [uid, pid, errno]);
  }

  /** How far a user is over its hard limit, without what is being freed already; pages. */
  overPages(userSlot: number): number {
    return this.rows.freed.overPages(userSlot) - this.gonePages;
  }

  /**
   * Opens and checks those that share the mm of a candidate.
   * @returns false when one of them must not be killed: the memory would stay, so all are left alone.
   */
  openSharers(slot: number, pid: number, uid: number): boolean {
    const { sharers } = this;
    if (sharers.find(slot) === 0 || sharers.open(pid, uid)) return true;
    this.verdicts.protect(slot, this.kernel.nowNs(), sharers.protector);
    return false;
  }

  /** Whether a process turned out to be gone in the act under way. */
  isGone(slot: number): boolean {
    return this.endedCount > 0 && this.endedIn[slot] === this.actNumber;
  }

  /** It is gone: accounting is told. */
  gone(slot: number, generation: number, pid: number): void {
    const { processes } = this.memory;
    if (processes.generation[slot] === generation) {
      this.gonePages += ownPages(processes, slot);
      // Until accounting has heard of it, it is on the books still.
      this.endedIn[slot] = this.actNumber;
      this.endedCount++;
    }
    this.tellEnded(pid, slot, generation);
  }
}
