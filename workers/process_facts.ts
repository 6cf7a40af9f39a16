/**
 * Names and oom_score_adj of the processes on the books, read for recordings: what a replay cannot know
 * from records.
 *
 * @module
 */
import type { Memory } from "../pipeline/memory/memory.ts";
import { ProcessState, TABLE_HEADER_BYTES, TableWord } from "../pipeline/memory/layout.ts";
import type { ProcessFact } from "../pipeline/recording/format.ts";

/** Processes that are read in one look: the new ones first, then others again. */
const READS_MAX = 200;
const READS_AGAIN = 10;

export class ProcessFacts {
  private readonly memory: Memory;
  private readonly nowNs: () => number;
  private readonly header: Int32Array;
  /** By row: generation + 1 of the process that was read. */
  private readonly read: Int32Array;
  private readonly facts = new Map<number, ProcessFact>();
  private turn = 0;

  constructor(memory: Memory, nowNs: () => number) {
    const { buffer, plan } = memory;
    this.memory = memory;
    this.nowNs = nowNs;
    this.header = new Int32Array(buffer, plan.processes, TABLE_HEADER_BYTES / 4);
    this.read = new Int32Array(plan.capacity.processes);
  }

  /** All that is known of those that live. */
  known(): readonly ProcessFact[] {
    const { state, tgid } = this.memory.processes;
    const alive = new Set<number>();
    const end = Atomics.load(this.header, TableWord.highWater);
    for (let row = 0; row < end; row++) {
      if (state[row] === ProcessState.alive) alive.add(tgid[row]!);
    }
    for (const pid of this.facts.keys()) if (!alive.has(pid)) this.facts.delete(pid);
    return [...this.facts.values()];
  }

  /** @returns What is new, or another than it was. */
  look(): ProcessFact[] {
    const { state, generation } = this.memory.processes;
    const end = Atomics.load(this.header, TableWord.highWater);
    const found: ProcessFact[] = [];
    let left = READS_MAX;
    for (let row = 0; row < end && left > 0; row++) {
      if (state[row] !== ProcessState.alive || this.read[row] === generation[row]! + 1) continue;
      left--;
      this.read[row] = generation[row]! + 1;
      this.readRow(row, found);
    }
    for (let again = Math.min(READS_AGAIN, end); again > 0; again--) {
      const row = this.turn++ % end;
      if (state[row] === ProcessState.alive) this.readRow(row, found);
    }
    return found;
  }

  private readRow(row: number, found: ProcessFact[]): void {
    const pid = this.memory.processes.tgid[row]!;
    const tsNs = this.nowNs();
    try {
      const comm = Deno.readTextFileSync(`/proc/${pid}/comm`).replace(/\n$/, "");
      const scoreAdj = Number(Deno.readTextFileSync(`/proc/${pid}/oom_score_adj`));
      const known = this.facts.get(pid);
      if (known !== undefined && known[2] === scoreAdj && known[3] === comm) return;
      const fact: ProcessFact = [pid, tsNs, scoreAdj, comm];
      this.facts.set(pid, fact);
      found.push(fact);
    } catch {
      // It is gone: nobody asks for its name any more.
    }
  }
}
