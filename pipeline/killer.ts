/**
 * The killer agent: arms at soft, kills at hard, and waits until the victim is gone before it
 * considers another.
 *
 * It decides; what touches the kernel comes in as {@link KillKernel}, so that worker, replay and
 * simulator run the same decisions.
 *
 * @module
 */
import {
  CounterIndex,
  OrderKind,
  RecordKind,
  RecordWord,
  Role,
  type Trigger,
  VictimState,
} from "./layout.ts";
import { chargedPages } from "./charge.ts";
import { attachCounters, type Memory } from "./memory.ts";
import { Doorbell } from "./doorbell.ts";
import { Ranking, type VictimPolicy } from "./ranking.ts";
import { ReportWriter } from "./reports.ts";
import { RingConsumer, RingProducer } from "./ring.ts";
import { VictimRows } from "./victim_rows.ts";

/** What the killer needs of the kernel. Handles are pidfds, or what stands for them. */
export interface KillKernel {
  /** @returns A handle that names this process and no later one; -errno when it is gone. */
  open(pid: number): number;
  /**
   * I1: looks at the process behind the handle.
   * @returns 0 when its real uid is `uid` and nothing protects it, else {@link Refusal}.
   */
  check(handle: number, pid: number, uid: number): number;
  /** Sends a signal, or with {@link Signal.none} only asks whether it could. @returns 0, or -errno. */
  kill(handle: number, pid: number, signal: number): number;
  /** Has the memory of one that was sent SIGKILL freed as soon as can be; must not block. */
  reap(handle: number, pid: number, hasThreads: boolean): void;
  exited(handle: number): boolean;
  close(handle: number): void;
  /** Name of a process, raw bytes, for the log. May be empty. */
  comm(pid: number): Uint8Array;
  /** CLOCK_MONOTONIC, nanoseconds. */
  nowNs(): number;
}

/** signal(7); 0 as in kill(2) */
export const Signal = { none: 0, kill: 9 } as const;

export const Refusal = { none: 0, gone: 1, otherUser: 2, protected: 3 } as const;

export interface KillerOptions {
  readonly policy: VictimPolicy;
  /** Everything but the signal. */
  readonly dryRun: boolean;
  /** A second victim of a user, while the first is not gone, after so long; nanoseconds. */
  readonly patienceNs: number;
}

/** I2: so long does the first victim keep a second one from being chosen. */
export const PATIENCE_NS = 1e9;
/** A process that could not or must not be killed is not considered again for so long. */
const SPARE_NS = 1e9;
/** Without a signal nobody goes; so often is that told. */
const DRY_RUN_PATIENCE_NS = 10e9;
/**
 * I1: identity is checked after the pidfd was opened, and once more at the kill when the check is
 * older than this; while a user grows, arming keeps it fresh. A change of user in between is known
 * from the kernel's own event, and the process is then no longer in the user's books.
 */
const CHECK_HOLDS_NS = 50e6;
const RECHECK_NS = 10e6;
/** When a user is over and nobody may be killed, it is looked at again after so long. */
const NO_VICTIM_RETRY_NS = 100e6;
/** man 3 errno */
const ESRCH = 3;

export class Killer {
  private readonly memory: Memory;
  private readonly kernel: KillKernel;
  private readonly options: KillerOptions;
  private readonly orders: RingConsumer;
  private readonly answers: RingProducer;
  private readonly accountingBell: Doorbell;
  private readonly ranking: Ranking;
  private readonly reports: ReportWriter;
  private readonly counters: Float64Array;
  /** By process slot: not to be considered until, and the generation that this is about. */
  private readonly sparedUntilNs: Float64Array;
  private readonly sparedGeneration: Int32Array;
  private readonly spare: (processSlot: number, generation: number) => boolean;
  /** By user slot: an order waits; not to be looked at again before this time, 0 none waits. */
  private readonly waitingUntilNs: Float64Array;
  private waitingCount = 0;
  private readonly rows: VictimRows;
  private readonly watchRow = (row: number, state: number): void => this.watch(row, state);
  private goneCount = 0;
  /** Pages of candidates that turned out to be gone, and are on the books still. */
  private gonePages = 0;
  private nowNs = 0;

  constructor(memory: Memory, kernel: KillKernel, options: KillerOptions) {
    const { buffer, plan } = memory;
    this.memory = memory;
    this.kernel = kernel;
    this.options = options;
    this.counters = attachCounters(memory, Role.killer);
    this.orders = new RingConsumer(buffer, plan.orderRing);
    this.answers = new RingProducer(buffer, plan.killerRing);
    this.accountingBell = new Doorbell(memory, Role.accounting);
    this.ranking = new Ranking(memory, options.policy);
    this.reports = new ReportWriter(
      new RingProducer(buffer, plan.reportRings[Role.killer]!),
      this.counters,
      new Doorbell(memory, Role.supervisor),
    );
    this.sparedUntilNs = new Float64Array(plan.capacity.processes);
    this.sparedGeneration = new Int32Array(plan.capacity.processes);
    this.spare = (slot, generation) =>
      (this.sparedGeneration[slot] === generation && this.sparedUntilNs[slot]! > this.nowNs) ||
      this.rows.isDying(slot, generation);
    this.rows = new VictimRows(memory, (handle) => kernel.close(handle));
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
    for (;;) {
      const word = this.orders.next();
      if (word < 0) break;
      const { words, doubles } = this.orders;
      const kind = words[word + RecordWord.a]!;
      const userSlot = words[word + RecordWord.b]!;
      const generation = words[word + RecordWord.d]!;
      if (this.memory.users.generation[userSlot] === generation) {
        const tsNs = doubles[word >> 1]!;
        this.act(userSlot, tsNs, words[word + RecordWord.c] as Trigger, kind);
      }
      this.orders.release();
      done++;
    }
    return done + this.watchVictims() + this.retryWaiting();
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
   */
  private act(userSlot: number, tsNs: number, trigger: Trigger, kind: number): void {
    const { users } = this.memory;
    const { rows, ranking } = this;
    const arms = kind === OrderKind.arm;
    this.nowNs = this.kernel.nowNs();
    this.gonePages = 0;
    const mustGo = kind === OrderKind.relieve || this.isOver(userSlot);
    if (arms) {
      this.counters[CounterIndex.arms]!++;
      Atomics.add(users.armsDone, userSlot, 1);
    } else if (this.mustWait(userSlot, mustGo)) {
      this.wait(userSlot, this.nowNs);
      return;
    } else if (!mustGo) {
      this.counters[CounterIndex.spared]!++;
      this.answer(userSlot);
      return;
    }
    // Ranked each time, as a few events may be many pages: the candidate is mostly still the first.
    ranking.rank(userSlot, this.nowNs, this.spare);
    let armed = rows.armedOf(userSlot);
    for (let i = 0; i < ranking.count; i++) {
      // Who turned out to be gone has freed what made the user be over, perhaps.
      if (!arms && this.gonePages > 0 && (kind === OrderKind.relieve || !this.isOver(userSlot))) {
        this.answer(userSlot);
        return;
      }
      const slot = ranking.processSlots[i]!;
      const generation = ranking.generations[i]!;
      let row = armed;
      if (armed < 0 || !rows.isAbout(armed, slot, generation)) {
        const handle = this.openChecked(slot, generation, users.uid[userSlot]!);
        if (handle < 0) continue;
        if (arms && armed >= 0) {
          // One candidate a user; the table may be full of them.
          rows.free(armed);
          armed = -1;
        }
        row = rows.arm(userSlot, slot, generation, handle, this.nowNs, !arms);
        if (row < 0) {
          this.kernel.close(handle);
          break;
        }
      }
      if (this.signalRow(row, userSlot, tsNs, trigger, arms)) {
        if (row !== armed && armed >= 0) rows.free(armed);
        return;
      }
      // That row is free now, and may be taken for the next candidate.
      if (row === armed) armed = -1;
    }
    if (!arms) this.findsNobody(userSlot);
  }

  /** I2: whether a victim of the user is dying, and that may be enough. */
  private mustWait(userSlot: number, mustGo: boolean): boolean {
    if (this.rows.dying === 0) return false;
    if (this.hasYoungVictim(userSlot)) return true;
    return !mustGo && this.rows.hasVictimSince(userSlot, -Infinity);
  }

  /** Nobody may be killed now: told, and looked at again when what was spared may be considered. */
  private findsNobody(userSlot: number): void {
    const { users } = this.memory;
    this.counters[CounterIndex.killsFailed]!++;
    this.reports.put("noVictim", this.nowNs, [
      users.uid[userSlot]!,
      users.usagePages[userSlot]!,
      users.hardPages[userSlot]!,
    ]);
    this.wait(userSlot, this.nowNs + NO_VICTIM_RETRY_NS);
  }

  /** Opens and checks a candidate. @returns Its handle, -1 when it must be left alone. */
  private openChecked(slot: number, generation: number, uid: number): number {
    const pid = this.memory.processes.tgid[slot]!;
    const handle = this.kernel.open(pid);
    if (handle < 0) {
      this.gone(slot, generation, pid);
      return -1;
    }
    const refusal = this.kernel.check(handle, pid, uid);
    if (refusal === Refusal.none) return handle;
    this.kernel.close(handle);
    if (refusal === Refusal.gone) this.gone(slot, generation, pid);
    else this.spareFor(slot, generation);
    return -1;
  }

  private spareFor(slot: number, generation: number): void {
    this.sparedGeneration[slot] = generation;
    this.sparedUntilNs[slot] = this.kernel.nowNs() + SPARE_NS;
  }

  /** Whether a user is over its hard limit, without what is being freed already. */
  private isOver(userSlot: number): boolean {
    const { users } = this.memory;
    const pages = chargedPages(users, userSlot) - this.rows.dyingPages(userSlot);
    return pages - this.gonePages > Atomics.load(users.hardPages, userSlot);
  }

  private hasYoungVictim(userSlot: number): boolean {
    const { dryRun, patienceNs } = this.options;
    const sinceNs = this.nowNs - (dryRun ? DRY_RUN_PATIENCE_NS : patienceNs);
    return this.rows.hasVictimSince(userSlot, sinceNs);
  }

  /**
   * Kills the candidate of a row, or with `arms` only looks whether it could.
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
    const { kernel, options } = this;
    const slot = victims.processSlot[row]!;
    const generation = victims.processGeneration[row]!;
    const pid = victims.pid[row]!;
    const handle = victims.pidfd[row]!;
    const uid = users.uid[userSlot]!;
    if (
      processes.generation[slot] !== generation || processes.userSlot[slot] !== userSlot ||
      processes.pages[slot]! <= 0 || this.spare(slot, generation)
    ) {
      this.rows.free(row);
      return false;
    }
    let refusal: number = Refusal.none;
    if (this.nowNs - victims.checkedTsNs[row]! > (arms ? RECHECK_NS : CHECK_HOLDS_NS)) {
      refusal = kernel.check(handle, pid, uid);
      victims.checkedTsNs[row] = this.nowNs;
    }
    const signal = arms || options.dryRun ? Signal.none : Signal.kill;
    const result = refusal === Refusal.none ? kernel.kill(handle, pid, signal) : 0;
    const killedNs = kernel.nowNs();
    if (refusal !== Refusal.none || result !== 0) {
      const isGone = refusal === Refusal.gone || result === -ESRCH;
      if (isGone) this.gone(slot, generation, pid);
      else this.spareFor(slot, generation);
      if (result !== 0 && !(arms && isGone)) {
        this.reports.put("killFailed", killedNs, [uid, pid, -result]);
      }
      this.rows.free(row);
      return false;
    }
    if (arms) return true;
    if (!options.dryRun) kernel.reap(handle, pid, processes.taskCount[slot]! > 1);
    // From here on everything is bookkeeping: kill first, record after (I6).
    this.rows.markDying(row, killedNs, processes.pages[slot]!);
    users.kills[userSlot]!++;
    this.counters[CounterIndex.kills]!++;
    this.reportKill(row, tsNs, trigger, killedNs);
    // Should it not go, the user is looked at again.
    this.wait(userSlot, killedNs + (options.dryRun ? DRY_RUN_PATIENCE_NS : options.patienceNs));
    return true;
  }

  private reportKill(row: number, tsNs: number, trigger: Trigger, killedNs: number): void {
    const { users, victims } = this.memory;
    const userSlot = victims.userSlot[row]!;
    const pid = victims.pid[row]!;
    const { ranking } = this;
    // The victim is dying by now, so this ranks those that were weighed beside it.
    ranking.rank(userSlot, killedNs, this.spare);
    const other = (i: number, column: Int32Array): number => i < ranking.count ? column[i]! : 0;
    this.reports.put("kill", killedNs, [
      users.uid[userSlot]!,
      pid,
      trigger,
      users.usagePages[userSlot]!,
      users.hardPages[userSlot]!,
      victims.pages[row]!,
      (killedNs - tsNs) / 1000,
      this.options.dryRun ? 1 : 0,
      other(0, ranking.pids),
      other(0, ranking.pages),
      other(1, ranking.pids),
      other(1, ranking.pages),
    ], this.kernel.comm(pid));
  }

  // ------------------------------------------------------------------------------------ victims

  /** Looks whether victims are gone. @returns How many are. */
  private watchVictims(): number {
    this.goneCount = 0;
    this.rows.forEach(this.watchRow);
    return this.goneCount;
  }

  private watch(row: number, state: number): void {
    const { victims, users, processes } = this.memory;
    const slot = victims.processSlot[row]!;
    const generation = victims.processGeneration[row]!;
    if (state === VictimState.armed) {
      if (processes.generation[slot] !== generation) this.rows.free(row);
      return;
    }
    const { dryRun } = this.options;
    const nowNs = this.kernel.nowNs();
    const tookNs = nowNs - victims.killTsNs[row]!;
    const isOver = dryRun ? tookNs >= DRY_RUN_PATIENCE_NS : this.kernel.exited(victims.pidfd[row]!);
    if (!isOver) return;
    const userSlot = victims.userSlot[row]!;
    if (!dryRun) {
      const uid = users.uid[userSlot]!;
      const pid = victims.pid[row]!;
      this.reports.put("killed", nowNs, [uid, pid, victims.pages[row]!, tookNs / 1000]);
      this.gone(slot, generation, pid);
    }
    const isCurrent = this.rows.isOf(row, userSlot);
    this.rows.free(row);
    if (isCurrent) this.endWait(userSlot);
    this.goneCount++;
  }

  /** Orders that waited for a victim that takes its time. */
  private retryWaiting(): number {
    if (this.waitingCount === 0) return 0;
    this.nowNs = this.kernel.nowNs();
    let done = 0;
    for (let userSlot = 0; userSlot < this.waitingUntilNs.length; userSlot++) {
      const untilNs = this.waitingUntilNs[userSlot]!;
      if (untilNs === 0 || untilNs > this.nowNs || this.hasYoungVictim(userSlot)) continue;
      if (this.rows.hasVictimSince(userSlot, -Infinity) && !this.isOver(userSlot)) continue;
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
    this.answer(userSlot);
  }

  private answer(userSlot: number): void {
    const { users } = this.memory;
    this.put(
      RecordKind.order,
      users.uid[userSlot]!,
      OrderKind.recheck,
      userSlot,
      users.generation[userSlot]!,
    );
  }

  private gone(slot: number, generation: number, pid: number): void {
    const { processes } = this.memory;
    if (processes.generation[slot] === generation) this.gonePages += processes.pages[slot]!;
    this.put(RecordKind.victimGone, pid, slot, generation, 0);
  }

  private put(kind: number, tid: number, a: number, b: number, d: number): void {
    let word = this.answers.claim();
    while (word < 0) {
      // Accounting is behind by thousands of answers: wait for it, it does not wait for us.
      this.accountingBell.ring();
      this.answers.waitForRoom(1);
      word = this.answers.claim();
    }
    this.answers.doubles[word >> 1] = this.kernel.nowNs();
    this.answers.words[word + RecordWord.kindCpu] = kind;
    this.answers.words[word + RecordWord.tid] = tid;
    this.answers.words[word + RecordWord.a] = a;
    this.answers.words[word + RecordWord.b] = b;
    this.answers.words[word + RecordWord.c] = 0;
    this.answers.words[word + RecordWord.d] = d;
    this.answers.advance();
    this.answers.publish();
    this.accountingBell.ring();
  }
}
