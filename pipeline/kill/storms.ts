/**
 * Storms: a user loses so many processes within so short a time that somebody must be starting them anew.
 * They are told of in one line instead of one for each, and acted on as the user's plan says. Enforcement
 * goes on all the same. Looked at when the signal has been sent (I6).
 *
 * @module
 */
import { actionOf, STORM_KILLS_MAX, Unit } from "../memory/kill_plan.ts";
import type { Memory } from "../memory/memory.ts";
import type { ReportWriter } from "../messages/reports.ts";
import { type KillKernel, Signal } from "./kill_kernel.ts";
import type { UnitKernel } from "./unit_kernel.ts";
import type { Units } from "./units.ts";
import type { VictimRows } from "./victim_rows.ts";

/** Indices of STORM_ACTIONS. */
const Action = { off: 0, parent: 1, session: 2 } as const;

export interface StormsContext {
  readonly memory: Memory;
  readonly kernel: KillKernel;
  readonly unitKernel: UnitKernel | undefined;
  readonly rows: VictimRows;
  readonly units: Units;
  readonly reports: ReportWriter;
}

/** A user's kills. */
class Kills {
  /** Of the user row that it is about. */
  generation = -1;
  /** Times of the last kills, a ring. */
  readonly atNs: Float64Array;
  count = 0;
  /** Since when there is a storm; 0: there is none. */
  beganNs = 0;
  /** In the storm. */
  kills = 0;
  acted = 0;

  constructor(most: number) {
    this.atNs = new Float64Array(most);
  }

  add(nowNs: number): void {
    this.atNs[this.count % this.atNs.length] = nowNs;
    this.count++;
  }

  /** The last kill but so many; -Infinity: there were not as many. */
  beforeNs(back: number): number {
    if (back >= this.count || back >= this.atNs.length) return -Infinity;
    return this.atNs[(this.count - 1 - back) % this.atNs.length]!;
  }
}

export class Storms {
  private readonly context: StormsContext;
  private readonly byUser: (Kills | undefined)[] = [];
  /** Users that have a storm. */
  private readonly active = new Set<number>();
  /** Of the victim that is about to be signalled: its parent or session. */
  private relation = 0;
  /** And which of those who share the account it is. */
  private sharer = 0;
  private relationPid = 0;
  private actedComm: Uint8Array | undefined;

  constructor(context: StormsContext) {
    this.context = context;
  }

  /** Users that have a storm. */
  get count(): number {
    return this.active.size;
  }

  /** Whether a user has a storm. */
  isOn(userSlot: number): boolean {
    return this.active.size > 0 && this.active.has(userSlot);
  }

  /** A process is about to be signalled: its parent can be asked for, which may not be possible later. */
  before(userSlot: number, pid: number): void {
    if (this.isOn(userSlot)) this.read(userSlot, pid);
  }

  private read(userSlot: number, pid: number): void {
    const { unitKernel, memory } = this.context;
    const action = actionOf(memory.users.plan[userSlot]!);
    this.relationPid = pid;
    this.relation = 0;
    this.sharer = action === Action.off ? 0 : this.context.units.sharerOf(pid, userSlot);
    if (action === Action.parent) this.relation = unitKernel?.parentOf(pid) ?? 0;
    if (action === Action.session) {
      this.relation = unitKernel?.unitOf(pid, Unit.session) ?? 0;
    }
  }

  /** A process was signalled, and told of. */
  killed(userSlot: number, pid: number, nowNs: number): void {
    const { users } = this.context.memory;
    const most = users.stormKills[userSlot]!;
    if (most === 0) {
      this.relationPid = 0;
      return;
    }
    const kills = this.killsOf(userSlot, most);
    kills.add(nowNs);
    if (kills.beganNs !== 0) {
      kills.kills++;
      this.act(kills, userSlot, pid);
      return;
    }
    const spanNs = users.stormSeconds[userSlot]! * 1e9;
    if (nowNs - kills.beforeNs(most) > spanNs) return;
    kills.beganNs = kills.beforeNs(most);
    kills.kills = most + 1;
    kills.acted = 0;
    this.active.add(userSlot);
    const acted = this.act(kills, userSlot, pid);
    this.tell(kills, userSlot, nowNs, 0, acted);
  }

  private killsOf(userSlot: number, most: number): Kills {
    const generation = this.context.memory.users.generation[userSlot]!;
    let kills = this.byUser[userSlot];
    const size = Math.min(most, STORM_KILLS_MAX) + 1;
    if (kills === undefined || kills.generation !== generation || kills.atNs.length !== size) {
      this.active.delete(userSlot);
      kills = this.byUser[userSlot] = new Kills(size);
      kills.generation = generation;
    }
    return kills;
  }

  /** @returns Whom it was done to; 0: to nobody. */
  private act(kills: Kills, userSlot: number, pid: number): number {
    const action = actionOf(this.context.memory.users.plan[userSlot]!);
    if (action === Action.off) return 0;
    // A program in the kernel has killed it, or the storm has just begun: it is there for a while yet.
    if (this.relationPid !== pid) this.read(userSlot, pid);
    const { relation } = this;
    this.relationPid = 0;
    if (relation === 0) return 0;
    // It may be gone before it is told of.
    this.actedComm = this.context.kernel.comm(relation);
    const acted = action === Action.parent
      ? this.killParent(userSlot, relation)
      : this.killSession(userSlot, relation, pid);
    kills.acted += acted === 0 ? 0 : 1;
    return acted;
  }

  private killParent(userSlot: number, pid: number): number {
    const { rows, units, memory } = this.context;
    const slot = rows.findProcess(pid);
    if (slot < 0 || memory.processes.userSlot[slot] !== userSlot) return 0;
    const { sharer } = this;
    const order = { userSlot, sharer, signal: Signal.kill, graceUntilNs: 0 };
    return units.takeOne(slot, order) ? pid : 0;
  }

  private killSession(userSlot: number, key: number, mainPid: number): number {
    const { sharer } = this;
    const order = { userSlot, unit: Unit.session, key, sharer, mainPid, signal: Signal.kill };
    return this.context.units.take({ ...order, graceUntilNs: 0 }) > 0 ? key : 0;
  }

  /** Looks whether storms are over: when no more than half of what makes one were killed lately. */
  step(nowNs: number): void {
    const { users } = this.context.memory;
    for (const userSlot of this.active) {
      const kills = this.byUser[userSlot]!;
      const most = users.stormKills[userSlot]!;
      const half = Math.floor(most / 2);
      const spanNs = users.stormSeconds[userSlot]! * 1e9;
      if (most !== 0 && nowNs - kills.beforeNs(half) <= spanNs) continue;
      this.active.delete(userSlot);
      if (kills.generation === users.generation[userSlot]) {
        this.tell(kills, userSlot, nowNs, 1, 0);
      }
      kills.beganNs = 0;
      kills.count = 0;
    }
  }

  private tell(
    kills: Kills,
    userSlot: number,
    nowNs: number,
    isOver: number,
    actedPid: number,
  ): void {
    const { memory, reports } = this.context;
    const { users } = memory;
    const until = isOver === 0 ? nowNs : kills.beforeNs(0);
    reports.put("storm", nowNs, [
      users.uid[userSlot]!,
      isOver,
      kills.kills,
      (until - kills.beganNs) / 1e9,
      actionOf(users.plan[userSlot]!),
      actedPid,
      kills.acted,
    ], actedPid === 0 ? undefined : this.actedComm);
  }
}
