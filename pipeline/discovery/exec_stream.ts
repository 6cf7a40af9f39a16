/**
 * All execs of the machine, and the kernel's own OOM kills: from the parser to the sweeper by a small
 * ring, of which both ends are the sweeper's thread.
 *
 * @module
 */
import { RECORD_BYTES, RecordKind, RecordWord } from "../memory/layout.ts";
import { ringBytes, RingConsumer, RingProducer } from "../memory/ring.ts";
import { EXEC, OOM_VICTIM } from "../messages/records.ts";
import { RecordWriter } from "../messages/record_writer.ts";
import type { TraceSource } from "../ports.ts";

const RECORDS = 4096;
const KIND_MASK = 0xff;

/** Told of what comes. */
export interface ExecListener {
  /** A process has executed a program. */
  executed(pid: number): void;
  /** The kernel's OOM killer takes a process. */
  killedByKernel(pid: number): void;
  /** Some were lost. */
  missed(): void;
}

/** Opens where they come from: records go to the writer. @param onPage Called between pages. */
export type OpenExecs = (writer: RecordWriter, onPage: () => void) => Pick<TraceSource, "read">;

export class ExecStream {
  private readonly producer: RingProducer;
  private readonly consumer: RingConsumer;
  private readonly listener: ExecListener;
  private readonly source: Pick<TraceSource, "read">;
  private readonly exec;
  private readonly victim;

  constructor(open: OpenExecs, listener: ExecListener) {
    const place = { byteOffset: 0, records: RECORDS, recordBytes: RECORD_BYTES };
    const memory = new SharedArrayBuffer(ringBytes(RECORDS, RECORD_BYTES));
    this.producer = new RingProducer(memory, place);
    this.consumer = new RingConsumer(memory, place);
    this.listener = listener;
    this.exec = EXEC.view(this.consumer.words);
    this.victim = OOM_VICTIM.view(this.consumer.words);
    const drain = (): void => this.drain();
    this.source = open(new RecordWriter(this.producer, drain), drain);
  }

  /** Takes what there is, and tells of it. */
  take(): void {
    this.source.read(true);
    this.drain();
  }

  private drain(): void {
    const { producer, consumer, listener } = this;
    producer.publish();
    for (let word = consumer.next(); word >= 0; word = consumer.next()) {
      const kind = consumer.words[word + RecordWord.kindCpu]! & KIND_MASK;
      if (kind === RecordKind.exec) listener.executed(this.exec.at(word).pid);
      else if (kind === RecordKind.lost) listener.missed();
      else if (kind === RecordKind.oomVictim) listener.killedByKernel(this.victim.at(word).pid);
    }
    consumer.release();
  }
}
