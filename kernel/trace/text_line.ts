/**
 * Reads one line of trace_pipe from its right end. What it finds is left in the fields, so that a
 * line allocates nothing.
 *
 * No loop has a bound of its own: the byte before a line is a newline, which nothing here accepts,
 * and the caller keeps {@link MARGIN_BYTES} readable before it.
 *
 * @module
 */
import { Member, MEMBER_COUNT, packRss } from "../../pipeline/memory/layout.ts";
import { LifecycleLine } from "./lifecycle_line.ts";
import { pageShiftOf } from "./page_format.ts";
import { byteSet, latin1, saturate } from "./text_bytes.ts";

/** Bytes that must lie in the buffer before a line, the last of them a newline. */
export const MARGIN_BYTES = 64;

/** What {@link TextLine.rss} found. */
export const RssLine = { none: 0, event: 1, unknownMember: 2 } as const;
export type RssLine = typeof RssLine[keyof typeof RssLine];

const MINUS = 0x2d;
const ZERO = 0x30;
const COLON = 0x3a;
const UPPER_B = 0x42;
const UPPER_M = 0x4d;
const UINT32_MAX = 0xffffffff;
const INT_DIGITS_MAX = 10;
/** A 64-bit size or clock. */
const LONG_DIGITS_MAX = 20;
/** 1 for what a symbolic or a hexadecimal member is made of. */
const IS_WORD = byteSet(/[A-Za-z0-9_]/);
// ASCII as the number that a little-endian read gives. An underscore at either end of a name is
// the space or the `=` of the text.
const _S = word(" s");
const IZE_ = word("ize=");
const AGES = word("AGES");
const NONP = word("NONP");
const ILEP = word("ILEP");
const MEMP = word("MEMP");
const MM_A = word("MM_A");
const MM_F = word("MM_F");
const M_SH = word("M_SH");
const ENTS = word("ENTS");
const SWAP = word("SWAP");
const M_ = word("M_");
const _T = word(" t");
const YPE_ = word("ype=");
const _MEM = word(" mem");
const BER_ = word("ber=");
const _C = word(" c");
const URR_ = word("urr=");
const _ID_ = word("_id=");
const COLON_MM = word(": mm");
const TAT_COLON = word("tat:");
const SS_S = word("ss_s");
const SPACE_R = word(" r");

function word(text: string): number {
  return latin1(text).reduceRight((value, byte) => value << 8 | byte, 0);
}

export class TextLine extends LifecycleLine {
  /** Of the rss_stat body read last: words a to c of its record. */
  mmId = 0;
  pages = 0;
  packed = 0;

  private readonly pageBytes: number;
  private readonly pagesPerByte: number;

  /** @param pageBytes Page size, a power of two. */
  constructor(pageBytes: number) {
    super();
    this.pageBytes = 1 << pageShiftOf(pageBytes);
    this.pagesPerByte = 1 / pageBytes;
  }

  /**
   * Reads the line that ends before `end` if it is an rss_stat event.
   *
   * Bodies: `mm_id=N curr=C type=MM_X size=NB`, the same with `member=M`, and before Linux 5.5
   * `member=M size=NB` or, counted in pages, `member=M size=N`.
   *
   * @param view The same bytes.
   */
  rss(bytes: Uint8Array, view: DataView, end: number): RssLine {
    let at = end - 1;
    const inBytes = bytes[at] === UPPER_B;
    if (inBytes) at--;

    let last = at;
    at = this.digits(bytes, last);
    if (at === last || last - at > LONG_DIGITS_MAX) return RssLine.none;
    let size = this.value;
    if (bytes[at] === MINUS) {
      size = -size;
      at--;
    }
    if (view.getInt32(at - 3, true) !== IZE_ || view.getInt16(at - 5, true) !== _S) {
      return RssLine.none;
    }
    at -= 6;

    // The member: -1 for one that this version does not know, symbolic or not.
    let member = -1;
    const tail = view.getInt32(at - 3, true);
    if (tail === AGES) {
      const middle = view.getInt32(at - 7, true);
      const head = view.getInt32(at - 11, true);
      if (middle === NONP && head === MM_A) {
        member = Member.anon;
        at -= 12;
      } else if (middle === ILEP && head === MM_F) {
        member = Member.file;
        at -= 12;
      } else if (middle === MEMP && head === M_SH && bytes[at - 12] === UPPER_M) {
        member = Member.shmem;
        at -= 13;
      }
    } else if (
      tail === ENTS && view.getInt32(at - 7, true) === SWAP &&
      view.getInt16(at - 9, true) === M_ && bytes[at - 10] === UPPER_M
    ) {
      member = Member.swap;
      at -= 11;
    }
    const isNamed = member >= 0;
    if (!isNamed) {
      last = at;
      while (IS_WORD[bytes[at]!] === 1) at--;
      if (at === last) return RssLine.none;
      const digit = bytes[last]! - ZERO;
      if (last - at === 1 && digit >= 0 && digit < MEMBER_COUNT) member = digit;
    }
    if (view.getInt32(at - 3, true) === YPE_ && view.getInt16(at - 5, true) === _T) {
      if (!isNamed) member = -1;
      at -= 6;
    } else if (view.getInt32(at - 3, true) === BER_ && view.getInt32(at - 7, true) === _MEM) {
      at -= 8;
    } else {
      return RssLine.none;
    }

    // The mm and whose it is; before mm_id came, every event was about the task's own mm.
    let mmId = 0;
    let curr = 1;
    const noMmId = bytes[at] === COLON;
    if (noMmId) {
      if (!inBytes) size *= this.pageBytes;
      at++;
    } else {
      curr = bytes[at]! - ZERO;
      if (
        !inBytes || curr < 0 || curr > 1 || view.getInt32(at - 4, true) !== URR_ ||
        view.getInt16(at - 6, true) !== _C
      ) return RssLine.none;
      at -= 7;
      last = at;
      at = this.digits(bytes, last);
      mmId = this.value;
      if (
        at === last || last - at > INT_DIGITS_MAX || mmId > UINT32_MAX ||
        view.getInt32(at - 3, true) !== _ID_ || view.getInt32(at - 7, true) !== COLON_MM
      ) return RssLine.none;
      at -= 6;
    }
    // Now `at` is behind the colon of "rss_stat:".
    if (
      view.getInt32(at - 4, true) !== TAT_COLON || view.getInt32(at - 8, true) !== SS_S ||
      view.getInt16(at - 10, true) !== SPACE_R || bytes[at - 11] !== COLON
    ) return RssLine.none;
    if (!this.prefix(bytes, at - 11)) return RssLine.none;
    if (member < 0) return RssLine.unknownMember;
    this.mmId = mmId | 0;
    this.pages = saturate(Math.floor(size * this.pagesPerByte));
    this.packed = packRss(member, curr, noMmId);
    return RssLine.event;
  }
}
