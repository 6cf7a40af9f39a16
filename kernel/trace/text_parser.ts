/**
 * Lines of trace_pipe into records.
 *
 * A line is `COMM-PID [CPU] FLAGS TIME: EVENT: FIELDS`, and COMM is 15 bytes that a stranger chose:
 * newlines, `-1 [000] 1.0: ` and bytes that are no UTF-8 included. So a line is read from its right
 * end, where everything is the kernel's, as bytes, and without making a string.
 *
 * What strangers can do with names, and what becomes of it:
 *  - a newline in the comm before `-PID`: the first part counts as malformed, the second is the
 *    event, whole and true;
 *  - a newline in the comm inside a life-cycle event: the parts are put together again. A comm that
 *    imitates the fields behind it (`\n pid=1 prio=1\n`) is found out by its length: what can still
 *    be comm is taken for comm;
 *  - a newline in the file name of sched_process_exec (up to 4095 bytes): all lines up to the
 *    event's own ending are malformed. But a file name that imitates this ending as well can forge
 *    any line behind it, and **no reader of text can tell** (tried on Linux 6.18). So read
 *    sched_process_exec as text only with the event filter {@link EXEC_TEXT_FILTER}, or read the
 *    raw pages, which have no such trouble.
 *
 * Not read, hence malformed or foreign: lines made under the options latency-format, verbose, raw,
 * hex, bin, fields or nocontext-info. An instance inherits the top level's options: set them.
 *
 * Source: kernel/trace/trace_output.c (trace_print_context), kernel/trace/trace.c
 * (print_trace_line), include/trace/events/{kmem,task,sched}.h.
 *
 * @module
 */
import type { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { RecordKind } from "../../pipeline/memory/layout.ts";
import { makeCounters, type ParserCounters } from "./page_format.ts";
import { type LifecycleKind, OtherLine } from "./lifecycle_line.ts";
import { MARGIN_BYTES, RssLine, TextLine } from "./text_line.ts";

/**
 * For events/sched/sched_process_exec/filter of an instance that is read as text: keeps out file
 * names with a newline. Such an exec is then not seen; the sweep has to find it. (`!~` is EINVAL.)
 */
export const EXEC_TEXT_FILTER = '!(filename ~ "*\n*")';

/** A longer line is dropped up to its newline. The kernel's own limit is 8 KiB (TRACE_SEQ_SIZE). */
export const LINE_BYTES_MAX = 65_536;

/** TASK_COMM_LEN without its NUL. */
const COMM_BYTES_MAX = 15;
/** PATH_MAX: a file name and its NUL. */
const FILE_NAME_BYTES_MAX = 4096;

const NEWLINE = 0x0a;
const UPPER_B = 0x42;
const CLOSE_BRACKET = 0x5d;

export interface TextParserOptions {
  /** Page size in bytes, a power of two. */
  readonly pageBytes: number;
}

/**
 * One stream of trace_pipe. Bytes go in as they were read, records come out in the order of the
 * lines; a line may be cut anywhere between two pushes.
 *
 * Allocates nothing after construction, except where `push` is given another buffer than before.
 * Times are as late as the text: microseconds, rounded.
 */
export class TextParser {
  /**
   * A comm or file name with newlines adds to `malformed`, see above. `foreign`: members above 3,
   * headers, blank lines, stack traces and other events.
   */
  readonly counters: ParserCounters = makeCounters();

  private readonly writer: RecordWriter;
  private readonly line: TextLine;
  /** A cut line, behind a margin of newlines. */
  private readonly held = new Uint8Array(MARGIN_BYTES + LINE_BYTES_MAX).fill(NEWLINE);
  private readonly heldView = new DataView(this.held.buffer);
  /** End of the cut line in `held`. */
  private heldEnd = MARGIN_BYTES;
  /** Inside a line that was too long. */
  private dropping = false;
  /** The caller's buffer, and a view of it. */
  private bytes: Uint8Array = this.held;
  private view: DataView = this.heldView;
  /** Time of the record written last; a loss has none of its own. */
  private lastTsNs = 0;

  /** A life-cycle event whose name has a newline, 0: none; then what its first line said. */
  private openKind: LifecycleKind | 0 = 0;
  private openTsNs = 0;
  private openCpu = 0;
  private openTid = 0;
  private openTgid = 0;
  private openSubject = 0;
  /** Bytes of its name seen so far. */
  private openBytes = 0;

  /**
   * @param writer Where the records go; the caller publishes.
   * @throws {RangeError} When the page size is not one.
   */
  constructor(writer: RecordWriter, options: TextParserOptions) {
    this.writer = writer;
    this.line = new TextLine(options.pageBytes);
  }

  /**
   * Takes what one read(2) gave. Never throws for the sake of what it is given.
   *
   * @param bytes Best the same buffer each time.
   * @param length How many of its bytes are meant.
   * @throws Whatever the writer throws when it gives up; the parser is then not to be used again.
   */
  push(bytes: Uint8Array, length: number): void {
    if (bytes !== this.bytes) {
      this.bytes = bytes;
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    let start = 0;
    // A line that starts too near to the front to have its margin is moved to where there is one.
    while (
      start < length && (start < MARGIN_BYTES || this.heldEnd > MARGIN_BYTES || this.dropping)
    ) {
      const end = newlineAt(bytes, this.view, start, length);
      this.hold(bytes, start, end);
      if (end === length) return;
      this.finishHeld();
      start = end + 1;
    }
    for (;;) {
      const end = newlineAt(bytes, this.view, start, length);
      if (end >= length) break;
      this.take(bytes, this.view, start, end);
      start = end + 1;
    }
    if (start < length) this.hold(bytes, start, length);
  }

  /**
   * The stream is over. A last line without its newline counts only if its end shows that nothing
   * is missing: half a number is a number too.
   */
  end(): void {
    const last = this.held[this.heldEnd - 1];
    if (this.dropping || last === UPPER_B || last === CLOSE_BRACKET) {
      this.finishHeld();
    } else if (this.heldEnd > MARGIN_BYTES) {
      this.counters.malformed++;
      this.heldEnd = MARGIN_BYTES;
    }
    this.giveUpOpen();
  }

  /** Keeps a piece of a line, unless that gets too long. */
  private hold(bytes: Uint8Array, start: number, end: number): void {
    if (this.dropping) return;
    const { held } = this;
    let to = this.heldEnd;
    if (to + end - start > held.length) {
      this.counters.malformed++;
      this.dropping = true;
      this.heldEnd = MARGIN_BYTES;
      return;
    }
    for (let from = start; from < end; from++) held[to++] = bytes[from]!;
    this.heldEnd = to;
  }

  /** The line in `held` is complete. */
  private finishHeld(): void {
    const end = this.heldEnd;
    this.heldEnd = MARGIN_BYTES;
    if (this.dropping) this.dropping = false;
    else {
      // Literals are compared up to the newline, which must therefore be there.
      if (end < this.held.length) this.held[end] = NEWLINE;
      this.take(this.held, this.heldView, MARGIN_BYTES, end);
    }
  }

  /** One line, without its newline. */
  private take(bytes: Uint8Array, view: DataView, start: number, end: number): void {
    if (this.openKind !== 0 && this.takeContinuation(bytes, start, end)) return;
    const { line, counters } = this;
    const found = line.rss(bytes, view, end);
    if (found === RssLine.event) {
      counters.events++;
      this.lastTsNs = line.tsNs;
      this.writer.rss(
        line.tsNs,
        line.cpu,
        line.tid,
        line.mmId,
        line.pages,
        line.packed,
        line.tgid,
      );
    } else if (found === RssLine.unknownMember) {
      counters.foreign++;
    } else if (bytes[end - 1] === CLOSE_BRACKET && line.loss(bytes, start, end)) {
      counters.lossRecords++;
      counters.lost += line.extra < 0 ? 1 : line.extra;
      this.writer.lost(this.lastTsNs, line.cpu, line.extra);
    } else {
      this.takeOther(bytes, start, end);
    }
  }

  private takeOther(bytes: Uint8Array, start: number, end: number): void {
    const { line, counters } = this;
    const kind = line.classify(bytes, start, end);
    if (kind === OtherLine.foreign) {
      counters.foreign++;
    } else if (kind === OtherLine.malformed) {
      counters.malformed++;
    } else {
      this.openKind = kind;
      this.openTsNs = line.tsNs;
      this.openCpu = line.cpu;
      this.openTid = line.tid;
      this.openTgid = line.tgid;
      this.openSubject = line.subject;
      this.openBytes = 0;
      if (!this.takeBody(bytes, line.bodyStart, end)) this.giveUpOpen();
    }
  }

  /** @returns Whether the line belonged to the open event. */
  private takeContinuation(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.takeBody(bytes, start, end)) return true;
    this.giveUpOpen();
    return false;
  }

  private giveUpOpen(): void {
    if (this.openKind !== 0) this.counters.malformed++;
    this.openKind = 0;
  }

  /**
   * Reads on in the name of the open event, and the fields behind it once they come.
   * @returns Whether that is what the bytes are; if not, the event stays open.
   */
  private takeBody(bytes: Uint8Array, start: number, end: number): boolean {
    const kind = this.openKind as LifecycleKind;
    const isExec = kind === RecordKind.exec;
    const nameBytesMax = isExec ? FILE_NAME_BYTES_MAX : COMM_BYTES_MAX;
    // If all of it can be name, newline included, it is: strangers write names that look like more.
    const nameBytes = this.openBytes + (end - start) + 1;
    const { line } = this;
    if (isExec || nameBytes > nameBytesMax) {
      line.subject = this.openSubject;
      const tail = line.tail(kind, bytes, end);
      // The task that runs a new program has the process's own pid by then.
      const isTrue = !isExec || this.openBytes === 0 || line.subject === this.openTid;
      if (tail >= start && this.openBytes + (tail - start) <= nameBytesMax && isTrue) {
        this.writeOpen(line.subject, line.extra);
        return true;
      }
      if (!isExec || nameBytes > nameBytesMax) return false;
    }
    if (isExec && this.openBytes > 0) this.counters.malformed++;
    this.openBytes = nameBytes;
    return true;
  }

  private writeOpen(subject: number, extra: number): void {
    const { writer, openKind, openTsNs, openCpu, openTid } = this;
    this.openKind = 0;
    this.counters.lifecycle++;
    this.lastTsNs = openTsNs;
    switch (openKind) {
      case RecordKind.newTask:
        return writer.newTask(openTsNs, openCpu, openTid, subject, extra, this.openTgid);
      case RecordKind.exec:
        return writer.exec(openTsNs, openCpu, openTid, subject, extra);
      case RecordKind.exit:
        return writer.exit(openTsNs, openCpu, openTid, subject, extra);
      case RecordKind.free:
        return writer.free(openTsNs, openCpu, openTid, subject);
    }
  }
}

/** Index of the next newline; `length` when there is none before. */
function newlineAt(bytes: Uint8Array, view: DataView, start: number, length: number): number {
  let at = start;
  for (const last = length - 4; at <= last; at += 4) {
    const four = view.getInt32(at, true) ^ 0x0a0a0a0a;
    if (((four - 0x01010101) & ~four & 0x80808080) !== 0) break;
  }
  while (at < length && bytes[at] !== NEWLINE) at++;
  return at;
}
