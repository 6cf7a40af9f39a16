/**
 * Pages of processes and users, and how fast processes grow: the only code that changes these sums.
 *
 * The books inherit it, and do not hold it, so that an event works on one object.
 *
 * @module
 */
import { GROWTH_BUCKET_NS, GROWTH_BUCKETS } from "../memory/layout.ts";
import type { PROCESS_COLUMNS, USER_COLUMNS } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import { type ColumnArrays, SlotAllocator } from "../memory/table.ts";

/** Users remembered as touched; beyond that, all count as touched. */
const TOUCHED_MAX = 8;

export abstract class PageSums {
  readonly users: ColumnArrays<typeof USER_COLUMNS>;
  readonly processes: ColumnArrays<typeof PROCESS_COLUMNS>;
  readonly userSlots: SlotAllocator;
  readonly processSlots: SlotAllocator;
  /** Users whose usage changed otherwise than by an event of theirs; to be compared anew. */
  private readonly touched = new Int32Array(TOUCHED_MAX);
  private touchedCount = 0;
  private touchedAll = 0;
  /** The growth bucket under way, and when it ends. */
  protected bucket = 0;
  protected bucketEndNs = 0;
  /** Memory has come back to a user of whom the coordinator keeps somebody waiting. */
  freedForWaits = false;

  constructor(memory: Memory) {
    const { buffer, plan } = memory;
    this.users = memory.users;
    this.processes = memory.processes;
    this.userSlots = new SlotAllocator(buffer, plan.users, memory.users);
    this.processSlots = new SlotAllocator(buffer, plan.processes, memory.processes);
  }

  /** Adds to a process and its user, O(1): the whole point. */
  protected charge(processSlot: number, delta: number): void {
    const { processes } = this;
    if (processes.growthBucket[processSlot] !== this.bucket) this.rollGrowth(processSlot);
    processes.pages[processSlot]! += delta;
    this.chargeUser(processes.userSlot[processSlot]!, delta);
  }

  /** A whole mm comes or goes: the user must be compared with its limits by somebody. */
  protected chargeAll(processSlot: number, pages: number): void {
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

  protected chargeUser(userSlot: number, delta: number): void {
    const { users } = this;
    const usagePages = users.usagePages[userSlot]! + delta;
    // Plain, as all payload: whoever must look is told through a ring, which publishes it, and the
    // end of the batch publishes it to all. A locked store here is a fifth of the cost of an event.
    users.usagePages[userSlot] = usagePages;
    const chargedPages = usagePages - users.creditPages[userSlot]!;
    if (chargedPages > users.peakPages[userSlot]!) users.peakPages[userSlot] = chargedPages;
    if (delta < 0 && users.waits[userSlot] !== 0) this.freedForWaits = true;
  }

  /** Of a change in steps that has ended, only the end may be a peak. @param beforePages The peak before it. */
  settlePeak(userSlot: number, beforePages: number): void {
    const { users } = this;
    const chargedPages = users.usagePages[userSlot]! - users.creditPages[userSlot]!;
    users.peakPages[userSlot] = Math.max(beforePages, chargedPages);
  }

  protected startBucket(tsNs: number): void {
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
}
