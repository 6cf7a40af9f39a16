/**
 * A ring with both ends in one thread.
 *
 * @module
 */
import { RECORD_BYTES, RecordWord } from "../../pipeline/memory/layout.ts";
import { invariant } from "../../pipeline/memory/invariant.ts";
import { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { ringBytes, RingConsumer, RingProducer } from "../../pipeline/memory/ring.ts";

const RING_RECORDS = 4096;

export class RingRun {
  private readonly producer: RingProducer;
  private readonly consumer: RingConsumer;
  private readonly writer: RecordWriter;

  constructor() {
    const memory = new SharedArrayBuffer(ringBytes(RING_RECORDS, RECORD_BYTES));
    const place = { byteOffset: 0, records: RING_RECORDS, recordBytes: RECORD_BYTES };
    this.producer = new RingProducer(memory, place);
    this.consumer = new RingConsumer(memory, place);
    this.writer = new RecordWriter(this.producer, () => {
      throw new Error("the ring is full");
    });
  }

  /**
   * Sends records through, so many at a time.
   * @returns Sum of what came out.
   */
  pass(records: number, batch: number): number {
    const { producer, consumer, writer } = this;
    const { words } = consumer;
    let sum = 0;
    for (let sent = 0; sent < records; sent += batch) {
      for (let i = 0; i < batch; i++) writer.rss(sent, 0, 1, 2, i & 1, 3, 0);
      producer.publish();
      for (let word = consumer.next(); word >= 0; word = consumer.next()) {
        sum += words[word + RecordWord.a]!;
      }
      consumer.release();
    }
    invariant(consumer.backlog === 0, "all that went in came out");
    return sum;
  }
}
