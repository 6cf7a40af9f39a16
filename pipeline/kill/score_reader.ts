/**
 * Reads oom_score_adj before it is needed: a process that raised its own to 500 or more has
 * volunteered. Writing it is no event, so the killer reads it when it arms, and at the kill only of
 * those of whom nothing is known.
 *
 * @module
 */
import type { KillKernel } from "./kill_kernel.ts";
import type { Memory } from "../memory/memory.ts";
import type { Ranking } from "./ranking.ts";
import { UserRows } from "../books/user_rows.ts";
import type { Verdicts } from "./verdicts.ts";

/** Processes read at one arming but the first: each costs some 12 us, in which accounting waits. */
const READS_A_TURN = 1;
/** What was read longer ago is read again. */
const HOLDS_NS = 10e6;
/** A user that was armed for so shortly before is known; else its best candidates are read. */
const ARMED_NS = 100e6;

export class ScoreReader {
  private readonly memory: Memory;
  private readonly kernel: KillKernel;
  private readonly verdicts: Verdicts;
  private readonly userRows: UserRows;
  /** By user slot: when its processes were read last. */
  private readonly readNs: Float64Array;
  private turn = 0;

  constructor(memory: Memory, kernel: KillKernel, verdicts: Verdicts) {
    this.memory = memory;
    this.kernel = kernel;
    this.verdicts = verdicts;
    this.userRows = new UserRows(memory);
    this.readNs = new Float64Array(memory.plan.capacity.users).fill(-Infinity);
  }

  /** Reads some: those of whom nothing is known, the best candidates first; else who is next. */
  refresh(userSlot: number, ranking: Ranking, nowNs: number): void {
    // The first time it has just passed soft, and there is time until hard.
    const isFirst = nowNs - this.readNs[userSlot]! >= ARMED_NS;
    this.readNs[userSlot] = nowNs;
    const left = this.readRanked(ranking, isFirst ? ranking.count : READS_A_TURN, 0, nowNs);
    const { userSlot: owner, pages } = this.memory.processes;
    const { rows, count } = this.userRows.of(userSlot);
    if (left > 0 && count > ranking.count) {
      let reads = Math.min(left, READS_A_TURN);
      for (let i = 0; i < count && reads > 0; i++) {
        const slot = rows[this.turn++ % count]!;
        if (owner[slot] !== userSlot || pages[slot]! <= 0) continue;
        if (this.ageNs(slot, nowNs) < HOLDS_NS) continue;
        this.read(slot, nowNs);
        reads--;
      }
    } else this.readRanked(ranking, Math.min(left, READS_A_TURN), HOLDS_NS, nowNs);
  }

  /** Reads ranked ones of whom nothing is known, or with `holdsNs` > 0 what is older. */
  private readRanked(ranking: Ranking, reads: number, holdsNs: number, nowNs: number): number {
    for (let i = 0; i < ranking.count && reads > 0; i++) {
      const { slot } = ranking.best[i]!;
      const ageNs = this.ageNs(slot, nowNs);
      if (holdsNs > 0 ? ageNs < holdsNs : ageNs !== Infinity) continue;
      this.read(slot, nowNs);
      reads--;
    }
    return reads;
  }

  private ageNs(slot: number, nowNs: number): number {
    return nowNs - this.verdicts.scoreReadNs(slot, this.memory.processes.generation[slot]!);
  }

  /**
   * At the kill, when there is a choice: reads those candidates of whom nothing is known, if nothing
   * was armed shortly before.
   * @returns Whether one of them has volunteered.
   */
  readUnknown(userSlot: number, ranking: Ranking, nowNs: number): boolean {
    if (nowNs - this.readNs[userSlot]! < ARMED_NS) return false;
    this.readNs[userSlot] = nowNs;
    this.readRanked(ranking, ranking.count, 0, nowNs);
    for (let i = 0; i < ranking.count; i++) {
      const { slot, generation } = ranking.best[i]!;
      if (this.verdicts.volunteered(slot, generation) > 0) return true;
    }
    return false;
  }

  private read(slot: number, nowNs: number): void {
    const scoreAdj = this.kernel.oomScoreAdj(this.memory.processes.tgid[slot]!);
    this.verdicts.noteScoreAdj(slot, scoreAdj, nowNs);
  }
}
