/**
 * A deterministic simulator: all roles of toom on one memory, under a fake kernel and a virtual clock,
 * stepped in any order that a seed gives. After every step the invariants of docs/INVARIANTS.md are
 * asserted, and in the end that all comes to rest.
 *
 *     new Sim({ ...SIM_DEFAULTS, seed: 7, loses: true }).run();
 *
 * What it cannot find: faults of memory ordering, and what happens between two calls of a role's.
 *
 * @module
 */
import type { Books } from "../../pipeline/books/books.ts";
import { HeaderWord, MEMBER_COUNT, Role } from "../../pipeline/memory/layout.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";
import type { Report } from "../../pipeline/messages/reports.ts";
import { Random } from "../_support/random.ts";
import { Broken, RoleDied, type SimContext, StartedOver } from "./context.ts";
import { assertBrakeRecorded } from "./invariants/brake.ts";
import { BooksJudge } from "./invariants/books.ts";
import { assertPromisesKept } from "./invariants/promises.ts";
import { RoleHealth } from "./invariants/health.ts";
import { COUNT_MASK } from "./kernel/tasks.ts";
import { FakeKernel } from "./kernel/fake_kernel.ts";
import { tamper } from "./kernel/tampering.ts";
import { Liveness } from "./liveness.ts";
import { Machine } from "./machine.ts";
import { isStrict, LARGE, type SimOptions } from "./options.ts";
import { Programs } from "./programs/programs.ts";
import type { Threads } from "./roles/supervisor.ts";
import { scriptOf, type Step, type StepName } from "./script.ts";
import { Workload } from "./workload.ts";

export interface SimResult {
  readonly events: number;
  readonly kills: number;
  readonly sharers: number;
  readonly losses: number;
  readonly startOvers: number;
  readonly deaths: number;
  readonly grants: number;
  readonly reliefs: number;
  readonly changes: number;
  /** Processes that were lowered, and times that one was refused pages. */
  readonly braked: number;
  readonly refusals: number;
  /** Processes that were asked to end, and of these that were killed all the same. */
  readonly asks: number;
  readonly lateKills: number;
  /** Times that the killer looked at a user within a grace. */
  readonly graces: number;
  readonly reports: readonly Report[];
}

const SMALL_BUFFER_EVENTS = 12;
const ALL_MEMBERS = (1 << MEMBER_COUNT) - 1;
/** Roles within each other's calls, at most. */
const DEPTH_MAX = 3;
const PASSES_NS = [1e4, 1e6, 5e6, 3e7];
/** Where time must be enough for all to begin anew. */
const LONG_PASSES_NS = [...PASSES_NS, 1.5e8];
const MEANWHILE_NS = [1e4, 1e6];
const WAITS_MAX = 20_000;
/**
 * Steps, calls of the roles, waits and records of small rings that a run may have at its end, and for each
 * step of its script. Ordinary runs of 1000 steps have some 30 000 in all.
 */
const END_MOVES_MAX = 200_000;
const STEP_MOVES_MAX = 200;

/** What may go on while a role calls the world. */
const MEANWHILE: readonly StepName[] = [
  "kernel",
  "kernel",
  "kernel",
  "reader",
  "accounting",
  "accounting",
  "killer",
  "programs",
  "time",
];

export class Sim implements SimContext, Threads {
  readonly options: SimOptions;
  readonly kernel: FakeKernel;
  readonly machine: Machine;
  readonly workload: Workload;
  readonly programs: Programs;
  readonly health: RoleHealth;
  readonly judge: BooksJudge;
  random: Random;
  isCalm = false;
  /** What each step did. */
  readonly notes: string[] = [];
  startOvers = 0;
  deaths = 0;
  private readonly isStrict: boolean;
  private readonly stalledUntil = new Map<number, number>();
  private readonly hung = new Set<number>();
  /** Roles in the middle of a step. */
  private readonly busy: number[] = [];
  private tick = 0;
  /** So far; see {@link END_MOVES_MAX}. */
  private moves = 0;
  private hasBegun = false;
  private mustStartOver = false;

  constructor(options: SimOptions) {
    this.options = { ...options };
    this.random = new Random(options.seed);
    this.kernel = new FakeKernel(this.random, {
      cpus: options.cpus,
      bufferEvents: options.loses ? SMALL_BUFFER_EVENTS : LARGE,
      pids: options.pids,
      collides: options.collides,
      machinePages: options.machinePages,
      countMasks: options.changesSettings || options.countsOwn ? ALL_MEMBERS : COUNT_MASK,
    });
    this.isStrict = isStrict(options);
    this.workload = new Workload(this);
    this.programs = new Programs(this);
    this.machine = new Machine(this, this, this.programs);
    this.health = new RoleHealth(this.kernel);
    this.judge = new BooksJudge(
      this,
      this.machine.judge,
      (uid) => this.machine.inFlightPages(uid),
    );
  }

  get memory(): Memory {
    return this.machine.memory;
  }

  get books(): Books {
    return this.machine.books;
  }

  get isMeanwhile(): boolean {
    return this.busy.length > 0;
  }

  get sweeps(): number {
    return this.machine.sweeps;
  }

  /** @throws {Error} When an invariant does not hold; {@link notes} say what was done until then. */
  run(script: readonly Step[] = scriptOf(this.options)): SimResult {
    for (const step of script) this.play(step);
    if (!this.hasBegun) this.begin();
    this.setSeed(this.options.seed);
    new Liveness(this).run();
    const { events, losses } = this.machine.written;
    const { kills, sharers, graces, asks, lateKills } = this.machine.judge;
    const { startOvers, deaths } = this;
    const grants = this.programs.granted;
    const { reports, relief: { reliefs }, settings: { changes } } = this.machine;
    return {
      events,
      kills,
      sharers,
      losses,
      startOvers,
      deaths,
      grants,
      reliefs,
      changes,
      braked: reports.filter(({ name }) => name === "refused").length,
      refusals: this.kernel.refusals,
      graces,
      asks,
      lateKills,
      reports,
    };
  }

  private setSeed(seed: number): void {
    this.random = new Random(seed);
    this.kernel.random = this.random;
  }

  private play({ name, seed }: Step): void {
    this.tick++;
    this.notes.push("");
    this.setSeed(seed);
    if (name === "before") {
      if (!this.hasBegun) this.workload.step();
      return;
    }
    if (!this.hasBegun) this.begin();
    this.step(name);
    this.assertInvariants();
  }

  note(text: string): void {
    const last = this.notes.length - 1;
    if (last >= 0) {
      this.notes[last] = this.notes[last] === "" ? text : `${this.notes[last]}; ${text}`;
    }
  }

  setHardPages(hardPages: number): void {
    Object.assign(this.options, { hardPages });
  }

  private assertInvariants(): void {
    // Before all of /proc has been read once, not everybody is known.
    if (this.isStrict && this.memory.header[HeaderWord.sweepDone] !== 0) {
      this.judge.assertInFlight();
      this.judge.assertLowerBound();
    }
    if (this.options.asks) assertPromisesKept(this, this.programs);
    if (this.options.brakes) assertBrakeRecorded(this, this.machine.brakeRecord);
    this.health.assertWatched();
  }

  // -------------------------------------------------------------------------------------- steps

  private begin(): void {
    this.hasBegun = true;
    this.machine.begin();
    if (this.options.before > 0 && !this.options.asks) return;
    // All who are there are known before anything happens.
    this.isCalm = true;
    this.step("sweeper");
    for (let i = 0; i < 20; i++) this.step("accounting");
    this.isCalm = false;
  }

  /** One step, in the middle of which others may be taken. */
  step(name: StepName): void {
    const { random, options } = this;
    this.countMove();
    switch (name) {
      case "before":
        break;
      case "kernel":
        this.workload.step();
        break;
      case "programs":
        this.programs.step();
        break;
      case "accounting":
        this.stepRole(Role.accounting);
        break;
      case "killer":
        this.stepRole(Role.killer);
        break;
      case "sweeper":
        this.stepRole(Role.sweeper);
        break;
      case "coordinator":
        this.stepRole(Role.coordinator);
        break;
      case "reader":
        this.stepRole(Role.reader + random.below(options.readers));
        break;
      case "supervisor":
        if ((this.stalledUntil.get(Role.supervisor) ?? 0) > this.tick) break;
        this.machine.supervisor.step();
        this.health.supervisorStepped();
        break;
      case "time":
        this.pass(random.pick(this.passesNs()));
        break;
      case "settings":
        this.machine.judge.limitsChange();
        this.machine.settings.change(this.memory);
        break;
      case "tamper":
        tamper(this);
        break;
      default:
        this.fault(name);
    }
    if (this.mustStartOver && this.busy.length === 0) this.performStartOver();
  }

  private passesNs(): readonly number[] {
    // Between two calls of a role that has a CPU little time passes.
    if (this.busy.length > 0) return MEANWHILE_NS;
    return this.options.dies || this.options.hangs ? LONG_PASSES_NS : PASSES_NS;
  }

  private fault(name: StepName): void {
    const { random, machine } = this;
    const roles = machine.roleNumbers;
    const role = random.pick([...roles, Role.supervisor]);
    this.note(`role ${role}`);
    if (name === "stall") this.stalledUntil.set(role, this.tick + random.between(10, 120));
    else if (name === "freeze") {
      const ns = random.between(1e8, 3e9);
      if (this.health.freezes(ns)) this.kernel.pass(ns);
    } else if (name === "late") this.stepLate();
    else if (role === Role.supervisor || !machine.roles.has(role)) return;
    else if (name === "die") this.died(role, "between two steps");
    else {
      this.hung.add(role);
      this.health.hung(role);
    }
  }

  /** A role's turn: it throws, or all start over, or it does what it has to. */
  private stepRole(role: number): void {
    if (!this.canStep(role) || this.busy.includes(role)) return;
    const { machine } = this;
    machine.heartbeat(role);
    this.health.beat(role);
    this.busy.push(role);
    try {
      machine.roles.get(role)!.step();
    } catch (error) {
      if (error instanceof RoleDied && error.role === role) {
        this.busy.pop();
        this.died(role, error.message);
        return;
      }
      this.busy.pop();
      if (error instanceof StartedOver && this.mustStartOver) return;
      throw error;
    }
    this.busy.pop();
  }

  private canStep(role: number): boolean {
    return this.machine.roles.has(role) && !this.hung.has(role) &&
      (this.stalledUntil.get(role) ?? 0) <= this.tick && !this.mustStartOver;
  }

  private died(role: number, reason: string): void {
    this.note(`role ${role} dies: ${reason}`);
    this.deaths++;
    this.hung.delete(role);
    this.health.died(role);
    this.machine.died(role, reason);
  }

  private stepLate(): void {
    const { late } = this.machine;
    if (late.length > 0) this.random.pick(late).step();
  }

  /** Time passes; who is well shows life meanwhile. */
  pass(ns: number): void {
    this.kernel.pass(ns);
    for (const role of this.machine.roleNumbers) {
      if (!this.canStep(role) || this.busy.includes(role)) continue;
      this.machine.heartbeat(role);
      this.health.beat(role);
    }
  }

  // ---------------------------------------------------------------------------- calls of the roles

  call(role: number, ns = 50): void {
    this.countMove();
    this.kernel.nowNs += ns;
    this.assertGoesOn();
    if (this.isCalm) return;
    const { options, random } = this;
    if (options.interleaves && this.busy.length < DEPTH_MAX && random.oneIn(12)) {
      for (let steps = random.between(1, 3); steps > 0; steps--) this.step(random.pick(MEANWHILE));
      this.assertGoesOn();
    }
    if (options.dies && random.oneIn(1000)) throw new RoleDied(role, "in the middle of a call");
  }

  countMove(): void {
    const movesMax = END_MOVES_MAX + STEP_MOVES_MAX * this.options.steps;
    if (++this.moves <= movesMax) return;
    const roles = this.busy.length > 0 ? `role ${this.busy.join(" within role ")}` : "no role";
    throw new Broken(
      `liveness: the run does not end: it has had ${movesMax} steps, calls, waits and records, ` +
        `the last in step ${this.notes.length} with ${roles} in its turn`,
    );
  }

  private assertGoesOn(): void {
    if (this.mustStartOver) throw new StartedOver("all start over");
  }

  failsNow(): boolean {
    return this.options.fails && !this.isCalm && this.random.oneIn(40);
  }

  waitUntil(role: number, isDone: () => boolean): void {
    for (let waits = 0; waits < WAITS_MAX; waits++) {
      if (isDone()) return;
      this.countMove();
      this.tick++;
      this.machine.heartbeat(role);
      this.health.beat(role);
      this.stepRole(Role.accounting);
      if (waits % 50 === 49) this.step("supervisor");
      if (waits > 0) this.pass(1e6);
      this.assertGoesOn();
    }
    throw new Broken(`liveness: role ${role} waits for ever`);
  }

  // -------------------------------------------------------------------------------------- threads

  start(role: number, epoch: number, isSuccessor: boolean): boolean {
    const former = this.machine.roles.get(role);
    if (former !== undefined) {
      // It hangs, and somebody has taken its place all the same.
      this.machine.late.push(former);
      this.hung.delete(role);
    }
    this.health.started(role);
    try {
      this.machine.make(role, epoch, isSuccessor);
      return true;
    } catch (error) {
      if (error instanceof StartedOver) return false;
      if (!(error instanceof RoleDied)) throw error;
      this.died(role, error.message);
      return false;
    }
  }

  hangs(role: number): boolean {
    return this.health.isSilent(role);
  }

  startOver(): void {
    this.mustStartOver = true;
  }

  private performStartOver(): void {
    this.note("all start over");
    this.startOvers++;
    this.mustStartOver = false;
    this.hung.clear();
    this.stalledUntil.clear();
    this.machine.startOver();
  }

  /** Nobody stands still any more. */
  calm(): void {
    this.isCalm = true;
    this.stalledUntil.clear();
  }

  /** Whether all roles are there and well. */
  get areAllWell(): boolean {
    return this.machine.roleNumbers.every((role) => this.canStep(role));
  }
}
