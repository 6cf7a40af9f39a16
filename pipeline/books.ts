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
  MEMBER_COUNT,
  MmState,
  ProcessFlag,
  ProcessState,
  UserState,
} from "./layout.ts";
import { IntMap } from "./int_map.ts";
import type { Memory } from "./memory.ts";
import { type ColumnArrays, SlotAllocator } from "./table.ts";
import type { MM_COLUMNS, PROCESS_COLUMNS, TASK_COLUMNS, USER_COLUMNS } from "./layout.ts";
import { invariant } from "./invariant.ts";

/** Pages of a user without a limit: more than any usage. */
export const NO_LIMIT_PAGES = 0x7fffffff;
/** The uid of a process whose user is not known yet, as an int32 pattern; never a real one. */
export const UNKNOWN_UID = -1;

/** Which table was full, in reports. */
export const TableNumber = { users: 1, processes: 2, tasks: 3, mms: 4 } as const;
export const TABLE_NAMES = ["", "users", "processes", "tasks", "mms"] as const;

/** Users remembered as touched; beyond that, all count as touched. */
const TOUCHED_MAX = 8;

/** A set of members as bits: 1 << Member. */
export type MemberMask = number;

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
  private readonly onFull: (table: number) => void;
  /** Called when a user row is made, to give it its limits. */
  private readonly onUser: (userSlot: number) => void;
  /** Users whose usage changed otherwise than by an event of theirs; to be compared anew. */
  private readonly touched = new Int32Array(TOUCHED_MAX);
  private touchedCount = 0;
  private touchedAll = 0;
  private bucket = 0;
  private bucketEndNs = 0;
  /** Memory has come back to a user of whom the coordinator keeps somebody waiting. */
  freedForWaits = false;

  /**
   * @param countMask The counted members.
   * @param onFull Told which table (TableNumber) had no slot left; the books go on without it.
   * @param onUser Told of each new user row, so that it gets its limits.
   */
  constructor(
    memory: Memory,
    counters: Float64Array,
    countMask: MemberMask,
    onFull: (table: number) => void,
    onUser: (userSlot: number) => void,
  ) {
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
    this.countMask = countMask;
    this.onFull = onFull;
    this.onUser = onUser;
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
      Atomics.store(users.usagePages, slot, 0);
      users.processCount[slot] = 0;
      Atomics.add(users.joins, slot, 1);
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
      this.full(TableNumber.users);
      return -1;
    }
    users.uid[slot] = uid;
    Atomics.store(users.usagePages, slot, 0);
    users.peakPages[slot] = 0;
    users.hardPages[slot] = NO_LIMIT_PAGES;
    users.softPages[slot] = NO_LIMIT_PAGES;
    users.processCount[slot] = 0;
    Atomics.add(users.joins, slot, 1);
    users.promisedPages[slot] = 0;
    users.waits[slot] = 0;
    users.kills[slot] = 0;
    users.crossedTsNs[slot] = 0;
    Atomics.store(users.state, slot, UserState.ok);
    this.userMap.set(uid, slot);
    this.onUser(slot);
    return slot;
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
    const { processes, users } = this;
    const userSlot = this.userOf(uid);
    if (userSlot < 0) return -1;
    const slot = this.processSlots.allocate();
    if (slot < 0) {
      this.full(TableNumber.processes);
      return -1;
    }
    processes.tgid[slot] = tgid;
    processes.userSlot[slot] = userSlot;
    processes.pages[slot] = 0;
    processes.taskCount[slot] = 0;
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
    this.processMap.set(tgid, slot);
    return slot;
  }

  /** Hands a process with all its pages to another user. */
  moveProcess(slot: number, uid: number): void {
    const { processes, users } = this;
    const from = processes.userSlot[slot]!;
    const to = this.userOf(uid);
    if (to < 0 || to === from) return;
    const pages = processes.pages[slot]!;
    this.chargeUser(from, -pages);
    users.processCount[from]!--;
    // Before and after: whoever sums up meanwhile sums up again.
    Atomics.add(users.joins, to, 1);
    processes.userSlot[slot] = to;
    Atomics.add(users.joins, to, 1);
    users.processCount[to]!++;
    this.chargeUser(to, pages);
    if (pages !== 0) {
      this.touch(from);
      this.touch(to);
    }
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
    if (processes.taskCount[slot]! > 0) this.removeTasksOf(slot);
    if (this.processMap.get(processes.tgid[slot]!) === slot) {
      this.processMap.delete(processes.tgid[slot]!);
    }
    users.processCount[processes.userSlot[slot]!]!--;
    Atomics.store(processes.state, slot, ProcessState.free);
    this.processSlots.release(slot);
    return pages;
  }

  private removeTasksOf(processSlot: number): void {
    const { tasks } = this;
    const highWater = this.taskSlots.highWater;
    for (let slot = 0; slot < highWater; slot++) {
      if (tasks.processSlot[slot] === processSlot) this.removeTask(slot);
    }
  }

  // -------------------------------------------------------------------------------------- tasks

  /** Row of a task, -1 when it has none. */
  findTask(tid: number): number {
    return this.taskMap.get(tid);
  }

  /** Makes a task of a process, or hands it an existing one. @returns -1 when the table is full. */
  addTask(tid: number, processSlot: number, tsNs: number): number {
    const { tasks, processes } = this;
    let slot = this.taskMap.get(tid);
    if (slot >= 0) {
      const from = tasks.processSlot[slot]!;
      if (from !== processSlot) {
        processes.taskCount[from]!--;
        tasks.processSlot[slot] = processSlot;
        processes.taskCount[processSlot]!++;
        this.forgetClaims(tid, from);
      }
      return slot;
    }
    slot = this.taskSlots.allocate();
    if (slot < 0) {
      this.full(TableNumber.tasks);
      return -1;
    }
    tasks.tid[slot] = tid;
    tasks.processSlot[slot] = processSlot;
    tasks.buildingMmSlot1[slot] = 0;
    tasks.bornTsNs[slot] = tsNs;
    processes.taskCount[processSlot]!++;
    this.taskMap.set(tid, slot);
    return slot;
  }

  /** What a task claimed for the process that it was thought to be of must be claimed again. */
  private forgetClaims(tid: number, processSlot: number): void {
    const { mms } = this;
    for (let mm1 = this.processes.mmFirst1[processSlot]!; mm1 !== 0; mm1 = mms.sibling1[mm1 - 1]!) {
      if (mms.lastTid[mm1 - 1] === tid) mms.lastTid[mm1 - 1] = 0;
    }
  }

  removeTask(slot: number): void {
    const { tasks, processes } = this;
    processes.taskCount[tasks.processSlot[slot]!]!--;
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
    const { mms } = this;
    const slot = this.mmSlots.allocate();
    if (slot < 0) {
      this.full(TableNumber.mms);
      return -1;
    }
    mms.mmId[slot] = mmId;
    mms.state[slot] = state;
    mms.lastTid[slot] = 0;
    mms.ownerTsNs[slot] = 0;
    mms.bornTsNs[slot] = tsNs;
    mms.foreignTsNs[slot] = 0;
    mms.foreignTid[slot] = 0;
    mms.pages.fill(0, slot * MEMBER_COUNT, (slot + 1) * MEMBER_COUNT);
    mms.tsNs.fill(0, slot * MEMBER_COUNT, (slot + 1) * MEMBER_COUNT);
    this.link(slot, processSlot);
    if (state !== MmState.nameless) this.mmMap.set(mmId, slot);
    return slot;
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
    mms.state[slot] = MmState.building;
    mms.bornTsNs[slot] = tsNs;
    mms.ownerTsNs[slot] = 0;
    mms.lastTid[slot] = 0;
    mms.foreignTsNs[slot] = 0;
    mms.foreignTid[slot] = 0;
  }

  /** Hands an mm with its pages to another process. */
  moveMm(slot: number, processSlot: number): void {
    const from = this.mms.processSlot1[slot]! - 1;
    if (from === processSlot) return;
    this.chargeAll(from, -this.countedPages(slot));
    this.unlink(slot, from);
    this.link(slot, processSlot);
    this.chargeAll(processSlot, this.countedPages(slot));
  }

  /** Forgets an mm and takes its pages off its process. */
  removeMm(slot: number): void {
    const { mms } = this;
    const owner = mms.processSlot1[slot]! - 1;
    this.chargeAll(owner, -this.countedPages(slot));
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
  }

  private unlink(mmSlot: number, processSlot: number): void {
    const { mms, processes } = this;
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

  private touch(userSlot: number): void {
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
    if (usagePages > users.peakPages[userSlot]!) users.peakPages[userSlot] = usagePages;
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

  private full(table: number): void {
    this.counters[CounterIndex.tableFull]!++;
    this.onFull(table);
  }

  /**
   * Checks I3 over all tables. For tests and the simulator; O(everything).
   * @throws {InvariantError}
   */
  checkSums(): void {
    const { users, processes, mms } = this;
    const userPages = new Map<number, number>();
    for (let slot = 0; slot < this.processSlots.highWater; slot++) {
      if (processes.state[slot] === ProcessState.free) continue;
      let sum = 0;
      for (let mm1 = processes.mmFirst1[slot]!; mm1 !== 0; mm1 = mms.sibling1[mm1 - 1]!) {
        invariant(mms.processSlot1[mm1 - 1] === slot + 1, "I3: an mm in a foreign list");
        sum += this.countedPages(mm1 - 1);
      }
      const { pages, tgid } = processes;
      invariant(pages[slot] === sum, `I3: process ${tgid[slot]}: ${pages[slot]} != ${sum}`);
      const user = processes.userSlot[slot]!;
      userPages.set(user, (userPages.get(user) ?? 0) + sum);
    }
    for (let slot = 0; slot < this.userSlots.highWater; slot++) {
      if (users.state[slot] === UserState.free) continue;
      const sum = userPages.get(slot) ?? 0;
      const { uid, usagePages } = users;
      invariant(usagePages[slot] === sum, `I3: uid ${uid[slot]}: ${usagePages[slot]} != ${sum}`);
    }
  }

  /** Whether a process runs on its parent's mm. */
  isBorrower(processSlot: number): boolean {
    return (this.processes.flags[processSlot]! & ProcessFlag.borrower) !== 0;
  }
}
