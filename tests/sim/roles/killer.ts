/**
 * The real killer, and the mistakes that can be put into it.
 *
 * @module
 */
import { PATIENCE_NS } from "../../../pipeline/memory/timing.ts";
import { Killer } from "../../../pipeline/kill/killer.ts";
import { GraceOutcome, OrderKind } from "../../../pipeline/memory/layout.ts";
import { SettingsView } from "../../../pipeline/memory/settings.ts";
import { GRACE_MS } from "../options.ts";
import type { SimContext } from "../context.ts";
import type { KillJudge } from "../invariants/kills.ts";
import { countRecords } from "../kernel/counted_ring.ts";
import { SimUnits } from "../kernel/sim_units.ts";
import type { SimKillKernel } from "../kernel/sim_kill.ts";

export class KillerRole {
  readonly killer: Killer;
  private readonly judge: KillJudge;
  private readonly kernel: SimKillKernel;
  private readonly settings: SettingsView;

  constructor(sim: SimContext, kernel: SimKillKernel, judge: KillJudge) {
    this.judge = judge;
    this.kernel = kernel;
    this.settings = new SettingsView(sim.memory.settings);
    const { mistake } = sim.options;
    this.killer = new Killer(sim.memory, kernel, {
      patienceNs: mistake === "killer-patience" ? 0 : PATIENCE_NS,
      unitKernel: new SimUnits(sim),
    });
    countRecords(sim, this.killer["orders"]);
    if (mistake === "killer-dying") this.killer["rows"].freed.pages = () => 0;
    if (mistake === "killer-relief") {
      this.killer["relieve"] = (userSlot, tsNs, trigger, usefulPages) => {
        this.killer["take"](userSlot, tsNs, trigger, OrderKind.relieve, usefulPages);
        this.killer["answers"].recheck(userSlot, false);
      };
    }
    if (mistake === "killer-impatient") {
      this.killer["graces"].graceUntilNs = (_, nowNs) => nowNs + GRACE_MS * 1e5;
    }
    if (mistake === "killer-unforgiving") {
      const graces = this.killer["graces"];
      graces["spare"] = (userSlot, nowNs) => graces.finish(userSlot, nowNs, GraceOutcome.over);
    }
    if (mistake === "killer-settings") this.killer["settingsChanged"] = () => {};
    if (mistake === "killer-silent") this.killer["answers"].recheck = () => {};
    this.killer.start();
  }

  step(): number {
    this.judge.stepBegins();
    this.settings.refresh();
    this.kernel.isDry = this.settings.current.dryRun;
    return this.killer.step();
  }
}
