/** A trace instance and a reader of it, to try out what the kernel tells. */
import { messageOf } from "../ffi/thrown.ts";
import {
  RECORD_BYTES,
  RecordKind,
  RecordWord,
  RSS_NO_MM_ID,
} from "../../pipeline/memory/layout.ts";
import { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { ringBytes, RingConsumer, RingProducer } from "../../pipeline/memory/ring.ts";
import { closeFd, openFd, OpenFlag } from "../ffi/fd.ts";
import { parseEventFormat, parseHeaderPage } from "../trace/formats.ts";
import { pageBytes } from "../ffi/libc.ts";
import { makeRawFormats, type RawFormats } from "../trace/raw_parser.ts";
import { RawSource } from "../trace/raw_source.ts";
import { TextSource } from "../trace/text_source.ts";
import type { TraceInstance } from "../trace/trace_instance.ts";

/** What a trial has recorded since it was asked last. */
export interface Take {
  readonly rssEvents: number;
  /** rss_stat events by emitter. */
  readonly emitters: ReadonlyMap<number, number>;
  /** Children of task_newtask. */
  readonly born: ReadonlySet<number>;
}

const RING_RECORDS = 4096;

/** Reads an instance as a reader does: raw pages where they can be decoded, else lines. */
export class Trial {
  /** Why pages cannot be decoded. */
  rawProblem: string | undefined;
  /** Events without an mm_id. */
  nameless = 0;
  readonly cpus: number;
  private readonly instance: TraceInstance;
  private readonly fds: readonly number[];
  private readonly producer: RingProducer;
  private readonly consumer: RingConsumer;
  private readonly source: RawSource | TextSource;
  private rssEvents = 0;
  private emitters = new Map<number, number>();
  private born = new Set<number>();

  constructor(instance: TraceInstance) {
    this.instance = instance;
    const cpus = instance.cpus();
    this.cpus = cpus.length;
    const memory = new SharedArrayBuffer(ringBytes(RING_RECORDS, RECORD_BYTES));
    const place = { byteOffset: 0, records: RING_RECORDS, recordBytes: RECORD_BYTES };
    this.producer = new RingProducer(memory, place);
    this.consumer = new RingConsumer(memory, place);
    const drain = (): void => this.drain();
    const writer = new RecordWriter(this.producer, drain);
    const formats = this.rawFormats();
    const flags = OpenFlag.O_RDONLY | OpenFlag.O_NONBLOCK;
    const pipes = formats === undefined
      ? [{ cpu: -1, fd: openFd(instance.pipePath, flags) }]
      : cpus.map((cpu) => ({ cpu, fd: openFd(instance.cpuRawPipePath(cpu), flags) }));
    this.fds = pipes.map(({ fd }) => fd);
    this.source = formats === undefined
      ? new TextSource(pipes, pageBytes(), writer, drain)
      : new RawSource(pipes, formats, writer, drain);
    instance.writePids([]);
    instance.enableEvent("kmem", "rss_stat");
    instance.enableEvent("task", "task_newtask");
  }

  /** Traces these tasks from now on. */
  start(tids: readonly number[]): void {
    this.instance.setTracing(false);
    this.instance.writePids(tids);
    this.instance.setTracing(true);
  }

  get malformed(): number {
    let sum = 0;
    for (const { counters } of this.source.parsers) sum += counters.malformed;
    return sum;
  }

  /** Reads all that there is. Not recording meanwhile, as reading touches memory too. */
  take(): Take {
    this.instance.setTracing(false);
    while (this.source.read() > 0) this.drain();
    this.drain();
    const { rssEvents, emitters, born } = this;
    this.rssEvents = 0;
    this.emitters = new Map();
    this.born = new Set();
    return { rssEvents, emitters, born };
  }

  close(): void {
    for (const fd of this.fds) closeFd(fd);
  }

  private rawFormats(): RawFormats | undefined {
    const { instance } = this;
    try {
      return makeRawFormats({
        headerPage: parseHeaderPage(instance.headerPage()),
        rssStat: parseEventFormat(instance.eventFormat("kmem", "rss_stat")),
        newTask: parseEventFormat(instance.eventFormat("task", "task_newtask")),
        pageBytes: pageBytes(),
      });
    } catch (error) {
      this.rawProblem = messageOf(error);
      return undefined;
    }
  }

  private drain(): void {
    this.producer.publish();
    const { words } = this.consumer;
    for (let word = this.consumer.next(); word >= 0; word = this.consumer.next()) {
      const kind = words[word + RecordWord.kindCpu]! & 0xff;
      const tid = words[word + RecordWord.tid]!;
      if (kind === RecordKind.newTask) this.born.add(words[word + RecordWord.a]!);
      if (kind !== RecordKind.rss) continue;
      this.rssEvents++;
      this.emitters.set(tid, (this.emitters.get(tid) ?? 0) + 1);
      const unnamed = (words[word + RecordWord.c]! & RSS_NO_MM_ID) !== 0;
      if (unnamed || words[word + RecordWord.a] === 0) this.nameless++;
    }
    this.consumer.release();
  }
}
