/**
 * The books at one moment, as the records that rebuild them: a sweep that reads the tables instead of
 * /proc, the ids of mms, what rules say, and a measuring for what is shared. A recording that begins in the middle
 * begins with them.
 *
 * What they do not carry: which mms were forked from which (a measuring ends that too), mms that are
 * being built at this moment (they speak again), and growth within the last second.
 *
 * @module
 */
import {
  Member,
  MEMBER_COUNT,
  MmState,
  packProc,
  packRss,
  ProcessFlag,
  ProcessState,
  ProcFlag,
  RecordKind,
  SweepFlag,
  TABLE_HEADER_BYTES,
  TableWord,
  UserState,
} from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import type { RulesView } from "../limits/published_rules.ts";
import { bareTag, tagOf } from "../rules/tag.ts";
import { UNKNOWN_UID } from "../books/books.ts";
import type { RecordList } from "./record_list.ts";

/** Of the sweep and the measuring; no sweep of a daemon has it. */
const NUMBER = -1;

/** Reads the tables, which accounting may be changing. One for each memory. */
export class KeyframeWriter {
  private readonly memory: Memory;
  private readonly rules: RulesView;
  private readonly processHeader: Int32Array;
  private readonly userHeader: Int32Array;

  constructor(memory: Memory, rules: RulesView) {
    const { buffer, plan } = memory;
    this.memory = memory;
    this.rules = rules;
    this.processHeader = new Int32Array(buffer, plan.processes, TABLE_HEADER_BYTES / 4);
    this.userHeader = new Int32Array(buffer, plan.users, TABLE_HEADER_BYTES / 4);
  }

  /**
   * @param tsNs A time that is not after any record that follows.
   * @param out Where records are appended.
   * @returns Processes in them.
   */
  write(tsNs: number, out: RecordList): number {
    const { processes, users } = this.memory;
    const highWater = Atomics.load(this.processHeader, TableWord.highWater);
    out.put(tsNs, RecordKind.sweepBegin, NUMBER, SweepFlag.full | SweepFlag.initial, 0, 0, 0);
    let count = 0;
    // Lenders first: a borrower is told whose mm it runs on.
    for (const isBorrower of [false, true]) {
      for (let slot = 0; slot < highWater; slot++) {
        if (processes.state[slot] !== ProcessState.alive || processes.tgid[slot]! <= 0) continue;
        const flags = processes.flags[slot]!;
        if (((flags & ProcessFlag.borrower) !== 0) !== isBorrower) continue;
        if ((flags & (ProcessFlag.overflow | ProcessFlag.unresolved)) !== 0) continue;
        const uid = users.uid[processes.userSlot[slot]!]!;
        if (uid === UNKNOWN_UID) continue;
        this.process(slot, uid, tsNs, out);
        count++;
      }
    }
    out.put(tsNs, RecordKind.sweepEnd, NUMBER, SweepFlag.full | SweepFlag.initial, 0, 0, 0);
    this.measure(tsNs, highWater, out);
    return count;
  }

  private process(slot: number, uid: number, tsNs: number, out: RecordList): void {
    const { processes, mms, tasks } = this.memory;
    const tgid = processes.tgid[slot]!;
    const flags = processes.flags[slot]!;
    const mm = processes.mmSlot1[slot]! - 1;
    const base = mm * MEMBER_COUNT;
    let oldestNs = tsNs;
    for (let member = 0; mm >= 0 && member < MEMBER_COUNT; member++) {
      const memberNs = mms.tsNs[base + member]!;
      if (memberNs > 0 && memberNs < oldestNs) oldestNs = memberNs;
    }
    const bornMs = Math.max(0, Math.floor(processes.bornTsNs[slot]! / 1e6));
    const borrows = (flags & ProcessFlag.borrower) !== 0;
    const packed = packProc(borrows ? ProcFlag.borrows : 0, bornMs);
    const { startTicks } = processes;
    out.put(
      oldestNs,
      RecordKind.proc,
      tgid,
      uid,
      startTicks[slot]!,
      bornMs % 2 ** 32 | 0,
      packed,
    );
    const tag = tagOf(processes, slot);
    if (tag !== 0) out.put(oldestNs, RecordKind.tagged, tgid, bareTag(tag), 0, 0, 0);
    const held = (member: number): number => mm < 0 ? 0 : Math.max(0, mms.pages[base + member]!);
    if (!borrows) {
      out.put(oldestNs, RecordKind.procPages, tgid, held(0), held(1), held(2), held(3));
    } else {
      const lender = processes.lenderSlot1[slot]! - 1;
      const lenderTgid = lender < 0 ? 0 : processes.tgid[lender]!;
      if (lenderTgid > 0) out.put(oldestNs, RecordKind.lender, tgid, lenderTgid, 0, 0, 0);
    }
    let speaker = tgid;
    let task = processes.taskFirst1[slot]! - 1;
    // The list may change under our eyes: it is not followed for ever.
    for (let left = tasks.tid.length; task >= 0 && left > 0; left--) {
      speaker = tasks.tid[task]!;
      out.put(oldestNs, RecordKind.task, speaker, tgid, 0, 0, 0);
      task = tasks.nextOfProcess1[task]! - 1;
    }
    if (mm < 0 || borrows) return;
    const isNameless = mms.state[mm] === MmState.nameless || mms.mmId[mm] === 0;
    for (let member = 0; member < MEMBER_COUNT; member++) {
      const memberNs = mms.tsNs[base + member]!;
      if (memberNs <= 0) continue;
      const word = packRss(member, 1, isNameless);
      const mmId = isNameless ? 0 : mms.mmId[mm]!;
      out.put(
        Math.max(oldestNs, memberNs),
        RecordKind.rss,
        speaker,
        mmId,
        mms.pages[base + member]!,
        word,
        tgid,
      );
    }
  }

  /** Of the credit of an mm, what it has of file and shmem: what is not assigned to it. */
  private mappedCreditPages(mm: number, uid: number): number {
    const { pages, assignedPages } = this.memory.mms;
    const countMask = this.rules.countMaskOf(uid);
    let mapped = 0;
    for (const member of [Member.file, Member.shmem]) {
      if (((countMask >> member) & 1) !== 0) {
        mapped += pages[mm * MEMBER_COUNT + member]!;
      }
    }
    return Math.max(0, mapped - assignedPages[mm]!);
  }

  /** What is shared, as a measuring of each user that shares anything would have found it. */
  private measure(tsNs: number, processesEnd: number, out: RecordList): void {
    const { users, processes } = this.memory;
    const usersEnd = Atomics.load(this.userHeader, TableWord.highWater);
    for (let user = 0; user < usersEnd; user++) {
      if (users.state[user] === UserState.free || users.uid[user] === UNKNOWN_UID) continue;
      let shares = users.creditPages[user]! !== 0 || users.shareablePages[user]! !== 0;
      for (let slot = 0; slot < processesEnd && !shares; slot++) {
        shares = processes.userSlot[slot] === user && processes.state[slot] !== ProcessState.free &&
          processes.sharedPages[slot]! !== 0;
      }
      if (!shares) continue;
      const uid = users.uid[user]!;
      out.put(tsNs, RecordKind.measureBegin, NUMBER, uid, 0, 0, 0);
      for (let slot = 0; slot < processesEnd; slot++) {
        if (processes.userSlot[slot] !== user || processes.state[slot] !== ProcessState.alive) {
          continue;
        }
        const mm = processes.mmSlot1[slot]! - 1;
        if (mm < 0 || (processes.flags[slot]! & ProcessFlag.borrower) !== 0) continue;
        const { sharedPages, creditPages, assignedPages } = this.memory.mms;
        out.put(
          tsNs,
          RecordKind.measured,
          processes.tgid[slot]!,
          this.mappedCreditPages(mm, uid),
          sharedPages[mm]!,
          creditPages[mm]!,
          assignedPages[mm]!,
        );
      }
      out.put(tsNs, RecordKind.measureEnd, NUMBER, uid, 0, 0, 0);
    }
  }
}
