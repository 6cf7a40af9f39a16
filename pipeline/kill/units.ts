/**
 * What goes with a victim: its process group, its session, or its cgroup. Of these only processes of the
 * same user, each opened and checked before it is signalled (I1); who is protected stays. Where users share
 * an account, only processes of the victim's own real uid go with it: the others have their own work.
 *
 * @module
 */
import { UserRows } from "../books/user_rows.ts";
import { Unit } from "../memory/kill_plan.ts";
import { ProcessState } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import { type Candidates, ESRCH } from "./candidates.ts";
import { type KillKernel, Refusal, Signal } from "./kill_kernel.ts";
import { Sharer, type UnitKernel } from "./unit_kernel.ts";
import type { VictimRows } from "./victim_rows.ts";

export interface UnitsContext {
  readonly memory: Memory;
  readonly kernel: KillKernel;
  readonly unitKernel: UnitKernel | undefined;
  readonly rows: VictimRows;
  readonly candidates: Candidates;
  /** A process was sent SIGKILL: what it has is pending for programs in the kernel too. */
  readonly noteDying: (uid: number, pid: number, processSlot: number) => void;
}

/** What is done to the members of a unit. */
export interface UnitOrder {
  readonly userSlot: number;
  /** Of `Unit`. */
  readonly unit: number;
  /** Of {@link Units.keyOf}. */
  readonly key: number;
  /** Of {@link Units.sharerOf}, of the main victim. */
  readonly sharer: number;
  /** Who has been signalled already. */
  readonly mainPid: number;
  readonly signal: number;
  /** Of a signal that is not SIGKILL. */
  readonly graceUntilNs: number;
}

export class Units {
  private readonly context: UnitsContext;
  private readonly userRows: UserRows;

  constructor(context: UnitsContext) {
    this.context = context;
    this.userRows = new UserRows(context.memory);
  }

  /** What names the unit of a process, to be asked before it is signalled. @returns 0: it has none. */
  keyOf(pid: number, unit: number): number {
    if (unit === Unit.process) return 0;
    return this.context.unitKernel?.unitOf(pid, unit) ?? 0;
  }

  /**
   * Whose a process is among those who share its account, to be asked before it is signalled.
   * @returns {@link Sharer}.none: nobody shares it.
   */
  sharerOf(pid: number, userSlot: number): number {
    const { unitKernel, memory } = this.context;
    return unitKernel?.sharerOf(pid, memory.users.uid[userSlot]!) ?? Sharer.unknown;
  }

  /** Whether a process, whose descriptor is open, is of the same user as the main victim. */
  private isOfSharer(
    pid: number,
    { sharer, userSlot }: Pick<UnitOrder, "sharer" | "userSlot">,
  ): boolean {
    return sharer !== Sharer.unknown && this.sharerOf(pid, userSlot) === sharer;
  }

  /** Signals who is in a unit beside its main victim. @returns How many were. */
  take(order: UnitOrder): number {
    if (order.key === 0) return 0;
    const isSent = order.signal === Signal.kill && this.killScope(order);
    const { processes } = this.context.memory;
    const { rows, count } = this.userRows.of(order.userSlot);
    let taken = 0;
    for (let i = 0; i < count; i++) {
      const slot = rows[i]!;
      if (processes.tgid[slot] === order.mainPid || !this.isLiving(slot, order.userSlot)) continue;
      if (!this.context.unitKernel!.isIn(processes.tgid[slot]!, order.unit, order.key)) continue;
      if (this.takeOne(slot, order, isSent)) taken++;
    }
    return taken;
  }

  private isLiving(slot: number, userSlot: number): boolean {
    const { userSlot: owner, state, tgid } = this.context.memory.processes;
    return owner[slot] === userSlot && state[slot] === ProcessState.alive && tgid[slot]! > 0;
  }

  /**
   * Signals one process of a user.
   * @param isSent SIGKILL was sent already, to all of its cgroup.
   * @returns Whether it was: not when it is gone, protected, another's by now, or a victim already.
   */
  takeOne(
    slot: number,
    order: Omit<UnitOrder, "unit" | "key" | "mainPid">,
    isSent = false,
  ): boolean {
    const { memory, kernel, rows, candidates } = this.context;
    const { processes, users } = memory;
    const { userSlot, signal } = order;
    const generation = processes.generation[slot]!;
    const isKill = signal === Signal.kill;
    // Who was asked is there still when the others' grace ends: its own row has it killed.
    if (rows.isVictim(slot, generation)) return false;
    if (!isSent && candidates.isRuleProtected(slot)) return false;
    const pid = processes.tgid[slot]!;
    const uid = users.uid[userSlot]!;
    const handle = isSent ? kernel.open(pid) : candidates.open(slot, generation, uid);
    if (handle < 0) return isSent;
    if (!isSent && !this.isOfSharer(pid, order)) {
      kernel.close(handle);
      return false;
    }
    if (!isSent) {
      const result = kernel.kill(handle, pid, signal);
      if (result !== 0) {
        kernel.close(handle);
        return false;
      }
    }
    if (isKill) {
      kernel.reap(handle, pid, processes.taskCount[slot]! > 1);
      this.context.noteDying(uid, pid, slot);
    }
    const nowNs = kernel.nowNs();
    const row = rows.arm(userSlot, slot, generation, handle, nowNs, true);
    if (row < 0) {
      // It is signalled, and only not watched.
      kernel.close(handle);
      return true;
    }
    const pages = processes.pages[slot]!;
    if (isKill) rows.markDying(row, nowNs, pages, 0, false);
    else rows.markAsked(row, nowNs, order.graceUntilNs, pages);
    memory.victims.isMember[row] = 1;
    return true;
  }

  /** Has the kernel end a cgroup at once, where nobody is in it who must stay. */
  private killScope(order: UnitOrder): boolean {
    const { unit, key, userSlot } = order;
    if (unit !== Unit.scope) return false;
    const { unitKernel, kernel, memory, rows, candidates } = this.context;
    const uid = memory.users.uid[userSlot]!;
    return unitKernel!.killScope(key, (pid) => {
      const slot = rows.findProcess(pid);
      if (slot >= 0) {
        const generation = memory.processes.generation[slot]!;
        if (candidates.verdicts.protectorOf(slot, generation) !== 0) return false;
        if (candidates.isRuleProtected(slot)) return false;
      }
      const handle = kernel.open(pid);
      if (handle < 0) return handle === -ESRCH;
      const refusal = kernel.check(handle, pid, uid);
      const isOther = refusal === Refusal.none && !this.isOfSharer(pid, order);
      kernel.close(handle);
      if (isOther) return false;
      return refusal === Refusal.none || refusal === Refusal.gone;
    });
  }
}
