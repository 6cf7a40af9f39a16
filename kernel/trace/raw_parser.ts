/**
 * Pages of the kernel's ring buffers into records.
 *
 * A page, as read(2) on per_cpu/cpuN/trace_pipe_raw gives it, with the offsets of a 64-bit kernel:
 *
 *     byte 0          8         16                        16 + length
 *          time u64 | commit | event | event | ...      | lost u64, with flag 30 | zeros
 *
 *     commit  bits 0..19 length in bytes, 31 events were lost before this page, 30 their number
 *             follows the data; the bits above are the sign's
 *     event   u32: type_len 5 bits, delta 27 bits; then by type_len
 *             1..28  the record, type_len words
 *             0      u32 n, then the record, n - 4 bytes
 *             29     padding: delta 0, nothing more on this page; else u32 n, then n - 4 bytes
 *             30     u32 t: time += (t << 27) + delta
 *             31     u32 t: time = (t << 27) + delta, below the 5 highest bits of the time before
 *
 * A page is the kernel's, so it is not hostile; but it may be cut by a short read, or belong to
 * another sub-buffer size than is thought. Nothing outside of it is read, and nothing throws.
 *
 * Source: kernel/trace/ring_buffer.c (rb_event_length, rb_fix_abs_ts, ring_buffer_read_page),
 * include/linux/ring_buffer.h.
 *
 * @module
 */
import type { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { MEMBER_COUNT, packRss } from "../../pipeline/memory/layout.ts";
import { invariant } from "../../pipeline/memory/invariant.ts";
import { makeCounters, type ParserCounters, type RawFormats } from "./page_format.ts";

export { makeRawFormats, type RawFormats, type RawFormatSources } from "./page_format.ts";

const LENGTH_MASK = 0xfffff;
const MISSED_STORED = 1 << 30;
const TYPE_LEN_MASK = 31;
const TYPE_LEN_BITS = 5;
const TYPE_LONG = 0;
const TYPE_DATA_MAX = 28;
const TYPE_PADDING = 29;
const TYPE_TIME_EXTEND = 30;
const ID_MASK = 0xffff;
const INT32_MAX = 0x7fffffff;
const TWO_TO_27 = 2 ** 27;
const TWO_TO_32 = 2 ** 32;
/** An absolute time stamp has the bits below. */
const TWO_TO_59 = 2 ** 59;
/** No loss to tell of; else the number lost, -1 unknown. */
const NO_LOSS = -2;

/**
 * One CPU's events, a page at a time: always stands on the next event, whose time is
 * {@link nextTsNs}.
 *
 * Allocates nothing after construction, except where `load` is given another buffer than before.
 */
export class RawPageCursor {
  /**
   * Time of the next event, nanoseconds of the trace clock; Infinity when the page is exhausted.
   * A double: exact up to 2^53 (104 days); with the clock `tai` to 256 ns.
   */
  nextTsNs = Infinity;
  /**
   * How far {@link emit} goes: inclusive, Infinity for the rest of the page. A field and no
   * argument, as V8 allocates for a double that is handed over.
   */
  limitTsNs = Infinity;
  /**
   * `foreign`: records of other events, and members above 3. `malformed`: pages that end, or whose
   * events end, outside of what was read (the rest of the page is dropped), and records shorter
   * than their format.
   */
  readonly counters: ParserCounters = makeCounters();
  readonly cpu: number;

  private readonly formats: RawFormats;
  private page: Uint8Array = new Uint8Array(0);
  private words: Int32Array = new Int32Array(0);
  /** The same for parts of times: as signed numbers they would turn negative every 4 s. */
  private stamps: Uint32Array = new Uint32Array(0);
  /** Word of the next event's header, a data event's; and the end of the data. */
  private at = 0;
  private end = 0;
  /**
   * Times are kept as a sum: near 2^60 a double would swallow each small delta by itself. No small
   * integers at first: V8 would compile for them, and all anew when they have become doubles.
   */
  private baseNs = NaN;
  private offsetNs = NaN;
  private lost = NO_LOSS;
  /** Time of the page's first event, behind the loss. */
  private firstNs = Infinity;

  /** @param cpu Whose buffer the pages come from, for the records. */
  constructor(formats: RawFormats, cpu: number) {
    this.formats = formats;
    this.cpu = cpu;
  }

  /** Whether the page is exhausted. */
  get done(): boolean {
    return this.nextTsNs === Infinity;
  }

  /**
   * Takes one sub-buffer, or the committed part of one, as one read(2) gave it. What was left of
   * the page before is dropped.
   *
   * @param page Begins at a multiple of 4 bytes; best the same buffer each time. Not copied: it
   *   must stay as it is until the page is exhausted.
   * @param length How many of its bytes were read.
   */
  load(page: Uint8Array, length: number): void {
    if (page !== this.page) {
      invariant(page.byteOffset % 4 === 0, "raw page: the buffer must be aligned to 4 bytes");
      this.page = page;
      this.words = new Int32Array(page.buffer, page.byteOffset, page.byteLength >> 2);
      this.stamps = new Uint32Array(page.buffer, page.byteOffset, page.byteLength >> 2);
    }
    const { timestampWord, commitWord, commitBytes, dataWord } = this.formats;
    const { words } = this;
    const wordsRead = Math.min(length >> 2, words.length);
    this.nextTsNs = Infinity;
    this.lost = NO_LOSS;
    if (wordsRead < dataWord) {
      if (length !== 0) this.counters.malformed++;
      return;
    }
    const commit = words[commitWord]!;
    const dataBytes = commit & LENGTH_MASK;
    let end = dataWord + (dataBytes >> 2);
    if (commit < 0) {
      this.lost = -1;
      const isWide = commitBytes === 8;
      if ((commit & MISSED_STORED) !== 0 && end + (isWide ? 1 : 0) < wordsRead) {
        const isHuge = words[end]! < 0 || (isWide && words[end + 1] !== 0);
        this.lost = isHuge ? INT32_MAX : words[end]!;
      }
    }
    if (end > wordsRead || (dataBytes & 3) !== 0) {
      this.counters.malformed++;
      end = Math.min(end, wordsRead);
    }
    this.baseNs = this.stamps[timestampWord + 1]! * TWO_TO_32 + this.stamps[timestampWord]!;
    this.offsetNs = 0;
    this.end = end;
    this.seek(dataWord);
    this.firstNs = this.nextTsNs;
    // The loss comes first. Its time is the page's, which no event of the page precedes.
    if (this.lost !== NO_LOSS) this.nextTsNs = this.baseNs;
  }

  /** Bytes behind the data of the page, of so many that were read. */
  roomBytes(length: number): number {
    return length - this.end * 4;
  }

  /**
   * Writes all events up to {@link limitTsNs}, and stands on the first one behind it.
   *
   * @throws Whatever the writer throws when it gives up; the cursor is then not to be used again.
   */
  emit(writer: RecordWriter): void {
    const { limitTsNs } = this;
    if (!(this.nextTsNs <= limitTsNs) || this.done) return;
    if (this.lost !== NO_LOSS) {
      this.emitLoss(writer);
      if (!(this.nextTsNs <= limitTsNs) || this.done) return;
    }
    const { words, end, cpu, baseNs, formats } = this;
    const { pageShift, rssStat } = formats;
    const { id, pidWord, mmIdWord, currWord, memberWord, sizeWord, sizeIsWide } = rssStat;
    const rssWords = rssStat.words;
    let { at, offsetNs } = this;
    let tsNs = baseNs + offsetNs;
    let events = 0;
    // Every turn is one data event of words at..at+length, which seek() or the end of the turn
    // before has found to lie inside of the page.
    for (;;) {
      let payload = at + 1;
      let length = words[at]! & TYPE_LEN_MASK;
      if (length === TYPE_LONG) {
        length = (words[payload]! >>> 2) - 1;
        payload++;
      }
      if ((words[payload]! & ID_MASK) === id && length >= rssWords) {
        const member = words[payload + memberWord]!;
        if (member >>> 0 < MEMBER_COUNT) {
          const low = words[payload + sizeWord]!;
          const high = sizeIsWide ? words[payload + sizeWord + 1]! : low >> 31;
          writer.rss(
            tsNs,
            cpu,
            words[payload + pidWord]!,
            words[payload + mmIdWord]!,
            pagesOf(low, high, pageShift),
            packRss(member, words[payload + currWord]!, false),
            0,
          );
          events++;
        } else {
          this.counters.foreign++;
        }
      } else {
        this.emitOther(payload, length, tsNs, writer);
      }

      at = payload + length;
      if (at >= end) {
        this.nextTsNs = Infinity;
        break;
      }
      const header = words[at]!;
      const next = header & TYPE_LEN_MASK;
      if (next !== TYPE_LONG && next <= TYPE_DATA_MAX && at + next < end) {
        offsetNs += header >>> TYPE_LEN_BITS;
      } else {
        this.offsetNs = offsetNs;
        this.seek(at);
        if (this.done) break;
        at = this.at;
        offsetNs = this.offsetNs;
      }
      tsNs = baseNs + offsetNs;
      if (tsNs > limitTsNs) {
        this.at = at;
        this.offsetNs = offsetNs;
        this.nextTsNs = tsNs;
        break;
      }
    }
    this.counters.events += events;
  }

  /**
   * Goes on to the first data event at or behind a word, adding up the time. Ends the page where
   * there is none.
   */
  private seek(from: number): void {
    const { words, end } = this;
    let at = from;
    this.nextTsNs = Infinity;
    while (at < end) {
      const header = words[at]!;
      const type = header & TYPE_LEN_MASK;
      const delta = header >>> TYPE_LEN_BITS;
      if (type === TYPE_PADDING && delta === 0) return;
      // All but short data events have a second word.
      const isShort = type !== TYPE_LONG && type <= TYPE_DATA_MAX;
      if (!isShort && at + 1 >= end) break;
      const second = words[at + 1]!;
      if (type <= TYPE_DATA_MAX) {
        const after = isShort ? at + 1 + type : at + 1 + (second >>> 2);
        const isBroken = !isShort && (second < 8 || (second & 3) !== 0);
        if (isBroken || after > end) break;
        this.at = at;
        this.offsetNs += delta;
        this.nextTsNs = this.baseNs + this.offsetNs;
        return;
      }
      if (type === TYPE_PADDING) {
        // A discarded event: what follows it counts from its time.
        if (second < 4 || (second & 3) !== 0) break;
        this.offsetNs += delta;
        at += 1 + (second >>> 2);
      } else if (type === TYPE_TIME_EXTEND) {
        this.offsetNs += this.stamps[at + 1]! * TWO_TO_27 + delta;
        at += 2;
      } else {
        this.offsetNs = this.absolute(this.stamps[at + 1]!, delta) - this.baseNs;
        at += 2;
      }
    }
    // Exactly at the end: the page is over, as it should be. Anything else was cut or broken.
    if (at !== end) this.counters.malformed++;
  }

  /** The time of an absolute stamp of 59 bits; see rb_fix_abs_ts(). */
  private absolute(high: number, low: number): number {
    const stamp = high * TWO_TO_27 + low;
    const before = this.baseNs + this.offsetNs;
    const top = Math.floor(before / TWO_TO_59) * TWO_TO_59;
    if (top === 0) return stamp;
    return top + stamp < before ? top + stamp + TWO_TO_59 : top + stamp;
  }

  private emitLoss(writer: RecordWriter): void {
    const { lost, counters } = this;
    this.lost = NO_LOSS;
    writer.lost(this.baseNs, this.cpu, lost);
    counters.lossRecords++;
    counters.lost += lost < 0 ? 1 : lost;
    this.nextTsNs = this.firstNs;
  }

  /** A record that is no rss_stat of full length: life-cycle, foreign, or too short. */
  private emitOther(payload: number, length: number, tsNs: number, writer: RecordWriter): void {
    const { words, formats, counters, cpu } = this;
    const { newTask, exec, exit, free, oomVictim } = formats;
    const id = words[payload]! & ID_MASK;
    const layout = id === newTask.id
      ? newTask
      : id === exit.id
      ? exit
      : id === free.id
      ? free
      : id === exec.id
      ? exec
      : id === oomVictim.id
      ? oomVictim
      : undefined;
    if (layout === undefined && id !== formats.rssStat.id) {
      counters.foreign++;
    } else if (layout === undefined || length < layout.words) {
      counters.malformed++;
    } else {
      counters.lifecycle++;
      const tid = words[payload + layout.pidWord]!;
      const pid = words[payload + layout.subjectWord]!;
      if (layout === newTask) {
        writer.newTask(tsNs, cpu, tid, pid, words[payload + layout.extraWord]!, 0);
      } else if (layout === exit) {
        writer.exit(tsNs, cpu, tid, pid, this.groupDead(payload, layout.extraByte));
      } else if (layout === free) {
        writer.free(tsNs, cpu, tid, pid);
      } else if (layout === oomVictim) {
        writer.oomVictim(tsNs, cpu, tid, pid);
      } else {
        writer.exec(tsNs, cpu, tid, pid, words[payload + layout.extraWord]!);
      }
    }
  }

  private groupDead(payload: number, extraByte: number): number {
    if (extraByte < 0) return -1;
    return this.page[payload * 4 + extraByte] === 0 ? 0 : 1;
  }
}

/** Bytes of 64 bits as pages, saturated to an int32. */
function pagesOf(low: number, high: number, pageShift: number): number {
  if (high >> (pageShift - 1) !== high >> 31) return high < 0 ? -INT32_MAX - 1 : INT32_MAX;
  return high << (32 - pageShift) | low >>> pageShift;
}
