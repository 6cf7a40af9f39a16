import { assertEquals } from "@std/assert";
import { RawMerger } from "../../../kernel/trace/raw_merger.ts";
import { RawPageCursor } from "../../../kernel/trace/raw_parser.ts";
import { TextParser } from "../../../kernel/trace/text_parser.ts";
import { makeCounters, type ParserCounters } from "../../../kernel/trace/page_format.ts";
import {
  CAPTURE_CPUS,
  captureFormats,
  PAGE_BYTES,
  type PlainRecord,
  readCapture,
  RecordSink,
} from "../../_support/captures.ts";

interface Parsed {
  readonly records: readonly PlainRecord[];
  readonly counters: ParserCounters;
}

function parseText(file: string): Parsed {
  const sink = new RecordSink();
  const parser = new TextParser(sink.writer, { pageBytes: PAGE_BYTES });
  const bytes = readCapture(file);
  parser.push(bytes, bytes.length);
  parser.end();
  return { records: sink.drain(), counters: parser.counters };
}

/** All CPUs of a capture, merged; counters summed. */
function parseRaw(name: string, cpus: readonly number[]): Parsed {
  const sink = new RecordSink();
  const formats = captureFormats();
  const cursors = cpus.map((cpu) => new RawPageCursor(formats, cpu));
  const files = cpus.map((cpu) => readCapture(`${name}.cpu${cpu}.raw`));
  const buffers = cpus.map(() => new Uint8Array(PAGE_BYTES));
  const at = cpus.map(() => 0);
  const merger = new RawMerger(cursors, (index) => {
    const page = files[index]!.subarray(at[index]!, at[index]! + PAGE_BYTES);
    if (page.length === 0) return false;
    at[index]! += PAGE_BYTES;
    buffers[index]!.set(page);
    cursors[index]!.load(buffers[index]!, page.length);
    return true;
  });
  merger.drain(sink.writer);
  const counters = makeCounters();
  for (const cursor of cursors) {
    for (const key of Object.keys(counters) as Array<keyof ParserCounters>) {
      counters[key] += cursor.counters[key];
    }
  }
  return { records: sink.drain(), counters };
}

/** As the kernel prints it: (ns + 500) / 1000, in whole microseconds. */
function rounded(record: PlainRecord): PlainRecord {
  return { ...record, tsNs: Math.floor((record.tsNs + 500) / 1000) * 1000, tgid: 0 };
}

/** events, lifecycle, lossRecords, malformed, foreign. */
const EXPECTED: Readonly<
  Record<string, { raw: readonly number[]; trace: readonly number[]; pipe: readonly number[] }>
> = {
  cross_mm: { raw: [343, 14, 0, 0, 12], trace: [343, 14, 0, 0, 24], pipe: [346, 14, 0, 0, 12] },
  exec_chain: { raw: [417, 8, 0, 0, 11], trace: [417, 8, 0, 0, 23], pipe: [418, 8, 0, 0, 11] },
  exits_pidfiltered: { raw: [925, 0, 0, 0, 0], trace: [925, 0, 0, 0, 12], pipe: [884, 0, 0, 0, 0] },
  fork_storm: {
    raw: [1042, 40, 0, 0, 27],
    trace: [1042, 40, 0, 0, 39],
    pipe: [1070, 40, 0, 0, 27],
  },
  hostile_comms: { raw: [770, 0, 0, 0, 0], trace: [770, 0, 0, 33, 12], pipe: [817, 0, 0, 35, 0] },
  lost_small_buffer: {
    raw: [489, 0, 1, 0, 0],
    trace: [489, 0, 0, 0, 12],
    pipe: [491, 0, 1, 0, 0],
  },
  mixed_events: {
    raw: [124, 4, 0, 0, 172],
    trace: [124, 4, 0, 0, 1373],
    pipe: [120, 4, 0, 0, 1517],
  },
  swap_pageout: { raw: [837, 0, 0, 0, 0], trace: [837, 0, 0, 0, 12], pipe: [841, 0, 0, 0, 0] },
  thp_madvise: { raw: [99, 0, 0, 0, 0], trace: [99, 0, 0, 0, 12], pipe: [98, 0, 0, 0, 0] },
  threads_tgid: { raw: [496, 0, 0, 0, 0], trace: [496, 0, 0, 0, 12], pipe: [500, 0, 0, 0, 0] },
  vfork_exec: { raw: [461, 24, 0, 0, 19], trace: [461, 24, 0, 0, 31], pipe: [460, 24, 0, 0, 19] },
};

function counts({ events, lifecycle, lossRecords, malformed, foreign }: ParserCounters): number[] {
  return [events, lifecycle, lossRecords, malformed, foreign];
}

for (const [name, cpus] of Object.entries(CAPTURE_CPUS)) {
  Deno.test(`capture ${name}: raw pages and text give the same records`, () => {
    const raw = parseRaw(name, cpus);
    const trace = parseText(`${name}.trace.txt`);
    // The `trace` file tells of no losses; everything else is there, in the same order.
    const rawEvents = raw.records.filter((record) => record.kind !== "lost");
    assertEquals(rawEvents.map(rounded), trace.records.map(rounded));
    assertEquals(counts(raw.counters), EXPECTED[name]!.raw);
    assertEquals(counts(trace.counters), EXPECTED[name]!.trace);
    for (let i = 1; i < raw.records.length; i++) {
      assertEquals(raw.records[i]!.tsNs >= raw.records[i - 1]!.tsNs, true, `record ${i}`);
    }
  });

  Deno.test(`capture ${name}: the lines of trace_pipe are understood`, () => {
    assertEquals(counts(parseText(`${name}.pipe.txt`).counters), EXPECTED[name]!.pipe);
  });
}

Deno.test("capture lost_small_buffer: text and pages tell of the same loss", () => {
  for (
    const { records, counters } of [
      parseRaw("lost_small_buffer", [0]),
      parseText("lost_small_buffer.pipe.txt"),
    ]
  ) {
    assertEquals([records[0]!.kind, records[0]!["lost"], records[0]!.cpu], ["lost", 2599, 0]);
    assertEquals(counters.lost, 2599);
  }
});

Deno.test("capture threads_tgid: the tgid column is read", () => {
  const { records } = parseText("threads_tgid.trace.txt");
  const tgids = new Set(records.map((record) => record["tgid"]));
  const tids = new Set(records.map((record) => record.tid));
  assertEquals([tgids.has(0), tids.size > tgids.size], [false, true]);
});

Deno.test("capture hostile_comms: the comm that holds a newline hides no event", () => {
  const { records } = parseText("hostile_comms.trace.txt");
  const tid = records.filter((record) => record.tid === 13643);
  assertEquals(tid.length, 33);
  // `0-1 [000] ....1` and the like would make events of pid 1.
  assertEquals(records.some((record) => record.tid < 1000), false);
});
