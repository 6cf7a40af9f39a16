/**
 * The sweeper: the real Sweep behind its ports, and around it what its worker does: questions, logins,
 * changes of user, and when all of /proc is read.
 *
 * @module
 */
import { Sweep } from "../../../pipeline/discovery/sweep.ts";
import { OwnersView } from "../../../pipeline/limits/owners.ts";
import { RulesView } from "../../../pipeline/limits/published_rules.ts";
import { HeaderWord, RecordKind, RecordWord, Role } from "../../../pipeline/memory/layout.ts";
import { RingConsumer, RingProducer } from "../../../pipeline/memory/ring.ts";
import { RecordWriter } from "../../../pipeline/messages/record_writer.ts";
import type { SimContext } from "../context.ts";
import { SimList } from "../kernel/sim_list.ts";
import { SimProc } from "../kernel/sim_proc.ts";
import { Measure } from "./measure.ts";

/** As the worker has it. */
const RESYNC_EVERY_NS = 50e6;
const LIST_WAIT_NS_MAX = 200e6;
const OWN_PID = 5;

/** Sweeps of all incarnations that have begun. */
export interface SweepCounts {
  sweeps: number;
}

export class SweeperRole {
  readonly ring: RingProducer;
  /** All of /proc is to be read. */
  isWanted = true;
  private readonly sim: SimContext;
  private readonly counts: SweepCounts;
  private readonly sweep: Sweep;
  private readonly rules: RulesView;
  private readonly questions: RingConsumer;
  private readonly list: SimList;
  private readonly measure: Measure;
  private isAfterLoss = false;
  private sweptNs = -Infinity;
  private dueSinceNs = Infinity;

  constructor(sim: SimContext, counts: SweepCounts) {
    this.sim = sim;
    this.counts = counts;
    const { memory } = sim;
    const { buffer, plan } = memory;
    this.ring = new RingProducer(buffer, plan.sweeperRing);
    const writer = new RecordWriter(this.ring, () => {
      this.ring.publish();
      sim.waitUntil(Role.sweeper, () => this.ring.claim() >= 0);
    });
    this.rules = new RulesView(memory.settings);
    this.rules.refresh();
    this.questions = new RingConsumer(buffer, plan.queryRing);
    const proc = new SimProc(sim);
    this.list = new SimList(sim);
    this.sweep = new Sweep({
      memory,
      writer,
      rules: this.rules,
      owners: new OwnersView(memory.owners),
      list: this.list,
      proc,
      clock: proc,
      pageBytes: plan.capacity.pageBytes,
      errorPages: 0,
      ownPid: OWN_PID,
      publish: () => this.ring.publish(),
      alive: () => {},
      onProcFailure: () => sim.note("/proc cannot be read"),
    });
    this.measure = new Measure(sim, writer);
    this.breakRules();
  }

  private breakRules(): void {
    const { mistake } = this.sim.options;
    const teller = this.sweep["teller"];
    if (mistake === "discovery-no-lender") {
      teller["lenderOf"] = () => 0;
    } else if (mistake === "discovery-late-time") {
      const tell = teller.tell.bind(teller);
      teller.tell = (_tsNs, pid, withTasks) => tell(this.sim.kernel.nowNs + 5e6, pid, withTasks);
    }
  }

  step(): void {
    const { sim, sweep } = this;
    const { tracing } = sim.kernel;
    if (this.rules.refresh()) {
      sweep.rulesChanged();
      this.isWanted = true;
    }
    this.list.turn();
    this.answer();
    for (const pid of tracing.execs.splice(0)) sweep.look(pid);
    for (const pid of tracing.userChanges.splice(0)) sweep.lookChanged(pid);
    if (tracing.hasLostExecs || tracing.hasLostUserChanges) this.isWanted = true;
    tracing.hasLostExecs = tracing.hasLostUserChanges = false;
    sweep.lookAll();
    if (sweep.hasOverrun) {
      sweep.hasOverrun = false;
      this.isWanted = true;
    }
    this.measure.step();
    this.sweepIfDue();
    this.ring.publish();
  }

  private sweepIfDue(): void {
    const { sim, sweep } = this;
    const { nowNs } = sim.kernel;
    const sinceNs = nowNs - this.sweptNs;
    const isDue = sinceNs >= sim.options.sweepEveryNs ||
      (this.isWanted && sinceNs >= RESYNC_EVERY_NS);
    this.dueSinceNs = isDue ? Math.min(this.dueSinceNs, nowNs) : Infinity;
    const waits = sweep.isWaiting && nowNs - this.dueSinceNs < LIST_WAIT_NS_MAX;
    if (!isDue || waits) return;
    sim.note("sweeps");
    this.dueSinceNs = Infinity;
    this.sweptNs = nowNs;
    this.isWanted = false;
    this.counts.sweeps++;
    sweep.full(this.isAfterLoss);
    this.isAfterLoss = false;
    Atomics.store(sim.memory.header, HeaderWord.discovered, 1);
  }

  private answer(): void {
    const { questions, sweep } = this;
    for (let word = questions.next(); word >= 0; word = questions.next()) {
      const kind = questions.words[word + RecordWord.kindCpu]!;
      const subject = questions.words[word + RecordWord.tid]!;
      if (kind === RecordKind.resync) this.isWanted = this.isAfterLoss = true;
      else if (kind === RecordKind.measure) this.measure.ask(subject);
      else if (kind === RecordKind.verify) sweep.verify(subject);
      else sweep.resolve(subject);
    }
    questions.release();
  }
}
