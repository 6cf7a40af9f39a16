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
  REPORT_ROWS,
  type ReportName,
  REPORTS,
  ReportWriter,
} from "../../../pipeline/messages/reports.ts";
import { RECEIPT_ROWS_MAX } from "../../../pipeline/kill/receipt.ts";
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
      rows: [],
    });
    assertEquals(readReport(ring), undefined);
  }
});

Deno.test("rows come back with their names; what finds no room is cut off, whole rows stay", () => {
  const { writer, ring } = makeReports(1);
  const keys = REPORT_ROWS.kill;
  const put = (count: number): void => {
    const rows = Array.from({ length: count * keys.length }, (_, index) => index + 0.5);
    writer.put("kill", 1, REPORTS.kill.map((_, index) => index), undefined, rows);
  };
  const row = (number: number): Record<string, number> =>
    Object.fromEntries(keys.map((key, index) => [key, number * keys.length + index + 0.5]));
  put(2);
  assertEquals(readReport(ring)?.rows, [row(0), row(1)]);
  put(50);
  const rows = readReport(ring)!.rows;
  assertEquals([rows.length, rows.at(-1)], [RECEIPT_ROWS_MAX, row(RECEIPT_ROWS_MAX - 1)]);
  put(0);
  assertEquals(readReport(ring)?.rows, []);
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
