/**
 * The brake: above soft, the growing processes of a user get a soft RLIMIT_DATA of what they use and
 * their share of what is left, so that the kernel refuses them more before the user is over hard. It is
 * a kindness and never a guarantee: who has mapped all beforehand, or raises its limit again, dies at
 * hard as ever. Run by the sweeper; neither accounting nor the killer waits for it.
 *
 * @module
 */
import { NO_LIMIT_PAGES } from "../books/books.ts";
import { chargedPages } from "../books/charge.ts";
import {
  CounterIndex,
  HeaderWord,
  TABLE_HEADER_BYTES,
  TableWord,
  UserState,
} from "../memory/layout.ts";
import { BRAKE_MODES, type BrakeMode } from "../memory/settings.ts";
import { BrakeFacts } from "./brake_kernel.ts";
import { BrakedUser } from "./braked_user.ts";
import { type Candidate, Choice, MOVED_ALL_MAX, MOVED_MAX } from "./choice.ts";
import { Families } from "./families.ts";
import { type BrakeContext, Lowering, MOVE_PART } from "./lowering.ts";
import { giveBackPages, pace, reservePages, sharePages } from "./shares.ts";
import { BRAKE_EVERY_NS } from "../memory/timing.ts";

/** For status. */
const COUNT_EVERY_NS = 100e6;
/** While somebody is braked, usage is compared at least so often. */
const LOOK_EVERY_NS = 20e6;
/** So are users all of whose processes are braked, below soft. */
const LOOK_ALL_EVERY_NS = 200e6;
/** A user must have been below for so long before it gets back what it had. */
const BELOW_NS = 100e6;
/** What a program takes at most, as a rule. */
const GROWTH_BYTES_PER_NS = 2;
/** Usage that has changed by less changes no limit, pages. */
const CHANGED_PAGES = 8;
/** Limits set in one look at one user; the rest follows a millisecond later. */
const MOVES_A_LOOK = 16;
/** Where all are braked, each that does not grow may have this part of what is left. */
const IDLE_PART = 8;

export class Brake {
  private readonly context: BrakeContext;
  private readonly families: Families;
  private readonly lowering: Lowering;
  private readonly choice: Choice;
  private readonly userHeader: Int32Array;
  /** By row of the users table. */
  private readonly users = new Map<number, BrakedUser>();
  private readonly facts = new BrakeFacts();
  /** By row of the users table: index of its mode + 1, 0 not known; and the generation it is of. */
  private readonly modes: Uint8Array;
  private readonly modeGenerations: Int32Array;
  /** Somebody's mode is not `off`. */
  private isAnybody = false;
  private dueNs = 0;
  private countedNs = -Infinity;

  constructor(context: BrakeContext) {
    const { memory, world } = context;
    this.context = context;
    this.families = new Families(world.kernel, world.record);
    this.lowering = new Lowering(context, this.families);
    this.choice = new Choice(memory);
    this.userHeader = new Int32Array(memory.buffer, memory.plan.users, TABLE_HEADER_BYTES / 4);
    this.modes = new Uint8Array(memory.plan.capacity.users);
    this.modeGenerations = new Int32Array(memory.plan.capacity.users);
    this.rulesChanged();
  }

  /** Limits or settings have changed: who is braked must be found out anew. */
  rulesChanged(): void {
    const { rules } = this.context;
    this.modes.fill(0);
    this.isAnybody = !rules.settings.dryRun && rules.brakesAnybody;
    if (this.isAnybody) this.context.world.record.prepare();
    for (const user of this.users.values()) user.isDue = true;
    this.dueNs = 0;
  }

  /** When {@link step} has something to do even if nobody grows; Infinity never. Nanoseconds. */
  get nextNs(): number {
    return Math.min(this.dueNs, this.families.giveBack.nextNs);
  }

  /** Looks at all users that may have to be braked, or are. */
  step(nowNs: number): void {
    const { memory, counters } = this.context;
    this.dueNs = Infinity;
    const isNeeded = this.isAnybody || this.users.size > 0;
    if (isNeeded && Atomics.load(memory.header, HeaderWord.sweepDone) !== 0) {
      const highWater = Atomics.load(this.userHeader, TableWord.highWater);
      for (let slot = 0; slot < highWater; slot++) this.lookAt(slot, nowNs);
    }
    this.families.giveBack.step(nowNs);
    if (nowNs - this.countedNs < COUNT_EVERY_NS) {
      const isOld = counters[CounterIndex.braked]! > 0;
      if (isOld) this.dueNs = Math.min(this.dueNs, this.countedNs + COUNT_EVERY_NS);
      return;
    }
    this.countedNs = nowNs;
    counters[CounterIndex.braked] = this.lowered();
    counters[CounterIndex.brakesLeft] = this.families.giveBack.refused;
  }

  private lowered(): number {
    let count = 0;
    for (const { members } of this.users.values()) {
      for (const one of members.values()) if (one.limitPages >= 0) count++;
    }
    return count;
  }

  private modeOf(slot: number): BrakeMode {
    const { memory: { users }, rules } = this.context;
    if (users.state[slot] === UserState.free || users.hardPages[slot] === NO_LIMIT_PAGES) {
      return "off";
    }
    const generation = users.generation[slot]!;
    if (this.modes[slot] === 0 || this.modeGenerations[slot] !== generation) {
      const mode = this.isAnybody ? rules.brakeOf(users.uid[slot]!) : "off";
      this.modes[slot] = BRAKE_MODES.indexOf(mode) + 1;
      this.modeGenerations[slot] = generation;
    }
    return BRAKE_MODES[this.modes[slot]! - 1]!;
  }

  private lookAt(slot: number, nowNs: number): void {
    const { users } = this.context.memory;
    let user = this.users.get(slot);
    if (user !== undefined && user.generation !== users.generation[slot]) {
      this.letGo(user);
      user = undefined;
    }
    const mode = this.modeOf(slot);
    const isAbove = this.isAbove(slot);
    if (user === undefined) {
      if (mode === "off") return;
      user = new BrakedUser(slot, users.generation[slot]!);
      this.users.set(slot, user);
    }
    if (mode !== "off" && !user.isPrepared) this.prepare(user);
    if (mode === "growers" && !isAbove && user.members.size === 0) {
      user.belowSinceNs = Infinity;
      // Accounting calls when what is charged passes soft, and knows of no promises.
      if (users.promisedPages[slot]! > 0) {
        this.dueNs = Math.min(this.dueNs, this.nearNs(slot, nowNs));
      }
      return;
    }
    if (mode === "off" || (mode === "growers" && this.isBelow(user, nowNs))) {
      this.letGo(user);
      return;
    }
    const dueNs = user.lookedNs + BRAKE_EVERY_NS;
    if (nowNs < dueNs) {
      this.dueNs = Math.min(this.dueNs, dueNs);
      return;
    }
    const isQuiet = mode === "all" && !isAbove;
    if (isQuiet && !user.isDue && nowNs < user.lookedNs + LOOK_ALL_EVERY_NS) {
      this.dueNs = Math.min(this.dueNs, user.lookedNs + LOOK_ALL_EVERY_NS);
      return;
    }
    user.lookedNs = nowNs;
    this.brake(user, mode, isAbove, nowNs);
    const everyNs = user.isDue ? BRAKE_EVERY_NS : isQuiet ? LOOK_ALL_EVERY_NS : LOOK_EVERY_NS;
    this.dueNs = Math.min(this.dueNs, nowNs + everyNs);
  }

  /** When a user may be above soft with what it was promised, at the earliest, nanoseconds. */
  private nearNs(slot: number, nowNs: number): number {
    const { memory: { users }, pageBytes } = this.context;
    const heldPages = chargedPages(users, slot) + Atomics.load(users.promisedPages, slot);
    const bytes = Math.max(0, users.softPages[slot]! - heldPages) * pageBytes;
    return nowNs + Math.min(LOOK_EVERY_NS, Math.max(BRAKE_EVERY_NS, bytes / GROWTH_BYTES_PER_NS));
  }

  /** Before the user comes near its limit: then there are milliseconds. */
  private prepare(user: BrakedUser): void {
    const { memory: { users }, world: { kernel }, ownerOf } = this.context;
    for (const pid of this.choice.pidsOf(user.slot)) {
      if (!kernel.readSizes(pid, this.facts) || this.facts.isMixed) continue;
      if ((ownerOf(this.facts.uid) | 0) !== users.uid[user.slot]) continue;
      kernel.prepare(this.facts);
      user.isPrepared = true;
      return;
    }
  }

  /** Whether a user is above soft, by what it uses or with what it was promised. */
  private isAbove(slot: number): boolean {
    const { users } = this.context.memory;
    if (users.state[slot]! >= UserState.soft) return true;
    const promised = Atomics.load(users.promisedPages, slot);
    return promised > 0 && chargedPages(users, slot) + promised > users.softPages[slot]!;
  }

  /** Whether it has been below soft for long enough, and by enough. */
  private isBelow(user: BrakedUser, nowNs: number): boolean {
    const { users } = this.context.memory;
    const { slot } = user;
    const line = giveBackPages(users.hardPages[slot]!, users.softPages[slot]!);
    const heldPages = chargedPages(users, slot) + Atomics.load(users.promisedPages, slot);
    if (this.isAbove(slot) || heldPages > line) {
      user.belowSinceNs = Infinity;
      return false;
    }
    if (user.belowSinceNs === Infinity) user.belowSinceNs = nowNs;
    return nowNs - user.belowSinceNs >= BELOW_NS;
  }

  private brake(user: BrakedUser, mode: BrakeMode, isAbove: boolean, nowNs: number): void {
    const { memory: { users, header }, pageBytes } = this.context;
    const { slot, members } = user;
    // Books that may be wrong do not decide.
    if (Atomics.load(header, HeaderWord.degraded) !== 0 && users.doubtTsNs[slot] !== 0) return;
    const hardPages = users.hardPages[slot]!;
    const charged = chargedPages(users, slot);
    const promised = Atomics.load(users.promisedPages, slot);
    const reserve = reservePages(hardPages, users.softPages[slot]!, pageBytes);
    const headroom = Math.max(0, hardPages - charged - promised - reserve);
    const chosen = this.choice.of(user, mode, isAbove, nowNs);
    const candidates = chosen.slice(0, mode === "all" ? MOVED_ALL_MAX : MOVED_MAX);
    const pids = new Set(chosen.map(({ pid }) => pid));
    for (const [pid, braked] of members) if (!pids.has(pid)) this.lowering.drop(user, braked);
    const isChanged = user.isDue || Math.abs(charged - user.chargedPages) >= CHANGED_PAGES ||
      Math.abs(headroom - user.headroomPages) >= CHANGED_PAGES ||
      candidates.some(({ pid }) => members.get(pid)?.isSettled !== true);
    if (!isChanged) return;
    user.chargedPages = charged;
    user.promisedPages = promised;
    user.headroomPages = headroom;
    this.share(user, candidates, mode, isAbove, nowNs);
  }

  private share(
    user: BrakedUser,
    candidates: readonly Candidate[],
    mode: BrakeMode,
    isAbove: boolean,
    nowNs: number,
  ): void {
    const { headroomPages } = user;
    // Below soft what is left is everybody's.
    const isQuiet = mode === "all" && !isAbove;
    const fastest = candidates.reduce((most, { gained }) => Math.max(most, gained), 0);
    const growers = candidates.filter(({ isGrower }) => isGrower);
    // Where all are braked, those who do not grow take nothing from those who do.
    const sharers = mode === "all" ? growers : candidates;
    const paceSum = sharers.reduce((sum, { gained }) => sum + pace(gained, fastest), 0);
    let moves = 0;
    user.isDue = false;
    for (const { slot, pid, gained, isGrower } of candidates) {
      const share = isQuiet
        ? headroomPages
        : mode === "all" && !isGrower
        ? Math.floor(headroomPages / IDLE_PART)
        : sharePages(headroomPages, pace(gained, fastest), paceSum);
      const isKnown = user.members.has(pid);
      // The row may have come to another process meanwhile.
      const braked = user.members.get(pid) ?? this.lowering.add(user, slot, pid, share);
      if (braked === undefined || braked.isOwn || nowNs < braked.refusedUntilNs) continue;
      if (isQuiet && isKnown && braked.isSettled && isNear(braked.sharePages, share)) continue;
      if (moves >= MOVES_A_LOOK) {
        user.isDue = true;
        return;
      }
      if (this.lowering.move(user, braked, share, mode, nowNs)) moves++;
      if (isAbove && isGrower && braked.limitPages >= 0) this.lowering.tell(user, braked, nowNs);
    }
  }

  /** All of a user get back what they had. */
  private letGo(user: BrakedUser): void {
    this.users.delete(user.slot);
    for (const braked of [...user.members.values()]) this.lowering.drop(user, braked);
  }
}

/** Whether two shares differ by so little that the limit need not be moved. */
function isNear(aPages: number, bPages: number): boolean {
  return Math.abs(aPages - bPages) * MOVE_PART <= 2 * Math.max(aPages, bPages);
}
