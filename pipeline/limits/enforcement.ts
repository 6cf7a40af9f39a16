/**
 * Compares users with their limits: who is past soft has the killer arm, who is past hard has it
 * kill. The part of accounting that gives orders.
 *
 * A user is looked at when something can have changed: its growth up to {@link Enforcement.quietPages}
 * is no more than a comparison. Longer than 450 lines, because all that decides about one user at one
 * time is compared here, and each order remembers when it was given.
 *
 * @module
 */
import { ceilingPages, packPlan } from "../memory/kill_plan.ts";
import { ARM_EVERY_NS, VERIFY_EVERY_NS } from "../memory/timing.ts";
import { BrakeCalls } from "./brake_calls.ts";
import { type Books, NO_LIMIT_PAGES, PROCESSES_MAX } from "../books/books.ts";
import { attachRole, Doorbell } from "../memory/doorbell.ts";
import { Dying } from "../kill/dying.ts";
import {
  CounterIndex,
  HeaderWord,
  OrderKind,
  PressureReason,
  Role,
  RoleWord,
  Trigger,
  UserState,
} from "../memory/layout.ts";
import { KernelLines } from "./kernel_lines.ts";
import type { LimitRule } from "./limits.ts";
import { LowerGrace } from "./lower_grace.ts";
import type { RulesView } from "./published_rules.ts";
import type { Memory } from "../memory/memory.ts";
import { Relief } from "./relief.ts";
import { ADOPT, ORDER, packOrder } from "../messages/records.ts";
import type { KernelLimits } from "../kill/kernel_trigger.ts";
import { RecordWriter } from "../messages/record_writer.ts";
import type { ReportWriter } from "../messages/reports.ts";
import { RingProducer } from "../memory/ring.ts";
import { Urgency } from "./urgency.ts";

/** Above soft, the victims are ranked again every so many pages: the original's early bootstrap. */
export const ARM_EVERY_PAGES = 10;

/** Whether a kill was ordered and not answered yet; and once more, when a grace is over by the ceiling. */
const Ordered = { no: 0, once: 1, aboveCeiling: 2 } as const;

/** The same thing about the same user is told at most this often. */
const REPORT_EVERY_NS = 1e9;

export interface EnforcementContext {
  readonly memory: Memory;
  readonly books: Books;
  readonly reports: ReportWriter;
  readonly counters: Float64Array;
  /** See {@link Urgency}. */
  readonly marginPages: number;
  /** Limits and settings; refreshed by accounting. */
  readonly rules: RulesView;
  /** Programs in the kernel that compare users too. */
  readonly kernel?: KernelLimits | undefined;
  /** Has the shares of a user measured. */
  readonly measure: (uid: number) => void;
  /** Has a user read whose books are in doubt. */
  readonly verify: (uid: number) => void;
  /** Has the sweeper brake processes. Must not wait. */
  readonly brake: () => void;
}

export class Enforcement {
  /** By user slot: its growth up to so many counted pages changes nothing, and is not looked at. */
  readonly quietPages: Float64Array;
  /** Time of the record that counts at present: a field, because a double as an argument of a
   * function that is not inlined is allocated. */
  readonly nowNs = new Float64Array(1);
  /**
   * The first sweep is under way: nobody is to be killed, because of a user's processes only some are
   * known, and of those that share an mm perhaps one.
   */
  private isFirstSweep = false;
  private isLeftToKernel = false;
  readonly kernel: KernelLimits | undefined;
  private readonly kernelLines: KernelLines | undefined;
  private readonly books: Books;
  private readonly reports: ReportWriter;
  private readonly counters: Float64Array;
  private readonly header: Int32Array;
  private readonly measure: EnforcementContext["measure"];
  private readonly verify: EnforcementContext["verify"];
  private readonly brake: BrakeCalls;
  private readonly rules: RulesView;
  private readonly orders: RecordWriter;
  private readonly killerBell: Doorbell;
  private readonly killerRole: Int32Array;
  private killerEpoch: number;
  private readonly urgency: Urgency;
  private readonly dying: Dying;
  private readonly grace: LowerGrace;
  private readonly relief: Relief;
  /** By user slot: the process that took a page last while the user was looked at, slot + 1; 0 none. */
  private readonly culprit1: Int32Array;
  /** By user slot: {@link Ordered}. */
  private readonly killOrdered: Uint8Array;
  /** By user slot: orders to arm so far, and when the last was given. */
  private readonly armsOrdered: Int32Array;
  private readonly armOrderedNs: Float64Array;
  private readonly softReportedNs: Float64Array;
  /** By user slot: up to so many charged pages a user is below soft and far from hard. */
  private readonly farPages: Float64Array;
  /** By user slot: when it was asked to be verified, and to be measured. */
  private readonly verifyAskedNs: Float64Array;
  private readonly measureAskedNs: Float64Array;

  constructor(context: EnforcementContext) {
    const { memory, books, reports } = context;
    const { buffer, plan } = memory;
    const { users } = plan.capacity;
    this.books = books;
    this.reports = reports;
    this.counters = context.counters;
    this.header = memory.header;
    this.measure = context.measure;
    this.verify = context.verify;
    this.brake = new BrakeCalls(memory, context.rules, context.brake);
    this.rules = context.rules;
    this.kernel = context.kernel;
    this.kernelLines = context.kernel && new KernelLines({ ...context, kernel: context.kernel });
    // Orders for which there is no room are counted, and given again: nobody waits for the killer.
    this.orders = new RecordWriter(new RingProducer(buffer, plan.orderRing), () => {});
    this.killerBell = new Doorbell(memory, Role.killer);
    this.killerRole = attachRole(memory, Role.killer);
    this.killerEpoch = Atomics.load(this.killerRole, RoleWord.epoch);
    this.urgency = new Urgency(memory, context.marginPages);
    this.dying = new Dying(memory);
    this.grace = new LowerGrace(books, context.rules);
    this.relief = new Relief(
      books,
      this.dying,
      reports,
      plan.capacity.pageBytes,
      () => this.rules.settings.machineVictim,
    );
    this.killOrdered = new Uint8Array(users);
    this.culprit1 = new Int32Array(users);
    this.armsOrdered = new Int32Array(users);
    this.armOrderedNs = new Float64Array(users).fill(-Infinity);
    this.softReportedNs = new Float64Array(users).fill(-Infinity);
    this.farPages = new Float64Array(users).fill(Infinity);
    this.quietPages = new Float64Array(users).fill(Infinity);
    this.verifyAskedNs = new Float64Array(users).fill(-Infinity);
    this.measureAskedNs = new Float64Array(users).fill(-Infinity);
  }

  /** Takes over the users that a predecessor's books had. */
  start(): void {
    this.armsOrdered.set(this.books.users.armsDone);
    const { users, userSlots } = this.books;
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      if (users.state[slot] !== UserState.free) this.countUser(slot);
      this.limitUser(slot);
    }
  }

  /** Looks whether there is another killer, whether a grace is over, and for new promises. */
  refresh(nowNs: number): void {
    if (this.brake.isPromiseNew(nowNs)) this.promisesChanged();
    if (nowNs >= this.grace.nextNs) {
      let slot = this.grace.takeOver(nowNs);
      for (; slot >= 0; slot = this.grace.takeOver(nowNs)) {
        this.limitAnew(slot, nowNs, Trigger.lastDefense);
      }
    }
    const killerEpoch = Atomics.load(this.killerRole, RoleWord.epoch);
    if (killerEpoch === this.killerEpoch) return;
    this.killerEpoch = killerEpoch;
    this.killerRestarted(nowNs);
  }

  /** Who has been promised memory is looked at when it grows next. */
  private promisesChanged(): void {
    const { users, userSlots } = this.books;
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      if (users.state[slot] === UserState.free || !this.brake.keepsRoom(slot)) continue;
      const quietPages = this.belowPages(slot) + users.creditPages[slot]!;
      this.quietPages[slot] = Math.min(this.quietPages[slot]!, quietPages);
    }
  }

  /** A user has got a row. */
  userAdded(userSlot: number): void {
    this.urgency.leave(userSlot);
    this.culprit1[userSlot] = 0;
    this.killOrdered[userSlot] = 0;
    this.armsOrdered[userSlot] = this.books.users.armsDone[userSlot]!;
    this.softReportedNs[userSlot] = -Infinity;
    this.armOrderedNs[userSlot] = -Infinity;
    this.countUser(userSlot);
    this.limitUser(userSlot);
  }

  private countUser(userSlot: number): void {
    const { users } = this.books;
    this.books.setCountMask(userSlot, this.rules.countMaskOf(users.uid[userSlot]!));
  }

  /** Whether somebody's limit says by now that other members count than the books were begun with. */
  countsOthers(): boolean {
    const { users, userSlots } = this.books;
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      if (users.state[slot] === UserState.free) continue;
      if (users.countMask[slot] !== this.rules.countMaskOf(users.uid[slot]!)) return true;
    }
    return false;
  }

  private limitUser(userSlot: number): void {
    const { users } = this.books;
    const rule = this.rules.find(users.uid[userSlot]!);
    this.brake.limit(userSlot, users.uid[userSlot]!);
    const hardPages = this.grace.hardPages(userSlot, rule, this.nowNs[0]!);
    const softPages = rule === undefined ? NO_LIMIT_PAGES : rule.softPages;
    Atomics.store(users.hardPages, userSlot, hardPages);
    Atomics.store(users.softPages, userSlot, softPages);
    users.processesMax[userSlot] = rule?.processesMax ?? PROCESSES_MAX;
    users.victimPolicy[userSlot] = this.rules.victimPolicyOf(users.uid[userSlot]!);
    this.plan(userSlot, rule, hardPages);
    const farPages = this.urgency.limit(userSlot, hardPages);
    this.farPages[userSlot] = rule === undefined ? Infinity : Math.min(softPages, farPages);
    this.creditChanged(userSlot, this.nowNs[0]!);
  }

  /** How the user is killed: for the killer, and for those that tell programs whom they may kill. */
  private plan(userSlot: number, rule: LimitRule | undefined, hardPages: number): void {
    const { users } = this.books;
    const plan = this.rules.planOf(rule);
    const storm = this.rules.stormOf(rule);
    users.killGraceMs[userSlot] = plan.graceMs;
    users.ceilingPages[userSlot] = ceilingPages(hardPages, plan.ceilingPermille, NO_LIMIT_PAGES);
    users.stormKills[userSlot] = storm.kills;
    users.stormSeconds[userSlot] = storm.seconds;
    Atomics.store(users.plan, userSlot, packPlan(plan, storm));
  }

  /**
   * An event compares counted pages, so that a credit costs it nothing. A user whose credit decides
   * is measured, because no event tells of what it copies.
   */
  creditChanged(userSlot: number, tsNs: number): void {
    const { users } = this.books;
    const creditPages = users.creditPages[userSlot]!;
    this.quietPages[userSlot] = this.belowPages(userSlot) + creditPages;
    this.kernelLines?.tell(userSlot, tsNs, this.isFirstSweep);
    if (creditPages === 0 || users.usagePages[userSlot]! <= users.hardPages[userSlot]!) return;
    if (tsNs - this.measureAskedNs[userSlot]! < REPORT_EVERY_NS) return;
    this.measureAskedNs[userSlot] = tsNs;
    this.measure(users.uid[userSlot]!);
  }

  /** Up to so many charged pages a user need not be looked at. */
  private belowPages(userSlot: number): number {
    const farPages = this.farPages[userSlot]!;
    // Without a limit there is none, whatever a user has: the largest is below what it may have.
    return farPages === Infinity ? farPages : Math.min(farPages, this.brake.belowPages(userSlot));
  }

  /** Programs in the kernel are told the lines of all users, and about whom they may decide. */
  tellKernel(): void {
    this.kernelLines?.tellAll(this.nowNs[0]!, this.isFirstSweep);
  }

  /** As {@link tellKernel}, after a sweep that has had everybody booked. */
  kernelSweepEnded(): void {
    this.kernelLines?.sweepEnded(this.nowNs[0]!, this.isFirstSweep);
  }

  /** A program in the kernel has ended a process: the killer takes it for a victim of its own. */
  killedByKernel(
    tsNs: number,
    pid: number,
    uid: number,
    usagePages: number,
    tookNs: number,
  ): void {
    const userSlot = this.books.findUser(uid);
    const record = userSlot < 0 ? undefined : this.orders.tryOpen(ADOPT, tsNs);
    if (record === undefined) {
      this.counters[CounterIndex.ordersShed]!++;
      return;
    }
    record.pid = pid;
    record.userSlot = userSlot;
    record.generation = this.books.users.generation[userSlot]!;
    record.usagePages = usagePages;
    record.tookNs = tookNs;
    this.orders.close();
    this.orders.ring.publish();
    this.killerBell.ring();
  }

  /** What a user is charged: a lower bound of what it holds. */
  private chargedPages(userSlot: number): number {
    const { usagePages, creditPages } = this.books.users;
    return usagePages[userSlot]! - creditPages[userSlot]!;
  }

  /** Whether a user is over its hard limit, or over the number of processes it may have. */
  private isOver(userSlot: number): boolean {
    const { hardPages, excessProcesses } = this.books.users;
    if (this.chargedPages(userSlot) > hardPages[userSlot]!) return true;
    return excessProcesses[userSlot] !== 0 && hardPages[userSlot] !== NO_LIMIT_PAGES;
  }

  /** New limits count at once, for those who are above them already too. */
  limitsChanged(nowNs: number): void {
    const { books } = this;
    for (let slot = 0; slot < books.userSlots.highWater; slot++) {
      if (books.users.state[slot] !== UserState.free) this.limitAnew(slot, nowNs, Trigger.user);
    }
  }

  private limitAnew(userSlot: number, nowNs: number, trigger: Trigger): void {
    this.nowNs[0] = nowNs;
    this.limitUser(userSlot);
    this.under(userSlot);
    this.evaluate(userSlot, nowNs, trigger);
  }

  /** Everybody who was there before is about to be told of. */
  firstSweepBegins(): void {
    this.isFirstSweep = true;
  }

  /** Everybody was told of; after the first sweep users are compared who could not be before. */
  everybodyTold(tsNs: number): void {
    if (!this.isFirstSweep) return;
    this.isFirstSweep = false;
    this.tellKernel();
    const { users, userSlots } = this.books;
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      if (users.state[slot] !== UserState.free) this.evaluate(slot, tsNs, Trigger.lastDefense);
    }
  }

  /**
   * A program in the kernel says that a user is over, and has ended nobody.
   * @param processSlot Of the process that has taken the page; -1: nobody knows.
   */
  overInKernel(userSlot: number, processSlot: number, tsNs: number): void {
    if (userSlot < 0) return;
    if (processSlot >= 0) this.culprit1[userSlot] = processSlot + 1;
    this.evaluate(userSlot, tsNs, Trigger.user);
  }

  /** Compares a user that may have changed otherwise than by growing. @param userSlot -1: nobody. */
  evaluate(userSlot: number, tsNs: number, trigger: Trigger): void {
    if (userSlot < 0) return;
    const { usagePages } = this.books.users;
    if (usagePages[userSlot]! > this.quietPages[userSlot]! || this.isOver(userSlot)) {
      this.nowNs[0] = tsNs;
      this.compare(userSlot, trigger);
    } else if (this.mayGoBack(userSlot)) this.under(userSlot);
  }

  /** Whether there is something to take back when a user shrinks. */
  mayGoBack(userSlot: number): boolean {
    return this.urgency.byUser[userSlot] !== 0 ||
      this.books.users.state[userSlot]! > UserState.ok || this.brake.keepsRoom(userSlot);
  }

  /**
   * A user has grown by a page. Where programs in the kernel end the candidate, they have been asked
   * before: two that decide at once would take two victims. If they could not, they say so.
   *
   * @param processSlot1 The process that has taken it, slot + 1.
   */
  compareGrown(userSlot: number, processSlot1: number): void {
    this.culprit1[userSlot] = processSlot1;
    this.isLeftToKernel = this.kernelLines?.decides(userSlot) === true;
    this.compare(userSlot, Trigger.user);
    this.isLeftToKernel = false;
  }

  /** A user has grown, and is past soft or not far from hard. */
  compare(userSlot: number, trigger: Trigger): void {
    const { users } = this.books;
    const chargedPages = this.chargedPages(userSlot);
    this.urgency.look(userSlot, Math.min(chargedPages, NO_LIMIT_PAGES) | 0);
    if (this.isOver(userSlot)) {
      this.overHard(userSlot, trigger);
      return;
    }
    let quietPages = this.urgency.nextPages(userSlot);
    const softPages = users.softPages[userSlot]!;
    if (chargedPages > softPages) {
      this.overSoft(userSlot, trigger);
      const nextArmPages = chargedPages + ARM_EVERY_PAGES - 1;
      quietPages = Math.min(quietPages, nextArmPages, users.hardPages[userSlot]!);
    } else {
      const belowPages = this.brake.belowPages(userSlot);
      if (chargedPages > belowPages) {
        this.brake.grown(userSlot, this.nowNs[0]!);
        quietPages = Math.min(quietPages, chargedPages + ARM_EVERY_PAGES - 1, softPages);
      } else quietPages = Math.min(quietPages, belowPages);
    }
    this.quietPages[userSlot] = quietPages + users.creditPages[userSlot]!;
  }

  /** Users whose pages came or went as a whole: by birth, exit, /proc, a change of user. */
  compareTouched(tsNs: number): void {
    const { users } = this.books;
    for (let slot = this.books.takeTouched(); slot >= 0; slot = this.books.takeTouched()) {
      if (users.state[slot] === UserState.free) continue;
      this.under(slot);
      this.evaluate(slot, tsNs, Trigger.user);
    }
  }

  /** A user is over its hard limit, and has just grown. */
  private overHard(userSlot: number, trigger: Trigger): void {
    const { users } = this.books;
    const tsNs = this.nowNs[0]!;
    if (users.state[userSlot] === UserState.ok) this.reportSoft(userSlot, tsNs);
    if (users.state[userSlot] !== UserState.hard) {
      users.crossedTsNs[userSlot] = tsNs;
      Atomics.store(users.state, userSlot, UserState.hard);
    }
    if (this.isFirstSweep || this.isLeftToKernel) return;
    if (this.header[HeaderWord.degraded] !== 0 && users.doubtTsNs[userSlot] !== 0) {
      this.askVerify(userSlot, tsNs);
      return;
    }
    // I2: what is being freed is no reason to kill; what comes on top of it is, at once.
    if (this.killOrdered[userSlot] !== 0) {
      if (users.asked[userSlot] !== 0) this.aboveCeiling(userSlot, trigger);
      return;
    }
    const isAnyDying = this.header[HeaderWord.victimsDying] !== 0;
    if (isAnyDying && this.dying.isEnough(userSlot)) return;
    if (this.order(OrderKind.kill, userSlot, tsNs, trigger)) {
      this.killOrdered[userSlot] = Ordered.once;
    }
  }

  /** Somebody of the user has a grace, and the killer is told once that it is over. */
  private aboveCeiling(userSlot: number, trigger: Trigger): void {
    if (this.killOrdered[userSlot] === Ordered.aboveCeiling) return;
    if (this.chargedPages(userSlot) <= this.books.users.ceilingPages[userSlot]!) return;
    if (!this.order(OrderKind.kill, userSlot, this.nowNs[0]!, trigger)) return;
    this.killOrdered[userSlot] = Ordered.aboveCeiling;
  }

  /** A user is above soft and not above hard, and has just grown. */
  private overSoft(userSlot: number, trigger: Trigger): void {
    const { users } = this.books;
    const tsNs = this.nowNs[0]!;
    if (users.state[userSlot] === UserState.ok) {
      Atomics.store(users.state, userSlot, UserState.soft);
      this.reportSoft(userSlot, tsNs);
    }
    this.brake.grown(userSlot, tsNs);
    if (!this.rules.settings.arms || tsNs - this.armOrderedNs[userSlot]! < ARM_EVERY_NS) return;
    // One order to arm at a time: the killer, not the events, sets the pace. It may have done more
    // than was ordered by us: what a predecessor ordered.
    const armsDone = Atomics.load(users.armsDone, userSlot);
    if (((this.armsOrdered[userSlot]! - armsDone) | 0) > 0) return;
    if (this.order(OrderKind.arm, userSlot, tsNs, trigger)) {
      this.armsOrdered[userSlot] = (armsDone + 1) | 0;
      this.armOrderedNs[userSlot] = tsNs;
    }
  }

  /** At most one report a user and second: who dances on the line must not flood the log. */
  private reportSoft(userSlot: number, tsNs: number): void {
    if (tsNs - this.softReportedNs[userSlot]! < REPORT_EVERY_NS) return;
    this.softReportedNs[userSlot] = tsNs;
    const { uid, softPages, hardPages } = this.books.users;
    this.reports.put("soft", tsNs, [
      uid[userSlot]!,
      this.chargedPages(userSlot),
      softPages[userSlot]!,
      hardPages[userSlot]!,
    ]);
  }

  /** A user has shrunk, or its limits have changed. */
  under(userSlot: number): void {
    const { users } = this.books;
    const chargedPages = this.chargedPages(userSlot);
    this.urgency.look(userSlot, chargedPages);
    this.quietPages[userSlot] = this.belowPages(userSlot) + users.creditPages[userSlot]!;
    if (this.isOver(userSlot)) return;
    if (chargedPages <= users.softPages[userSlot]!) {
      if (users.state[userSlot] !== UserState.ok) {
        Atomics.store(users.state, userSlot, UserState.ok);
        users.crossedTsNs[userSlot] = 0;
        this.kernel?.clearCandidate(users.uid[userSlot]!);
      }
    } else if (users.state[userSlot] === UserState.hard) {
      Atomics.store(users.state, userSlot, UserState.soft);
    }
  }

  /**
   * Tells the killer, at once.
   * @param leastPages Of an order to relieve: what a victim must give back at least.
   * @returns false when its ring is full; the next event tries again.
   */
  private order(
    kind: number,
    userSlot: number,
    tsNs: number,
    trigger: Trigger,
    leastPages = 0,
  ): boolean {
    const record = this.orders.tryOpen(ORDER, tsNs);
    if (record === undefined) {
      this.counters[CounterIndex.ordersShed]!++;
      return false;
    }
    record.packed = packOrder(kind, trigger);
    record.userSlot = userSlot;
    record.generation = this.books.users.generation[userSlot]!;
    record.culprit1 = this.culprit1[userSlot]!;
    record.leastPages = leastPages;
    this.orders.close();
    this.orders.ring.publish();
    this.killerBell.ring();
    return true;
  }

  /** The killer is done with an order. @param nobody Nobody could be taken. */
  recheck(tsNs: number, userSlot: number, generation: number, nobody: boolean): void {
    const { users } = this.books;
    if (users.generation[userSlot] !== generation) return;
    this.killOrdered[userSlot] = 0;
    if (nobody) this.relief.failed(userSlot, tsNs);
    this.evaluate(userSlot, tsNs, Trigger.user);
  }

  private killerRestarted(nowNs: number): void {
    this.killOrdered.fill(0);
    this.armsOrdered.set(this.books.users.armsDone);
    this.armOrderedNs.fill(-Infinity);
    this.limitsChanged(nowNs);
  }

  /** The user is over by books that may be wrong: what it has is read, and then compared again. */
  private askVerify(userSlot: number, tsNs: number): void {
    if (tsNs - this.verifyAskedNs[userSlot]! < VERIFY_EVERY_NS) return;
    this.verifyAskedNs[userSlot] = tsNs;
    this.verify(this.books.users.uid[userSlot]!);
  }

  /** A user was read: the next doubt is asked about at once. */
  endAskedVerify(userSlot: number): void {
    this.verifyAskedNs[userSlot] = -Infinity;
  }

  /** A user was measured. */
  measured(userSlot: number, tsNs: number): void {
    this.measureAskedNs[userSlot] = -Infinity;
    this.under(userSlot);
    this.evaluate(userSlot, tsNs, Trigger.lastDefense);
  }

  /** The machine is short: somebody whose end helps loses a process. */
  pressure(tsNs: number, reason: number, missingPages: number): void {
    const { killOrdered, relief } = this;
    const userSlot = relief.find(tsNs, reason, missingPages, killOrdered);
    if (userSlot < 0) return;
    const trigger = reason === PressureReason.psi ? Trigger.kernel : Trigger.lastDefense;
    const useful = relief.usefulPages(missingPages);
    if (this.order(OrderKind.relieve, userSlot, tsNs, trigger, useful)) {
      killOrdered[userSlot] = Ordered.once;
    }
  }
}
