/**
 * The two parsers against the plain way of doing the same, over the captures repeated in memory.
 * Each way fills the same ring, which is emptied by moving its head.
 *
 * @module
 */
import { RecordWriter } from "../pipeline/messages/record_writer.ts";
import { RECORD_BYTES } from "../pipeline/memory/layout.ts";
import { ringBytes, RingConsumer, RingProducer } from "../pipeline/memory/ring.ts";
import { RawMerger } from "../kernel/trace/raw_merger.ts";
import { RawPageCursor } from "../kernel/trace/raw_parser.ts";
import { TextParser } from "../kernel/trace/text_parser.ts";
import {
  CAPTURE_CPUS,
  captureFormats,
  PAGE_BYTES,
  readCapture,
} from "../tests/_support/captures.ts";

/** What one read(2) of trace_pipe gives at most. */
const READ_BYTES = 8150;
const TEXT_REPEATS = 20;
const RAW_REPEATS = 50;

/** Without mixed_events: it is mostly stack traces. */
const NAMES = Object.keys(CAPTURE_CPUS).filter((name) => name !== "mixed_events");

const RING_RECORDS = 1 << 14;
const memory = new SharedArrayBuffer(ringBytes(RING_RECORDS, RECORD_BYTES));
const place = { byteOffset: 0, records: RING_RECORDS, recordBytes: RECORD_BYTES };
const producer = new RingProducer(memory, place);
const consumer = new RingConsumer(memory, place);
const writer = new RecordWriter(producer, () => {
  producer.publish();
  while (consumer.next() >= 0);
  consumer.release();
});

// --- text ------------------------------------------------------------------------------------

const reads: Uint8Array[] = [];
for (let i = 0; i < TEXT_REPEATS; i++) {
  for (const name of NAMES) {
    const text = readCapture(`${name}.pipe.txt`);
    for (let at = 0; at < text.length; at += READ_BYTES) {
      reads.push(text.subarray(at, at + READ_BYTES));
    }
  }
}
const readBuffer = new Uint8Array(8192);

function parseTextOnce(): number {
  const parser = new TextParser(writer, { pageBytes: PAGE_BYTES });
  for (const read of reads) {
    readBuffer.set(read);
    parser.push(readBuffer, read.length);
  }
  return parser.counters.events;
}

/** The lines as one expression, over decoded lines. */
function parseTextNaively(): number {
  const decoder = new TextDecoder("latin1");
  const members = ["MM_FILEPAGES", "MM_ANONPAGES", "MM_SWAPENTS", "MM_SHMEMPAGES"];
  const pattern =
    /-(\d+) +(?:\( *(?:\d+|-+)\) )?\[(\d{3,})\] (?:[^ ]{4,5} +)?\s*(\d+\.\d{6}|\d+): rss_stat: mm_id=(\d+) curr=([01]) (?:type=(\w+)|member=(\d+)) size=(-?\d+)B$/;
  let held = "";
  let events = 0;
  for (const read of reads) {
    const lines = (held + decoder.decode(read)).split("\n");
    held = lines.pop() ?? "";
    for (const line of lines) {
      const match = pattern.exec(line);
      if (match === null) continue;
      const [, pid, cpu, ts, mmId, curr, type, member, size] = match;
      const number = type === undefined ? Number(member) : members.indexOf(type);
      writer.rss(
        Number(ts) * 1e9,
        Number(cpu),
        Number(pid),
        Number(mmId) | 0,
        Number(size) / PAGE_BYTES,
        number | Number(curr) << 8,
        0,
      );
      events++;
    }
  }
  return events;
}

const textEvents = parseTextOnce();
Deno.bench({
  name: `regexp over decoded lines, ${parseTextNaively()} events`,
  group: "text",
  baseline: true,
  fn: () => void parseTextNaively(),
});
Deno.bench({
  name: `TextParser, ${textEvents} events`,
  group: "text",
  fn: () => void parseTextOnce(),
});

// --- raw -------------------------------------------------------------------------------------

const pages: Uint8Array[] = [];
for (let i = 0; i < RAW_REPEATS; i++) {
  for (const name of NAMES) {
    for (const cpu of CAPTURE_CPUS[name]!) {
      const file = readCapture(`${name}.cpu${cpu}.raw`);
      for (let at = 0; at < file.length; at += PAGE_BYTES) {
        pages.push(file.slice(at, at + PAGE_BYTES));
      }
    }
  }
}
const formats = captureFormats();
const RSS_ID = formats.rssStat.id;

function parsePagesOnce(): number {
  const cursor = new RawPageCursor(formats, 0);
  const page = new Uint8Array(PAGE_BYTES);
  for (const each of pages) {
    page.set(each);
    cursor.load(page, PAGE_BYTES);
    cursor.emit(writer);
  }
  return cursor.counters.events;
}

/** The worst case: two CPUs with the same times, so that every run is one or two events. */
function mergePagesOnce(): number {
  const cursors = [0, 1].map((cpu) => new RawPageCursor(formats, cpu));
  const buffers = cursors.map(() => new Uint8Array(PAGE_BYTES));
  const next = [0, 0];
  const merger = new RawMerger(cursors, (index) => {
    const page = pages[next[index]!++];
    // Half of the pages twice, for as many events as the others have.
    if (page === undefined || next[index]! * 2 > pages.length) return false;
    buffers[index]!.set(page);
    cursors[index]!.load(buffers[index]!, PAGE_BYTES);
    return true;
  });
  merger.drain(writer);
  return cursors.reduce((events, cursor) => events + cursor.counters.events, 0);
}

/** A DataView and BigInts, as one would write it first. */
function parsePagesNaively(): number {
  let events = 0;
  for (const page of pages) {
    const view = new DataView(page.buffer);
    let ts = view.getBigUint64(0, true);
    const end = 16 + (view.getUint32(8, true) & 0xfffff);
    for (let at = 16; at < end;) {
      const header = view.getUint32(at, true);
      const type = header & 31;
      ts += BigInt(header >>> 5);
      if (type > 28 || type === 0) {
        if (type === 30) ts += BigInt(view.getUint32(at + 4, true)) << 27n;
        at += type === 30 || type === 31 ? 8 : 4 + view.getUint32(at + 4, true);
        continue;
      }
      if (view.getUint16(at + 4, true) === RSS_ID) {
        writer.rss(
          Number(ts),
          0,
          view.getInt32(at + 8, true),
          view.getInt32(at + 12, true),
          Number(view.getBigInt64(at + 28, true) / BigInt(PAGE_BYTES)),
          view.getInt32(at + 20, true) | view.getUint32(at + 16, true) << 8,
          0,
        );
        events++;
      }
      at += 4 + type * 4;
    }
  }
  return events;
}

Deno.bench({
  name: `DataView, ${parsePagesNaively()} events`,
  group: "raw",
  baseline: true,
  fn: () => void parsePagesNaively(),
});
Deno.bench({
  name: `RawPageCursor, ${parsePagesOnce()} events`,
  group: "raw",
  fn: () => void parsePagesOnce(),
});
Deno.bench({
  name: `RawMerger, 2 CPUs in lockstep, ${mergePagesOnce()} events`,
  group: "raw",
  fn: () => void mergePagesOnce(),
});
