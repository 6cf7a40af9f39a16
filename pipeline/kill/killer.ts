/**
 * The killer agent: arms at soft, kills at hard, and takes another victim only when what remains
 * without those that are dying is over hard too.
 *
 * It decides; what touches the kernel comes in as {@link KillKernel}, so that worker, replay and
 * simulator run the same decisions. Longer than 450 lines, because all that an order goes through is
 * here, in the order in which it does.
 *
 * @module
 */
import { isPlain, Unit, unitOf } from "../memory/kill_plan.ts";
import {
  CHECK_HOLDS_NS,
  NO_VICTIM_RETRY_NS,
  RECHECK_NS,
  RELIEF_HOLDS_NS,
} from "../memory/timing.ts";
import {
  CounterIndex,
  GraceOutcome,
  HeaderWord,
  KIND_MASK,
  OrderKind,
  ProcessFlag,
  RecordKind,
  RecordWord,
  Role,
  Trigger,
} from "../memory/layout.ts";
import { attachCounters, type Memory } from "../memory/memory.ts";
import { Answers } from "./answers.ts";
import { Candidates, ESRCH } from "./candidates.ts";
import { chargedPages } from "../books/charge.ts";
import { Doorbell } from "../memory/doorbell.ts";
import { type KillKernel, Refusal, Signal } from "./kill_kernel.ts";
import { SettingsView } from "../memory/settings.ts";
import type { View } from "../messages/codec.ts";
import { ADOPT, ORDER, orderKindOf, orderTriggerOf } from "../messages/records.ts";
import { AccountingPosition, RoleLog } from "../messages/role_log.ts";
import type { KernelCandidates } from "./kernel_trigger.ts";
import { Graces } from "./graces.ts";
import { KernelKills } from "./kernel_kills.ts";
import { ReportWriter } from "../messages/reports.ts";
import { KillReports } from "./kill_reports.ts";
import { LoggedKillKernel } from "./logged_kernel.ts";
import { Receipt } from "./receipt.ts";
import { RingConsumer, RingProducer } from "../memory/ring.ts";
import { ScoreReader } from "./score_reader.ts";
import { Storms } from "./storms.ts";
import type { UnitKernel } from "./unit_kernel.ts";
import { Units } from "./units.ts";
import { VictimWatch } from "./victim_watch.ts";
import { WaitingUsers } from "./waiting_users.ts";
import { VictimRows } from "./victim_rows.ts";

export { type KillKernel, Refusal, Signal } from "./kill_kernel.ts";

export interface KillerOptions {
  /** A victim that has given nothing back for so long is stuck, and not dying any more; nanoseconds. */
  readonly patienceNs: number;
  /** Programs in the kernel that end the candidate themselves. */
  readonly kernelCandidates?: KernelCandidates | undefined;
  /** Who belongs together; without, only processes go. */
  readonly unitKernel?: UnitKernel | undefined;
}

/** And that is told at most so often. */
const NO_VICTIM_REPORT_NS = 60e9;

/** What became of an attempt to take a victim. */
const Taken = { nobody: 0, one: 1, gone: 2 } as const;
type Taken = typeof Taken[keyof typeof Taken];

export class Killer {
  private readonly memory: Memory;
  private readonly kernel: KillKernel;
  private readonly settings: SettingsView;
  /** Everything but the signal. */
  private dryRun: boolean;
  private readonly orders: RingConsumer;
  private readonly order: View<typeof ORDER.fields>;
  private readonly adopted: View<typeof ADOPT.fields>;
  private readonly kernelKills: KernelKills | undefined;
  private readonly answers: Answers;
  private readonly reports: ReportWriter;
  private readonly counters: Float64Array;
  private readonly candidates: Candidates;
  private readonly scores: ScoreReader;
  private readonly killReports: KillReports;
  /** By user slot: when it was told last that nobody may be killed. */
  private readonly noVictimReportedNs: Float64Array;
  private readonly waiting: WaitingUsers;
  private readonly rows: VictimRows;
  /** For recordings. */
  private readonly log: RoleLog;
  private readonly position: AccountingPosition;
  private readonly hasExited = (handle: number): boolean => this.kernel.exited(handle);
  private readonly victims: VictimWatch;
  private readonly units: Units;
  private readonly graces: Graces;
  private readonly storms: Storms;

  constructor(memory: Memory, givenKernel: KillKernel, options: KillerOptions) {
    const { buffer, plan } = memory;
    this.memory = memory;
    this.log = new RoleLog(memory, plan.killerLog);
    this.position = new AccountingPosition(memory);
    const kernel = new LoggedKillKernel(givenKernel, this.log);
    this.kernel = kernel;
    this.settings = new SettingsView(memory.settings);
    this.dryRun = this.settings.current.dryRun;
    this.counters = attachCounters(memory, Role.killer);
    this.orders = new RingConsumer(buffer, plan.orderRing);
    this.order = ORDER.view(this.orders.words);
    this.adopted = ADOPT.view(this.orders.words);
    this.answers = new Answers(memory, kernel);
    this.reports = new ReportWriter(
      new RingProducer(buffer, plan.reportRings[Role.killer]!),
      this.counters,
      new Doorbell(memory, Role.supervisor),
    );
    this.rows = new VictimRows(memory, (handle) => kernel.close(handle));
    this.candidates = new Candidates({
      memory,
      kernel,
      policy: this.settings.current.victimPolicy,
      rows: this.rows,
      reports: this.reports,
      counters: this.counters,
      tellEnded: (pid, slot, generation) => this.answers.gone(pid, slot, generation),
    });
    const { candidates, rows, reports } = this;
    const { ranking, verdicts } = candidates;
    const { unitKernel } = options;
    const noteDying = (uid: number, pid: number, slot: number): void =>
      this.kernelKills?.noteDying(uid, pid, slot);
    this.units = new Units({ memory, kernel, unitKernel, rows, candidates, noteDying });
    this.storms = new Storms({ memory, kernel, unitKernel, rows, units: this.units, reports });
    const isStorm = (userSlot: number): boolean => this.storms.isOn(userSlot);
    this.killReports = new KillReports({
      memory,
      kernel,
      rows: this.rows,
      candidates: this.candidates,
      reports: this.reports,
      receipt: new Receipt(memory, ranking, verdicts, this.rows),
      isStorm,
    });
    this.scores = new ScoreReader(memory, kernel, this.candidates.verdicts);
    this.noVictimReportedNs = new Float64Array(plan.capacity.users).fill(-Infinity);
    this.waiting = new WaitingUsers(plan.capacity.users, this.answers);
    this.kernelKills = options.kernelCandidates && new KernelKills({
      memory,
      kernel,
      rows: this.rows,
      candidates: this.candidates,
      kernelCandidates: options.kernelCandidates,
      reports: this.reports,
      counters: this.counters,
      killReports: this.killReports,
    });
    this.victims = new VictimWatch({
      memory,
      kernel,
      rows: this.rows,
      candidates: this.candidates,
      reports: this.reports,
      waiting: this.waiting,
      patienceNs: options.patienceNs,
      isStorm,
    });
    this.graces = new Graces({
      memory,
      kernel,
      rows,
      candidates,
      units: this.units,
      waiting: this.waiting,
      reports,
      noteDying,
      isDryRun: () => this.dryRun,
      tellEnd: (row, nowNs) => this.victims.tellEnd(row, nowNs),
    });
  }

  /** Takes over what a predecessor had open: victims stay watched, candidates are let go. */
  start(): void {
    this.rows.adopt();
  }

  /**
   * Works off the orders and looks after the victims.
   * @param ordersMax At most; a replay says how many.
   * @returns What was done; 0 means that it may sleep, for a short time if {@link busy}.
   */
  step(ordersMax = Infinity): number {
    let done = 0;
    if (this.settings.refresh()) {
      this.settingsChanged();
      done++;
    }
    for (let left = ordersMax; left > 0; left--) {
      const word = this.orders.next();
      if (word < 0) break;
      const tsNs = this.orders.doubles[word >> 1]!;
      const position = this.position.now;
      if ((this.orders.words[word + RecordWord.kindCpu]! & KIND_MASK) === RecordKind.adopt) {
        this.adopt(tsNs, word);
        this.logAct(this.adopted.at(word).userSlot, tsNs, OrderKind.adopt, position);
      } else {
        const { packed, userSlot, generation, culprit1, leastPages } = this.order.at(word);
        if (this.memory.users.generation[userSlot] === generation) {
          this.candidates.ranking.culprit = culprit1 - 1;
          const trigger = orderTriggerOf(packed) as Trigger;
          this.act(userSlot, tsNs, trigger, orderKindOf(packed), leastPages);
        }
        this.logAct(userSlot, tsNs, orderKindOf(packed), position);
      }
      this.orders.release();
      done++;
    }
    const isRecorded = this.log.recording !== 0;
    const position = isRecorded ? this.position.now : 0;
    let looked = 0;
    if (this.rows.asked > 0) looked += this.graces.step(this.kernel.nowNs());
    if (this.storms.count > 0) this.storms.step(this.kernel.nowNs());
    looked += this.victims.step() + this.retryWaiting();
    if (looked > 0 && isRecorded) {
      const nowNs = this.kernel.nowNs();
      this.log.acted(nowNs, nowNs, 0, OrderKind.look, position);
    }
    return done + looked;
  }

  private logAct(userSlot: number, orderTsNs: number, order: number, position: number): void {
    if (this.log.recording === 0) return;
    const uid = this.memory.users.uid[userSlot]!;
    this.log.acted(this.candidates.nowNs, orderTsNs, uid, order, position);
  }

  private settingsChanged(): void {
    const { victimPolicy, dryRun } = this.settings.current;
    this.candidates.ranking.policy = victimPolicy;
    // Who was only said to be a victim is none any more, and its user is to be compared again.
    if (this.dryRun && !dryRun) this.victims.forgetDryRun();
    this.dryRun = dryRun;
  }

  /** What a replay knows of a process that its killer has asked before the recording began. */
  learnScoreAdj(pid: number, scoreAdj: number): void {
    const slot = this.rows.findProcess(pid);
    if (slot >= 0) this.candidates.verdicts.noteScoreAdj(slot, scoreAdj, this.kernel.nowNs());
  }

  get ready(): boolean {
    return this.orders.ready;
  }

  /** Whether victims or waiting orders want to be looked at again soon. */
  get busy(): boolean {
    return this.waiting.count > 0 || this.rows.dying > 0 || this.rows.asked > 0;
  }

  // ------------------------------------------------------------------------------------- acting

  /**
   * A user is over its hard limit, or was when accounting looked; or it is over soft, and the
   * killer arms: it goes the very way of a kill but for the signal. So the victim is known, its
   * pidfd open, its identity checked, and the way in the CPU's caches when it is gone in earnest,
   * which halves the time it takes.
   *
   * @param usefulPages Of an order to relieve: what a victim must give back at least.
   */
  private act(
    userSlot: number,
    tsNs: number,
    trigger: Trigger,
    kind: number,
    usefulPages: number,
  ): void {
    this.candidates.begin(this.kernel.nowNs());
    if (this.memory.header[HeaderWord.victimsDying] !== 0) {
      this.rows.relocate(userSlot, this.hasExited);
    }
    if (kind === OrderKind.arm) {
      this.counters[CounterIndex.arms]!++;
      Atomics.add(this.memory.users.armsDone, userSlot, 1);
      this.take(userSlot, tsNs, trigger, kind, Math.max(1, this.candidates.overPages(userSlot)));
      this.kernelKills?.arm(userSlot);
      this.scores.refresh(userSlot, this.candidates.ranking, this.candidates.nowNs);
    } else if (kind === OrderKind.relieve) {
      this.relieve(userSlot, tsNs, trigger, usefulPages);
    } else this.enforce(userSlot, tsNs, trigger);
  }

  /** I2: takes victims until what remains without the dying is at or below hard, and no more. */
  private enforce(userSlot: number, tsNs: number, trigger: Trigger): void {
    // I4: events were lost since accounting ordered this. It has the user read, and orders again.
    const { header, users } = this.memory;
    if (this.rows.unplaced > 0) this.graces.place(this.candidates.nowNs);
    if (header[HeaderWord.degraded] !== 0 && users.doubtTsNs[userSlot] !== 0) {
      this.answers.recheck(userSlot, false);
      return;
    }
    if (users.asked[userSlot] !== 0) {
      this.graces.look(userSlot, this.candidates.nowNs);
      return;
    }
    let isIdle = true;
    // Nobody was found gone yet.
    let over = this.rows.freed.overPages(userSlot);
    for (; over > 0; over = this.candidates.overPages(userSlot)) {
      const taken = this.take(userSlot, tsNs, trigger, OrderKind.kill, over);
      if (taken === Taken.nobody) {
        this.findsNobody(userSlot);
        return;
      }
      // It has a grace: accounting is answered when that is over.
      if (users.asked[userSlot] !== 0) return;
      isIdle &&= taken !== Taken.one;
    }
    if (isIdle) this.counters[CounterIndex.spared]!++;
    this.answers.recheck(userSlot, false);
  }

  /** The machine is short. Whoever is dying is relief already, and old news are none. */
  private relieve(userSlot: number, tsNs: number, trigger: Trigger, usefulPages: number): void {
    if (this.rows.dying > 0 || this.candidates.nowNs - tsNs > RELIEF_HOLDS_NS) {
      this.counters[CounterIndex.spared]!++;
      this.answers.recheck(userSlot, false);
      return;
    }
    if (this.rows.unplaced > 0) this.graces.place(this.candidates.nowNs);
    if (this.memory.users.asked[userSlot] !== 0) {
      this.graces.finish(userSlot, this.candidates.nowNs, GraceOutcome.pressure);
      return;
    }
    const taken = this.take(userSlot, tsNs, trigger, OrderKind.relieve, usefulPages);
    this.answers.recheck(userSlot, taken === Taken.nobody);
  }

  /**
   * Takes one victim, or with an order to arm only makes ready to.
   * @param needPages What is over; of an order to relieve, what a victim must give back at least.
   */
  private take(
    userSlot: number,
    tsNs: number,
    trigger: Trigger,
    kind: number,
    needPages: number,
  ): Taken {
    const { users, victims } = this.memory;
    const { rows, candidates } = this;
    const { ranking, nowNs } = candidates;
    const arms = kind === OrderKind.arm;
    const leastPages = kind === OrderKind.relieve ? needPages : 0;
    let isWeighed = kind !== OrderKind.kill;
    let armed = rows.armedOf(userSlot);
    // Whoever was checked a moment ago was armed then, and the scores were read.
    const isKnown = arms || (armed >= 0 && nowNs - victims.checkedTsNs[armed]! <= CHECK_HOLDS_NS);
    for (;;) {
      // Ranked each time, as a few events may be many pages: the candidate is mostly still the first.
      candidates.rank(userSlot, leastPages, needPages);
      if (ranking.count === 0) return Taken.nobody;
      if (!isKnown && ranking.count > 1 && this.scores.readUnknown(userSlot, ranking, nowNs)) {
        candidates.rank(userSlot, leastPages, needPages);
      }
      for (let i = 0; i < ranking.count; i++) {
        // Who turned out to be gone has freed what made the user be over, perhaps.
        if (!arms && candidates.gonePages > 0) {
          if (kind === OrderKind.relieve || candidates.overPages(userSlot) <= 0) {
            return Taken.gone;
          }
        }
        const { slot, generation, freesPages } = ranking.best[i]!;
        if (!isWeighed && (freesPages < needPages || candidates.isAnyProtected)) {
          isWeighed = true;
          if (!candidates.isWorthwhile(userSlot)) return Taken.nobody;
          // Those that it looked at may be spared now.
          break;
        }
        let row = armed;
        if (armed < 0 || !rows.isAbout(armed, slot, generation)) {
          const handle = candidates.open(slot, generation, users.uid[userSlot]!);
          if (handle < 0) continue;
          if (arms && armed >= 0) {
            // One candidate a user; the table may be full of them.
            rows.free(armed);
            armed = -1;
          }
          row = rows.arm(userSlot, slot, generation, handle, nowNs, !arms);
          if (row < 0) {
            this.kernel.close(handle);
            return Taken.nobody;
          }
        }
        if (this.signalRow(row, userSlot, tsNs, trigger, kind)) {
          if (row !== armed && armed >= 0) rows.free(armed);
          return Taken.one;
        }
        // That row is free now, and may be taken for the next candidate.
        if (row === armed) armed = -1;
      }
      // The best refuse: at the kill, the others are looked at too. Each that refused is spared.
      if (arms) return Taken.nobody;
    }
  }

  /** Nobody may be killed now: told, and looked at again when what was spared may be considered. */
  private findsNobody(userSlot: number): void {
    this.counters[CounterIndex.killsFailed]!++;
    if (this.candidates.nowNs - this.noVictimReportedNs[userSlot]! >= NO_VICTIM_REPORT_NS) {
      this.noVictimReportedNs[userSlot] = this.candidates.nowNs;
      this.candidates.reportNoVictim(userSlot);
    }
    this.waiting.wait(userSlot, this.candidates.nowNs + NO_VICTIM_RETRY_NS);
  }

  /**
   * Kills the candidate of a row with all that share its mm and all of its unit, or asks them to end;
   * with an order to arm it only looks whether it could.
   * @returns false when it must not or cannot be killed; its row is free then.
   */
  private signalRow(
    row: number,
    userSlot: number,
    tsNs: number,
    trigger: Trigger,
    kind: number,
  ): boolean {
    const { users, victims, processes } = this.memory;
    const { kernel, dryRun, candidates } = this;
    const { sharers } = candidates;
    const arms = kind === OrderKind.arm;
    const slot = victims.processSlot[row]!;
    const generation = victims.processGeneration[row]!;
    const pid = victims.pid[row]!;
    const handle = victims.pidfd[row]!;
    const uid = users.uid[userSlot]!;
    if (
      processes.generation[slot] !== generation || processes.userSlot[slot] !== userSlot ||
      processes.pages[slot]! <= 0
    ) {
      this.rows.free(row);
      return false;
    }
    let refusal: number = Refusal.none;
    if (this.candidates.nowNs - victims.checkedTsNs[row]! > (arms ? RECHECK_NS : CHECK_HOLDS_NS)) {
      refusal = kernel.check(handle, pid, uid);
      victims.checkedTsNs[row] = this.candidates.nowNs;
      if (refusal === Refusal.none) this.candidates.verdicts.accept(slot, this.candidates.nowNs);
    }
    if (refusal !== Refusal.none) {
      this.candidates.refuses(slot, generation, uid, pid, refusal);
      this.rows.free(row);
      return false;
    }
    const isPlanned = !arms && !isPlain(users.plan[userSlot]!);
    const deadly = isPlanned ? this.graces.firstSignal(userSlot, kind) : Signal.kill;
    const signal = arms || dryRun ? Signal.none : deadly;
    let sharerCount = 0;
    if (!arms && (processes.flags[slot]! & ProcessFlag.lends) !== 0) {
      if (!this.candidates.openSharers(slot, pid, uid)) {
        this.rows.free(row);
        return false;
      }
      // The owner last: as long as it is there, the books need not look for an heir of its mm.
      sharerCount = signal === Signal.kill ? sharers.kill(uid) : sharers.count;
    }
    // What is told of it is read before: the signalled may be gone before the call returns.
    const pages = processes.pages[slot]!;
    const creditPages = users.creditPages[userSlot]!;
    const usagePages = creditPages === 0
      ? users.usagePages[userSlot]!
      : chargedPages(users, userSlot);
    const unit = isPlanned ? unitOf(users.plan[userSlot]!) : Unit.process;
    const key = isPlanned && !dryRun ? this.units.keyOf(pid, unit) : 0;
    const sharer = key === 0 ? 0 : this.units.sharerOf(pid, userSlot);
    if (!arms && this.storms.count > 0) this.storms.before(userSlot, pid);
    const result = kernel.kill(handle, pid, signal);
    const killedNs = kernel.nowNs();
    if (result !== 0) {
      const isGone = result === -ESRCH;
      if (isGone) this.candidates.gone(slot, generation, pid);
      else this.candidates.verdicts.leaveOut(slot, killedNs);
      if (!(arms && isGone)) this.reports.put("killFailed", killedNs, [uid, pid, -result]);
      if (!arms) sharers.close();
      this.rows.free(row);
      return false;
    }
    if (arms) return true;
    if (signal === Signal.kill) {
      kernel.reap(handle, pid, processes.taskCount[slot]! > 1);
      if (sharerCount > 0) sharers.hurry();
    }
    sharers.close();
    // From here on everything is bookkeeping: kill first, record after (I6). But for a unit.
    if (signal === Signal.kill) this.kernelKills?.noteDying(uid, pid, slot);
    const graceUntilNs = isPlanned ? this.graces.graceUntilNs(userSlot, killedNs) : 0;
    if (signal === Signal.kill || dryRun) {
      this.rows.markDying(row, killedNs, pages, sharerCount, dryRun);
    } else this.rows.markAsked(row, killedNs, graceUntilNs, pages);
    const members = key === 0
      ? undefined
      : this.units.take({ userSlot, unit, key, sharer, mainPid: pid, signal, graceUntilNs });
    users.kills[userSlot]!++;
    this.counters[CounterIndex.kills]!++;
    const what = { row, userSlot, pid, tsNs, trigger, killedNs, usagePages, creditPages };
    const how = isPlanned ? { signal: deadly, ...(members === undefined ? {} : { members }) } : {};
    this.killReports.put({ ...what, isDryRun: dryRun, ...how });
    if (!dryRun) this.storms.killed(userSlot, pid, killedNs);
    return true;
  }

  /** A program in the kernel has signalled a process: it is told of as those are that this has. */
  private adopt(tsNs: number, word: number): void {
    const { pid, userSlot, generation, usagePages, tookNs } = this.adopted.at(word);
    if (this.memory.users.generation[userSlot] !== generation) return;
    this.candidates.begin(this.kernel.nowNs());
    const kill = { userSlot, pid, tsNs, tookNs, usagePages };
    const adopted = this.kernelKills?.take(kill) ?? "already";
    if (adopted === "already") return;
    this.storms.killed(userSlot, pid, tsNs);
    // Nobody will see its end, so it is told at once.
    if (adopted === "unfollowed") this.victims.tellUnfollowed(kill, this.candidates.nowNs);
  }

  /** Users of whom nobody could be killed are looked at again. */
  private retryWaiting(): number {
    if (this.waiting.count === 0) return 0;
    this.candidates.nowNs = this.kernel.nowNs();
    return this.waiting.retry(this.candidates.nowNs);
  }
}
