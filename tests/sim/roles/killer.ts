/**
 * The real killer, and the mistakes that can be put into it.
 *
 * @module
 */
import { Killer, type KillKernel, PATIENCE_NS } from "../../../pipeline/kill/killer.ts";
import { OrderKind } from "../../../pipeline/memory/layout.ts";
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
    if (mistake === "killer-relief") {
      this.killer["relieve"] = (userSlot, tsNs, trigger, usefulPages) => {
        this.killer["take"](userSlot, tsNs, trigger, OrderKind.relieve, usefulPages);
        this.killer["answer"](userSlot, false);
      };
    }
    if (mistake === "killer-silent") this.killer["answer"] = () => {};
    this.killer.start();
  }

  step(): number {
    this.judge.stepBegins();
    return this.killer.step();
  }
}
