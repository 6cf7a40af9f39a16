/**
 * Rows of users. A row stays when its user has no process left, with its peak and its kills, until
 * another user needs it.
 *
 * @module
 */
import { UserState } from "../memory/layout.ts";
import type { USER_COLUMNS } from "../memory/layout.ts";
import { IntMap } from "../memory/int_map.ts";
import type { Memory } from "../memory/memory.ts";
import type { ColumnArrays, SlotAllocator } from "../memory/table.ts";

/** Pages of a user without a limit: more than any usage. */
export const NO_LIMIT_PAGES = 0x7fffffff;

/** Rows of a user whose limit says nothing of processes: more than any table has. */
export const PROCESSES_MAX = 0x7fffffff;

export interface UserTableOptions {
  /** Told that no row is free, and that all have processes. */
  readonly onFull: () => void;
  /** Told of each new row, so that it gets its limits. */
  readonly onUser: (userSlot: number) => void;
}

export class UserTable {
  private readonly users: ColumnArrays<typeof USER_COLUMNS>;
  private readonly slots: SlotAllocator;
  private readonly map: IntMap;
  private readonly onFull: () => void;
  private readonly onUser: (userSlot: number) => void;

  constructor(memory: Memory, slots: SlotAllocator, options: UserTableOptions) {
    const { buffer, plan } = memory;
    this.users = memory.users;
    this.slots = slots;
    this.map = new IntMap(buffer, plan.userMap, plan.capacity.users);
    this.onFull = options.onFull;
    this.onUser = options.onUser;
  }

  /** Keeps the users, with their peaks, and takes their processes off them. */
  reset(): void {
    const { users, slots } = this;
    this.map.clear();
    for (let slot = 0; slot < slots.highWater; slot++) {
      if (users.state[slot] === UserState.free) continue;
      this.clear(slot);
      users.state[slot] = UserState.ok;
      this.map.set(users.uid[slot]!, slot);
    }
  }

  /** Row of a user, -1 when it has none. */
  find(uid: number): number {
    return this.map.get(uid);
  }

  /** Row of a user, made if need be; -1 when the table is full. */
  of(uid: number): number {
    const { users } = this;
    let slot = this.map.get(uid);
    if (slot >= 0) return slot;
    slot = this.slots.allocate();
    if (slot < 0) slot = this.reclaim();
    if (slot < 0) {
      this.onFull();
      return -1;
    }
    users.uid[slot] = uid;
    users.peakPages[slot] = 0;
    users.hardPages[slot] = NO_LIMIT_PAGES;
    users.softPages[slot] = NO_LIMIT_PAGES;
    users.processesMax[slot] = PROCESSES_MAX;
    users.graceUntilNs[slot] = 0;
    users.plan[slot] = 0;
    users.ceilingPages[slot] = NO_LIMIT_PAGES;
    this.clear(slot);
    users.promisedPages[slot] = 0;
    users.waits[slot] = 0;
    users.kills[slot] = 0;
    users.refusals[slot] = 0;
    users.crossedTsNs[slot] = 0;
    Atomics.store(users.state, slot, UserState.ok);
    this.map.set(uid, slot);
    this.onUser(slot);
    return slot;
  }

  /** A user without processes. */
  private clear(slot: number): void {
    const { users } = this;
    users.usagePages[slot] = 0;
    users.creditPages[slot] = 0;
    users.shareablePages[slot] = 0;
    users.orphanedPages[slot] = 0;
    users.processCount[slot] = 0;
    users.taskCount[slot] = 0;
    users.mmCount[slot] = 0;
    users.excessProcesses[slot] = 0;
    users.doubtTsNs[slot] = 0;
    Atomics.add(users.joins, slot, 1);
  }

  /** Takes the row of a user that has no process. @returns -1 when all have one. */
  private reclaim(): number {
    const { users } = this;
    for (let slot = 0; slot < this.slots.highWater; slot++) {
      if (users.state[slot] === UserState.free || users.processCount[slot] !== 0) continue;
      this.map.delete(users.uid[slot]!);
      users.generation[slot] = (users.generation[slot]! + 1) | 0;
      return slot;
    }
    return -1;
  }
}
