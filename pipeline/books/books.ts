/**
 * The books: which mm belongs to which process and user, and how many pages each has.
 *
 * Every change goes through here and keeps I3: a process's pages are the sum of its mms' counted
 * members, a user's usage is the sum of its processes' pages, after every call. Who owns what is
 * decided elsewhere (attribution.ts); here it is only carried out.
 *
 * One owner: the accounting worker. Others read the columns.
 *
 * @module
 */
import {
  CounterIndex,
  GROWTH_BUCKET_NS,
  GROWTH_BUCKETS,
  Member,
  MEMBER_COUNT,
  MmState,
  ProcessFlag,
  ProcessState,
  UserState,
} from "../memory/layout.ts";
import { IntMap } from "../memory/int_map.ts";
import type { Memory } from "../memory/memory.ts";
import type { MemberMask } from "../memory/settings.ts";
import { Shares } from "./shares.ts";
import { type ColumnArrays, SlotAllocator } from "../memory/table.ts";
import type { MM_COLUMNS, PROCESS_COLUMNS, TASK_COLUMNS, USER_COLUMNS } from "../memory/layout.ts";
import { checkSums } from "./check_sums.ts";
import { invariant } from "../memory/invariant.ts";

/** Pages of a user without a limit: more than any usage. */
export const NO_LIMIT_PAGES = 0x7fffffff;
/** The uid of a process whose user is not known yet, as an int32 pattern; never a real one. */
export const UNKNOWN_UID = -1;

/** Which table was full, in reports. */
export const TableNumber = { users: 1, processes: 2, tasks: 3, mms: 4 } as const;
export const TABLE_NAMES = ["", "users", "processes", "tasks", "mms"] as const;

/** Users remembered as touched; beyond that, all count as touched. */
const TOUCHED_MAX = 8;

/** Rows of each table that a user gets as long as there are any. */
const ROWS_GUARANTEED = 32;

export interface BooksOptions {
  /** The counted members. */
  readonly countMask: MemberMask;
  /** Pages that are counted more than once are credited; else usage is the plain sum. */
  readonly creditsShares: boolean;
  /** See {@link Books.userProcessesMax}. */
  readonly userProcessesMax: number;
  /** Told which table (TableNumber) had no slot for a user's row; the books go on without it. */
  readonly onFull: (table: number, userSlot: number) => void;
  /** Told of each new user row, so that it gets its limits. */
  readonly onUser: (userSlot: number) => void;
  /** Told when a user's credit has changed. */
  readonly onCredit: (userSlot: number) => void;
}

export class Books {
  readonly users: ColumnArrays<typeof USER_COLUMNS>;
  readonly processes: ColumnArrays<typeof PROCESS_COLUMNS>;
  readonly tasks: ColumnArrays<typeof TASK_COLUMNS>;
  readonly mms: ColumnArrays<typeof MM_COLUMNS>;
  readonly userSlots: SlotAllocator;
  readonly processSlots: SlotAllocator;
  readonly taskSlots: SlotAllocator;
  readonly mmSlots: SlotAllocator;
  private readonly userMap: IntMap;
  private readonly processMap: IntMap;
  private readonly taskMap: IntMap;
  private readonly mmMap: IntMap;
  private readonly counters: Float64Array;
  private readonly countMask: MemberMask;
  private readonly onFull: (table: number, userSlot: number) => void;
  /** Processes that a user may have before it counts as over its limit. */
  userProcessesMax: number;
  /** Called when a user row is made, to give it its limits. */
  private readonly onUser: (userSlot: number) => void;
  readonly shares: Shares;
  /** Users whose usage changed otherwise than by an event of theirs; to be compared anew. */
  private readonly touched = new Int32Array(TOUCHED_MAX);
  private touchedCount = 0;
  private touchedAll = 0;
  private bucket = 0;
  private bucketEndNs = 0;
  /** Memory has come back to a user of whom the coordinator keeps somebody waiting. */
  freedForWaits = false;

  constructor(memory: Memory, counters: Float64Array, options: BooksOptions) {
    const { buffer, plan } = memory;
    this.users = memory.users;
    this.processes = memory.processes;
    this.tasks = memory.tasks;
    this.mms = memory.mms;
    this.userSlots = new SlotAllocator(buffer, plan.users, memory.users);
    this.processSlots = new SlotAllocator(buffer, plan.processes, memory.processes);
    this.taskSlots = new SlotAllocator(buffer, plan.tasks, memory.tasks);
    this.mmSlots = new SlotAllocator(buffer, plan.mms, memory.mms);
    this.userMap = new IntMap(buffer, plan.userMap, plan.capacity.users);
    this.processMap = new IntMap(buffer, plan.processMap, plan.capacity.processes);
    this.taskMap = new IntMap(buffer, plan.taskMap, plan.capacity.tasks);
    this.mmMap = new IntMap(buffer, plan.mmMap, plan.capacity.mms);
    this.counters = counters;
    this.countMask = options.countMask;
    this.userProcessesMax = options.userProcessesMax;
    this.shares = new Shares(memory, this.mmSlots, {
      countMask: options.countMask,
      isOn: options.creditsShares,
      countedPages: (mmSlot) => this.countedPages(mmSlot),
      onCredit: options.onCredit,
    });
    this.onFull = options.onFull;
    this.onUser = options.onUser;
  }

  /**
   * Empties processes, tasks and mms, keeps the users with their peaks: what a restarted worker
   * does, since its predecessor may have died in the middle of a change.
   */
  reset(): void {
    const { users, userSlots } = this;
    this.processes.state.fill(ProcessState.free, 0, this.processSlots.highWater);
    this.mms.state.fill(MmState.free, 0, this.mmSlots.highWater);
    this.processSlots.reset();
    this.taskSlots.reset();
    this.mmSlots.reset();
    this.processMap.clear();
    this.taskMap.clear();
    this.mmMap.clear();
    this.userMap.clear();
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      if (users.state[slot] === UserState.free) continue;
      this.clearUser(slot);
      users.state[slot] = UserState.ok;
      this.userMap.set(users.uid[slot]!, slot);
    }
  }

  // -------------------------------------------------------------------------------------- users

  /** Row of a user, -1 when it has none. */
  findUser(uid: number): number {
    return this.userMap.get(uid);
  }

  /** Row of a user, made if need be; -1 when the table is full. */
  userOf(uid: number): number {
    const { users } = this;
    let slot = this.userMap.get(uid);
    if (slot >= 0) return slot;
    slot = this.userSlots.allocate();
    if (slot < 0) slot = this.reclaimUser();
    if (slot < 0) {
      this.full(TableNumber.users, -1);
      return -1;
    }
    users.uid[slot] = uid;
    users.peakPages[slot] = 0;
    users.hardPages[slot] = NO_LIMIT_PAGES;
    users.softPages[slot] = NO_LIMIT_PAGES;
    this.clearUser(slot);
    users.promisedPages[slot] = 0;
    users.waits[slot] = 0;
    users.kills[slot] = 0;
    users.crossedTsNs[slot] = 0;
    Atomics.store(users.state, slot, UserState.ok);
    this.userMap.set(uid, slot);
    this.onUser(slot);
    return slot;
  }

  /** A user without processes. */
  private clearUser(slot: number): void {
    const { users } = this;
    users.usagePages[slot] = 0;
    users.creditPages[slot] = 0;
    users.shareablePages[slot] = 0;
    users.processCount[slot] = 0;
    users.taskCount[slot] = 0;
    users.mmCount[slot] = 0;
    users.excessProcesses[slot] = 0;
    users.doubtTsNs[slot] = 0;
    Atomics.add(users.joins, slot, 1);
  }

  /** Takes the row of a user that has no process. @returns -1 when all have one. */
  private reclaimUser(): number {
    const { users } = this;
    for (let slot = 0; slot < this.userSlots.highWater; slot++) {
      if (users.state[slot] === UserState.free || users.processCount[slot] !== 0) continue;
      this.userMap.delete(users.uid[slot]!);
      users.generation[slot] = (users.generation[slot]! + 1) | 0;
      return slot;
    }
    return -1;
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
    if (users.processCount[userSlot]! >= this.userProcessesMax) {
      users.excessProcesses[userSlot] = Math.max(1, users.excessProcesses[userSlot]!);
      this.full(TableNumber.processes, userSlot);
      return -1;
    }
    const slot = this.take(this.processSlots, users.processCount, userSlot);
    if (slot < 0) {
      this.full(TableNumber.processes, userSlot);
      return -1;
    }
    this.fillProcess(slot, tgid, userSlot, flags, tsNs);
    this.processMap.set(tgid, slot);
    return slot;
  }

  /**
   * A row for a user, who gets at most half of the rows that others leave free, because one user
   * must not be able to fill a table. @returns -1 when it has its share, or the table is full.
   */
  private take(slots: SlotAllocator, counts: Int32Array, userSlot: number): number {
    const own = counts[userSlot]!;
    const freeForIt = slots.capacity - (slots.used - own);
    return own < ROWS_GUARANTEED || 2 * own < freeForIt ? slots.allocate() : -1;
  }

  /** Whether a user may have another task. */
  hasRoomForTask(userSlot: number): boolean {
    const own = this.users.taskCount[userSlot]!;
    const { capacity, used } = this.taskSlots;
    return used < capacity && (own < ROWS_GUARANTEED || 2 * own < capacity - (used - own));
  }

  /**
   * The row that stands for the processes of a user which found none, by what /proc says of them
   * together. It has a number that no process has, no tasks, and is no candidate for a kill.
   * @returns -1 when not even that has room.
   */
  setOverflow(userSlot: number, pages: Float64Array, processes: number, tsNs: number): number {
    const { users } = this;
    const tgid = -2 - userSlot;
    let slot = this.processMap.get(tgid);
    if (slot < 0 && processes === 0) return -1;
    this.touch(userSlot);
    const rows = users.processCount[userSlot]! - (slot < 0 ? 0 : 1);
    const excess = processes === 0 ? 0 : rows + processes - this.userProcessesMax;
    users.excessProcesses[userSlot] = Math.max(0, excess);
    if (slot < 0) {
      slot = this.processSlots.allocate();
      if (slot < 0) return -1;
      this.fillProcess(slot, tgid, userSlot, ProcessFlag.overflow, tsNs);
      this.processMap.set(tgid, slot);
      const mm = this.mmSlots.allocate();
      if (mm >= 0) this.fillMm(mm, 0, MmState.nameless, slot, tsNs);
      this.processes.mmSlot1[slot] = mm + 1;
    }
    if (processes === 0) {
      this.removeProcess(slot);
      return -1;
    }
    this.processes.seenTsNs[slot] = tsNs;
    const mm = this.processes.mmSlot1[slot]! - 1;
    for (let member = 0; mm >= 0 && member < MEMBER_COUNT; member++) {
      this.setMember(mm, member, Math.min(pages[member]!, 0x7fffffff), tsNs);
    }
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
    this.shares.creditUser(to, credit);
    this.chargeUser(to, pages);
    if (pages !== 0) {
      this.touch(from);
      this.touch(to);
    }
  }

  private mmCountOf(processSlot: number): number {
    let count = 0;
    for (let mm1 = this.processes.mmFirst1[processSlot]!; mm1 !== 0; count++) {
      mm1 = this.mms.sibling1[mm1 - 1]!;
    }
    return count;
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
    return this.taskMap.get(tid);
  }

  /** Makes a task of a process, or hands it an existing one. @returns -1 when the table is full. */
  addTask(tid: number, processSlot: number, tsNs: number): number {
    const { tasks } = this;
    let slot = this.taskMap.get(tid);
    if (slot >= 0) {
      const from = tasks.processSlot[slot]!;
      if (from !== processSlot) {
        this.unlinkTask(slot);
        this.linkTask(slot, processSlot);
        this.forgetClaims(tid, from);
      }
      return slot;
    }
    const userSlot = this.processes.userSlot[processSlot]!;
    slot = this.take(this.taskSlots, this.users.taskCount, userSlot);
    if (slot < 0) {
      this.full(TableNumber.tasks, userSlot);
      return -1;
    }
    tasks.tid[slot] = tid;
    tasks.buildingMmSlot1[slot] = 0;
    tasks.bornTsNs[slot] = tsNs;
    this.linkTask(slot, processSlot);
    this.taskMap.set(tid, slot);
    return slot;
  }

  /** Puts a task into the list of its process, in O(1), because a process may have 65 536 of them. */
  private linkTask(slot: number, processSlot: number): void {
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

  private unlinkTask(slot: number): void {
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

  removeTask(slot: number): void {
    const { tasks } = this;
    this.unlinkTask(slot);
    tasks.processSlot[slot] = -1;
    this.taskMap.delete(tasks.tid[slot]!);
    this.taskSlots.release(slot);
  }

  /** Process of a task, -1 when neither is known. */
  processOfTid(tid: number): number {
    const task = this.taskMap.get(tid);
    // A thread that execs takes its leader's number, whose task has exited: the process stays.
    return task >= 0 ? this.tasks.processSlot[task]! : this.processMap.get(tid);
  }

  // ---------------------------------------------------------------------------------------- mms

  /** Row of an mm by its id, -1 when it has none. */
  findMm(mmId: number): number {
    return this.mmMap.get(mmId);
  }

  /** Makes an mm of a process. @returns -1 when the table is full. */
  addMm(mmId: number, state: number, processSlot: number, tsNs: number): number {
    const userSlot = this.processes.userSlot[processSlot]!;
    const slot = this.take(this.mmSlots, this.users.mmCount, userSlot);
    if (slot < 0) {
      this.full(TableNumber.mms, userSlot);
      return -1;
    }
    this.fillMm(slot, mmId, state, processSlot, tsNs);
    if (state !== MmState.nameless) this.mmMap.set(mmId, slot);
    return slot;
  }

  private fillMm(
    slot: number,
    mmId: number,
    state: number,
    processSlot: number,
    tsNs: number,
  ): void {
    const { mms } = this;
    mms.mmId[slot] = mmId;
    mms.state[slot] = state;
    mms.lastTid[slot] = 0;
    mms.ownerTsNs[slot] = 0;
    mms.bornTsNs[slot] = tsNs;
    mms.foreignTsNs[slot] = 0;
    mms.foreignTid[slot] = 0;
    this.shares.clear(slot);
    mms.pages.fill(0, slot * MEMBER_COUNT, (slot + 1) * MEMBER_COUNT);
    mms.tsNs.fill(0, slot * MEMBER_COUNT, (slot + 1) * MEMBER_COUNT);
    this.link(slot, processSlot);
  }

  /** Gives an mm that was read from /proc the id that the kernel uses for it. */
  nameMm(slot: number, mmId: number): void {
    invariant(this.mms.state[slot] === MmState.nameless, "books: this mm has a name");
    this.mms.mmId[slot] = mmId;
    this.mms.state[slot] = MmState.live;
    this.mmMap.set(mmId, slot);
  }

  /** The id has come back: what was known from before that time is over. */
  rebirth(slot: number, tsNs: number): void {
    const { mms } = this;
    for (let member = 0; member < MEMBER_COUNT; member++) {
      const at = slot * MEMBER_COUNT + member;
      if (mms.tsNs[at]! >= tsNs) continue;
      const pages = mms.pages[at]!;
      mms.tsNs[at] = tsNs;
      mms.pages[at] = 0;
      if ((this.countMask >> member) & 1) this.chargeAll(mms.processSlot1[slot]! - 1, -pages);
    }
    this.shares.end(slot);
    this.shares.clear(slot);
    mms.state[slot] = MmState.building;
    mms.bornTsNs[slot] = tsNs;
    mms.ownerTsNs[slot] = 0;
    mms.lastTid[slot] = 0;
    mms.foreignTsNs[slot] = 0;
    mms.foreignTid[slot] = 0;
    // As all that is being built, until it is known whether by a fork or an exec.
    this.shares.credit(slot, Infinity);
  }

  /** Hands an mm with its pages to another process. */
  moveMm(slot: number, processSlot: number): void {
    const from = this.mms.processSlot1[slot]! - 1;
    if (from === processSlot) return;
    const { processes } = this;
    const credit = this.mms.creditPages[slot]!;
    const shared = this.mms.sharedPages[slot]!;
    this.chargeAll(from, -this.countedPages(slot));
    this.shares.creditProcess(from, -credit);
    processes.sharedPages[from]! -= shared;
    this.unlink(slot, from);
    this.link(slot, processSlot);
    processes.sharedPages[processSlot]! += shared;
    this.shares.creditProcess(processSlot, credit);
    this.chargeAll(processSlot, this.countedPages(slot));
  }

  /** Forgets an mm and takes its pages off its process. */
  removeMm(slot: number): void {
    const { mms } = this;
    const owner = mms.processSlot1[slot]! - 1;
    this.chargeAll(owner, -this.countedPages(slot));
    this.shares.end(slot);
    this.unlink(slot, owner);
    if (mms.state[slot] !== MmState.nameless) this.mmMap.delete(mms.mmId[slot]!);
    mms.state[slot] = MmState.free;
    mms.processSlot1[slot] = 0;
    this.mmSlots.release(slot);
  }

  private link(mmSlot: number, processSlot: number): void {
    this.mms.processSlot1[mmSlot] = processSlot + 1;
    this.mms.sibling1[mmSlot] = this.processes.mmFirst1[processSlot]!;
    this.processes.mmFirst1[processSlot] = mmSlot + 1;
    this.users.mmCount[this.processes.userSlot[processSlot]!]!++;
  }

  private unlink(mmSlot: number, processSlot: number): void {
    const { mms, processes } = this;
    this.users.mmCount[processes.userSlot[processSlot]!]!--;
    let at1 = processes.mmFirst1[processSlot]!;
    if (at1 === mmSlot + 1) {
      processes.mmFirst1[processSlot] = mms.sibling1[mmSlot]!;
    } else {
      while (mms.sibling1[at1 - 1] !== mmSlot + 1) at1 = mms.sibling1[at1 - 1]!;
      mms.sibling1[at1 - 1] = mms.sibling1[mmSlot]!;
    }
    if (processes.mmSlot1[processSlot] === mmSlot + 1) processes.mmSlot1[processSlot] = 0;
  }

  /** Counted pages of an mm. */
  countedPages(mmSlot: number): number {
    const { pages } = this.mms;
    const mask = this.countMask;
    const base = mmSlot * MEMBER_COUNT;
    return (mask & 1 ? pages[base]! : 0) + (mask & 2 ? pages[base + 1]! : 0) +
      (mask & 4 ? pages[base + 2]! : 0) + (mask & 8 ? pages[base + 3]! : 0);
  }

  /** Time of the newest event of an mm. */
  newestTsNs(mmSlot: number): number {
    const { tsNs } = this.mms;
    const at = mmSlot * MEMBER_COUNT;
    return Math.max(tsNs[at]!, tsNs[at + 1]!, tsNs[at + 2]!, tsNs[at + 3]!);
  }

  /** Whether every member of an mm is zero. */
  isEmpty(mmSlot: number): boolean {
    const { pages } = this.mms;
    const base = mmSlot * MEMBER_COUNT;
    return (pages[base]! | pages[base + 1]! | pages[base + 2]! | pages[base + 3]!) === 0;
  }

  /**
   * Sets one member of an mm, unless something newer is known.
   *
   * @param tsNs When this was so; older than what is known: ignored.
   * @returns The change of the counted pages; 0 also when the member is not counted or it was old
   *   news (counted as stale).
   */
  setMember(mmSlot: number, member: number, pages: number, tsNs: number): number {
    const { mms } = this;
    const at = mmSlot * MEMBER_COUNT + member;
    if (tsNs < mms.tsNs[at]!) {
      this.counters[CounterIndex.stale]!++;
      return 0;
    }
    mms.tsNs[at] = tsNs;
    const delta = pages - mms.pages[at]!;
    mms.pages[at] = pages;
    if (delta === 0 || ((this.countMask >> member) & 1) === 0) return 0;
    const owner = mms.processSlot1[mmSlot]! - 1;
    if (tsNs >= this.bucketEndNs) this.startBucket(tsNs);
    this.charge(owner, delta);
    if (delta < 0) {
      if (mms.sharedPages[mmSlot] !== 0) this.shares.shrank(mmSlot);
    } else if (member !== Member.anon) this.shares.grew(mmSlot, member, delta);
    return delta;
  }

  // ------------------------------------------------------------------------------------ charging

  /** Adds to a process and its user, O(1): the whole point. */
  private charge(processSlot: number, delta: number): void {
    const { processes } = this;
    if (processes.growthBucket[processSlot] !== this.bucket) this.rollGrowth(processSlot);
    processes.pages[processSlot]! += delta;
    this.chargeUser(processes.userSlot[processSlot]!, delta);
  }

  /** A whole mm comes or goes: the user must be compared with its limits by somebody. */
  private chargeAll(processSlot: number, pages: number): void {
    if (pages === 0) return;
    this.charge(processSlot, pages);
    this.touch(this.processes.userSlot[processSlot]!);
  }

  /** A user to be compared with its limits after the record under way. */
  touch(userSlot: number): void {
    if (this.touchedCount > TOUCHED_MAX) return;
    for (let i = 0; i < this.touchedCount; i++) if (this.touched[i] === userSlot) return;
    if (this.touchedCount < TOUCHED_MAX) this.touched[this.touchedCount] = userSlot;
    this.touchedCount++;
  }

  get anyTouched(): boolean {
    return this.touchedCount > 0;
  }

  /** A user whose usage changed otherwise than by an event of its own; -1 when there is none left. */
  takeTouched(): number {
    if (this.touchedCount > TOUCHED_MAX) {
      // Too many to remember: all of them, from the last to the first.
      this.touchedAll = this.userSlots.highWater;
      this.touchedCount = 0;
    }
    if (this.touchedAll > 0) return --this.touchedAll;
    return this.touchedCount > 0 ? this.touched[--this.touchedCount]! : -1;
  }

  private chargeUser(userSlot: number, delta: number): void {
    const { users } = this;
    const usagePages = users.usagePages[userSlot]! + delta;
    // Plain, as all payload: whoever must look is told through a ring, which publishes it, and the
    // end of the batch publishes it to all. A locked store here is a fifth of the cost of an event.
    users.usagePages[userSlot] = usagePages;
    const chargedPages = usagePages - users.creditPages[userSlot]!;
    if (chargedPages > users.peakPages[userSlot]!) users.peakPages[userSlot] = chargedPages;
    if (delta < 0 && users.waits[userSlot] !== 0) this.freedForWaits = true;
  }

  private startBucket(tsNs: number): void {
    this.bucket = Math.floor(tsNs / GROWTH_BUCKET_NS) | 0;
    this.bucketEndNs = (this.bucket + 1) * GROWTH_BUCKET_NS;
  }

  /** Notes the pages at the start of each bucket since the last change, before the next one. */
  private rollGrowth(processSlot: number): void {
    const { processes } = this;
    const base = processSlot * GROWTH_BUCKETS;
    const pages = processes.pages[processSlot]!;
    const first = Math.max(
      processes.growthBucket[processSlot]! + 1,
      this.bucket - GROWTH_BUCKETS + 1,
    );
    for (let bucket = first; bucket <= this.bucket; bucket++) {
      processes.growth[base + (bucket & (GROWTH_BUCKETS - 1))] = pages;
    }
    processes.growthBucket[processSlot] = this.bucket;
  }

  /** Declares what a process has as old: it was there before toom looked. */
  settleGrowth(processSlot: number): void {
    const base = processSlot * GROWTH_BUCKETS;
    const { growth, pages } = this.processes;
    growth.fill(pages[processSlot]!, base, base + GROWTH_BUCKETS);
  }

  /** Whether a table has no row left for anybody. */
  isFull(table: number): boolean {
    const slots = [this.userSlots, this.processSlots, this.taskSlots, this.mmSlots][table - 1]!;
    return slots.used >= slots.capacity;
  }

  private full(table: number, userSlot: number): void {
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
