/**
 * Reads oom_score_adj before it is needed: a process that raised its own to 500 or more has
 * volunteered. Writing it is no event, so the killer reads it when it arms, and at the kill only of
 * those of whom nothing is known.
 *
 * @module
 */
import type { KillKernel } from "./kill_kernel.ts";
import type { Memory } from "./memory.ts";
import type { Ranking } from "./ranking.ts";
import { UserRows } from "./user_rows.ts";
import type { Verdicts } from "./verdicts.ts";

/** A user's are read at most so often. */
const REFRESH_NS = 10e6;
/** Processes beyond the best candidates that are read each time, in turn. */
const OTHERS_A_TURN = 8;

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

  /** Reads the best candidates, and some of the others, unless that was done a moment ago. */
  refresh(userSlot: number, ranking: Ranking, nowNs: number): void {
    if (nowNs - this.readNs[userSlot]! < REFRESH_NS) return;
    this.readNs[userSlot] = nowNs;
    for (let i = 0; i < ranking.count; i++) this.read(ranking.processSlots[i]!, nowNs);
    const { userSlot: owner, pages, generation } = this.memory.processes;
    const { rows, count } = this.userRows.of(userSlot);
    if (count <= ranking.count) return;
    for (let i = 0; i < Math.min(count, OTHERS_A_TURN); i++) {
      const slot = rows[this.turn++ % count]!;
      if (owner[slot] !== userSlot || pages[slot]! <= 0) continue;
      if (this.verdicts.scoreReadNs(slot, generation[slot]!) < nowNs) this.read(slot, nowNs);
    }
  }

  /**
   * At the kill: reads those candidates of whom nothing is known, if there is a choice at all.
   * @returns Whether one of them has volunteered.
   */
  readUnknown(ranking: Ranking, nowNs: number): boolean {
    if (ranking.count < 2) return false;
    const { verdicts } = this;
    let found = false;
    for (let i = 0; i < ranking.count; i++) {
      const slot = ranking.processSlots[i]!;
      const generation = ranking.generations[i]!;
      if (verdicts.scoreReadNs(slot, generation) > -Infinity) continue;
      this.read(slot, nowNs);
      found ||= verdicts.volunteered(slot, generation) > 0;
    }
    return found;
  }

  private read(slot: number, nowNs: number): void {
    const scoreAdj = this.kernel.oomScoreAdj(this.memory.processes.tgid[slot]!);
    this.verdicts.noteScoreAdj(slot, scoreAdj, nowNs);
  }
}
