/**
 * The books: which mm belongs to which process and user, and how many pages each has.
 *
 * Every change goes through here and keeps I3: a process's pages are the sum of its mms' counted
 * members, a user's usage is the sum of its processes' pages, after every call. Who owns what is
 * decided elsewhere (attribution.ts and its parts); here it is only carried out.
 *
 * Processes are here. What else there is of them is inherited, because an event then works on one
 * object: mms (mm_rows.ts), and the sums (page_sums.ts). Users and tasks have tables of their own.
 *
 * One owner: the accounting worker. Others read the columns.
 *
 * @module
 */
import {
  CounterIndex,
  GROWTH_BUCKETS,
  MmState,
  ProcessFlag,
  ProcessState,
} from "../memory/layout.ts";
import type { TASK_COLUMNS } from "../memory/layout.ts";
import { IntMap } from "../memory/int_map.ts";
import { invariant } from "../memory/invariant.ts";
import type { Memory } from "../memory/memory.ts";
import type { MemberMask } from "../memory/settings.ts";
import type { ColumnArrays, SlotAllocator } from "../memory/table.ts";
import { clearTag } from "../rules/tag.ts";
import { checkSums } from "./check_sums.ts";
import { type MmOptions, MmRows } from "./mm_rows.ts";
import { TableNumber, takeRow } from "./row_shares.ts";
import { TaskTable } from "./task_table.ts";
import { UserTable } from "./user_table.ts";

export { TABLE_NAMES, TableNumber } from "./row_shares.ts";
export { NO_LIMIT_PAGES, PROCESSES_MAX } from "./user_table.ts";

/** The uid of a process whose user is not known yet, as an int32 pattern; never a real one. */
export const UNKNOWN_UID = -1;

export interface BooksOptions extends MmOptions {
  /** See {@link Books.userProcessesMax}. */
  readonly userProcessesMax: number;
  /** Told which table (TableNumber) had no slot for a user's row; the books go on without it. */
  readonly onFull: (table: number, userSlot: number) => void;
  /** Told of each new user row, so that it gets its limits. */
  readonly onUser: (userSlot: number) => void;
}

export class Books extends MmRows {
  readonly tasks: ColumnArrays<typeof TASK_COLUMNS>;
  readonly taskSlots: SlotAllocator;
  private readonly userTable: UserTable;
  private readonly taskTable: TaskTable;
  private readonly processMap: IntMap;
  private readonly onFull: (table: number, userSlot: number) => void;
  /** Processes that a user may have before it counts as over its limit. */
  userProcessesMax: number;

  constructor(memory: Memory, counters: Float64Array, options: BooksOptions) {
    super(memory, counters, options);
    const { buffer, plan } = memory;
    this.userTable = new UserTable(memory, this.userSlots, {
      onFull: () => this.full(TableNumber.users, -1),
      onUser: options.onUser,
    });
    this.taskTable = new TaskTable(memory, (userSlot) => this.full(TableNumber.tasks, userSlot));
    this.tasks = memory.tasks;
    this.taskSlots = this.taskTable.slots;
    this.processMap = new IntMap(buffer, plan.processMap, plan.capacity.processes);
    this.userProcessesMax = options.userProcessesMax;
    this.onFull = options.onFull;
  }

  /**
   * Empties processes, tasks and mms, keeps the users with their peaks: what a restarted worker
   * does, since its predecessor may have died in the middle of a change.
   */
  reset(): void {
    this.processes.state.fill(ProcessState.free, 0, this.processSlots.highWater);
    this.processSlots.reset();
    this.processMap.clear();
    this.resetMms();
    this.taskTable.reset();
    this.userTable.reset();
  }

  // -------------------------------------------------------------------------------------- users

  /** Row of a user, -1 when it has none. */
  findUser(uid: number): number {
    return this.userTable.find(uid);
  }

  /** Row of a user, made if need be; -1 when the table is full. */
  userOf(uid: number): number {
    return this.userTable.of(uid);
  }

  /** Rows of processes that a user may have. */
  processesMaxOf(userSlot: number): number {
    return Math.min(this.userProcessesMax, this.users.processesMax[userSlot]!);
  }

  // ---------------------------------------------------------------------------------- processes

  /** Row of a process, -1 when it has none. */
  findProcess(tgid: number): number {
    return this.processMap.get(tgid);
  }

  /** Makes a process of a user. @returns Its slot, -1 when a table is full. */
  addProcess(tgid: number, uid: number, flags: number, tsNs: number): number {
    const { users } = this;
    const userSlot = this.userOf(uid);
    if (userSlot < 0) return -1;
    if (users.processCount[userSlot]! >= this.processesMaxOf(userSlot)) {
      users.excessProcesses[userSlot] = Math.max(1, users.excessProcesses[userSlot]!);
      this.full(TableNumber.processes, userSlot);
      return -1;
    }
    const slot = takeRow(this.processSlots, users.processCount[userSlot]!);
    if (slot < 0) {
      this.full(TableNumber.processes, userSlot);
      return -1;
    }
    this.fillProcess(slot, tgid, userSlot, flags, tsNs);
    this.processMap.set(tgid, slot);
    return slot;
  }

  /** Row of the processes of a user that found none; see overflow_row.ts. -1 when it has none. */
  findOverflow(userSlot: number): number {
    return this.processMap.get(overflowTgid(userSlot));
  }

  /** Makes that row, with an mm of its own, even when the user has its share of rows. */
  addOverflow(userSlot: number, tsNs: number): number {
    const slot = this.processSlots.allocate();
    if (slot < 0) return -1;
    const tgid = overflowTgid(userSlot);
    this.fillProcess(slot, tgid, userSlot, ProcessFlag.overflow, tsNs);
    this.processMap.set(tgid, slot);
    const mm = this.mmSlots.allocate();
    if (mm >= 0) this.fillMm(mm, 0, MmState.nameless, slot, tsNs);
    this.processes.mmSlot1[slot] = mm + 1;
    return slot;
  }

  private fillProcess(
    slot: number,
    tgid: number,
    userSlot: number,
    flags: number,
    tsNs: number,
  ): void {
    const { processes, users } = this;
    processes.tgid[slot] = tgid;
    processes.userSlot[slot] = userSlot;
    processes.pages[slot] = 0;
    processes.sharedPages[slot] = 0;
    processes.creditPages[slot] = 0;
    processes.taskCount[slot] = 0;
    processes.taskFirst1[slot] = 0;
    processes.mmSlot1[slot] = 0;
    processes.mmFirst1[slot] = 0;
    processes.lenderSlot1[slot] = 0;
    processes.lenderGeneration[slot] = 0;
    processes.startTicks[slot] = 0;
    processes.flags[slot] = flags;
    clearTag(processes, slot);
    processes.sweepNumber[slot] = 0;
    processes.seenTsNs[slot] = tsNs;
    processes.bornTsNs[slot] = tsNs;
    processes.exitTsNs[slot] = 0;
    processes.growthBucket[slot] = this.bucket;
    processes.growth.fill(0, slot * GROWTH_BUCKETS, (slot + 1) * GROWTH_BUCKETS);
    Atomics.store(processes.state, slot, ProcessState.alive);
    users.processCount[userSlot]!++;
    Atomics.add(users.joins, userSlot, 1);
  }

  /** Hands a process with all its pages to another user. */
  moveProcess(slot: number, uid: number): void {
    const { processes, users } = this;
    const from = processes.userSlot[slot]!;
    const to = this.userOf(uid);
    if (to < 0 || to === from) return;
    const pages = processes.pages[slot]!;
    const credit = processes.creditPages[slot]!;
    const taskCount = processes.taskCount[slot]!;
    const mmCount = this.mmCountOf(slot);
    const assigned = this.leaveUser(slot);
    const mask = users.countMask[from]!;
    this.chargeUser(from, -pages);
    this.shares.creditUser(from, -credit);
    users.processCount[from]!--;
    users.taskCount[from]! -= taskCount;
    users.mmCount[from]! -= mmCount;
    // Before and after: whoever sums up meanwhile sums up again.
    Atomics.add(users.joins, to, 1);
    processes.userSlot[slot] = to;
    Atomics.add(users.joins, to, 1);
    users.processCount[to]!++;
    users.taskCount[to]! += taskCount;
    users.mmCount[to]! += mmCount;
    if (users.countMask[to] !== mask) this.recountProcess(slot, mask);
    this.shares.creditUser(to, processes.creditPages[slot]!);
    for (const [mm, pages] of assigned) this.shares.joinUser(mm, pages);
    this.chargeUser(to, processes.pages[slot]!);
    if (pages !== 0 || processes.pages[slot] !== 0) {
      this.touch(from);
      this.touch(to);
    }
  }

  /** Other members count for a process, which is nobody's sum at this moment. @param mask What counted before. */
  private recountProcess(slot: number, mask: MemberMask): void {
    const { processes, mms } = this;
    processes.pages[slot] = 0;
    processes.creditPages[slot] = 0;
    processes.sharedPages[slot] = 0;
    for (let mm1 = processes.mmFirst1[slot]!; mm1 !== 0; mm1 = mms.sibling1[mm1 - 1]!) {
      this.recount(mm1 - 1, mask);
      processes.pages[slot]! += this.countedPages(mm1 - 1);
      processes.creditPages[slot]! += mms.creditPages[mm1 - 1]!;
      processes.sharedPages[slot]! += mms.sharedPages[mm1 - 1]!;
    }
    // What it has by another measure is no growth.
    this.settleGrowth(slot);
  }

  /** The mms of a process leave its user. @returns Of each what was assigned to it. */
  private leaveUser(slot: number): [mmSlot: number, assignedPages: number][] {
    const { processes, mms, shares } = this;
    const assigned: [number, number][] = [];
    for (let mm1 = processes.mmFirst1[slot]!; mm1 !== 0; mm1 = mms.sibling1[mm1 - 1]!) {
      assigned.push([mm1 - 1, shares.leaveUser(mm1 - 1)]);
    }
    return assigned;
  }

  /** Forgets a process, its mms and its tasks. @returns The pages that went with it. */
  removeProcess(slot: number): number {
    const { processes, users, mms } = this;
    let pages = 0;
    for (let mm1 = processes.mmFirst1[slot]!; mm1 !== 0;) {
      const next1 = mms.sibling1[mm1 - 1]!;
      pages += this.countedPages(mm1 - 1);
      this.removeMm(mm1 - 1);
      mm1 = next1;
    }
    invariant(processes.pages[slot] === 0, `I3: process ${processes.tgid[slot]} keeps pages`);
    while (processes.taskFirst1[slot] !== 0) this.removeTask(processes.taskFirst1[slot]! - 1);
    if (this.processMap.get(processes.tgid[slot]!) === slot) {
      this.processMap.delete(processes.tgid[slot]!);
    }
    const userSlot = processes.userSlot[slot]!;
    users.processCount[userSlot]!--;
    if (users.excessProcesses[userSlot]! > 0) users.excessProcesses[userSlot]!--;
    Atomics.store(processes.state, slot, ProcessState.free);
    this.processSlots.release(slot);
    return pages;
  }

  // -------------------------------------------------------------------------------------- tasks

  /** Row of a task, -1 when it has none. */
  findTask(tid: number): number {
    return this.taskTable.find(tid);
  }

  /** Makes a task of a process, or hands it an existing one. @returns -1 when the table is full. */
  addTask(tid: number, processSlot: number, tsNs: number): number {
    return this.taskTable.add(tid, processSlot, tsNs);
  }

  removeTask(slot: number): void {
    this.taskTable.remove(slot);
  }

  /** Whether a user may have another task. */
  hasRoomForTask(userSlot: number): boolean {
    return this.taskTable.hasRoom(userSlot);
  }

  /** Process of a task, -1 when neither is known. */
  processOfTid(tid: number): number {
    const task = this.taskTable.find(tid);
    // A thread that execs takes its leader's number, whose task has exited: the process stays.
    return task >= 0 ? this.tasks.processSlot[task]! : this.processMap.get(tid);
  }

  // ------------------------------------------------------------------------------------- tables

  /** Whether a table has no row left for anybody. */
  isFull(table: number): boolean {
    const slots = [this.userSlots, this.processSlots, this.taskSlots, this.mmSlots][table - 1]!;
    return slots.used >= slots.capacity;
  }

  protected override full(table: number, userSlot: number): void {
    this.counters[CounterIndex.tableFull]!++;
    this.onFull(table, userSlot);
  }

  /**
   * Checks I3 over all tables. For tests and the simulator; O(everything).
   * @throws {InvariantError}
   */
  checkSums(): void {
    checkSums(this);
  }

  /** Whether a process runs on its parent's mm. */
  isBorrower(processSlot: number): boolean {
    return (this.processes.flags[processSlot]! & ProcessFlag.borrower) !== 0;
  }
}

/** A number that no process has. */
function overflowTgid(userSlot: number): number {
  return -2 - userSlot;
}
