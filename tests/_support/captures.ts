/**
 * The captures in tests/fixtures/captures, and the records that the parsers make of them.
 *
 * @module
 */
import {
  CPU_SHIFT,
  KIND_MASK,
  RECORD_BYTES,
  RecordKind,
  RecordWord,
  RSS_CURR,
  RSS_MEMBER_MASK,
  RSS_NO_MM_ID,
} from "../../pipeline/memory/layout.ts";
import { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { ringBytes, RingConsumer, RingProducer } from "../../pipeline/memory/ring.ts";
import { parseEventFormat, parseHeaderPage } from "../../kernel/trace/formats.ts";
import { makeRawFormats, type RawFormats } from "../../kernel/trace/page_format.ts";

const CAPTURES = new URL("../fixtures/captures/", import.meta.url);

/** Every capture, with its CPUs that have raw pages. */
export const CAPTURE_CPUS: Readonly<Record<string, readonly number[]>> = {
  cross_mm: [1],
  exec_chain: [1],
  exits_pidfiltered: [0, 1],
  fork_storm: [0, 1],
  hostile_comms: [0, 1],
  lost_small_buffer: [0],
  mixed_events: [0, 1],
  swap_pageout: [1],
  thp_madvise: [0],
  threads_tgid: [0, 1],
  vfork_exec: [0, 1],
};
/** Page size and sub-buffer size of the machine that made them. */
export const PAGE_BYTES = 4096;

export function readCapture(file: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(new URL(file, CAPTURES));
}

/** The format files as they were on that machine, as text. */
export function readFormat(event: string): string {
  return Deno.readTextFileSync(new URL(`formats/${event}.txt`, CAPTURES));
}

/** Formats of the captures, as the decoder takes them. */
export function captureFormats(pageBytes = PAGE_BYTES): RawFormats {
  return makeRawFormats({
    headerPage: parseHeaderPage(readFormat("header_page")),
    rssStat: parseEventFormat(readFormat("rss_stat.format")),
    newTask: parseEventFormat(readFormat("task_newtask.format")),
    exec: parseEventFormat(readFormat("sched_process_exec.format")),
    exit: parseEventFormat(readFormat("sched_process_exit.format")),
    free: parseEventFormat(readFormat("sched_process_free.format")),
    pageBytes,
  });
}

/** A record as a plain object; words that its kind does not use are left out. */
export type PlainRecord = {
  readonly kind: keyof typeof RecordKind;
  readonly tsNs: number;
  readonly cpu: number;
  readonly tid: number;
} & Readonly<Record<string, number | string | boolean>>;

const KIND_NAMES = new Map<number, keyof typeof RecordKind>(
  Object.entries(RecordKind).map(([name, kind]) => [kind, name as keyof typeof RecordKind]),
);

/** A ring with both ends in one thread, that grows out of the test's way: full means drained. */
export class RecordSink {
  readonly records: PlainRecord[] = [];
  readonly writer: RecordWriter;
  private readonly producer: RingProducer;
  private readonly consumer: RingConsumer;
  private readonly keep: boolean;

  /** @param options `keep: false` only empties the ring. */
  constructor({ ringRecords = 4096, keep = true } = {}) {
    const memory = new SharedArrayBuffer(ringBytes(ringRecords, RECORD_BYTES));
    const place = { byteOffset: 0, records: ringRecords, recordBytes: RECORD_BYTES };
    this.producer = new RingProducer(memory, place);
    this.consumer = new RingConsumer(memory, place);
    this.keep = keep;
    this.writer = new RecordWriter(this.producer, () => this.drain());
  }

  /** Moves what is in the ring to {@link records}. */
  drain(): PlainRecord[] {
    this.producer.publish();
    const { consumer } = this;
    for (let word = consumer.next(); word >= 0; word = consumer.next()) {
      if (this.keep) this.records.push(plainRecord(consumer, word));
    }
    consumer.release();
    return this.records;
  }
}

function plainRecord(ring: RingConsumer, word: number): PlainRecord {
  const at = (offset: number): number => ring.words[word + offset]!;
  const kindCpu = at(RecordWord.kindCpu);
  const kind = KIND_NAMES.get(kindCpu & KIND_MASK);
  if (kind === undefined) throw new Error(`Cannot name record kind ${kindCpu & KIND_MASK}`);
  const head = {
    kind,
    tsNs: ring.doubles[word >> 1]!,
    cpu: kindCpu >> CPU_SHIFT,
    tid: at(RecordWord.tid),
  };
  const a = at(RecordWord.a);
  const b = at(RecordWord.b);
  const c = at(RecordWord.c);
  const d = at(RecordWord.d);
  switch (kind) {
    case "rss": {
      const rest = {
        mmId: a >>> 0,
        pages: b,
        member: c & RSS_MEMBER_MASK,
        curr: c & RSS_CURR ? 1 : 0,
      };
      return { ...head, ...rest, noMmId: (c & RSS_NO_MM_ID) !== 0, tgid: d };
    }
    case "newTask":
      return { ...head, child: a, cloneFlags: b >>> 0, tgid: d };
    case "exec":
      return { ...head, pid: a, oldPid: b };
    case "exit":
      return { ...head, pid: a, groupDead: b };
    case "free":
      return { ...head, pid: a };
    case "lost":
      return { ...head, lost: a };
    default:
      return { ...head, a, b, c, d };
  }
}

/** The bytes of a string of code points up to 255. */
export function latin1(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}
