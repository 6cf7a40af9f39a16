import { assertEquals } from "@std/assert";
import {
  COUNTER_COUNT,
  CounterIndex,
  REPORT_BYTES,
  REPORT_TEXT_BYTES_MAX,
  Role,
} from "../../../pipeline/memory/layout.ts";
import {
  readReport,
  type ReportName,
  REPORTS,
  ReportWriter,
} from "../../../pipeline/messages/reports.ts";
import { Doorbell } from "../../../pipeline/memory/doorbell.ts";
import { attachMemory, createMemory } from "../../../pipeline/memory/memory.ts";
import { SMALL } from "../../_support/desk.ts";
import { ringBytes, RingConsumer, RingProducer } from "../../../pipeline/memory/ring.ts";

function makeReports(records = 4): {
  writer: ReportWriter;
  ring: RingConsumer;
  counters: Float64Array;
} {
  const place = { byteOffset: 0, records, recordBytes: REPORT_BYTES };
  const memory = new SharedArrayBuffer(ringBytes(records, REPORT_BYTES));
  const counters = new Float64Array(COUNTER_COUNT);
  const writer = new ReportWriter(
    new RingProducer(memory, place),
    counters,
    new Doorbell(attachMemory(createMemory(SMALL)), Role.supervisor),
  );
  return { writer, ring: new RingConsumer(memory, place), counters };
}

Deno.test("every kind of report comes back as it was put, with its text", () => {
  const { writer, ring } = makeReports();
  const text = new Uint8Array([0, 10, 255, 65]);
  for (const name of Object.keys(REPORTS) as ReportName[]) {
    const keys = REPORTS[name];
    writer.put(name, 12345.5, keys.map((_, index) => index - 1.25), text);
    assertEquals(readReport(ring), {
      name,
      tsNs: 12345.5,
      values: Object.fromEntries(keys.map((key, index) => [key, index - 1.25])),
      text,
    });
    assertEquals(readReport(ring), undefined);
  }
});

Deno.test("a text that is too long is cut, and leaves nothing behind for the next", () => {
  const { writer, ring } = makeReports(1);
  writer.put("lost", 1, [1, 2], new Uint8Array(500).fill(66));
  assertEquals(readReport(ring)?.text, new Uint8Array(REPORT_TEXT_BYTES_MAX).fill(66));
  writer.put("lost", 1, [1, 2]);
  assertEquals(readReport(ring)?.text.length, 0);
});

Deno.test("I6: when nobody reads, reports are shed and counted, the oldest stay", () => {
  const { writer, ring, counters } = makeReports(4);
  for (let i = 0; i < 10; i++) writer.put("recovered", i, [i]);
  assertEquals(counters[CounterIndex.reportsShed], 6);
  for (let i = 0; i < 4; i++) assertEquals(readReport(ring)?.values, { sweep: i });
  assertEquals(readReport(ring), undefined);
  writer.put("recovered", 1, [99]);
  assertEquals(readReport(ring)?.values, { sweep: 99 });
});
