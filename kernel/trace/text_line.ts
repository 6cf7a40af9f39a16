/**
 * Reads one line of trace_pipe from its right end. What it finds is left in the fields, so that a
 * line allocates nothing.
 *
 * No loop has a bound of its own: the byte before a line is a newline, which nothing here accepts,
 * and the caller keeps {@link MARGIN_BYTES} readable before it.
 *
 * @module
 */
import { Member, MEMBER_COUNT, packRss, RecordKind } from "../../pipeline/memory/layout.ts";
import { pageShiftOf } from "./page_format.ts";

/** Bytes that must lie in the buffer before a line, the last of them a newline. */
export const MARGIN_BYTES = 64;

/** What {@link TextLine.rss} found. */
export const RssLine = { none: 0, event: 1, unknownMember: 2 } as const;
export type RssLine = typeof RssLine[keyof typeof RssLine];

/** What {@link TextLine.classify} found if no life-cycle event; kinds of records are above 0. */
export const OtherLine = { malformed: 0, foreign: -1 } as const;
export type OtherLine = typeof OtherLine[keyof typeof OtherLine];
export type LifecycleKind =
  | typeof RecordKind.newTask
  | typeof RecordKind.exec
  | typeof RecordKind.exit
  | typeof RecordKind.free;

const SPACE = 0x20;
const HASH = 0x23;
const OPEN_PARENTHESIS = 0x28;
const CLOSE_PARENTHESIS = 0x29;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const UPPER_B = 0x42;
const UPPER_M = 0x4d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

const INT32_MAX = 0x7fffffff;
const UINT32_MAX = 0xffffffff;
/** What the record's word of kind and cpu can hold. */
const CPU_MAX = 999_999;
const CPU_DIGITS_MAX = 6;
const INT_DIGITS_MAX = 10;
/** A 64-bit size or clock. */
const LONG_DIGITS_MAX = 20;
const HEX_DIGITS_MAX = 16;
/** From `]` to the time: up to 6 columns, then the widest padding. */
const FLAGS_BYTES_MAX = 32;
/** A prefix is shorter: comm, pid, tgid, cpu, columns and clock at their widest are 90 bytes. */
const PREFIX_BYTES_MAX = 160;

/** 1 for what stands in the irq-info columns (trace_print_lat_fmt), and for space. */
const IS_FLAG = byteSet(/[ .#*A-Za-z0-9]/);
/** 1 for what a symbolic or a hexadecimal member is made of. */
const IS_WORD = byteSet(/[A-Za-z0-9_]/);
/** Value of a lower-case hexadecimal digit, else -1. */
const NIBBLE = Int8Array.from({ length: 256 }, (_, byte) => {
  return "0123456789abcdef".indexOf(String.fromCharCode(byte));
});

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

const STACK_FRAME = latin1(" => ");
const LOST_HEAD = latin1("CPU:");
const LOST_MIDDLE = latin1(" [LOST");
const LOST_TAIL = latin1(" EVENTS]");
const RSS_MARKER = latin1("rss_stat: ");
/** What starts a life-cycle event, behind `: `; each is longer than a comm. */
const MARKERS: ReadonlyArray<readonly [LifecycleKind, Uint8Array]> = [
  [RecordKind.newTask, latin1("task_newtask: pid=")],
  [RecordKind.exec, latin1("sched_process_exec: filename=")],
  [RecordKind.exit, latin1("sched_process_exit: comm=")],
  [RecordKind.free, latin1("sched_process_free: comm=")],
];
const COMM_KEY = latin1(" comm=");
const PID_KEY = latin1(" pid=");
const OLD_PID_KEY = latin1(" old_pid=");
const PRIO_KEY = latin1(" prio=");
const CLONE_FLAGS_KEY = latin1(" clone_flags=");
const OOM_SCORE_ADJ_KEY = latin1(" oom_score_adj=");
const GROUP_DEAD_TRUE = latin1(" group_dead=true");
const GROUP_DEAD_FALSE = latin1(" group_dead=false");

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

function word(text: string): number {
  return latin1(text).reduceRight((value, byte) => value << 8 | byte, 0);
}

function byteSet(of: RegExp): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => of.test(String.fromCharCode(byte)) ? 1 : 0);
}

export class TextLine {
  /** Of the prefix read last. Nanoseconds, or the plain number of a clock that has no seconds. */
  tsNs = 0;
  cpu = 0;
  tid = 0;
  /** 0 when the line does not tell. */
  tgid = 0;
  /** Of the rss_stat body read last: words a to c of its record. */
  mmId = 0;
  pages = 0;
  packed = 0;
  /** Of the life-cycle body read last: its pid, and clone flags, old pid or group_dead. */
  subject = 0;
  extra = 0;
  /** Where the body of the life-cycle event begins whose prefix was read last. */
  bodyStart = 0;

  /** The number that was read last. */
  private value = 0;
  private readonly pageBytes: number;
  private readonly pagesPerByte: number;

  /** @param pageBytes Page size, a power of two. */
  constructor(pageBytes: number) {
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

  /**
   * Reads the prefix whose time ends before the colon at `colon`: `COMM-PID [CPU] FLAGS TIME`, with
   * the tgid in parentheses behind the pid where record-tgid is on.
   *
   * @returns Whether there is one; only then are the fields set.
   */
  prefix(bytes: Uint8Array, colon: number): boolean {
    let last = colon - 1;
    let at = this.digits(bytes, last);
    let digits = last - at;
    if (digits === 0 || digits > LONG_DIGITS_MAX) return false;
    let tsNs = this.value;
    if (bytes[at] === DOT) {
      if (digits === 6) tsNs *= 1000;
      else if (digits !== 9) return false;
      last = at - 1;
      at = this.digits(bytes, last);
      digits = last - at;
      if (digits === 0 || digits > LONG_DIGITS_MAX) return false;
      tsNs += this.value * 1e9;
    }

    if (bytes[at] !== SPACE) return false;
    last = at;
    while (IS_FLAG[bytes[at]!] === 1) at--;
    if (bytes[at] !== CLOSE_BRACKET || last - at > FLAGS_BYTES_MAX) return false;

    last = at - 1;
    at = this.digits(bytes, last);
    const cpu = this.value;
    if (last - at > CPU_DIGITS_MAX) return false;
    if (bytes[at] !== OPEN_BRACKET || last === at || bytes[at - 1] !== SPACE) return false;
    at = skipSpaces(bytes, at - 1);

    let tgid = 0;
    if (bytes[at] === CLOSE_PARENTHESIS) {
      at--;
      if (bytes[at] === MINUS) {
        last = at;
        while (bytes[at] === MINUS) at--;
      } else {
        at = this.number(bytes, at);
        if (at < 0) return false;
        tgid = this.value;
        at = skipSpaces(bytes, at);
      }
      if (bytes[at] !== OPEN_PARENTHESIS || bytes[at - 1] !== SPACE) return false;
      at = skipSpaces(bytes, at - 1);
    }

    at = this.number(bytes, at);
    if (at < 0 || bytes[at] !== MINUS) return false;
    this.tsNs = tsNs;
    this.cpu = cpu;
    this.tid = this.value;
    this.tgid = tgid;
    return true;
  }

  /**
   * Finds out what a line is that is no complete rss_stat event.
   *
   * @param start First byte of the line.
   * @param end The byte behind it.
   * @returns The kind of life-cycle event, with the prefix read and {@link bodyStart} set to the
   *   first byte that a stranger chose; or one of {@link OtherLine}.
   */
  classify(bytes: Uint8Array, start: number, end: number): LifecycleKind | OtherLine {
    // Such lines are only what they seem if no event is behind: a comm can be `x\n# y`.
    const isForeign = start === end || bytes[start] === HASH ||
      startsWith(bytes, start, STACK_FRAME);
    let result: OtherLine = isForeign ? OtherLine.foreign : OtherLine.malformed;
    const limit = Math.min(end - 1, start + PREFIX_BYTES_MAX);
    for (let colon = start + 1; colon < limit; colon++) {
      if (bytes[colon] !== COLON || bytes[colon + 1] !== SPACE) continue;
      if (!this.prefix(bytes, colon)) continue;
      // A comm can hold a whole prefix: `-1 [0] 1: `. Only the names of the events it cannot.
      const name = colon + 2;
      if (startsWith(bytes, name, RSS_MARKER)) return OtherLine.malformed;
      for (const [kind, marker] of MARKERS) {
        if (!startsWith(bytes, name, marker)) continue;
        return this.openBody(kind, bytes, name + marker.length) ? kind : OtherLine.malformed;
      }
      result = OtherLine.foreign;
    }
    return result;
  }

  /**
   * Reads the fields behind the comm or file name of a life-cycle event, which end before `end`.
   *
   * @returns Where they begin, a space; -1 when they are not there.
   */
  tail(kind: LifecycleKind, bytes: Uint8Array, end: number): number {
    switch (kind) {
      case RecordKind.newTask: {
        const at = this.signedField(bytes, end, OOM_SCORE_ADJ_KEY);
        return at < 0 ? -1 : this.cloneFlags(bytes, at);
      }
      case RecordKind.exec: {
        const at = this.field(bytes, end, OLD_PID_KEY);
        if (at < 0) return -1;
        this.extra = this.value;
        return this.subjectField(bytes, at);
      }
      case RecordKind.exit: {
        this.extra = -1;
        if (endsWith(bytes, end, GROUP_DEAD_TRUE)) {
          this.extra = 1;
          end -= GROUP_DEAD_TRUE.length;
        } else if (endsWith(bytes, end, GROUP_DEAD_FALSE)) {
          this.extra = 0;
          end -= GROUP_DEAD_FALSE.length;
        }
        const at = this.signedField(bytes, end, PRIO_KEY);
        return at < 0 ? -1 : this.subjectField(bytes, at);
      }
      case RecordKind.free: {
        const at = this.signedField(bytes, end, PRIO_KEY);
        return at < 0 ? -1 : this.subjectField(bytes, at);
      }
    }
  }

  /**
   * Reads `CPU:N [LOST N EVENTS]` or `CPU:N [LOST EVENTS]`: the cpu is left in `cpu`, the number in
   * `extra`, -1 when there is none.
   */
  loss(bytes: Uint8Array, start: number, end: number): boolean {
    if (!startsWith(bytes, start, LOST_HEAD) || !endsWith(bytes, end, LOST_TAIL)) return false;
    let at = end - LOST_TAIL.length;
    let lost = -1;
    if (isDigit(bytes[at - 1]!)) {
      at = this.digits(bytes, at - 1);
      lost = this.value;
      if (bytes[at] !== SPACE) return false;
    }
    if (!endsWith(bytes, at, LOST_MIDDLE)) return false;
    at = this.number(bytes, at - LOST_MIDDLE.length - 1);
    if (at !== start + LOST_HEAD.length - 1 || this.value > CPU_MAX) return false;
    this.cpu = this.value;
    this.extra = saturate(lost);
    return true;
  }

  /** task_newtask has its pid before the comm, where the comm cannot imitate it. */
  private openBody(kind: LifecycleKind, bytes: Uint8Array, at: number): boolean {
    this.bodyStart = at;
    if (kind !== RecordKind.newTask) return true;
    let pid = 0;
    const first = at;
    while (isDigit(bytes[at]!) && at - first < INT_DIGITS_MAX) pid = pid * 10 + bytes[at++]! - ZERO;
    if (at === first || pid > INT32_MAX || !startsWith(bytes, at, COMM_KEY)) return false;
    this.subject = pid;
    this.bodyStart = at + COMM_KEY.length;
    return true;
  }

  private subjectField(bytes: Uint8Array, end: number): number {
    const at = this.field(bytes, end, PID_KEY);
    if (at >= 0) this.subject = this.value;
    return at;
  }

  /** ` key=N`: leaves N in `value`. As the next two, returns where it begins; -1: not there. */
  private field(bytes: Uint8Array, end: number, key: Uint8Array): number {
    const at = this.number(bytes, end - 1);
    return at >= 0 && endsWith(bytes, at + 1, key) ? at + 1 - key.length : -1;
  }

  /** ` key=N` or ` key=-N`; the number is of no interest. */
  private signedField(bytes: Uint8Array, end: number, key: Uint8Array): number {
    let at = this.number(bytes, end - 1);
    if (at < 0) return -1;
    if (bytes[at] === MINUS) at--;
    return endsWith(bytes, at + 1, key) ? at + 1 - key.length : -1;
  }

  /** ` clone_flags=HEX`: leaves the low 32 bits in `extra`. */
  private cloneFlags(bytes: Uint8Array, end: number): number {
    let at = end - 1;
    let flags = 0;
    for (let shift = 0; end - at <= HEX_DIGITS_MAX; shift += 4) {
      const nibble = NIBBLE[bytes[at]!]!;
      if (nibble < 0) break;
      if (shift < 32) flags |= nibble << shift;
      at--;
    }
    this.extra = flags;
    return end - at > 1 && endsWith(bytes, at + 1, CLONE_FLAGS_KEY)
      ? at + 1 - CLONE_FLAGS_KEY.length
      : -1;
  }

  /**
   * Reads the digits that end at `last` as a positive int, into `value`.
   * @returns The index before them; -1 when there are none, or too many.
   */
  private number(bytes: Uint8Array, last: number): number {
    const at = this.digits(bytes, last);
    return at === last || last - at > INT_DIGITS_MAX || this.value > INT32_MAX ? -1 : at;
  }

  /**
   * Reads the digits that end at `last` into `value`: 0 when there are none, anything when there
   * are more than a double can hold.
   * @returns The index before them.
   */
  private digits(bytes: Uint8Array, last: number): number {
    let at = last;
    let value = 0;
    let scale = 1;
    let digit = bytes[at]! - ZERO;
    while (digit >= 0 && digit <= 9) {
      value += digit * scale;
      scale *= 10;
      digit = bytes[--at]! - ZERO;
    }
    this.value = value;
    return at;
  }
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte < ZERO + 10;
}

function skipSpaces(bytes: Uint8Array, at: number): number {
  while (bytes[at] === SPACE) at--;
  return at;
}

function saturate(value: number): number {
  return value > INT32_MAX ? INT32_MAX : value < -INT32_MAX - 1 ? -INT32_MAX - 1 : value | 0;
}

/** Whether the literal begins at `at`; past the end of a line it meets the newline. */
function startsWith(bytes: Uint8Array, at: number, literal: Uint8Array): boolean {
  for (let i = 0; i < literal.length; i++) if (bytes[at + i] !== literal[i]) return false;
  return true;
}

/** Whether the literal ends before `end`. */
function endsWith(bytes: Uint8Array, end: number, literal: Uint8Array): boolean {
  for (let i = literal.length; i-- > 0;) {
    if (bytes[--end] !== literal[i]) return false;
  }
  return true;
}
