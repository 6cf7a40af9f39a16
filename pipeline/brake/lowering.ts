/**
 * Limits of single processes: lowered, moved, and left to those who set them themselves.
 *
 * @module
 */
import type { RulesView } from "../limits/published_rules.ts";
import { CounterIndex } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import type { BrakeMode } from "../memory/settings.ts";
import type { ReportWriter } from "../messages/reports.ts";
import {
  BrakeFacts,
  type BrakeWorld,
  FoundLimits,
  type RecordedFamily,
  SetResult,
  UNLIMITED,
} from "./brake_kernel.ts";
import { Braked, type BrakedUser } from "./braked_user.ts";
import type { Families } from "./families.ts";
import { familyIdOf, markedBytes } from "./marks.ts";
import { putBack } from "./put_back.ts";

/**
 * Where all are braked, what a process has mapped and not touched counts as idle after so long: before,
 * it may just have mapped what it is about to use.
 */
const IDLE_AFTER_NS = 1e9;
/** A limit is not moved by less than this, nor by less than this part of the share. */
const MOVE_PAGES_MIN = 4;
export const MOVE_PART = 16;
/** Who may not be lowered is tried again after so long. */
const REFUSED_AGAIN_NS = 1e9;

export interface BrakeContext {
  readonly memory: Memory;
  readonly rules: RulesView;
  readonly world: BrakeWorld;
  readonly reports: ReportWriter;
  /** The sweeper's. */
  readonly counters: Float64Array;
  /** Whom a real uid counts for, unsigned. */
  readonly ownerOf: (uid: number) => number;
  readonly pageBytes: number;
}

export class Lowering {
  private readonly context: BrakeContext;
  private readonly families: Families;
  private readonly facts = new BrakeFacts();
  private readonly old = new FoundLimits();

  constructor(context: BrakeContext, families: Families) {
    this.context = context;
    this.families = families;
  }

  /** Begins with a process. @returns undefined: it is gone, or nothing can be written down. */
  add(
    user: BrakedUser,
    slot: number,
    pid: number,
    share: number,
  ): Braked | undefined {
    const { facts, families } = this;
    const { world: { kernel, ticks }, memory, counters, ownerOf, pageBytes } = this.context;
    const { processes, users } = memory;
    if (!kernel.readSizes(pid, facts) || !kernel.readLimits(pid, facts)) return undefined;
    // The number may have come to a process of somebody else since the books have heard of it.
    if ((ownerOf(facts.uid) | 0) !== users.uid[user.slot]) return undefined;
    const { startTicks, softBytes } = facts;
    let family: RecordedFamily | undefined = families.join(pid, startTicks, softBytes);
    if (family === undefined) {
      const roomBytes = BigInt(toPages(facts.dataKib, pageBytes) + share) * BigInt(pageBytes);
      // Its own limit is as low: nothing need be written down.
      if (softBytes <= roomBytes && softBytes !== UNLIMITED) return undefined;
      family = families.begin({ pid, startTicks, softBytes, sinceTicks: ticks.nowTicks() });
    }
    if (family === undefined) {
      counters[CounterIndex.brakeFailures]!++;
      return undefined;
    }
    const generation = processes.generation[slot]!;
    const braked = new Braked(
      pid,
      startTicks,
      slot,
      generation,
      family,
      softBytes,
      user.lookedNs,
    );
    if (familyIdOf(softBytes) === family.id) {
      braked.limitPages = Number(softBytes / BigInt(pageBytes));
    }
    braked.facts.hardBytes = facts.hardBytes;
    user.members.set(pid, braked);
    return braked;
  }

  /** Sets the limit of a process to what it is to have. @returns Whether anything was set. */
  move(
    user: BrakedUser,
    braked: Braked,
    share: number,
    mode: BrakeMode,
    nowNs: number,
  ): boolean {
    const { world: { kernel }, pageBytes } = this.context;
    const { pid, facts, family } = braked;
    if (!kernel.readSizes(pid, facts) || facts.startTicks !== braked.startTicks) {
      this.drop(user, braked);
      return false;
    }
    const touched = toPages(facts.touchedKib, pageBytes);
    const idle = Math.max(0, toPages(facts.dataKib, pageBytes) - touched);
    braked.idlePages = Math.min(braked.idlePages, idle);
    braked.sharePages = share;
    braked.isSettled = mode !== "all" || nowNs - braked.sinceNs >= IDLE_AFTER_NS;
    const limitPages = touched + (braked.isSettled ? braked.idlePages : 0) + share;
    const ownBytes = family.softBytes < facts.hardBytes ? family.softBytes : facts.hardBytes;
    const markedAs = markedBytes(limitPages, pageBytes, family.id);
    const isLowered = markedAs < ownBytes;
    const wanted = isLowered ? markedAs : ownBytes;
    if (wanted === braked.softBytes) return false;
    const distance = Math.abs(limitPages - braked.limitPages);
    const isSmall = distance < Math.max(MOVE_PAGES_MIN, share / MOVE_PART);
    if (isLowered && braked.limitPages >= 0 && isSmall) return false;
    // Who has set a limit itself since is not even lowered for a moment.
    if (!kernel.readLimits(pid, facts)) return false;
    if (facts.softBytes !== braked.softBytes) {
      this.own(braked);
      return false;
    }
    this.set(user, braked, wanted, isLowered ? limitPages : -1, nowNs);
    return true;
  }

  private set(
    user: BrakedUser,
    braked: Braked,
    softBytes: bigint,
    limitPages: number,
    nowNs: number,
  ): void {
    const { world: { kernel }, counters } = this.context;
    const { pid, facts } = braked;
    const { old } = this;
    const result = kernel.setSoft(pid, facts, softBytes, old);
    if (result === SetResult.gone) return this.drop(user, braked);
    if (result === SetResult.refused) {
      braked.refusedUntilNs = nowNs + REFUSED_AGAIN_NS;
      counters[CounterIndex.brakeFailures]!++;
      // Perhaps because it has lowered its own hard limit.
      if (kernel.readLimits(pid, facts) && facts.softBytes !== braked.softBytes) this.own(braked);
      return;
    }
    if (old.softBytes !== braked.softBytes || old.hardBytes !== facts.hardBytes) {
      // Somebody has set a limit of its own meanwhile: that stays, and it is left alone.
      putBack(kernel, pid, facts, softBytes, old);
      this.own(braked);
      return;
    }
    braked.softBytes = softBytes;
    braked.limitPages = limitPages;
    if (this.isAtRow(braked)) this.mark(braked, limitPages < 0 ? 0 : braked.generation + 1);
  }

  private isAtRow({ slot, pid, generation }: Braked): boolean {
    const { processes } = this.context.memory;
    return processes.tgid[slot] === pid && processes.generation[slot] === generation;
  }

  private own(braked: Braked): void {
    braked.isOwn = true;
    braked.limitPages = -1;
    if (this.isAtRow(braked)) this.mark(braked, 0);
  }

  /** For the killer's receipt. */
  private mark({ slot, sharePages: share }: Braked, generation1: number): void {
    const { processes } = this.context.memory;
    processes.brakeLeftPages[slot] = share;
    Atomics.store(processes.brakedGeneration1, slot, generation1);
  }

  /** Tells that a process is refused memory, once. */
  tell(user: BrakedUser, braked: Braked, nowNs: number): void {
    if (braked.isTold) return;
    braked.isTold = true;
    const { memory: { users }, reports, counters, world } = this.context;
    counters[CounterIndex.refusals]!++;
    users.refusals[user.slot]!++;
    reports.put("refused", nowNs, [
      users.uid[user.slot]!,
      braked.pid,
      braked.sharePages,
      braked.limitPages,
      user.chargedPages,
      users.softPages[user.slot]!,
      users.hardPages[user.slot]!,
    ], world.kernel.comm(braked.pid));
  }

  /** A process is braked no more: it gets back what it had. */
  drop(user: BrakedUser, braked: Braked): void {
    user.members.delete(braked.pid);
    if (this.isAtRow(braked)) this.mark(braked, 0);
    if (braked.limitPages >= 0) this.families.giveBack.restore(braked.pid, braked.family);
    // Its children may have inherited the value.
    this.families.leave(braked.family);
  }
}

function toPages(kib: number, pageBytes: number): number {
  return Math.floor(kib * 1024 / pageBytes);
}
