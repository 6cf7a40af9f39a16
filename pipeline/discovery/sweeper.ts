/**
 * The sweeper: everything that is slow. It finds the processes of limited users (the first time, at
 * logins, after setuid, by sweeps), has them traced, reads /proc for the books, measures what is shared,
 * watches over toom's trace instances, and hears of shortages of the whole machine.
 *
 * @module
 */
import { Brake } from "../brake/brake.ts";
import { OwnersView } from "../limits/owners.ts";
import { RulesView } from "../limits/published_rules.ts";
import { attachRole, Doorbell } from "../memory/doorbell.ts";
import {
  CounterIndex,
  HeaderWord,
  KIND_MASK,
  RecordKind,
  RecordWord,
  Role,
  RoleWord,
} from "../memory/layout.ts";
import { invariant } from "../memory/invariant.ts";
import { attachCounters, type Memory } from "../memory/memory.ts";
import { RingConsumer, RingProducer } from "../memory/ring.ts";
import { OOM_VICTIM, RESOLVE, VERIFY } from "../messages/records.ts";
import { RecordOutlet } from "../messages/record_outlet.ts";
import { RefusedStep, ReportWriter } from "../messages/reports.ts";
import type { RecordedUsers } from "../ports.ts";
import { Nearness } from "./nearness.ts";
import { ProcTrial } from "./proc_trial.ts";
import { type ExecListener, ExecStream } from "./exec_stream.ts";
import { ShareMeasure } from "./share_measure.ts";
import { Shortage } from "./shortage.ts";
import { Sweep } from "./sweep.ts";
import { SweepSchedule } from "./sweep_schedule.ts";
import { ChangesRead, type SweeperWorld, type UserChanges, Woken } from "./sweeper_world.ts";
import { Tagger } from "../rules/tagger.ts";
import { TraceWatch } from "./trace_watch.ts";

/** Reads of changes of user in one turn, of 256 each: as many as can be looked at. */
const CHANGE_READS_MAX = 16;

/** Where programs in the kernel book what users have, all of /proc is read once in so many intervals. */
const LOOKS_A_SWEEP = 60;
/** And takes no more of a CPU there. */
const SWEEP_SHARE = 0.001;

/** That the kernel refuses a call is told at most so often. */
const REFUSAL_REPORT_NS = 60e9;

export interface SweeperOptions {
  /** Of this incarnation. */
  readonly epoch: number;
  readonly pageBytes: number;
  /** By how much /proc may be wrong on this kernel, pages a member. */
  readonly errorPages: number;
  /** Of toom itself, which never counts. */
  readonly ownPid: number;
  /** CPUs that the users' programs run on. */
  readonly cpus: number;
  /** The most that these can take together, see nearness.ts. */
  readonly growthBytesPerNs: number;
  /** Whether it goes before ordinary tasks, but for long work. */
  readonly realTime: boolean;
  /** Nothing is enforced before this start. */
  readonly isFirstStart: boolean;
}

export class Sweeper implements ExecListener {
  private readonly header: Int32Array;
  private readonly counters: Float64Array;
  private readonly world: SweeperWorld;
  private readonly options: SweeperOptions;
  private readonly outlet: RecordOutlet;
  private readonly rules: RulesView;
  private readonly queries: RingConsumer;
  private readonly verify;
  private readonly resolve;
  private readonly users: RecordedUsers | undefined;
  private readonly nearness: Nearness | undefined;
  private readonly reports: ReportWriter;
  private refusedNs = -Infinity;
  private shortageDueNs = 0;
  private readonly sweep: Sweep;
  private readonly schedule: SweepSchedule;
  private readonly execs: ExecStream;
  private readonly measuring: ShareMeasure;
  private readonly shortage: Shortage;
  private readonly trial: ProcTrial;
  private readonly accountingBell: Doorbell;
  private readonly watch: TraceWatch;
  private readonly brake: Brake | undefined;
  private readonly tagger: Tagger;
  private readonly stepTagger = (): void => this.tagger.step(this.world.clock.nowNs());

  constructor(memory: Memory, world: SweeperWorld, options: SweeperOptions) {
    const { buffer, plan } = memory;
    const { pageBytes, errorPages, ownPid, cpus, growthBytesPerNs } = options;
    const { clock, proc, list, instance } = world;
    this.header = memory.header;
    this.counters = attachCounters(memory, Role.sweeper);
    this.world = world;
    this.options = options;
    this.outlet = new RecordOutlet(memory, Role.sweeper, options.epoch, plan.sweeperRing);
    const { writer } = this.outlet;
    const publish = (): void => this.outlet.publish();
    const onProcFailure = (): void => void this.counters[CounterIndex.procFailures]!++;
    this.trial = new ProcTrial(proc, onProcFailure);
    const words = attachRole(memory, Role.sweeper);
    const rules = this.rules = new RulesView(memory.settings);
    rules.refresh();
    this.queries = new RingConsumer(buffer, plan.queryRing);
    this.verify = VERIFY.view(this.queries.words);
    this.resolve = RESOLVE.view(this.queries.words);
    const owners = new OwnersView(memory.owners);
    const users = this.users = world.recordedUsers?.(rules, owners);
    // Where users are looked at otherwise, all of /proc is read for what only it can tell.
    const isLookedAt = (): boolean => users !== undefined && !users.isShort;
    this.schedule = new SweepSchedule(
      () => rules.settings.intervalMs * (isLookedAt() ? LOOKS_A_SWEEP : 1),
      () => isLookedAt() ? SWEEP_SHARE : Infinity,
    );
    this.nearness = users && new Nearness({ memory, users, clock, growthBytesPerNs, pageBytes });
    this.sweep = new Sweep({
      memory,
      writer,
      rules,
      owners,
      list,
      users: this.users,
      proc,
      clock,
      pageBytes,
      errorPages,
      ownPid,
      publish,
      alive: () => {
        Atomics.add(words, RoleWord.heartbeat, 1);
        // Reading all of /proc may take long, and who grows does not wait for it.
        this.brake?.step(clock.nowNs());
        this.trial.run(this.stepTagger);
      },
      onProcFailure,
    });
    this.execs = new ExecStream(world.openExecs, this);
    this.measuring = new ShareMeasure({
      memory,
      writer,
      clock,
      proc,
      facts: world.shares,
      cpus,
      counters: this.counters,
      publish,
      pageBytes,
      countMaskOf: (uid) => rules.countMaskOf(uid),
    });
    const readMemory = (): ReturnType<SweeperWorld["readMemory"]> => world.readMemory();
    const minAvailableBytes = (): number => rules.settings.minAvailableBytes;
    this.accountingBell = new Doorbell(memory, Role.accounting);
    this.shortage = new Shortage({ writer, readMemory, pageBytes, minAvailableBytes });
    this.reports = new ReportWriter(
      new RingProducer(buffer, plan.reportRings[Role.sweeper]!),
      this.counters,
      new Doorbell(memory, Role.supervisor),
    );
    const { reports } = this;
    const recordsEvents = users === undefined;
    this.watch = new TraceWatch({
      memory,
      writer,
      reports,
      recordsEvents,
      instance,
      list,
      counts: world.traceCounts,
    });
    this.brake = world.brake && new Brake({
      memory,
      rules,
      world: world.brake,
      reports,
      counters: this.counters,
      ownerOf: (uid) => owners.ownerOf(uid),
      pageBytes,
    });
    this.tagger = new Tagger({
      memory,
      facts: world.facts,
      loadPatterns: world.loadPatterns,
      nowNs: () => clock.nowNs(),
      disarm: (uid) => users?.disarm(uid),
    });
    if (rules.settings.psi) world.listenToPressure();
  }

  /** Undefined where shared pages are not credited. */
  private get measure(): ShareMeasure | undefined {
    return this.rules.settings.creditsShares ? this.measuring : undefined;
  }

  /** Whether the event loop must turn for calls on other threads to end. */
  get isWaiting(): boolean {
    return this.sweep.isWaiting || this.tagger.isWaiting || this.measure?.isWaiting === true;
  }

  /** One turn, which never waits but for what it reads. */
  step(): void {
    const { sweep, schedule } = this;
    const { clock, userChanges } = this.world;
    if (this.rules.refresh()) {
      sweep.rulesChanged();
      this.nearness?.hurry();
      this.brake?.rulesChanged();
      if (this.rules.settings.psi) this.world.listenToPressure();
      schedule.want();
      // The supervisor cannot: see worker_wakes.ts.
      this.accountingBell.ring();
    }
    // First of all, because the user's memory may be used up within milliseconds.
    this.brake?.step(clock.nowNs());
    this.answerQueries();
    this.execs.take();
    if (userChanges !== undefined) this.takeUserChanges(userChanges);
    sweep.readNoted();
    this.trial.run(this.stepTagger);
    if (sweep.hasOverrun) {
      sweep.hasOverrun = false;
      schedule.want();
    }
    this.measure?.step();
    const nowNs = clock.nowNs();
    this.users?.catchUp(nowNs);
    this.nearness?.step(nowNs);
    if (nowNs - this.refusedNs >= REFUSAL_REPORT_NS) this.tellRefusal(nowNs);
    // Sweeps are too rare for it there.
    if (this.nearness !== undefined && nowNs >= this.shortageDueNs) this.checkShortage(nowNs);
    // While a write to the list is under way, the kernel would let a look at it wait.
    if (!sweep.isWaiting) this.watch.look(nowNs);
    if (schedule.isDue(nowNs, sweep.isWaiting)) this.sweepAll(schedule.begin(nowNs));
    this.outlet.publish();
  }

  /** Waits until there is something to do; really, while a call on another thread is under way. */
  sleep(timeoutMs: number): void {
    const nowNs = this.world.clock.nowNs();
    const dueNs = Math.min(
      this.sweep.nextReadNs,
      this.tagger.nextNs,
      this.measure?.nextNs ?? Infinity,
      this.users?.nextNs ?? Infinity,
      this.brake?.nextNs ?? Infinity,
      this.nearness === undefined ? Infinity : Math.min(this.nearness.nextNs, this.shortageDueNs),
    );
    const dueMs = Math.min((dueNs - nowNs) / 1e6, this.schedule.waitMs(nowNs));
    const leastMs = this.isWaiting ? 1 : 0;
    const woken = this.world.wait(Math.max(leastMs, Math.min(timeoutMs, Math.ceil(dueMs))));
    if (woken === Woken.none) return;
    this.counters[CounterIndex.wakeups]!++;
    if ((woken & Woken.byPressure) === 0 || !this.rules.settings.psi) return;
    this.trial.run(() => this.shortage.pressed(this.world.clock.nowNs()));
    this.outlet.publish();
  }

  private tellRefusal(nowNs: number): void {
    const refusal = this.users?.takeRefusal();
    if (refusal === undefined) return;
    this.refusedNs = nowNs;
    const text = new TextEncoder().encode(refusal);
    this.reports.put("kernelRefused", nowNs, [RefusedStep.book], text);
  }

  private checkShortage(nowNs: number): void {
    this.shortageDueNs = nowNs + this.rules.settings.intervalMs * 1e6;
    this.trial.run(() => this.shortage.check(nowNs));
  }

  private sweepAll(isAfterLoss: boolean): void {
    const { counters, options, world } = this;
    this.nearness?.attach(world.clock.nowNs());
    // Reading all of /proc may take long: not before everybody else, unless nothing is enforced until it
    // is done.
    const yields = options.realTime && (options.isFirstStart || counters[CounterIndex.sweeps]! > 0);
    if (yields) world.setUrgent(false);
    this.sweep.full(isAfterLoss);
    this.schedule.ended(world.clock.nowNs());
    if (yields) world.setUrgent(true);
    this.watch.listWasRead(world.clock.nowNs());
    counters[CounterIndex.sweeps]!++;
    Atomics.store(this.header, HeaderWord.discovered, 1);
    this.checkShortage(world.clock.nowNs());
  }

  private answerQueries(): void {
    const { queries, schedule, sweep } = this;
    for (let word = queries.next(); word >= 0; word = queries.next()) {
      const kind = queries.words[word + RecordWord.kindCpu]! & KIND_MASK;
      if (kind === RecordKind.resync) schedule.wantAfterLoss();
      else if (kind === RecordKind.verify) sweep.verify(this.verify.at(word).uid);
      else if (kind === RecordKind.measure) this.measure?.hurry();
      else if (kind === RecordKind.resolve) sweep.resolve(this.resolve.at(word).tid);
      else invariant(false, `sweeper: a question of unknown kind ${kind}`);
    }
    queries.release();
  }

  /** What the kernel could not tell of for want of room is in /proc. */
  private takeUserChanges(changes: UserChanges): void {
    for (let reads = 0; reads < CHANGE_READS_MAX; reads++) {
      const result = changes.read((tgid) => {
        this.sweep.noteUserChange(tgid);
        this.tagger.changed(tgid);
      });
      if (result === ChangesRead.lost || result === ChangesRead.failed) {
        this.counters[CounterIndex.userChangesLost]!++;
        this.schedule.want();
      }
      if (result === ChangesRead.all || result === ChangesRead.failed) return;
    }
  }

  // -------------------------------------------------------------------------- execs of the machine

  executed(pid: number): void {
    this.sweep.look(pid);
    this.tagger.changed(pid);
  }

  missed(): void {
    this.schedule.want();
  }

  killedByKernel(pid: number): void {
    const { writer } = this.outlet;
    writer.open(OOM_VICTIM, this.world.clock.nowNs()).pid = pid;
    writer.close();
  }
}
