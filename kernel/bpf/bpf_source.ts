/**
 * The events of near users from the programs' ring buffer, as a port: read by a worker, without a system
 * call.
 *
 * @module
 */
import { packRss } from "../../pipeline/memory/record_words.ts";
import type { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { INHERITED, KERNEL_KILL, KERNEL_OVER } from "../../pipeline/messages/records.ts";
import type { TraceSource } from "../../pipeline/ports.ts";
import { EventFd } from "../ffi/fd.ts";
import { memoryAt } from "../ffi/mapping.ts";
import { POLLIN, PollSet } from "../ffi/poll.ts";
import { makeCounters } from "../trace/page_format.ts";
import { Nowhere } from "../trace/nowhere.ts";
import { SourceCounts } from "../trace/source_counts.ts";
import type { KernelBooksSpec } from "./kernel_books.ts";
import {
  BpfRecord,
  BpfRecordKind,
  Control,
  CONTROL_BYTES,
  countedMembers,
} from "./programs/books_layout.ts";
import { RingBuffer } from "./ring_buffer.ts";

/** What a reader needs of the books. Plain data; descriptors belong to the process. */
export interface BpfSourceSpec {
  readonly source: "bpf";
  readonly books: KernelBooksSpec;
  /** eventfd(2) that ends its waiting. */
  readonly wakeFd: number;
}

/** Records of one turn; then its worker sees its stop word. */
const TURN_RECORDS_MAX = 4096;
/** Records that do not wake the reader, as nobody is above soft, wait no longer than this. */
const WAIT_MS_MAX = 20;
/** The same while no page is booked: then only the life cycle of tasks is recorded. */
const FAR_WAIT_MS_MAX = 100;
/** Of all CPUs. */
const ANY_CPU = -1;
const HIGH_WORD = 4_294_967_296;
/** Records of a rehearsed turn: as many pages, and one of another kind. */
const REHEARSED_PAGES = 8;
const REHEARSED_KINDS = [
  BpfRecordKind.newTask,
  BpfRecordKind.exec,
  BpfRecordKind.exit,
  BpfRecordKind.mmEnd,
  BpfRecordKind.free,
] as const;

/** Indices of a record's 32-bit words. */
const Word = {
  ts: BpfRecord.tsNs / 4,
  kind: BpfRecord.kind / 4,
  cpu: BpfRecord.cpu / 4,
  tid: BpfRecord.tid / 4,
  tgid: BpfRecord.tgid / 4,
  uid: BpfRecord.uid / 4,
  member: BpfRecord.member / 4,
  mmId: BpfRecord.mmId / 4,
  other: BpfRecord.other / 4,
  pages: BpfRecord.pages / 4,
  totalPages: BpfRecord.totalPages / 4,
  result: BpfRecord.result / 4,
} as const;

/** Turns records of programs into those of the pipeline. */
export class BpfDecoder {
  readonly counters = makeCounters();
  /** Time of the last record. */
  newestNs = 0;
  private readonly words: Int32Array;
  private readonly writer: RecordWriter;
  private readonly members: readonly number[];

  /**
   * @param words Where records lie.
   * @param members Those that are counted: all of them are 0 when an mm has ended.
   */
  constructor(words: Int32Array, members: readonly number[], writer: RecordWriter) {
    this.words = words;
    this.members = members;
    this.writer = writer;
  }

  /** HOT. @param at Index of the record's first word. */
  take(at: number): void {
    const { words, writer, counters } = this;
    const tsNs = (words[at + Word.ts + 1]! >>> 0) * HIGH_WORD + (words[at + Word.ts]! >>> 0);
    this.newestNs = tsNs;
    const kind = words[at + Word.kind]!;
    const cpu = words[at + Word.cpu]!;
    const tid = words[at + Word.tid]!;
    if (kind === BpfRecordKind.page) {
      counters.events++;
      writer.rss(
        tsNs,
        cpu,
        tid,
        words[at + Word.mmId]!,
        // 32 bits are 8 TiB. Negative while a part is not booked yet.
        words[at + Word.pages]!,
        // The programs pack it as packRss() does.
        words[at + Word.member]!,
        words[at + Word.tgid]!,
      );
    } else this.other(at, kind, tsNs, cpu, tid);
  }

  private other(at: number, kind: number, tsNs: number, cpu: number, tid: number): void {
    const { words, writer, counters } = this;
    const other = words[at + Word.other]!;
    const result = words[at + Word.result]!;
    switch (kind) {
      case BpfRecordKind.mmEnd:
        counters.events++;
        for (const member of this.members) {
          const packed = packRss(member, 0, false);
          writer.rss(tsNs, cpu, tid, words[at + Word.mmId]!, 0, packed, words[at + Word.tgid]!);
        }
        return;
      case BpfRecordKind.newTask:
        counters.lifecycle++;
        writer.newTask(tsNs, cpu, tid, other, result, words[at + Word.tgid]!);
        if (words[at + Word.pages] !== 0) this.inherited(at, tsNs);
        return;
      case BpfRecordKind.exec:
        counters.lifecycle++;
        return writer.exec(tsNs, cpu, tid, other, result);
      case BpfRecordKind.exit:
        counters.lifecycle++;
        return writer.exit(tsNs, cpu, tid, other, result);
      case BpfRecordKind.free:
        counters.lifecycle++;
        return writer.free(tsNs, cpu, tid, other);
      case BpfRecordKind.killed:
        return this.killed(at, tsNs);
      case BpfRecordKind.over:
        return this.isOver(at, tsNs);
      default:
        counters.malformed++;
    }
  }

  private inherited(at: number, tsNs: number): void {
    const { words, writer } = this;
    const record = writer.open(INHERITED, tsNs);
    record.pages = words[at + Word.pages]!;
    record.uid = words[at + Word.uid]!;
    writer.close();
  }

  private isOver(at: number, tsNs: number): void {
    const { words, writer } = this;
    const record = writer.open(KERNEL_OVER, tsNs);
    record.uid = words[at + Word.uid]!;
    record.refusal = words[at + Word.result]!;
    record.tgid = words[at + Word.other]!;
    writer.close();
  }

  private killed(at: number, tsNs: number): void {
    const { words, writer } = this;
    const record = writer.open(KERNEL_KILL, tsNs);
    record.tid = words[at + Word.other]!;
    record.uid = words[at + Word.uid]!;
    record.victimPages = words[at + Word.pages]!;
    record.usagePages = words[at + Word.totalPages]!;
    record.tookNs = words[at + Word.result]!;
    writer.close();
  }
}

class BpfSource implements TraceSource {
  readonly firstCpu = ANY_CPU;
  private readonly members: readonly number[];
  private readonly ring: RingBuffer;
  private readonly decoder: BpfDecoder;
  private readonly counts: SourceCounts;
  private readonly writer: RecordWriter;
  private readonly onBatch: () => void;
  private readonly wake: EventFd;
  private readonly poll: PollSet;
  private readonly wakeIndex: number;
  /** Records for which the programs found no room: the lower half of the kernel's count. */
  private readonly shed: Uint32Array;
  /** Set while this waits: then programs wake it. */
  private readonly waits: Int32Array;
  /** Not 0 while pages are booked. */
  private readonly rssLink: Uint32Array;
  private shedBefore: number;
  private readonly take = (word: number): void => this.decoder.take(word);

  constructor(
    spec: BpfSourceSpec,
    writer: RecordWriter,
    onBatch: () => void,
    counters: Float64Array,
  ) {
    const { fds, addresses, recordBytes, shape } = spec.books;
    this.members = countedMembers(shape);
    this.ring = new RingBuffer(fds.records, recordBytes);
    this.decoder = new BpfDecoder(this.ring.words, this.members, writer);
    this.counts = new SourceCounts(counters, [this.decoder]);
    this.writer = writer;
    this.onBatch = onBatch;
    const control = memoryAt(addresses.control, CONTROL_BYTES);
    this.shed = new Uint32Array(control, Control.recordsShed, 1);
    this.waits = new Int32Array(control, Control.readerWaits, 1);
    this.rssLink = new Uint32Array(control, Control.rssLink, 1);
    this.shedBefore = this.shed[0]!;
    this.wake = new EventFd(spec.wakeFd);
    this.poll = new PollSet(2);
    this.poll.add(fds.records, POLLIN);
    this.wakeIndex = this.poll.add(spec.wakeFd, POLLIN);
  }
  read(isChasing: boolean): number {
    let taken = this.ring.read(this.take, TURN_RECORDS_MAX);
    this.onBatch();
    if (isChasing && taken > 0) taken += this.ring.read(this.take, TURN_RECORDS_MAX);
    const shed = this.shed[0]!;
    if (shed !== this.shedBefore) {
      this.decoder.counters.lossRecords++;
      this.writer.lost(this.decoder.newestNs, ANY_CPU, shed - this.shedBefore >>> 0);
      this.shedBefore = shed;
    }
    return taken * BpfRecord.bytes;
  }

  storeCounts(): void {
    this.counts.store();
  }

  wait(timeoutMs: number): boolean {
    // What came before this, the kernel sees when it begins to wait.
    Atomics.store(this.waits, 0, 1);
    const mostMs = this.rssLink[0] === 0 ? FAR_WAIT_MS_MAX : WAIT_MS_MAX;
    const ready = this.poll.wait(Math.min(timeoutMs, mostMs));
    Atomics.store(this.waits, 0, 0);
    if (ready <= 0) return false;
    if ((this.poll.revents(this.wakeIndex) & POLLIN) !== 0) this.wake.drain();
    return true;
  }

  rehearse(reads: number): void {
    rehearse(this.members, reads);
  }
}

/** Decodes made-up records of each kind, so that the first real ones find compiled code. */
function rehearse(members: readonly number[], reads: number): void {
  const words = new Int32Array(BpfRecord.bytes / 4);
  const nowhere = new Nowhere();
  const decoder = new BpfDecoder(words, members, nowhere.writer);
  for (let i = 0; i < reads * REHEARSED_PAGES; i++) {
    words[Word.kind] = i % REHEARSED_PAGES === 0
      ? REHEARSED_KINDS[(i / REHEARSED_PAGES) % REHEARSED_KINDS.length]!
      : BpfRecordKind.page;
    words[Word.tid] = words[Word.mmId] = i;
    words[Word.member] = packRss(1, i & 1, false);
    decoder.take(0);
  }
}

/** @param onBatch Called between records: the place to publish. */
export function openBpfSource(
  spec: BpfSourceSpec,
  writer: RecordWriter,
  onBatch: () => void,
  counters: Float64Array,
): TraceSource {
  return new BpfSource(spec, writer, onBatch, counters);
}
