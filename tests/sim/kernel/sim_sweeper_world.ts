/**
 * What the sweeper needs of the world, of the fake kernel.
 *
 * @module
 */
import {
  ChangesRead,
  type SweeperWorld,
  type UserChanges,
  Woken,
} from "../../../pipeline/discovery/sweeper_world.ts";
import type { MachineMemory } from "../../../pipeline/discovery/shortage.ts";
import { Role } from "../../../pipeline/memory/layout.ts";
import type { Clock, GuardedInstance } from "../../../pipeline/ports.ts";
import type { SimContext } from "../context.ts";
import { SimBrakeWorld, type SimRecord } from "./sim_brake.ts";
import { Later } from "./later.ts";
import { SimFacts } from "./sim_facts.ts";
import { SimList } from "./sim_list.ts";
import { SimProc } from "./sim_proc.ts";
import { SimShares } from "./sim_shares.ts";

const UNKNOWN_COUNT = -1;
const TURN_NS = 10_000;
/** Part of the memory below which the machine is short. */
const SHORT_BELOW = 0.1;
/** Changes of user that one read takes. */
const CHANGES_A_READ = 4;

export class SimSweeperWorld implements SweeperWorld {
  readonly clock: Clock;
  readonly proc: SimProc;
  readonly list: SimList;
  readonly shares: SimShares;
  readonly instance: GuardedInstance;
  readonly traceCounts;
  readonly facts: SimFacts;
  /** No rule of the simulation has a pattern. */
  readonly loadPatterns: SweeperWorld["loadPatterns"] = () => Promise.reject(new Error("none"));
  readonly userChanges: UserChanges;
  readonly brake: SimBrakeWorld | undefined;
  private readonly sim: SimContext;
  private readonly later = new Later();
  private readonly onSweep: () => void;
  private listens = false;
  private sweptNs = -Infinity;

  /** @param record What is lowered. @param onSweep Called when a sweep begins. */
  constructor(sim: SimContext, record: SimRecord, onSweep: () => void) {
    this.sim = sim;
    this.brake = sim.options.brakes ? new SimBrakeWorld(sim, record) : undefined;
    this.onSweep = onSweep;
    this.clock = this.proc = new SimProc(sim, Role.sweeper);
    this.list = new SimList(sim, this.later);
    this.shares = new SimShares(sim, this.later);
    this.facts = new SimFacts(sim);
    const { tracing } = sim.kernel;
    this.instance = {
      names: ["events/tracing_on"],
      look: () => {
        sim.call(Role.sweeper);
        return tracing.isOn ? undefined : "0";
      },
      mend: () => {
        sim.call(Role.sweeper);
        tracing.isOn = true;
        return undefined;
      },
    };
    this.traceCounts = {
      eventsRead: () => {
        sim.call(Role.sweeper);
        return tracing.eventsRead;
      },
    };
    this.userChanges = { read: (onChange) => this.readChanges(onChange) };
    // A socket of its own, which hears of nothing before it is there.
    tracing.listenToUserChanges();
  }

  readonly openExecs: SweeperWorld["openExecs"] = (writer, onPage) => ({
    read: () => {
      const { sim } = this;
      const { tracing, nowNs } = sim.kernel;
      sim.call(Role.sweeper);
      if (tracing.hasLostExecs) writer.lost(nowNs, 0, UNKNOWN_COUNT);
      tracing.hasLostExecs = false;
      const pids = tracing.execs.splice(0);
      for (const pid of pids) {
        writer.exec(nowNs, 0, pid, pid, pid);
        if (sim.random.oneIn(8)) onPage();
      }
      return pids.length;
    },
  });

  private readChanges(onChange: (tgid: number) => void): ChangesRead {
    const { sim } = this;
    const { tracing } = sim.kernel;
    sim.call(Role.sweeper);
    if (sim.failsNow()) return ChangesRead.failed;
    if (tracing.hasLostUserChanges) {
      tracing.hasLostUserChanges = false;
      return ChangesRead.lost;
    }
    for (const pid of tracing.userChanges.splice(0, CHANGES_A_READ)) onChange(pid);
    return tracing.userChanges.length > 0 ? ChangesRead.more : ChangesRead.all;
  }

  readMemory(): MachineMemory {
    const { sim } = this;
    sim.call(Role.sweeper);
    const memory = sim.kernel.machineMemory();
    if (memory.availableBytes < memory.totalBytes * SHORT_BELOW) {
      sim.kernel.shortAtNs = sim.kernel.nowNs;
    }
    return memory;
  }

  listenToPressure(): void {
    this.listens = true;
  }

  /** Something always comes before the time is over. */
  wait(_timeoutMs: number): number {
    const { sim } = this;
    sim.call(Role.sweeper);
    if (!this.listens || !sim.kernel.stalls()) return Woken.byWork;
    return Woken.byWork | Woken.byPressure;
  }

  /** The event loop turns. */
  turn(): void {
    this.sim.call(Role.sweeper, TURN_NS);
    this.later.turn(this.sim.kernel.nowNs);
  }

  /** Only a sweep is not urgent. */
  setUrgent(isUrgent: boolean): void {
    const { tracing, nowNs } = this.sim.kernel;
    if (isUrgent) tracing.swept(this.sweptNs);
    else {
      this.sweptNs = nowNs;
      this.onSweep();
    }
  }

  close(): void {
    this.sim.kernel.tracing.listenToUserChanges(false);
  }
}
