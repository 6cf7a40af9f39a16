/**
 * I1 and I2, and of I5 that nobody is killed who asks first: what is true of each signal.
 *
 * @module
 */
import { CHECK_HOLDS_NS, PATIENCE_NS } from "../../../pipeline/memory/timing.ts";
import { chargedPages, ownPages } from "../../../pipeline/books/charge.ts";

import { Broken, type SimContext } from "../context.ts";
import type { FakeMm, FakeProcess } from "../kernel/tasks.ts";
import { heldPages } from "../kernel/truth.ts";
import { ASKING_UID, hardOf, limitedUids } from "../options.ts";

/** When a process was signalled, for which user. */
interface Signalled {
  readonly atNs: number;
  readonly uid: number;
  readonly mm: FakeMm;
}

interface Remaining {
  readonly booked: number;
  readonly truth: number;
}

/** Killer's calls between its check and its signal take no longer. */
const CALLS_NS = 5e6;

export class KillJudge {
  kills = 0;
  /** Killed because they shared the mm of a victim. */
  sharers = 0;
  /** By user: signals so far, and the sweep during or after which the last was. */
  readonly killsOf = new Map<number, number>();
  readonly killedIn = new Map<number, number>();
  private readonly sim: SimContext;
  private readonly inFlight: (uid: number) => number;
  private readonly bySignalled = new Map<FakeProcess, Signalled>();
  /** By user: the most that the killer has seen in the step under way. */
  private readonly seen = new Map<number, Remaining>();

  /** @param inFlight Counted pages of a user that accounting cannot know of yet. */
  constructor(sim: SimContext, inFlight: (uid: number) => number) {
    this.sim = sim;
    this.inFlight = inFlight;
  }

  /** A process is about to be sent SIGKILL. @throws {Broken} When it must not be. */
  signalled(process: FakeProcess, uid: number, checkedNs: number): void {
    const { sim } = this;
    const { pid, mm } = process;
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
    // Who shares the mm of a victim goes with it.
    const first = [...this.bySignalled.values()].find((other) => other.mm === mm);
    if (first !== undefined) this.sharers++;
    else {
      this.assertNeeded(pid, uid);
      this.kills++;
    }
    this.bySignalled.set(process, { atNs: first?.atNs ?? nowNs, uid, mm });
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

  /** Nor is anybody by a process that has started over. */
  forgetAll(): void {
    this.bySignalled.clear();
  }

  /** Processes of a user that were signalled within the killer's patience and live on. */
  private dyingOf(uid: number): FakeProcess[] {
    const dying: FakeProcess[] = [];
    for (const [process, { atNs, uid: whose }] of this.bySignalled) {
      if (whose !== uid || process.state !== "alive") continue;
      if (this.sim.kernel.nowNs - atNs < PATIENCE_NS) dying.push(process);
    }
    return dying;
  }

  /** The killer begins a step: what it sees from here on may be why it kills. */
  stepBegins(): void {
    this.seen.clear();
  }

  /** The killer calls the world: it has seen the books as they are now. */
  sees(): void {
    for (const uid of limitedUids(this.sim.options)) {
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

  /**
   * I2: what would remain without the dying is over hard, by the books and in truth: nobody is killed
   * while truth and what is in flight are at or below hard, whatever was lost or started anew.
   */
  private assertNeeded(pid: number, uid: number): void {
    const hardPages = hardOf(this.sim.options, uid);
    this.sees();
    const { booked, truth } = this.seen.get(uid)!;
    const names = `${pid} of uid ${uid}, while ${this.dyingOf(uid).map((other) => other.pid)} die`;
    if (booked <= hardPages) throw new Broken(`I2: ${names}, at ${booked} booked pages`);
    // Of two mms with one id the books are wrong until that is recognised, I4.
    if (truth > hardPages || this.sim.options.collides) return;
    throw new Broken(`I2: ${names}, at ${truth} true pages, what is in flight included`);
  }
}
