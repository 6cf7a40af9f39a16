/**
 * A writer whose records nobody wants: for rehearsals.
 *
 * @module
 */
import { RECORD_BYTES } from "../../pipeline/memory/layout.ts";
import { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { ringBytes, RingConsumer, RingProducer } from "../../pipeline/memory/ring.ts";

const RING_RECORDS = 4096;

export class Nowhere {
  readonly writer: RecordWriter;
  records = 0;
  private readonly ring: RingProducer;
  private readonly consumer: RingConsumer;

  constructor() {
    const memory = new SharedArrayBuffer(ringBytes(RING_RECORDS, RECORD_BYTES));
    const place = { byteOffset: 0, records: RING_RECORDS, recordBytes: RECORD_BYTES };
    this.ring = new RingProducer(memory, place);
    this.consumer = new RingConsumer(memory, place);
    this.writer = new RecordWriter(this.ring, () => this.empty());
  }

  empty(): void {
    this.ring.publish();
    while (this.consumer.next() >= 0) this.records++;
    this.consumer.release();
  }
}
