/**
 * I1 and I2, and of I5 that nobody is killed who asks first: what is true of each signal.
 *
 * @module
 */
import { CHECK_HOLDS_NS, PATIENCE_NS } from "../../../pipeline/memory/timing.ts";
import { chargedPages, ownPages } from "../../../pipeline/books/charge.ts";

import { VictimState } from "../../../pipeline/memory/layout.ts";
import { Broken, type SimContext } from "../context.ts";
import type { FakeMm, FakeProcess } from "../kernel/tasks.ts";
import { groupOf } from "../kernel/sim_units.ts";
import { heldPages } from "../kernel/truth.ts";
import { ASKING_UID, CEILING_PERMILLE, GRACE_MS, hardOf, limitedUids } from "../options.ts";

/** When a process was signalled, for which user. */
interface Signalled {
  readonly atNs: number;
  readonly uid: number;
  readonly mm: FakeMm;
  /** It ran on a victim's mm when the killer asked. */
  readonly isSharer: boolean;
}

interface Remaining {
  readonly booked: number;
  readonly truth: number;
}

/** Somebody who was asked to end. */
interface Asked {
  readonly atNs: number;
  readonly uid: number;
  /** Number of the killer's step: all of a unit are asked in one. */
  readonly step: number;
}

/** Killer's calls between its check and its signal take no longer. */
const CALLS_NS = 5e6;

export class KillJudge {
  kills = 0;
  /** Times that the killer looked at somebody within a grace. */
  graces = 0;
  /** Killed because they shared the mm of a victim. */
  sharers = 0;
  /** By user: signals so far, and the sweep during or after which the last was. */
  readonly killsOf = new Map<number, number>();
  readonly killedIn = new Map<number, number>();
  /** By user: its hard limit before the change that its grace is for. */
  private readonly formerPages = new Map<number, number>();
  /** Asked to end first, and of these who were sent SIGKILL. */
  asks = 0;
  lateKills = 0;
  private readonly bySigterm = new Map<FakeProcess, Asked>();
  private steps = 0;
  /** Groups of which somebody was signalled in the step under way. */
  private readonly groups = new Set<number>();
  /** Steps of asking of which somebody is sent SIGKILL in the step under way. */
  private readonly finished = new Set<number>();
  private readonly sim: SimContext;
  private readonly inFlight: (uid: number) => number;
  private readonly bySignalled = new Map<FakeProcess, Signalled>();
  /** By user: the most that the killer has seen in the step under way. */
  private readonly seen = new Map<number, Remaining>();
  /** Who was found to run on a victim's mm in the step under way. */
  private readonly sharing = new Set<FakeProcess>();

  /** @param inFlight Counted pages of a user that accounting cannot know of yet. */
  constructor(sim: SimContext, inFlight: (uid: number) => number) {
    this.sim = sim;
    this.inFlight = inFlight;
  }

  /** A process is about to be asked to end. @throws {Broken} When it must not be. */
  asked(process: FakeProcess, uid: number, checkedNs: number): void {
    const { pid } = process;
    const { nowNs } = this.sim.kernel;
    this.assertOffender(process, uid, checkedNs);
    let isMember = false;
    for (const [other, { uid: whose, atNs, step }] of this.bySigterm) {
      if (whose !== uid || other.state !== "alive" || nowNs - atNs >= GRACE_MS * 1e6) continue;
      // Nor who could not be killed when its grace was over: it is left alone for a while.
      if (this.bySignalled.has(other) || !this.hasGrace(other)) continue;
      isMember = step === this.steps && this.sim.options.planUnit !== "process";
      if (!isMember) throw new Broken(`I2: ${pid} is asked while ${other.pid} has a grace`);
    }
    if (!isMember) this.assertNeeded(pid, uid);
    this.asks++;
    this.bySigterm.set(process, { atNs: nowNs, uid, step: this.steps });
    this.groups.add(groupOf(process));
  }

  /** Whether the killer has a row that says so. */
  private hasGrace({ pid }: FakeProcess): boolean {
    const { victims } = this.sim.memory;
    return victims.pid.some((one, row) => one === pid && victims.state[row] === VictimState.asked);
  }

  /** I2, with a plan: SIGKILL comes when it may. @returns Whether it need not be needed by itself. */
  private isDue(process: FakeProcess, uid: number): boolean {
    const { planUnit, machinePages } = this.sim.options;
    if (planUnit === "") return false;
    // Who shares the mm of one that was asked goes before it.
    const sharer = [...this.bySigterm.keys()].find((other) => other.mm === process.mm);
    const asked = this.bySigterm.get(sharer ?? process);
    const { pid } = process;
    const isMember = planUnit !== "process" &&
      (this.groups.has(groupOf(process)) || (asked !== undefined && this.finished.has(asked.step)));
    this.groups.add(groupOf(process));
    if (asked !== undefined) {
      this.lateKills++;
      this.finished.add(asked.step);
    }
    if (isMember) return true;
    this.sees();
    const ceilingPages = Math.floor(this.linePages(uid) * CEILING_PERMILLE / 1000);
    if (this.seen.get(uid)!.booked > ceilingPages || machinePages > 0) return false;
    const { books, kernel } = this.sim;
    const userSlot = books.findUser(uid);
    if (userSlot >= 0 && books.users.excessProcesses[userSlot] !== 0) return false;
    if (asked === undefined) throw new Broken(`I2: ${pid} is killed, and was not asked`);
    if (kernel.nowNs - asked.atNs >= GRACE_MS * 1e6) return false;
    throw new Broken(`I2: ${pid} is killed within its grace`);
  }

  /** I1, and that of I5. */
  private assertOffender(process: FakeProcess, uid: number, checkedNs: number): void {
    const { sim } = this;
    const { pid } = process;
    const { nowNs } = sim.kernel;
    if (process.isProtected) throw new Broken(`I1: ${pid} is protected`);
    if (uid < 0) throw new Broken(`I1: ${pid} was never checked`);
    if (!limitedUids(sim.options).includes(uid)) {
      throw new Broken(`I1: ${pid} is of uid ${uid}, who has no limit`);
    }
    if (nowNs - checkedNs > CHECK_HOLDS_NS + CALLS_NS) {
      throw new Broken(`I1: ${pid} was checked ${(nowNs - checkedNs) / 1e6} ms ago`);
    }
    if (uid === ASKING_UID && !sim.options.collides) {
      throw new Broken(`I5: ${pid} is killed, whose user asks before it uses memory`);
    }
  }

  /** A process is about to be sent SIGKILL. @throws {Broken} When it must not be. */
  signalled(process: FakeProcess, uid: number, checkedNs: number): void {
    const { sim } = this;
    const { pid, mm } = process;
    const { nowNs } = sim.kernel;
    this.assertOffender(process, uid, checkedNs);
    // Who shares the mm of a victim goes with it.
    const first = [...this.bySignalled.values()].find((other) => other.mm === mm);
    if (first !== undefined) this.sharers++;
    else {
      if (!this.isDue(process, uid)) this.assertNeeded(pid, uid);
      this.kills++;
    }
    const isSharer = this.sharing.has(process);
    this.bySignalled.set(process, { atNs: first?.atNs ?? nowNs, uid, mm, isSharer });
    this.killsOf.set(uid, (this.killsOf.get(uid) ?? 0) + 1);
    this.killedIn.set(uid, sim.sweeps);
  }

  /** Whether a user was killed for so lately that its books need not be exact. */
  isSettling(uid: number): boolean {
    return this.sim.sweeps <= (this.killedIn.get(uid) ?? -Infinity) + 1;
  }

  /** Who was killed because it shared a victim's mm is not remembered by those that start anew. */
  forgetSharers(): void {
    const { victims } = this.sim.memory;
    const remembered = new Set(victims.pid.filter((_, row) => victims.state[row] !== 0));
    for (const process of this.bySignalled.keys()) {
      if (!remembered.has(process.pid)) this.bySignalled.delete(process);
    }
  }

  /** Nor is anybody by a process that has started over, but who has a grace. @param graces Their pids. */
  forgetAllBut(graces: readonly number[]): void {
    this.bySignalled.clear();
    for (const process of [...this.bySigterm.keys()]) {
      if (!graces.includes(process.pid)) this.bySigterm.delete(process);
    }
  }

  /** The killer is told that a process runs on the mm of its victim. */
  shares(process: FakeProcess): void {
    this.sharing.add(process);
  }

  /**
   * Whether a process has executed a program between the killer's question whether it shares a victim's
   * mm and the signal: it dies beside the victim, and nobody counts on that.
   */
  private isApart({ isSharer, mm }: Signalled): boolean {
    if (!isSharer) return false;
    for (const other of this.bySignalled.values()) {
      if (!other.isSharer && other.mm === mm) return false;
    }
    return true;
  }

  /** Processes of a user that were signalled within the killer's patience and live on. */
  private dyingOf(uid: number): FakeProcess[] {
    const dying: FakeProcess[] = [];
    for (const [process, signalled] of this.bySignalled) {
      const { atNs, uid: whose } = signalled;
      if (whose !== uid || process.state !== "alive" || this.isApart(signalled)) continue;
      if (this.sim.kernel.nowNs - atNs < PATIENCE_NS) dying.push(process);
    }
    return dying;
  }

  /** The killer begins a step: what it sees from here on may be why it kills. */
  stepBegins(): void {
    this.steps++;
    this.groups.clear();
    this.finished.clear();
    this.seen.clear();
    this.sharing.clear();
  }

  /** The killer calls the world: it has seen the books as they are now. */
  sees(): void {
    for (const uid of limitedUids(this.sim.options)) {
      if (this.isGrace(uid)) this.graces++;
      const now = this.remaining(uid);
      const { booked, truth } = this.seen.get(uid) ?? now;
      this.seen.set(uid, {
        booked: Math.max(booked, now.booked),
        truth: Math.max(truth, now.truth),
      });
    }
  }

  /** Pages of a user without the dying: by the books, and in truth with what is in flight. */
  private remaining(uid: number): Remaining {
    const { books, kernel } = this.sim;
    const dying = this.dyingOf(uid);
    const userSlot = books.findUser(uid);
    let booked = userSlot < 0 ? 0 : chargedPages(books.users, userSlot);
    for (const other of dying) {
      const slot = books.findProcess(other.pid);
      if (slot >= 0) booked -= ownPages(books.processes, slot);
    }
    const held = heldPages(kernel, uid, new Set(dying.map(({ mm }) => mm)));
    return { booked, truth: held + this.inFlight(uid) + this.leftPages(uid) };
  }

  /** What the books have of a user's processes that have changed their user, and nobody has heard. */
  private leftPages(uid: number): number {
    const { books, kernel, options } = this.sim;
    if (!options.changesUsers) return 0;
    let pages = 0;
    for (const process of kernel.alive()) {
      if (process.uid === uid) continue;
      const slot = books.findProcess(process.pid);
      if (slot < 0 || books.users.uid[books.processes.userSlot[slot]!] !== uid) continue;
      pages += books.processes.pages[slot]!;
    }
    return pages;
  }

  /** What a user may have: its limit, or within a grace its former one. */
  private linePages(uid: number): number {
    const hardPages = hardOf(this.sim.options, uid);
    return this.isGrace(uid) ? Math.max(hardPages, this.formerPages.get(uid) ?? 0) : hardPages;
  }

  /** Limits are about to become others: what counts now is what counts within a grace. */
  limitsChange(): void {
    const { books, options } = this.sim;
    for (const uid of limitedUids(options)) {
      const userSlot = books.findUser(uid);
      if (userSlot < 0) this.formerPages.delete(uid);
      else if (!this.isGrace(uid)) {
        this.formerPages.set(uid, books.users.hardPages[userSlot]!);
      }
    }
  }

  private isGrace(uid: number): boolean {
    const { books, kernel } = this.sim;
    const userSlot = books.findUser(uid);
    return userSlot >= 0 && books.users.graceUntilNs[userSlot]! > kernel.nowNs;
  }

  /**
   * I2: what would remain without the dying is over hard, by the books and in truth: nobody is killed
   * while truth and what is in flight are at or below hard, whatever was lost or started anew.
   */
  private assertNeeded(pid: number, uid: number): void {
    const hardPages = this.linePages(uid);
    this.sees();
    const { booked, truth } = this.seen.get(uid)!;
    const names = `${pid} of uid ${uid}, while ${this.dyingOf(uid).map((other) => other.pid)} die`;
    if (booked <= hardPages) throw new Broken(`I2: ${names}, at ${booked} booked pages`);
    // Of two mms with one id the books are wrong until that is recognised, I4.
    if (truth > hardPages || this.sim.options.collides) return;
    throw new Broken(`I2: ${names}, at ${truth} true pages, what is in flight included`);
  }
}
