/**
 * The real sweeper, and the mistakes that can be put into it.
 *
 * @module
 */
import { machineGrowth } from "../../../pipeline/discovery/nearness.ts";
import { Sweeper } from "../../../pipeline/discovery/sweeper.ts";
import { Role } from "../../../pipeline/memory/layout.ts";
import { HEARTBEAT_MS } from "../../../pipeline/memory/timing.ts";
import { UNLIMITED } from "../../../pipeline/brake/brake_kernel.ts";
import type { SimRecord } from "../kernel/sim_brake.ts";
import type { SimContext } from "../context.ts";
import { waitForRoomIn } from "../kernel/asleep.ts";
import { countRecords } from "../kernel/counted_ring.ts";
import { SimSweeperWorld } from "../kernel/sim_sweeper_world.ts";

const OWN_PID = 5;
const TURNS_MAX = 6;
const READING_TURNS = 10;

/** Sweeps of all incarnations that have begun. */
export interface SweepCounts {
  sweeps: number;
}

export class SweeperRole {
  private readonly sim: SimContext;
  private readonly world: SimSweeperWorld;
  private readonly sweeper: Sweeper;

  constructor(sim: SimContext, epoch: number, counts: SweepCounts, record: SimRecord) {
    this.sim = sim;
    this.world = new SimSweeperWorld(sim, record, () => {
      sim.note("sweeps");
      counts.sweeps++;
    });
    this.sweeper = new Sweeper(sim.memory, this.world, {
      epoch,
      pageBytes: sim.memory.plan.capacity.pageBytes,
      errorPages: 0,
      ownPid: OWN_PID,
      cpus: sim.options.cpus,
      growthBytesPerNs: machineGrowth(sim.options.cpus, 0),
      realTime: true,
      isFirstStart: true,
    });
    waitForRoomIn(sim, Role.sweeper, this.sweeper["outlet"]);
    countRecords(sim, this.sweeper["queries"]);
    this.breakRules();
  }

  private breakRules(): void {
    const { mistake } = this.sim.options;
    const teller = this.sweeper["sweep"]["teller"];
    if (mistake === "discovery-no-lender") {
      teller["lenderOf"] = () => 0;
    } else if (mistake === "discovery-late-time") {
      const put = teller["put"].bind(teller);
      teller["put"] = (_tsNs, pid, withTasks) => put(this.sim.kernel.nowNs + 5e6, pid, withTasks);
    } else if (mistake === "measure-nothing") {
      const measuring = this.sweeper["measuring"];
      const tell = measuring["tell"].bind(measuring);
      measuring["tell"] = (run, pid, rollup) =>
        tell(run, pid, { ...rollup, pssAnonKib: rollup.anonymousKib, swapPssKib: rollup.swapKib });
    } else if (mistake === "brake-unwritten") {
      this.world.brake!.begin = () => true;
    } else if (mistake === "brake-keeps") {
      this.world.brake!.listPids = () => 0;
      this.sweeper["brake"]!["families"].giveBack.restore = () => undefined;
    } else if (mistake === "brake-raises") {
      const brake = this.world.brake!;
      const readLimits = brake.readLimits.bind(brake);
      brake.readLimits = (pid, out) => {
        const isThere = readLimits(pid, out);
        out.softBytes = UNLIMITED;
        return isThere;
      };
    } else if (mistake === "tampering-unseen") {
      this.sweeper["watch"].look = () => {};
    }
  }

  /** Some turns, and what the worker's shell does after each. */
  step(): void {
    const { sim, sweeper, world } = this;
    for (let turns = sim.random.between(1, TURNS_MAX); turns > 0; turns--) {
      sweeper.step();
      if (sweeper.isWaiting) world.turn();
      else sweeper.sleep(HEARTBEAT_MS);
    }
    // A reading takes microseconds: it is rare that others have the CPU before its end is told.
    if (sim.random.oneIn(8)) return;
    for (let left = READING_TURNS; left > 0 && sweeper["measuring"].isWaiting; left--) world.turn();
  }

  close(): void {
    this.world.close();
  }
}
