/**
 * What the killer has learned of single processes, by slot and generation: who is not to be
 * considered for a while, who is protected, whose identity was found right, who has volunteered.
 *
 * @module
 */
import { LEAVE_OUT_NS } from "../memory/timing.ts";
import type { Memory } from "../memory/memory.ts";

/** Who raised its oom_score_adj at least so far goes first, if that suffices. proc(5) */
export const VOLUNTEER_SCORE_ADJ = 500;

/** What one has to do with a victim whose mm the books say that it shares. */
export const Part = { unknown: 0, signalled: 1, apart: 2 } as const;

export class Verdicts {
  /** Pid that protects each process: its own, or that of one that shares its mm. 0 none. */
  readonly protector: Int32Array;
  private readonly generation: Int32Array;
  private readonly processGeneration: Int32Array;
  private readonly leftOutUntilNs: Float64Array;
  private readonly goodNs: Float64Array;
  private readonly scoreAdj: Int16Array;
  private readonly scoreNs: Float64Array;
  /** {@link Part}. */
  private readonly part: Uint8Array;
  /** Until then somebody may be out, see {@link isOut}; after it nobody is, and nobody looks. */
  outUntilNs = -Infinity;
  /** Processes of anybody that were found protected; with none, nobody looks who it is. */
  protectedCount = 0;
  /** Processes of anybody that have volunteered; with none, nobody looks who it is. */
  volunteerCount = 0;
  private lastLeftOutUntilNs = -Infinity;
  /** Rows whose part is {@link Part.signalled}. */
  private signalledParts = 0;

  constructor(memory: Memory) {
    const { processes } = memory.plan.capacity;
    this.processGeneration = memory.processes.generation;
    this.protector = new Int32Array(processes);
    this.generation = new Int32Array(processes).fill(-1);
    this.leftOutUntilNs = new Float64Array(processes);
    this.goodNs = new Float64Array(processes);
    this.scoreAdj = new Int16Array(processes);
    this.scoreNs = new Float64Array(processes);
    this.part = new Uint8Array(processes);
  }

  /** Forgets what is known of the process that had the slot before. */
  private renew(slot: number): void {
    const generation = this.processGeneration[slot]!;
    if (this.generation[slot] === generation) return;
    if (this.scoreAdj[slot]! >= VOLUNTEER_SCORE_ADJ) this.volunteerCount--;
    if (this.protector[slot] !== 0) this.protectedCount--;
    this.generation[slot] = generation;
    this.protector[slot] = 0;
    this.leftOutUntilNs[slot] = 0;
    this.goodNs[slot] = -Infinity;
    this.scoreAdj[slot] = 0;
    this.scoreNs[slot] = -Infinity;
    this.setPart(slot, Part.unknown);
  }

  private setPart(slot: number, part: number): void {
    if (this.part[slot] === Part.signalled) this.signalledParts--;
    if (part === Part.signalled) this.signalledParts++;
    this.part[slot] = part;
    this.noteOut();
  }

  /** Who is part of a kill is out until that is over, and nobody knows when that will be. */
  private noteOut(): void {
    this.outUntilNs = this.signalledParts > 0 ? Infinity : this.lastLeftOutUntilNs;
  }

  private knows(slot: number, generation: number): boolean {
    return this.generation[slot] === generation;
  }

  /** It must be left alone for a second. */
  leaveOut(slot: number, nowNs: number): void {
    this.renew(slot);
    this.leftOutUntilNs[slot] = nowNs + LEAVE_OUT_NS;
    this.lastLeftOutUntilNs = Math.max(this.lastLeftOutUntilNs, nowNs + LEAVE_OUT_NS);
    this.noteOut();
    this.goodNs[slot] = -Infinity;
  }

  /** Whether it is left alone for a while, or was signalled with a victim whose mm it shares. */
  isOut(slot: number, generation: number, nowNs: number): boolean {
    if (this.generation[slot] !== generation) return false;
    return this.leftOutUntilNs[slot]! > nowNs || this.part[slot] === Part.signalled;
  }

  /** It is protected, by itself or by one that shares its mm; it is looked at again in a second. */
  protect(slot: number, nowNs: number, byPid: number): void {
    this.leaveOut(slot, nowNs);
    if (this.protector[slot] === 0) this.protectedCount++;
    this.protector[slot] = byPid;
  }

  /** The pid that protects a process; 0 when nothing is known to. */
  protectorOf(slot: number, generation: number): number {
    return this.knows(slot, generation) ? this.protector[slot]! : 0;
  }

  /** It may be killed, as far as its identity goes. */
  accept(slot: number, nowNs: number): void {
    this.renew(slot);
    if (this.protector[slot] !== 0) this.protectedCount--;
    this.protector[slot] = 0;
    this.goodNs[slot] = nowNs;
  }

  isAccepted(slot: number, generation: number, sinceNs: number): boolean {
    return this.knows(slot, generation) && this.goodNs[slot]! >= sinceNs;
  }

  /** It was signalled as one that shares a victim's mm, or turned out not to share it. */
  notePart(slot: number, part: number): void {
    this.renew(slot);
    this.setPart(slot, part);
  }

  partOf(slot: number, generation: number): number {
    return this.knows(slot, generation) ? this.part[slot]! : Part.unknown;
  }

  // ------------------------------------------------------------------------------- volunteers

  noteScoreAdj(slot: number, scoreAdj: number, nowNs: number): void {
    this.renew(slot);
    if (this.scoreAdj[slot]! >= VOLUNTEER_SCORE_ADJ) this.volunteerCount--;
    if (scoreAdj >= VOLUNTEER_SCORE_ADJ) this.volunteerCount++;
    this.scoreAdj[slot] = scoreAdj;
    this.scoreNs[slot] = nowNs;
  }

  /** When its oom_score_adj was read last; -Infinity never. */
  scoreReadNs(slot: number, generation: number): number {
    return this.knows(slot, generation) ? this.scoreNs[slot]! : -Infinity;
  }

  /** Its oom_score_adj as it was read last; 0 when it was not. proc(5) */
  scoreAdjOf(slot: number, generation: number): number {
    return this.knows(slot, generation) ? this.scoreAdj[slot]! : 0;
  }

  /** 0, or the oom_score_adj of one that has volunteered. */
  volunteered(slot: number, generation: number): number {
    const scoreAdj = this.knows(slot, generation) ? this.scoreAdj[slot]! : 0;
    return scoreAdj >= VOLUNTEER_SCORE_ADJ ? scoreAdj : 0;
  }
}
