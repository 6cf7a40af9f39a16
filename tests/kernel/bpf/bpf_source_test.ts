import { assertEquals } from "@std/assert";
import { BpfDecoder } from "../../../kernel/bpf/bpf_source.ts";
import {
  BpfRecord,
  BpfRecordKind,
  mmIdOf,
  PAGE_CURR,
  slotOfMmId,
} from "../../../kernel/bpf/programs/books_layout.ts";
import { RECORD_BYTES, RecordKind, RSS_CURR } from "../../../pipeline/memory/layout.ts";
import { KIND_MASK, RecordWord } from "../../../pipeline/memory/record_words.ts";
import { RecordWriter } from "../../../pipeline/messages/record_writer.ts";
import { ringBytes, RingConsumer, RingProducer } from "../../../pipeline/memory/ring.ts";

const TS_NS = 123_456_789_012;
const RECORDS = 16;
const ANON_SWAP_SHMEM = [1, 2, 3];

type Fields = Partial<Record<Exclude<keyof typeof BpfRecord, "bytes">, number>>;

/** Decodes one record. @returns Kind, CPU, time and words of what came of it. */
function decode(fields: Fields): { counts: object; records: number[][] } {
  const bytes = new DataView(new ArrayBuffer(BpfRecord.bytes));
  const wide = new Set(["tsNs", "pages", "totalPages", "result"]);
  for (const [name, value] of Object.entries({ tsNs: TS_NS, cpu: 1, ...fields })) {
    const at = BpfRecord[name as keyof typeof BpfRecord];
    if (wide.has(name)) bytes.setBigInt64(at, BigInt(value), true);
    else bytes.setUint32(at, value, true);
  }
  const buffer = new SharedArrayBuffer(ringBytes(RECORDS, RECORD_BYTES));
  const place = { byteOffset: 0, records: RECORDS, recordBytes: RECORD_BYTES };
  const ring = new RingProducer(buffer, place);
  const consumer = new RingConsumer(buffer, place);
  const writer = new RecordWriter(ring, () => {
    throw new Error("the ring is full");
  });
  const decoder = new BpfDecoder(new Int32Array(bytes.buffer), ANON_SWAP_SHMEM, writer);
  decoder.take(0);
  ring.publish();
  const records: number[][] = [];
  for (let word = consumer.next(); word >= 0; word = consumer.next()) {
    const { words, doubles } = consumer;
    assertEquals(doubles[word >> 1], TS_NS);
    records.push([
      words[word + RecordWord.kindCpu]! & KIND_MASK,
      ...[RecordWord.tid, RecordWord.a, RecordWord.b, RecordWord.c, RecordWord.d].map((place) =>
        words[word + place]!
      ),
    ]);
  }
  const { events, lifecycle, malformed } = decoder.counters;
  return { counts: { events, lifecycle, malformed }, records };
}

const EVENT = { events: 1, lifecycle: 0, malformed: 0 };
const LIFE = { events: 0, lifecycle: 1, malformed: 0 };

Deno.test("BpfDecoder: a page is an rss record; curr is where packRss() has it", () => {
  assertEquals(PAGE_CURR, RSS_CURR);
  const member = 3 | PAGE_CURR;
  const page = { kind: BpfRecordKind.page, tid: 11, tgid: 10, mmId: 77, member, pages: 500 };
  assertEquals(decode(page), {
    counts: EVENT,
    records: [[RecordKind.rss, 11, 77, 500, member, 10]],
  });
});

Deno.test("BpfDecoder: at the end of an mm, all counted members are 0", () => {
  assertEquals(decode({ kind: BpfRecordKind.mmEnd, tid: 11, tgid: 10, mmId: 77 }), {
    counts: EVENT,
    records: [1, 2, 3].map((member) => [RecordKind.rss, 11, 77, 0, member, 10]),
  });
});

Deno.test("BpfDecoder: the lives of tasks", async (t) => {
  await t.step("a thread", () => {
    const task = { kind: BpfRecordKind.newTask, tid: 11, tgid: 10, other: 12, result: 0x10100 };
    assertEquals(decode(task), {
      counts: LIFE,
      records: [[RecordKind.newTask, 11, 12, 0x10100, 0, 10]],
    });
  });
  await t.step("a fork says what it copied, behind the birth", () => {
    const task = {
      kind: BpfRecordKind.newTask,
      tid: 11,
      tgid: 10,
      other: 12,
      uid: 1000,
      pages: 400,
    };
    assertEquals(decode(task).records, [
      [RecordKind.newTask, 11, 12, 0, 0, 10],
      [RecordKind.inherited, 400, 1000, 0, 0, 0],
    ]);
  });
  await t.step("exec, by a thread that becomes the first", () => {
    const task = { kind: BpfRecordKind.exec, tid: 10, tgid: 10, other: 10, result: 14 };
    assertEquals(decode(task).records, [[RecordKind.exec, 10, 10, 14, 0, 0]]);
  });
  await t.step("exit, and whether the process ends; free", () => {
    const exit = { kind: BpfRecordKind.exit, tid: 11, other: 11, result: -1 };
    assertEquals(decode(exit).records, [[RecordKind.exit, 11, 11, -1, 0, 0]]);
    const free = { kind: BpfRecordKind.free, tid: 0, other: 11 };
    assertEquals(decode(free).records, [[RecordKind.free, 0, 11, 0, 0, 0]]);
  });
});

Deno.test("BpfDecoder: a kill, and who is over without one", () => {
  const kill = {
    kind: BpfRecordKind.killed,
    tid: 11,
    other: 12,
    uid: 1000,
    pages: 700,
    totalPages: 1001,
    result: 9000,
  };
  assertEquals(decode(kill).records, [[RecordKind.kernelKill, 12, 1000, 700, 1001, 9000]]);
  const over = { ...kill, kind: BpfRecordKind.over, result: -1001 };
  assertEquals(decode(over).records, [[RecordKind.kernelOver, 1000, -1001, 12, 0, 0]]);
});

Deno.test("BpfDecoder counts what it does not know", () => {
  assertEquals(decode({ kind: 99 }), {
    counts: { events: 0, lifecycle: 0, malformed: 1 },
    records: [],
  });
});

Deno.test("an mm's id names its slot, and no other life of it", () => {
  const shape = { slots: 8192, cpus: 2, countMask: 0b1110 };
  const first = mmIdOf(shape, 1, 8191);
  assertEquals(slotOfMmId(shape, first), 8191);
  assertEquals(first === mmIdOf(shape, 2, 8191), false);
  assertEquals(slotOfMmId(shape, mmIdOf(shape, 0x7ffff, 5) | 0), 5, "as a signed word");
});
