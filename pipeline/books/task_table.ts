/**
 * Rows of tasks, in a list for each process.
 *
 * @module
 */
import type { MM_COLUMNS, PROCESS_COLUMNS, TASK_COLUMNS, USER_COLUMNS } from "../memory/layout.ts";
import { IntMap } from "../memory/int_map.ts";
import type { Memory } from "../memory/memory.ts";
import { type ColumnArrays, SlotAllocator } from "../memory/table.ts";
import { hasRoom, takeRow } from "./row_shares.ts";

export class TaskTable {
  readonly slots: SlotAllocator;
  private readonly users: ColumnArrays<typeof USER_COLUMNS>;
  private readonly processes: ColumnArrays<typeof PROCESS_COLUMNS>;
  private readonly tasks: ColumnArrays<typeof TASK_COLUMNS>;
  private readonly mms: ColumnArrays<typeof MM_COLUMNS>;
  private readonly map: IntMap;
  private readonly onFull: (userSlot: number) => void;

  /** @param onFull Told that there was no row for a task of that user. */
  constructor(memory: Memory, onFull: (userSlot: number) => void) {
    const { buffer, plan } = memory;
    this.users = memory.users;
    this.processes = memory.processes;
    this.tasks = memory.tasks;
    this.mms = memory.mms;
    this.slots = new SlotAllocator(buffer, plan.tasks, memory.tasks);
    this.map = new IntMap(buffer, plan.taskMap, plan.capacity.tasks);
    this.onFull = onFull;
  }

  reset(): void {
    this.slots.reset();
    this.map.clear();
  }

  /** Row of a task, -1 when it has none. */
  find(tid: number): number {
    return this.map.get(tid);
  }

  /** Makes a task of a process, or hands it an existing one. @returns -1 when the table is full. */
  add(tid: number, processSlot: number, tsNs: number): number {
    const { tasks } = this;
    let slot = this.map.get(tid);
    if (slot >= 0) {
      const from = tasks.processSlot[slot]!;
      if (from !== processSlot) {
        this.unlink(slot);
        this.link(slot, processSlot);
        this.forgetClaims(tid, from);
      }
      return slot;
    }
    const userSlot = this.processes.userSlot[processSlot]!;
    slot = takeRow(this.slots, this.users.taskCount[userSlot]!);
    if (slot < 0) {
      this.onFull(userSlot);
      return -1;
    }
    tasks.tid[slot] = tid;
    tasks.buildingMmSlot1[slot] = 0;
    tasks.bornTsNs[slot] = tsNs;
    this.link(slot, processSlot);
    this.map.set(tid, slot);
    return slot;
  }

  /** Puts a task into the list of its process, in O(1), because a process may have 65 536 of them. */
  private link(slot: number, processSlot: number): void {
    const { tasks, processes, users } = this;
    const next1 = processes.taskFirst1[processSlot]!;
    tasks.processSlot[slot] = processSlot;
    tasks.nextOfProcess1[slot] = next1;
    tasks.previousOfProcess1[slot] = 0;
    if (next1 !== 0) tasks.previousOfProcess1[next1 - 1] = slot + 1;
    processes.taskFirst1[processSlot] = slot + 1;
    processes.taskCount[processSlot]!++;
    users.taskCount[processes.userSlot[processSlot]!]!++;
  }

  private unlink(slot: number): void {
    const { tasks, processes, users } = this;
    const processSlot = tasks.processSlot[slot]!;
    const next1 = tasks.nextOfProcess1[slot]!;
    const previous1 = tasks.previousOfProcess1[slot]!;
    if (next1 !== 0) tasks.previousOfProcess1[next1 - 1] = previous1;
    if (previous1 !== 0) tasks.nextOfProcess1[previous1 - 1] = next1;
    else processes.taskFirst1[processSlot] = next1;
    processes.taskCount[processSlot]!--;
    users.taskCount[processes.userSlot[processSlot]!]!--;
  }

  /** What a task claimed for the process that it was thought to be of must be claimed again. */
  private forgetClaims(tid: number, processSlot: number): void {
    const { mms } = this;
    for (let mm1 = this.processes.mmFirst1[processSlot]!; mm1 !== 0; mm1 = mms.sibling1[mm1 - 1]!) {
      if (mms.lastTid[mm1 - 1] === tid) mms.lastTid[mm1 - 1] = 0;
    }
  }

  remove(slot: number): void {
    const { tasks } = this;
    this.unlink(slot);
    tasks.processSlot[slot] = -1;
    this.map.delete(tasks.tid[slot]!);
    this.slots.release(slot);
  }

  /** Whether a user may have another task. */
  hasRoom(userSlot: number): boolean {
    return hasRoom(this.slots, this.users.taskCount[userSlot]!);
  }
}
