/**
 * The real killer, and the mistakes that can be put into it.
 *
 * @module
 */
import { PATIENCE_NS } from "../../../pipeline/memory/timing.ts";
import { Killer, type KillKernel } from "../../../pipeline/kill/killer.ts";
import type { SimContext } from "../context.ts";
import type { KillJudge } from "../invariants/kills.ts";

export class KillerRole {
  readonly killer: Killer;
  private readonly judge: KillJudge;

  constructor(sim: SimContext, kernel: KillKernel, judge: KillJudge) {
    this.judge = judge;
    const { mistake } = sim.options;
    this.killer = new Killer(sim.memory, kernel, {
      patienceNs: mistake === "killer-patience" ? 0 : PATIENCE_NS,
    });
    if (mistake === "killer-dying") this.killer["rows"].freed.pages = () => 0;
    if (mistake === "killer-silent") this.killer["answers"].recheck = () => {};
    this.killer.start();
  }

  step(): number {
    this.judge.stepBegins();
    return this.killer.step();
  }
}
