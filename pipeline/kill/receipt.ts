/**
 * Who was there beside a victim: those that were weighed, with what decided, and those that were left
 * out, with the reason. Made when the signal has been sent (I6), for whoever asks why.
 *
 * @module
 */
import { ownPages } from "../books/charge.ts";
import { UserRows } from "../books/user_rows.ts";
import { ProcessState, REPORT_ROW_F64S } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import { Fate, REPORT_ROWS } from "../messages/reports.ts";
import { effectOf, tagOf } from "../rules/tag.ts";
import { Effect } from "../rules/victim_rule.ts";
import type { Ranking } from "./ranking.ts";
import type { Verdicts } from "./verdicts.ts";
import type { VictimRows } from "./victim_rows.ts";

/** Rows that a report has room for. */
export const RECEIPT_ROWS_MAX = Math.floor(REPORT_ROW_F64S / REPORT_ROWS.kill.length);
/** Of these, for those that were left out; the largest are told of. */
const LEFT_OUT_MAX = 3;

export class Receipt {
  private readonly memory: Memory;
  private readonly ranking: Ranking;
  private readonly verdicts: Verdicts;
  private readonly victims: VictimRows;
  private readonly userRows: UserRows;

  constructor(memory: Memory, ranking: Ranking, verdicts: Verdicts, victims: VictimRows) {
    this.memory = memory;
    this.ranking = ranking;
    this.verdicts = verdicts;
    this.victims = victims;
    this.userRows = new UserRows(memory);
  }

  /**
   * Rows of a kill's report.
   *
   * @param pid The victim: not told of here.
   * @returns Of those weighed, which the ranking holds, best first; then of those left out.
   */
  rows(userSlot: number, pid: number, nowNs: number): number[] {
    const leftOut = this.leftOut(userSlot, pid, nowNs);
    const room = RECEIPT_ROWS_MAX - leftOut.length;
    const rows: number[] = [];
    const { processes } = this.memory;
    for (let i = 0; i < Math.min(this.ranking.count, room); i++) {
      const one = this.ranking.best[i]!;
      const oomScoreAdj = this.verdicts.scoreAdjOf(one.slot, one.generation);
      const tag = tagOf(processes, one.slot);
      rows.push(one.pid, one.pages, one.freesPages, one.score, oomScoreAdj, Fate.weighed, tag);
    }
    for (const { slot, fate } of leftOut) {
      const oomScoreAdj = this.verdicts.scoreAdjOf(slot, processes.generation[slot]!);
      const pages = processes.pages[slot]!;
      const freesPages = ownPages(processes, slot);
      const tag = tagOf(processes, slot);
      rows.push(processes.tgid[slot]!, pages, freesPages, 0, oomScoreAdj, fate, tag);
    }
    return rows;
  }

  /** The largest of those that could not be chosen. */
  private leftOut(userSlot: number, pid: number, nowNs: number): { slot: number; fate: Fate }[] {
    const { processes } = this.memory;
    const found: { slot: number; fate: Fate }[] = [];
    const { rows, count } = this.userRows.of(userSlot);
    for (let i = 0; i < count; i++) {
      const slot = rows[i]!;
      if (processes.userSlot[slot] !== userSlot || processes.state[slot] === ProcessState.free) {
        continue;
      }
      if (processes.pages[slot]! <= 0 || processes.tgid[slot] === pid) continue;
      const fate = this.fateOf(slot, nowNs);
      if (fate === Fate.weighed) continue;
      found.push({ slot, fate });
      found.sort((a, b) => processes.pages[b.slot]! - processes.pages[a.slot]!);
      if (found.length > LEFT_OUT_MAX) found.pop();
    }
    return found;
  }

  private fateOf(slot: number, nowNs: number): Fate {
    const generation = this.memory.processes.generation[slot]!;
    if (this.victims.isVictim(slot, generation)) return Fate.dying;
    if (this.verdicts.protectorOf(slot, generation) !== 0) return Fate.protected;
    if (effectOf(tagOf(this.memory.processes, slot)) === Effect.protect) return Fate.protected;
    if (this.verdicts.isOut(slot, generation, nowNs)) return Fate.spared;
    return this.ranking.avoids(slot) ? Fate.avoided : Fate.weighed;
  }
}
