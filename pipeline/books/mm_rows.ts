/**
 * Address spaces (mms): whose they are, and how many pages of each member they have. Each change is
 * added to the process and the user at once (I3), and told to shares (I10).
 *
 * @module
 */
import { CounterIndex, Member, MEMBER_COUNT, MmState } from "../memory/layout.ts";
import type { MM_COLUMNS } from "../memory/layout.ts";
import { IntMap } from "../memory/int_map.ts";
import { invariant } from "../memory/invariant.ts";
import type { Memory } from "../memory/memory.ts";
import type { MemberMask } from "../memory/settings.ts";
import { type ColumnArrays, SlotAllocator } from "../memory/table.ts";
import { PageSums } from "./page_sums.ts";
import { TableNumber, takeRow } from "./row_shares.ts";
import { Shares } from "./shares.ts";

export interface MmOptions {
  /** The counted members of users of whom {@link MmRows.setCountMask} says nothing. */
  readonly countMask: MemberMask;
  /** Pages that are counted more than once are credited; else usage is the plain sum. */
  readonly creditsShares: boolean;
  /** Told when a user's credit has changed. */
  readonly onCredit: (userSlot: number) => void;
}

export abstract class MmRows extends PageSums {
  readonly mms: ColumnArrays<typeof MM_COLUMNS>;
  readonly mmSlots: SlotAllocator;
  readonly shares: Shares;
  private readonly mmMap: IntMap;
  protected readonly counters: Float64Array;
  private readonly countMask: MemberMask;
  /** Members that count for every user so far: of them nobody need be asked. */
  private everyMask: MemberMask;
  /** Those that count for any user so far. */
  private anyMask: MemberMask;
  /** By mm and member: when /proc said last what was booked; equal to tsNs where that still holds. */
  private readonly readTsNs: Float64Array;
  /** Of {@link absorbMm} and {@link takeReadings}: what there was. */
  private readonly absorbedPages = new Int32Array(MEMBER_COUNT);
  private readonly absorbedTsNs = new Float64Array(MEMBER_COUNT);
  private takenCreditPages = 0;

  constructor(memory: Memory, counters: Float64Array, options: MmOptions) {
    super(memory);
    const { buffer, plan } = memory;
    this.mms = memory.mms;
    this.mmSlots = new SlotAllocator(buffer, plan.mms, memory.mms);
    this.mmMap = new IntMap(buffer, plan.mmMap, plan.capacity.mms);
    this.readTsNs = new Float64Array(plan.capacity.mms * MEMBER_COUNT);
    this.counters = counters;
    this.countMask = this.everyMask = this.anyMask = options.countMask;
    this.shares = new Shares(memory, this.mmSlots, {
      isOn: options.creditsShares,
      countMask: (mmSlot) => this.countMaskOf(mmSlot),
      countedPages: (mmSlot) => this.countedPages(mmSlot),
      onCredit: options.onCredit,
    });
  }

  /** Counts and tells that a table had no row for a user. */
  protected abstract full(table: number, userSlot: number): void;

  protected resetMms(): void {
    this.mms.state.fill(MmState.free, 0, this.mmSlots.highWater);
    this.mmSlots.reset();
    this.mmMap.clear();
  }

  /** Says what counts for a user, before it has a process. */
  setCountMask(userSlot: number, countMask: MemberMask): void {
    invariant(this.users.processCount[userSlot] === 0, "books: a user with processes counts on");
    this.users.countMask[userSlot] = countMask;
    this.everyMask &= countMask;
    this.anyMask |= countMask;
  }

  /** The members that count for the user of an mm. */
  private countMaskOf(mmSlot: number): MemberMask {
    if (this.everyMask === this.anyMask) return this.everyMask;
    return this.users.countMask[this.processes.userSlot[this.mms.processSlot1[mmSlot]! - 1]!]!;
  }

  /** Whether a member counts for the user of an mm. Mostly no table is asked. */
  private counts(mmSlot: number, member: number): boolean {
    if (((this.everyMask >> member) & 1) !== 0) return true;
    return ((this.anyMask >> member) & 1) !== 0 && ((this.countMaskOf(mmSlot) >> member) & 1) !== 0;
  }

  /** Row of an mm by its id, -1 when it has none. */
  findMm(mmId: number): number {
    return this.mmMap.get(mmId);
  }

  /** Makes an mm of a process. @returns -1 when the table is full. */
  addMm(mmId: number, state: number, processSlot: number, tsNs: number): number {
    const userSlot = this.processes.userSlot[processSlot]!;
    const slot = takeRow(this.mmSlots, this.users.mmCount[userSlot]!);
    if (slot < 0) {
      this.full(TableNumber.mms, userSlot);
      return -1;
    }
    this.fillMm(slot, mmId, state, processSlot, tsNs);
    if (state !== MmState.nameless) this.mmMap.set(mmId, slot);
    return slot;
  }

  protected fillMm(
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
    if (mms.sharedPages[slot] !== 0) this.shares.orphan(slot, Infinity);
    for (let member = 0; member < MEMBER_COUNT; member++) {
      const at = slot * MEMBER_COUNT + member;
      if (mms.tsNs[at]! >= tsNs) continue;
      const pages = mms.pages[at]!;
      mms.tsNs[at] = tsNs;
      mms.pages[at] = 0;
      if (this.counts(slot, member)) this.chargeAll(mms.processSlot1[slot]! - 1, -pages);
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
    const isOtherUser = processes.userSlot[from] !== processes.userSlot[processSlot];
    const assigned = isOtherUser ? this.shares.leaveUser(slot) : 0;
    const mask = this.countMaskOf(slot);
    this.chargeAll(from, -this.countedPages(slot));
    this.shares.creditProcess(from, -credit);
    processes.sharedPages[from]! -= shared;
    this.unlink(slot, from);
    this.link(slot, processSlot);
    if (this.countMaskOf(slot) !== mask) this.recount(slot, mask);
    processes.sharedPages[processSlot]! += this.mms.sharedPages[slot]!;
    this.shares.creditProcess(processSlot, this.mms.creditPages[slot]!);
    this.shares.joinUser(slot, assigned);
    this.chargeAll(processSlot, this.countedPages(slot));
  }

  /**
   * Other members count for an mm than before. What counts from now on is credited, as nobody knows who has
   * it too; of what does not count any more, the credit may have been. Changes the mm's row only.
   * @param mask What counted before.
   */
  protected recount(mmSlot: number, mask: MemberMask): void {
    const added = this.pagesOf(mmSlot, this.countMaskOf(mmSlot) & ~mask);
    this.shares.recount(mmSlot, added);
  }

  /** Forgets an mm and takes its pages off its process. */
  removeMm(slot: number): void {
    const { mms } = this;
    const owner = mms.processSlot1[slot]! - 1;
    if (mms.sharedPages[slot] !== 0) this.shares.orphan(slot, Infinity);
    this.chargeAll(owner, -this.countedPages(slot));
    this.shares.end(slot);
    this.unlink(slot, owner);
    if (mms.state[slot] !== MmState.nameless) this.mmMap.delete(mms.mmId[slot]!);
    mms.state[slot] = MmState.free;
    mms.processSlot1[slot] = 0;
    this.mmSlots.release(slot);
  }

  /**
   * Ends an mm that is only known from readings of /proc: another of its process is what was read, and has
   * from now on what was read later than its own events.
   */
  absorbMm(nameless: number, mmSlot: number): void {
    const { mms, absorbedPages, absorbedTsNs } = this;
    const from = nameless * MEMBER_COUNT;
    absorbedPages.set(mms.pages.subarray(from, from + MEMBER_COUNT));
    absorbedTsNs.set(mms.tsNs.subarray(from, from + MEMBER_COUNT));
    const creditPages = mms.creditPages[nameless]!;
    const userSlot = this.processes.userSlot[mms.processSlot1[nameless]! - 1]!;
    const peakPages = this.users.peakPages[userSlot]!;
    // First of all, so that nothing counts twice meanwhile.
    this.removeMm(nameless);
    for (let member = 0; member < MEMBER_COUNT; member++) {
      const tsNs = absorbedTsNs[member]!;
      if (mms.tsNs[mmSlot * MEMBER_COUNT + member]! >= tsNs) continue;
      this.setRead(mmSlot, member, absorbedPages[member]!, tsNs);
    }
    this.shares.credit(mmSlot, creditPages - mms.creditPages[mmSlot]!);
    this.settlePeak(userSlot, peakPages);
  }

  /**
   * Takes off an mm what /proc has said of it after a time: it was another's.
   * @param sinceNs Of the readings that are meant.
   * @returns Whether there was anything: then {@link bookTaken} books it elsewhere.
   */
  takeReadings(mmSlot: number, sinceNs: number): boolean {
    const { mms, absorbedPages, absorbedTsNs } = this;
    let isAny = false;
    this.takenCreditPages = mms.creditPages[mmSlot]!;
    for (let member = 0; member < MEMBER_COUNT; member++) {
      const at = mmSlot * MEMBER_COUNT + member;
      const tsNs = mms.tsNs[at]!;
      absorbedTsNs[member] = 0;
      if (tsNs === 0 || tsNs <= sinceNs || !this.isRead(mmSlot, member)) continue;
      isAny = true;
      absorbedPages[member] = mms.pages[at]!;
      absorbedTsNs[member] = tsNs;
      this.setMember(mmSlot, member, 0, tsNs);
      mms.tsNs[at] = 0;
    }
    return isAny;
  }

  /** Books what {@link takeReadings} has taken, unless something newer is known. */
  bookTaken(mmSlot: number): void {
    const { absorbedPages, absorbedTsNs } = this;
    for (let member = 0; member < MEMBER_COUNT; member++) {
      const tsNs = absorbedTsNs[member]!;
      if (tsNs === 0 || this.mms.tsNs[mmSlot * MEMBER_COUNT + member]! >= tsNs) continue;
      this.setRead(mmSlot, member, absorbedPages[member]!, tsNs);
    }
    this.shares.credit(mmSlot, this.takenCreditPages - this.mms.creditPages[mmSlot]!);
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

  protected mmCountOf(processSlot: number): number {
    let count = 0;
    for (let mm1 = this.processes.mmFirst1[processSlot]!; mm1 !== 0; count++) {
      mm1 = this.mms.sibling1[mm1 - 1]!;
    }
    return count;
  }

  /** Counted pages of an mm. */
  countedPages(mmSlot: number): number {
    return this.pagesOf(mmSlot, this.countMaskOf(mmSlot));
  }

  /** Pages that an mm has of some members. */
  private pagesOf(mmSlot: number, mask: MemberMask): number {
    const { pages } = this.mms;
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
    if (delta === 0 || !this.counts(mmSlot, member)) return 0;
    const owner = mms.processSlot1[mmSlot]! - 1;
    if (tsNs >= this.bucketEndNs) this.startBucket(tsNs);
    // Credited before it is charged, so that it makes no peak.
    if (member !== Member.anon && delta > 0) this.shares.grew(mmSlot, member, delta);
    this.charge(owner, delta);
    if (delta < 0) {
      if (member !== Member.anon) this.shares.gaveBack(mmSlot, member, -delta);
      if (mms.sharedPages[mmSlot] !== 0) this.shares.shrank(mmSlot, -delta);
    }
    return delta;
  }

  /** As {@link setMember}, of what /proc has said. */
  setRead(mmSlot: number, member: number, pages: number, tsNs: number): number {
    const delta = this.setMember(mmSlot, member, pages, tsNs);
    const at = mmSlot * MEMBER_COUNT + member;
    if (this.mms.tsNs[at] === tsNs) this.readTsNs[at] = tsNs;
    return delta;
  }

  /** Whether /proc has said what is known of a member, and no event since. */
  isRead(mmSlot: number, member: number): boolean {
    const at = mmSlot * MEMBER_COUNT + member;
    return this.mms.tsNs[at] === this.readTsNs[at];
  }
}
