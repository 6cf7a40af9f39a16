/**
 * I2 under pressure of the whole machine: somebody may have to go although usage is not over, one at
 * a time of all users, nobody while anything is being freed, and never for an old reading.
 *
 * @module
 */
import { RELIEF_HOLDS_NS } from "../../../pipeline/memory/timing.ts";
import { Broken, type SimContext } from "../context.ts";
import { limitedUids } from "../options.ts";
import type { KillJudge } from "./kills.ts";

/** Killer's calls between its look at the reading's age and its signal take no longer. */
const CALLS_NS = 50e6;

export class ReliefJudge {
  /** Processes that went for the machine's sake. */
  reliefs = 0;
  private readonly sim: SimContext;
  private readonly kills: KillJudge;

  /** Has a kill that no user's usage calls for judged as one of these. */
  constructor(sim: SimContext, kills: KillJudge) {
    this.sim = sim;
    this.kills = kills;
    if (sim.options.machinePages === 0) return;
    const assertNeeded = kills["assertNeeded"].bind(kills);
    kills["assertNeeded"] = (pid, uid) => {
      try {
        assertNeeded(pid, uid);
      } catch (error) {
        if (!(error instanceof Broken)) throw error;
        this.assertRelieves(pid, error.message);
        this.reliefs++;
      }
    };
  }

  private assertRelieves(pid: number, message: string): void {
    const { options, kernel } = this.sim;
    const dying = limitedUids(options).flatMap((uid) => this.kills["dyingOf"](uid));
    if (dying.length > 0) {
      const pids = dying.map((process) => process.pid);
      throw new Broken(`I2: ${pid} goes for the machine's sake while ${pids} die; ${message}`);
    }
    const ageNs = kernel.nowNs - kernel.shortAtNs;
    if (ageNs <= RELIEF_HOLDS_NS + CALLS_NS) return;
    throw new Broken(`I2: ${pid} goes, the machine was short ${ageNs / 1e6} ms ago; ${message}`);
  }
}
