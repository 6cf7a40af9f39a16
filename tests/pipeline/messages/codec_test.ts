import { assertEquals, assertThrows } from "@std/assert";
import { RECORD_BYTES, RecordKind } from "../../../pipeline/memory/layout.ts";
import { ringBytes, RingConsumer, RingProducer } from "../../../pipeline/memory/ring.ts";
import { Codec, field } from "../../../pipeline/messages/codec.ts";
import { CODECS, PROC, TASK } from "../../../pipeline/messages/records.ts";
import { recordsDocument } from "../../../pipeline/messages/records_table.ts";
import { RecordWriter } from "../../../pipeline/messages/record_writer.ts";

function ends(records = 8): [RecordWriter, RingConsumer] {
  const place = { byteOffset: 0, records, recordBytes: RECORD_BYTES };
  const memory = new SharedArrayBuffer(ringBytes(records, RECORD_BYTES));
  const writer = new RecordWriter(new RingProducer(memory, place), () => {
    throw new Error("the ring is full");
  });
  return [writer, new RingConsumer(memory, place)];
}

Deno.test("each kind of record has one codec", () => {
  const kinds = CODECS.map(({ kind, name }) => [name, kind]).sort();
  assertEquals(kinds, Object.entries(RecordKind).sort());
});

for (const codec of CODECS) {
  Deno.test(`${codec.name}: what is written by name is read by name`, () => {
    const [writer, reader] = ends();
    // Whatever lay there before is gone.
    for (let i = 0; i < 8; i++) {
      Object.assign(writer.open(PROC, 1), { tgid: -1, uid: -1, startTicks: -1, bornLow: -1 });
      writer.close();
    }
    writer.ring.publish();
    for (let i = 0; i < 8; i++) reader.next();
    reader.release();
    const names = Object.keys(codec.fields);
    const values = Object.fromEntries(names.map((name, i) => [name, -7 * (i + 1)]));
    Object.assign(writer.open(codec, 5e9, 3), values);
    writer.close();
    writer.ring.publish();
    const word = reader.next();
    assertEquals([reader.doubles[word >> 1], reader.words[word + 2]], [5e9, codec.kind | 3 << 8]);
    const view = codec.view(reader.words).at(word) as unknown as Record<string, number>;
    assertEquals(Object.fromEntries(names.map((name) => [name, view[name]])), values);
    const sum = reader.words.subarray(word + 3, word + 8).reduce((all, one) => all + one, 0);
    assertEquals(sum, Object.values(values).reduce((all, one) => all + one, 0), "the rest is 0");
  });
}

Deno.test("two fields in one place are refused", () => {
  assertThrows(() =>
    new Codec(99, "bad", "Bad", { one: field("a", "id", "one"), two: field("a", "id", "two") })
  );
});

Deno.test("RecordWriter.tryOpen() says that the ring is full, open() calls for room", () => {
  const [writer] = ends(2);
  for (let i = 0; i < 2; i++) {
    writer.tryOpen(TASK, 1)!.tid = i;
    writer.close();
  }
  assertEquals(writer.tryOpen(TASK, 1), undefined);
  assertThrows(() => writer.open(TASK, 1), Error, "full");
});

Deno.test("docs/records.md is of these codecs", async () => {
  const text = await Deno.readTextFile(new URL("../../../docs/records.md", import.meta.url));
  // But for how deno fmt breaks lines and fills tables.
  const plain = (table: string): string => table.replace(/-{3,}/g, "---").replace(/\s+/g, " ");
  assertEquals(plain(text), plain(recordsDocument()), "run deno task docs");
});
