/**
 * The killer agent: arms at soft, kills at hard, and takes another victim only when what remains
 * without those that are dying is over hard too.
 *
 * It decides; what touches the kernel comes in as {@link KillKernel}, so that worker, replay and
 * simulator run the same decisions.
 *
 * @module
 */
import {
  CounterIndex,
  HeaderWord,
  OrderKind,
  ProcessFlag,
  Role,
  type Trigger,
  VICTIMS_MAX,
  VictimState,
} from "../memory/layout.ts";
import { attachCounters, type Memory } from "../memory/memory.ts";
import { Candidates, CHECK_HOLDS_NS, ESRCH } from "./candidates.ts";
import { chargedPages } from "../books/charge.ts";
import { Doorbell } from "../memory/doorbell.ts";
import { type KillKernel, Refusal, Signal } from "./kill_kernel.ts";
import { SettingsView } from "../memory/settings.ts";
import type { View } from "../messages/codec.ts";
import { ORDER, RECHECK, VICTIM_GONE } from "../messages/records.ts";
import { RecordWriter } from "../messages/record_writer.ts";
import { ReportWriter } from "../messages/reports.ts";
import { Receipt } from "./receipt.ts";
import { RingConsumer, RingProducer } from "../memory/ring.ts";
import { ScoreReader } from "./score_reader.ts";
import { Part } from "./verdicts.ts";
import { VictimRows } from "./victim_rows.ts";

export { type KillKernel, Refusal, Signal } from "./kill_kernel.ts";

export interface KillerOptions {
  /** A victim that has given nothing back for so long is stuck, and not dying any more; nanoseconds. */
  readonly patienceNs: number;
}

/** I2: so long does a victim that gives nothing back keep another from being chosen. */
export const PATIENCE_NS = 1e9;
/** Without a signal nobody goes; so often is that told. */
const DRY_RUN_PATIENCE_NS = 10e9;
/** I1: an armed candidate is checked again when its check is older; see candidates.ts. */
const RECHECK_NS = 10e6;
/** When a user is over and nobody may be killed, it is looked at again after so long. */
const NO_VICTIM_RETRY_NS = 100e6;
/** And that is told at most so often. */
const NO_VICTIM_REPORT_NS = 60e9;
/** A shortage of the machine that was read longer ago is no reason to kill. */
export const RELIEF_HOLDS_NS = 250e6;
/** So long after something happened accounting has heard of it, if it is not behind. */
const HEARD_OF_NS = 20e6;

/** What became of an attempt to take a victim. */
const Taken = { nobody: 0, one: 1, gone: 2 } as const;
type Taken = typeof Taken[keyof typeof Taken];

export class Killer {
  private readonly memory: Memory;
  private readonly kernel: KillKernel;
  private readonly patienceNs: number;
  private readonly settings: SettingsView;
  /** Everything but the signal. */
  private dryRun: boolean;
  private readonly orders: RingConsumer;
  private readonly order: View<typeof ORDER.fields>;
  private readonly answers: RecordWriter;
  private readonly accountingBell: Doorbell;
  private readonly reports: ReportWriter;
  private readonly counters: Float64Array;
  private readonly candidates: Candidates;
  private readonly scores: ScoreReader;
  private readonly receipt: Receipt;
  /** By user slot: when it was told last that nobody may be killed. */
  private readonly noVictimToldNs: Float64Array;
  /** By user slot: an order waits; not to be looked at again before this time, 0 none waits. */
  private readonly waitingUntilNs: Float64Array;
  private waitingCount = 0;
  private readonly rows: VictimRows;
  private readonly hasExited = (handle: number): boolean => this.kernel.exited(handle);
  private readonly forgetRow = (row: number): void => this.forget(row);
  private readonly watchRow = (row: number, state: number): void => this.watch(row, state);
  /** Victims that are gone, or stuck, since the last look. */
  private changes = 0;
  private readonly accountingCounters: Float64Array;
  /** By row of a victim: when its end was seen, if that is later than its signal. */
  private readonly endedNs = new Float64Array(VICTIMS_MAX);

  constructor(memory: Memory, kernel: KillKernel, options: KillerOptions) {
    const { buffer, plan } = memory;
    this.memory = memory;
    this.kernel = kernel;
    this.patienceNs = options.patienceNs;
    this.settings = new SettingsView(memory.settings);
    this.dryRun = this.settings.current.dryRun;
    this.counters = attachCounters(memory, Role.killer);
    this.accountingCounters = attachCounters(memory, Role.accounting);
    this.orders = new RingConsumer(buffer, plan.orderRing);
    this.order = ORDER.view(this.orders.words);
    const answers = new RingProducer(buffer, plan.killerRing);
    this.answers = new RecordWriter(answers, () => {
      // Accounting is behind by thousands of answers: wait for it, it does not wait for us.
      this.accountingBell.ring();
      answers.waitForRoom(1);
    });
    this.accountingBell = new Doorbell(memory, Role.accounting);
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
      tellGone: (pid, slot, generation) => {
        const gone = this.answers.open(VICTIM_GONE, this.kernel.nowNs());
        gone.pid = pid;
        gone.processSlot = slot;
        gone.generation = generation;
        this.publishAnswer();
      },
    });
    const { ranking, verdicts } = this.candidates;
    this.receipt = new Receipt(memory, ranking, verdicts, this.rows);
    this.scores = new ScoreReader(memory, kernel, this.candidates.verdicts);
    this.noVictimToldNs = new Float64Array(plan.capacity.users).fill(-Infinity);
    this.waitingUntilNs = new Float64Array(plan.capacity.users);
  }

  /** Takes over what a predecessor had open: victims stay watched, candidates are let go. */
  start(): void {
    this.rows.adopt();
  }

  /**
   * Works off the orders and looks after the victims.
   * @returns What was done; 0 means that it may sleep, for a short time if {@link busy}.
   */
  step(): number {
    let done = 0;
    if (this.settings.refresh()) {
      this.settingsChanged();
      done++;
    }
    for (;;) {
      const word = this.orders.next();
      if (word < 0) break;
      const { order, userSlot, generation, trigger, leastPages } = this.order.at(word);
      if (this.memory.users.generation[userSlot] === generation) {
        const tsNs = this.orders.doubles[word >> 1]!;
        this.act(userSlot, tsNs, trigger as Trigger, order, leastPages);
      }
      this.orders.release();
      done++;
    }
    return done + this.watchVictims() + this.retryWaiting();
  }

  private settingsChanged(): void {
    const { victimPolicy, dryRun } = this.settings.current;
    this.candidates.ranking.policy = victimPolicy;
    // Who was only said to be a victim is none any more, and its user is to be compared again.
    if (this.dryRun && !dryRun) this.rows.forEach(this.forgetRow);
    this.dryRun = dryRun;
  }

  get ready(): boolean {
    return this.orders.ready;
  }

  /** Whether victims or waiting orders want to be looked at again soon. */
  get busy(): boolean {
    return this.waitingCount > 0 || this.rows.dying > 0;
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
      this.scores.refresh(userSlot, this.candidates.ranking, this.candidates.nowNs);
    } else if (kind === OrderKind.relieve) {
      this.relieve(userSlot, tsNs, trigger, usefulPages);
    } else this.enforce(userSlot, tsNs, trigger);
  }

  /** I2: takes victims until what remains without the dying is at or below hard, and no more. */
  private enforce(userSlot: number, tsNs: number, trigger: Trigger): void {
    // I4: events were lost since accounting ordered this. It has the user read, and orders again.
    const { header, users } = this.memory;
    if (header[HeaderWord.degraded] !== 0 && users.doubtTsNs[userSlot] !== 0) {
      this.answer(userSlot, false);
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
      isIdle &&= taken !== Taken.one;
    }
    if (isIdle) this.counters[CounterIndex.spared]!++;
    this.answer(userSlot, false);
  }

  /** The machine is short. Whoever is dying is relief already, and old news are none. */
  private relieve(userSlot: number, tsNs: number, trigger: Trigger, usefulPages: number): void {
    if (this.rows.dying > 0 || this.candidates.nowNs - tsNs > RELIEF_HOLDS_NS) {
      this.counters[CounterIndex.spared]!++;
      this.answer(userSlot, false);
      return;
    }
    const taken = this.take(userSlot, tsNs, trigger, OrderKind.relieve, usefulPages);
    this.answer(userSlot, taken === Taken.nobody);
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
    const { ranking, verdicts, nowNs } = candidates;
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
        if (!isWeighed && (freesPages < needPages || verdicts.protectedCount > 0)) {
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
        if (this.signalRow(row, userSlot, tsNs, trigger, arms)) {
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
    if (this.candidates.nowNs - this.noVictimToldNs[userSlot]! >= NO_VICTIM_REPORT_NS) {
      this.noVictimToldNs[userSlot] = this.candidates.nowNs;
      this.candidates.reportNoVictim(userSlot);
    }
    this.wait(userSlot, this.candidates.nowNs + NO_VICTIM_RETRY_NS);
  }

  /**
   * Kills the candidate of a row with all that share its mm, or with `arms` only looks whether it
   * could.
   * @returns false when it must not or cannot be killed; its row is free then.
   */
  private signalRow(
    row: number,
    userSlot: number,
    tsNs: number,
    trigger: Trigger,
    arms: boolean,
  ): boolean {
    const { users, victims, processes } = this.memory;
    const { kernel, dryRun, candidates } = this;
    const { sharers } = candidates;
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
    const signal = arms || dryRun ? Signal.none : Signal.kill;
    let sharerCount = 0;
    if (!arms && (processes.flags[slot]! & ProcessFlag.lends) !== 0) {
      if (!this.candidates.openSharers(slot, pid, uid)) {
        this.rows.free(row);
        return false;
      }
      // The owner last: as long as it is there, the books need not look for an heir of its mm.
      sharerCount = dryRun ? sharers.count : sharers.kill(uid);
    }
    // What is told of it is read before: the signalled may be gone before the call returns.
    const pages = processes.pages[slot]!;
    const creditPages = users.creditPages[userSlot]!;
    const usagePages = creditPages === 0
      ? users.usagePages[userSlot]!
      : chargedPages(users, userSlot);
    const result = kernel.kill(handle, pid, signal);
    const killedNs = kernel.nowNs();
    if (result !== 0) {
      const isGone = result === -ESRCH;
      if (isGone) this.candidates.gone(slot, generation, pid);
      else this.candidates.verdicts.spare(slot, killedNs);
      if (!(arms && isGone)) this.reports.put("killFailed", killedNs, [uid, pid, -result]);
      if (!arms) sharers.close();
      this.rows.free(row);
      return false;
    }
    if (arms) return true;
    if (!dryRun) {
      kernel.reap(handle, pid, processes.taskCount[slot]! > 1);
      if (sharerCount > 0) sharers.hurry();
    }
    sharers.close();
    // From here on everything is bookkeeping: kill first, record after (I6).
    this.rows.markDying(row, killedNs, pages, sharerCount);
    users.kills[userSlot]!++;
    this.counters[CounterIndex.kills]!++;
    this.reportKill(row, tsNs, trigger, killedNs, usagePages, creditPages);
    return true;
  }

  private reportKill(
    row: number,
    tsNs: number,
    trigger: Trigger,
    killedNs: number,
    usagePages: number,
    creditPages: number,
  ): void {
    const { users, victims } = this.memory;
    const userSlot = victims.userSlot[row]!;
    const pid = victims.pid[row]!;
    // The victim is dying by now, so this ranks those that were weighed beside it.
    this.candidates.rankOthers(userSlot);
    this.reports.put(
      "kill",
      killedNs,
      [
        users.uid[userSlot]!,
        pid,
        trigger,
        usagePages,
        users.hardPages[userSlot]!,
        victims.pages[row]!,
        (killedNs - tsNs) / 1000,
        this.dryRun ? 1 : 0,
        victims.sharers[row]!,
        creditPages,
        this.rows.freed.pages(userSlot),
        Atomics.load(this.memory.header, HeaderWord.degraded),
      ],
      this.kernel.comm(pid),
      this.receipt.rows(userSlot, pid, this.candidates.nowNs),
    );
  }

  // ------------------------------------------------------------------------------------ victims

  /** Looks whether victims are gone. @returns How many are, or are stuck now. */
  private watchVictims(): number {
    this.changes = 0;
    this.rows.forEach(this.watchRow);
    return this.changes;
  }

  private watch(row: number, state: number): void {
    const { victims, users, processes } = this.memory;
    const slot = victims.processSlot[row]!;
    const generation = victims.processGeneration[row]!;
    if (state === VictimState.armed) {
      if (processes.generation[slot] !== generation) this.rows.free(row);
      return;
    }
    const { dryRun, patienceNs } = this;
    const nowNs = this.kernel.nowNs();
    const tookNs = nowNs - victims.killTsNs[row]!;
    const userSlot = victims.userSlot[row]!;
    const isOver = dryRun ? tookNs >= DRY_RUN_PATIENCE_NS : this.kernel.exited(victims.pidfd[row]!);
    if (!isOver) {
      if (dryRun || state === VictimState.stuck) return;
      if (victims.sharers[row]! > 0) this.killLateSharers(row, victims.pid[row]!);
      if (!this.rows.becomesStuck(row, nowNs, patienceNs)) return;
      if (this.rows.isOf(row, userSlot)) this.endWait(userSlot);
      this.changes++;
      return;
    }
    if (!dryRun) {
      this.candidates.begin(nowNs);
      if (processes.generation[slot] === generation) {
        this.candidates.gone(slot, generation, victims.pid[row]!);
      }
      if (this.follows(row)) {
        this.rows.becomesStuck(row, nowNs, patienceNs);
        return;
      }
      const uid = users.uid[userSlot]!;
      const pid = victims.pid[row]!;
      this.reports.put("killed", nowNs, [uid, pid, victims.pages[row]!, tookNs / 1000]);
    }
    this.forget(row);
    this.changes++;
  }

  /** A row counts no more, and whoever waits for its end need not. */
  private forget(row: number): void {
    const userSlot = this.memory.victims.userSlot[row]!;
    const isCurrent = this.rows.isOf(row, userSlot);
    this.rows.free(row);
    if (isCurrent) this.endWait(userSlot);
  }

  /** Those that came to share the mm of a victim since it was signalled. */
  private killLateSharers(row: number, ownerPid: number): void {
    const holder = this.rows.freed.holderOf(row);
    if (holder < 0) return;
    const { victims, users } = this.memory;
    if (this.candidates.sharers.find(holder) === 0) return;
    this.candidates.sharers.killLate(ownerPid, users.uid[victims.userSlot[row]!]!);
  }

  /**
   * A victim has ended, but its mm may live on with those that share it: the row follows.
   * @returns false when the memory is gone, or with somebody who has nothing to do with the victim.
   */
  private follows(row: number): boolean {
    const { victims, processes, users } = this.memory;
    const { rows } = this;
    const { sharers } = this.candidates;
    const holder = rows.freed.holderOf(row);
    if (holder < 0) return false;
    const generation = processes.generation[holder]!;
    // Accounting has yet to hear that the victim is gone, and gives the mm to a sharer then.
    if (rows.isAbout(row, holder, generation)) return sharers.find(holder) > 0;
    const userSlot = victims.userSlot[row]!;
    if (!rows.isOf(row, userSlot) || processes.userSlot[holder] !== userSlot) return false;
    const part = this.candidates.verdicts.partOf(holder, generation);
    if (part === Part.apart) return false;
    // Who was not signalled may have executed a program, and the books will hear of it yet. If not,
    // it is a process as any other.
    if (part === Part.unknown) return !this.isHeardOf(row);
    const pid = processes.tgid[holder]!;
    const uid = users.uid[userSlot]!;
    const handle = this.candidates.open(holder, generation, uid);
    // Gone: accounting hears of that, and there may be another one.
    if (handle < 0) return this.candidates.isGone(holder);
    rows.retarget(row, holder, generation, pid, handle);
    this.killLateSharers(row, pid);
    return true;
  }

  /** Whether accounting has heard of what was before the end of a row's victim, or is quiet. */
  private isHeardOf(row: number): boolean {
    const { endedNs } = this;
    if (this.memory.victims.killTsNs[row]! > endedNs[row]!) endedNs[row] = this.candidates.nowNs;
    return this.accountingCounters[CounterIndex.lastTsNs]! >= endedNs[row]! ||
      this.candidates.nowNs - endedNs[row]! >= HEARD_OF_NS;
  }

  /** Users of whom nobody could be killed are looked at again. */
  private retryWaiting(): number {
    if (this.waitingCount === 0) return 0;
    this.candidates.nowNs = this.kernel.nowNs();
    let done = 0;
    for (let userSlot = 0; userSlot < this.waitingUntilNs.length; userSlot++) {
      const untilNs = this.waitingUntilNs[userSlot]!;
      if (untilNs === 0 || untilNs > this.candidates.nowNs) continue;
      this.endWait(userSlot);
      done++;
    }
    return done;
  }

  private wait(userSlot: number, untilNs: number): void {
    if (this.waitingUntilNs[userSlot] === 0) this.waitingCount++;
    this.waitingUntilNs[userSlot] = untilNs;
  }

  /** Lets accounting look at the user again: it knows best whether somebody else must go. */
  private endWait(userSlot: number): void {
    if (this.waitingUntilNs[userSlot] !== 0) {
      this.waitingUntilNs[userSlot] = 0;
      this.waitingCount--;
    }
    this.answer(userSlot, false);
  }

  private answer(userSlot: number, foundNobody: boolean): void {
    const { users } = this.memory;
    const recheck = this.answers.open(RECHECK, this.kernel.nowNs());
    recheck.userSlot = userSlot;
    recheck.generation = users.generation[userSlot]!;
    recheck.isNobody = foundNobody ? 1 : 0;
    this.publishAnswer();
  }

  /** Hands over what was written for accounting. */
  private publishAnswer(): void {
    this.answers.close();
    this.answers.ring.publish();
    this.accountingBell.ring();
  }
}
