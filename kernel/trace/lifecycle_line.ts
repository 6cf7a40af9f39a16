/**
 * Lines that are no rss_stat event: those of the life cycle of tasks, losses, and what is foreign.
 *
 * @module
 */
import { RecordKind } from "../../pipeline/memory/layout.ts";
import { endsWith, isDigit, latin1, saturate, startsWith } from "./text_bytes.ts";
import { TextPrefix } from "./text_prefix.ts";

/** What {@link LifecycleLine.classify} found if no life-cycle event; kinds of records are above 0. */
export const OtherLine = { malformed: 0, foreign: -1 } as const;
export type OtherLine = typeof OtherLine[keyof typeof OtherLine];
export type LifecycleKind =
  | typeof RecordKind.newTask
  | typeof RecordKind.exec
  | typeof RecordKind.exit
  | typeof RecordKind.free;

const SPACE = 0x20;
const HASH = 0x23;
const MINUS = 0x2d;
const ZERO = 0x30;
const COLON = 0x3a;

const INT32_MAX = 0x7fffffff;
/** What the record's word of kind and cpu can hold. */
const CPU_MAX = 999_999;
const INT_DIGITS_MAX = 10;
const HEX_DIGITS_MAX = 16;
/** A prefix is shorter: comm, pid, tgid, cpu, columns and clock at their widest are 90 bytes. */
const PREFIX_BYTES_MAX = 160;

/** Value of a lower-case hexadecimal digit, else -1. */
const NIBBLE = Int8Array.from({ length: 256 }, (_, byte) => {
  return "0123456789abcdef".indexOf(String.fromCharCode(byte));
});

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

export abstract class LifecycleLine extends TextPrefix {
  /** Of the life-cycle body read last: its pid, and clone flags, old pid or group_dead. */
  subject = 0;
  extra = 0;
  /** Where the body of the life-cycle event begins whose prefix was read last. */
  bodyStart = 0;

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
}
