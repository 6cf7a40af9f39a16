import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../../../pipeline/memory/invariant.ts";
import { RECORD_BYTES, RingWord } from "../../../pipeline/memory/layout.ts";
import { RecordWriter } from "../../../pipeline/messages/record_writer.ts";
import {
  ringBytes,
  RingConsumer,
  type RingPlace,
  RingProducer,
} from "../../../pipeline/memory/ring.ts";
import { withSeeds } from "../../_support/random.ts";
import type { RingJob } from "../../_support/ring_worker.ts";

function makeRing(
  records: number,
  first = 0,
): { memory: SharedArrayBuffer; place: RingPlace; header: Int32Array } {
  const place = { byteOffset: 128, records, recordBytes: RECORD_BYTES };
  const memory = new SharedArrayBuffer(128 + ringBytes(records, RECORD_BYTES));
  const header = new Int32Array(memory, 128);
  header[RingWord.head] = header[RingWord.tail] = first;
  return { memory, place, header };
}

Deno.test("a ring does what a queue does, also where its cursors wrap", () => {
  withSeeds(60, (random) => {
    const records = random.pick([1, 2, 4, 8, 64]);
    const first = random.pick([0, 0x7ffffff0, 0x7fffffff, -5, -0x80000000 + 1]);
    const { memory, place } = makeRing(records, first | 0);
    let producer = new RingProducer(memory, place);
    let consumer = new RingConsumer(memory, place);
    // What is written, published, taken and given back, as plain lists.
    let pending: number[] = [];
    let visible: number[] = [];
    let taken: number[] = [];
    let number = 0;
    for (let step = 0; step < 600; step++) {
      switch (random.below(7)) {
        case 0:
        case 1: {
          const word = producer.claim();
          const isFull = pending.length + visible.length + taken.length >= records;
          assertEquals(word < 0, isFull);
          if (word < 0) break;
          producer.words[word + 7] = ++number;
          producer.advance();
          pending.push(number);
          break;
        }
        case 2:
          assertEquals(producer.pending, pending.length);
          assertEquals(producer.publish(), pending.length);
          visible.push(...pending);
          pending = [];
          break;
        case 3:
        case 4: {
          assertEquals(consumer.ready, visible.length > 0);
          const word = consumer.next();
          const expected = visible.shift();
          assertEquals(word < 0 ? undefined : consumer.words[word + 7], expected);
          if (expected !== undefined) taken.push(expected);
          break;
        }
        case 5:
          assertEquals(consumer.release(), taken.length);
          taken = [];
          break;
        case 6:
          assertEquals(producer.backlog, visible.length + taken.length);
          if (random.oneIn(3)) {
            // A successor of the producer: what was not published is forgotten.
            producer = new RingProducer(memory, place);
            pending = [];
          } else if (random.oneIn(2)) {
            // A successor of the consumer: what was not given back comes again.
            consumer = new RingConsumer(memory, place);
            visible = [...taken, ...visible];
            taken = [];
          }
      }
    }
  });
});

Deno.test("a full ring refuses, and takes again once room was given back", () => {
  const { memory, place } = makeRing(2);
  const producer = new RingProducer(memory, place);
  const consumer = new RingConsumer(memory, place);
  for (let i = 0; i < 2; i++) {
    assert(producer.claim() >= 0);
    producer.advance();
  }
  assertEquals(producer.claim(), -1);
  assertEquals(consumer.next(), -1, "nothing is published yet");
  assertEquals(producer.publish(), 2);
  assertEquals(producer.publish(), 0);
  assert(consumer.next() >= 0);
  assertEquals(producer.claim(), -1, "read is not given back");
  consumer.release();
  assert(producer.claim() >= 0);
});

Deno.test("waitForRoom() returns at once when there is room, and after its time when there is none", () => {
  const { memory, place, header } = makeRing(1);
  const producer = new RingProducer(memory, place);
  producer.waitForRoom(60_000);
  producer.claim();
  producer.advance();
  producer.publish();
  producer.waitForRoom(5);
  assertEquals(header[RingWord.producerParked], 0);
});

Deno.test("a successor of a producer that died in its sleep does not look asleep", () => {
  const { memory, place, header } = makeRing(2);
  header[RingWord.producerParked] = 1;
  new RingProducer(memory, place);
  assertEquals(header[RingWord.producerParked], 0);
});

Deno.test("a ring refuses sizes that it cannot work with", () => {
  const memory = new SharedArrayBuffer(4096);
  for (const records of [0, 3, -4, 2 ** 29]) {
    assertThrows(
      () => new RingProducer(memory, { byteOffset: 0, records, recordBytes: 32 }),
      InvariantError,
    );
  }
  assertThrows(
    () => new RingConsumer(memory, { byteOffset: 4, records: 4, recordBytes: 32 }),
    InvariantError,
  );
  assertThrows(
    () => new RingConsumer(memory, { byteOffset: 0, records: 4, recordBytes: 20 }),
    InvariantError,
  );
});

Deno.test("RecordWriter calls onFull until there is room, and gives up when that throws", () => {
  const { memory, place } = makeRing(2);
  const ring = new RingProducer(memory, place);
  const consumer = new RingConsumer(memory, place);
  let calls = 0;
  const writer = new RecordWriter(ring, () => {
    if (++calls === 3) throw new Error("enough");
    ring.publish();
    if (calls < 2) return;
    consumer.next();
    consumer.release();
  });
  writer.lost(1, 0, 1);
  writer.lost(2, 0, 2);
  writer.lost(3, 0, 3);
  assertEquals(calls, 2);
  assertThrows(() => writer.lost(4, 0, 4), Error, "enough");
  ring.publish();
  const times: number[] = [];
  for (let word = consumer.next(); word >= 0; word = consumer.next()) {
    times.push(consumer.doubles[word >> 1]!);
  }
  assertEquals(times, [2, 3]);
});

async function race(records: number, capacity: number, restEvery: number): Promise<number> {
  const { memory, place } = makeRing(capacity, 0x7fffff00);
  const worker = new Worker(new URL("../../_support/ring_worker.ts", import.meta.url), {
    type: "module",
  });
  try {
    const answers: ((data: unknown) => void)[] = [];
    const answer = (): Promise<unknown> => new Promise((resolve) => answers.push(resolve));
    worker.onmessage = ({ data }) => answers.shift()?.(data);
    await answer();
    const result = answer();
    const job: RingJob = { memory, place, records, restEvery };
    worker.postMessage(job);
    let producer = new RingProducer(memory, place);
    let waits = 0;
    for (let number = 0; number < records; number++) {
      let word = producer.claim();
      while (word < 0) {
        producer.publish();
        waits++;
        producer.waitForRoom(1000);
        word = producer.claim();
      }
      producer.doubles[word >> 1] = number / 2;
      for (let i = 2; i < producer.recordWords; i++) {
        producer.words[word + i] = (number * 31 + i) | 0;
      }
      producer.advance();
      if (number % 5 === 0) producer.publish();
      if (number % 10_000 === 0) {
        // The predecessor has published everything; its successor goes on behind it.
        producer.publish();
        producer = new RingProducer(memory, place);
      }
    }
    producer.publish();
    const { seen, error } = await result as { seen?: number; error?: string };
    assertEquals(error, undefined);
    assertEquals(seen, records);
    return waits;
  } finally {
    worker.terminate();
  }
}

Deno.test("two threads: a tiny ring, where the producer sleeps for want of room", async () => {
  assert(await race(30_000, 4, 500) > 0, "it never waited");
});

Deno.test("two threads: a ring of middle size, at full speed", async () => {
  await race(300_000, 256, 50_000);
});
