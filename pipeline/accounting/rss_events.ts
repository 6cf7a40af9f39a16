/**
 * The hot path of accounting: rss_stat events, of which there are ten million a second. In a class of its
 * own an event costs 2 % more than as a method of the role (65 536 events: 2.36 instead of 2.31 ms, the best
 * of five paired runs of 50 each); what it calls for each event is in books/mm_rows.ts and page_sums.ts.
 *
 * @module
 */
import {
  CounterIndex,
  MEMBER_COUNT,
  MmState,
  RecordWord,
  RSS_CURR,
  RSS_MEMBER_MASK,
  RSS_NO_MM_ID,
} from "../memory/layout.ts";
import type { Attribution } from "../books/attribution.ts";
import { type Books, UNKNOWN_UID } from "../books/books.ts";
import type { ProcFacts } from "../books/proc_facts.ts";
import type { Enforcement } from "../limits/enforcement.ts";
import type { EventTime } from "./event_time.ts";

export interface RssEventsParts {
  readonly books: Books;
  readonly attribution: Attribution;
  readonly facts: ProcFacts;
  readonly enforcement: Enforcement;
  readonly counters: Float64Array;
  readonly time: EventTime;
}

export class RssEvents {
  private readonly books: Books;
  private readonly attribution: Attribution;
  private readonly facts: ProcFacts;
  private readonly enforcement: Enforcement;
  private readonly counters: Float64Array;
  private readonly time: EventTime;

  constructor(parts: RssEventsParts) {
    this.books = parts.books;
    this.attribution = parts.attribution;
    this.facts = parts.facts;
    this.enforcement = parts.enforcement;
    this.counters = parts.counters;
    this.time = parts.time;
  }

  /**
   * One rss_stat event: one mm, one process, one user, whatever the number of any.
   *
   * It is told where its time is, not the time, and hands on none either: V8 allocates for a double
   * that is an argument of a function which is not inlined, and what is allocated is collected.
   */
  apply(words: Int32Array, doubles: Float64Array, word: number): void {
    const tsNs = doubles[word >> 1]!;
    // Field by field of RSS, without its view: this is done ten million times a second.
    const tid = words[word + RecordWord.tid]!;
    const mmId = words[word + RecordWord.a]!;
    const sizePages = words[word + RecordWord.b]!;
    const packed = words[word + RecordWord.c]!;
    const tgidHint = words[word + RecordWord.d]!;
    this.counters[CounterIndex.events]!++;
    this.time.lastTsNs = tsNs;
    const { books, enforcement } = this;
    const { mms, processes } = books;
    const curr = (packed & RSS_CURR) !== 0;
    let isOthers = false;
    let mm: number;
    // An mm_id of 0 is what every mm has before the kernel's pointer hash is seeded.
    if (mmId === 0 || (packed & RSS_NO_MM_ID) !== 0) {
      if (!curr) {
        this.counters[CounterIndex.unattributed]!++;
        return;
      }
      mm = this.attribution.claims.ownMm(tid, tgidHint, tsNs);
    } else {
      mm = books.findMm(mmId);
      if (mm < 0) {
        mm = this.attribution.claims.unknownMm(mmId, tid, curr, sizePages, tgidHint, tsNs);
      } else if (mms.lastTid[mm] !== tid) {
        if (curr) {
          mm = this.attribution.claims.claim(mm, tid, tgidHint, tsNs);
          isOthers = this.attribution.claims.isGuess;
        } else isOthers = this.attribution.lives.foreign(mm, tid, sizePages, tsNs);
      }
    }
    if (mm < 0) return;
    // Before Linux 6.2 a counter may dip below zero while threads hold parts of it back.
    const pages = sizePages > 0 ? sizePages : 0;
    const member = packed & RSS_MEMBER_MASK;
    const isFirst = mms.tsNs[mm * MEMBER_COUNT + member] === 0;
    const delta = books.setMember(mm, member, pages, tsNs);
    if (delta > 0) {
      // What a fork builds is its parent's, even if its child was read before; what an exec builds is
      // told apart when it is done.
      const isBuilt = !curr &&
        (mms.state[mm] === MmState.building || tsNs < mms.bornTsNs[mm]!);
      if (isBuilt || isOthers) books.shares.credit(mm, delta);
      else if (isFirst && (this.facts.degraded || this.attribution.births.isForkUnseen(mm))) {
        // Its fork was not seen, or may be what was lost: all but this page may be its parent's then.
        books.shares.credit(mm, delta - 1);
      }
      const user = processes.userSlot[mms.processSlot1[mm]! - 1]!;
      // Nobody announced it so far. Perhaps its fork is read later, and all of it is its parent's.
      if (books.users.uid[user] === UNKNOWN_UID) books.shares.credit(mm, delta);
      if (books.users.usagePages[user]! > enforcement.quietPages[user]!) {
        enforcement.nowNs[0] = tsNs;
        enforcement.compareGrown(user, mms.processSlot1[mm]!);
      }
    } else if (delta < 0) {
      const user = processes.userSlot[mms.processSlot1[mm]! - 1]!;
      if (enforcement.mayGoBack(user)) enforcement.under(user);
    }
    if (pages === 0 && !curr && books.isEmpty(mm)) this.attribution.lives.mmEmpty(mm);
  }
}
