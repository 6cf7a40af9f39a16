/**
 * The end of a run: no faults any more. Users that are over lose a process within a bound whatever
 * others do; then all comes to rest, below the limits; and when nothing is in flight, books and truth
 * agree, and nobody is promised anything who is gone.
 *
 * @module
 */
import { Role } from "../../pipeline/memory/layout.ts";
import { Broken } from "./context.ts";
import { assertGivenBack } from "./invariants/brake.ts";
import { assertNothingPromised } from "./invariants/promises.ts";
import { chargedPages, pagesOf } from "./kernel/truth.ts";
import { freeUids } from "./options.ts";
import type { Sim } from "./sim.ts";
import type { StepName } from "./script.ts";

/** Rounds in which who is over must lose a process, and the time of each. */
const BOUND_ROUNDS = 300;
const ROUND_NS = 1e7;
const SETTLE_STEPS = 5000;
const SETTLE_ROUNDS = 3;

export class Liveness {
  private readonly sim: Sim;

  constructor(sim: Sim) {
    this.sim = sim;
  }

  run(): void {
    const { sim } = this;
    sim.calm();
    for (const process of sim.kernel.alive()) process.suspended = false;
    this.recover();
    sim.machine.settings.enforce(sim.memory);
    this.boundedKill();
    this.settle();
    if (sim.options.sweeps) this.sweepAll();
    sim.judge.assertTruth(freeUids(sim.options));
    if (sim.options.sweeps) sim.judge.assertTraced();
    const { isOn, hasSentinel } = sim.kernel.tracing;
    if (!isOn || !hasSentinel) throw new Broken("I8: what somebody has changed is not put back");
    if (sim.options.asks || sim.options.lies) this.endPrograms();
    if (sim.options.brakes) assertGivenBack(sim, sim.machine.brakeRecord);
  }

  /** Who hangs is found, who has thrown is replaced. */
  private recover(): void {
    const { sim } = this;
    for (let i = 0; i < 200 && !sim.areAllWell; i++) {
      sim.pass(2e7);
      sim.step("supervisor");
      sim.health.assertWatched();
    }
    if (!sim.areAllWell) throw new Broken("I9: not all roles come back");
  }

  /** Users over their limit that would not be if all who may be killed were. */
  private overUids(): number[] {
    const { kernel, options } = this.sim;
    return freeUids(options).filter((uid) =>
      chargedPages(kernel, uid) > options.hardPages + kernel.processes.size &&
      this.keptPages(uid) <= options.hardPages
    );
  }

  /** Pages of a user that stay whoever is killed. */
  private keptPages(uid: number): number {
    const alive = this.sim.kernel.alive();
    const kept = new Set(
      alive.filter((one) => one.isProtected || one.uid !== uid).map(({ mm }) => mm),
    );
    const own = new Set(alive.filter((one) => one.uid === uid).map(({ mm }) => mm));
    return pagesOf([...own].filter((mm) => kept.has(mm)), this.sim.kernel.countMaskOf(uid));
  }

  /** Any user over hard loses a process within a bound, whatever others do. */
  private boundedKill(): void {
    const { sim } = this;
    const { options, machine } = sim;
    const over = this.overUids();
    if (over.length === 0) return;
    const killsBefore = new Map(over.map((uid) => [uid, machine.judge.killsOf.get(uid) ?? 0]));
    const isOpen = (uid: number): boolean =>
      (machine.judge.killsOf.get(uid) ?? 0) === killsBefore.get(uid) &&
      sim.kernel.alive().every((one) => one.uid !== uid || one.diesAtNs === Infinity);
    for (let round = 0; round < BOUND_ROUNDS && over.some(isOpen); round++) {
      sim.workload.stepOthers(over);
      const steps: StepName[] = ["reader", "accounting", "killer", "supervisor"];
      if (options.sweeps) steps.push("sweeper");
      if (options.asks || options.lies) steps.push("programs", "coordinator");
      for (const name of steps) sim.step(name);
      sim.pass(ROUND_NS);
    }
    const still = this.overUids().filter((uid) => over.includes(uid) && isOpen(uid));
    if (still.length === 0) return;
    throw new Broken(
      `liveness: uids ${still} are over for ${BOUND_ROUNDS * ROUND_NS / 1e9} s and lose nobody`,
    );
  }

  /** Nothing new happens: all must come to rest, below the limits. */
  private settle(): void {
    const { sim: { kernel, options } } = this;
    // Those who end while all settles had pages in common with others, who are charged for them then.
    for (let round = 0; round < SETTLE_ROUNDS; round++) {
      this.comeToRest();
      if (this.overUids().length === 0) return;
    }
    const detail = this.overUids().map((uid) => `${uid}: ${chargedPages(kernel, uid)}`);
    throw new Broken(`liveness: users stay over ${options.hardPages}: ${detail}`);
  }

  private comeToRest(): void {
    const { sim } = this;
    const { kernel, random, options } = sim;
    const steps: StepName[] = ["reader", "accounting", "killer", "supervisor", "time"];
    if (options.sweeps) steps.push("sweeper");
    if (options.asks || options.lies) steps.push("coordinator");
    for (let step = 0; step < SETTLE_STEPS; step++) {
      if (step % 100 === 99 && !sim.machine.hasUnread && this.overUids().length === 0) {
        // Enough time for all that waits.
        if (kernel.alive().every(({ diesAtNs }) => diesAtNs === Infinity)) break;
      }
      sim.step(random.pick(steps));
    }
    for (let i = 0; i < 20; i++) sim.pass(1e8);
    this.drain();
  }

  /** Takes all that is on its way. */
  private drain(): void {
    const { sim } = this;
    const { machine } = sim;
    for (let rounds = 0; rounds < 1000; rounds++) {
      let work = 0;
      for (const reader of machine.readers.values()) work += reader.step(true);
      const books = machine.roles.get(Role.accounting) as { step(records: number): number };
      work += books.step(1024);
      work += machine.roles.get(Role.killer)!.step() as number;
      machine.supervisor.readReports();
      if (work === 0) return;
    }
    throw new Broken("liveness: accounting and killer never come to rest");
  }

  /** Whole sweeps, after which the books must be right. */
  private sweepAll(): void {
    const { sim } = this;
    for (let i = 0; i < 3; i++) {
      sim.pass(1.1e9);
      sim.step("sweeper");
      this.drain();
      // The write of the list that logins wait for returns.
      sim.pass(1e8);
      sim.step("sweeper");
      this.drain();
    }
  }

  private endPrograms(): void {
    const { sim } = this;
    for (const { process } of sim.programs.alive()) sim.kernel.exit(process);
    sim.programs.alive();
    sim.pass(1e8);
    this.drain();
    for (let i = 0; i < 20; i++) {
      sim.pass(3e8);
      sim.step("coordinator");
      this.drain();
    }
    assertNothingPromised(sim.machine.coordinator!);
  }
}
