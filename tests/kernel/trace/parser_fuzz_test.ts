import { assertEquals } from "@std/assert";
import { RawMerger } from "../../../kernel/trace/raw_merger.ts";
import { RawPageCursor } from "../../../kernel/trace/raw_parser.ts";
import { TextParser } from "../../../kernel/trace/text_parser.ts";
import type { ParserCounters } from "../../../kernel/trace/page_format.ts";
import {
  CAPTURE_CPUS,
  captureFormats,
  latin1,
  PAGE_BYTES,
  type PlainRecord,
  readCapture,
  RecordSink,
} from "../../_support/captures.ts";
import { type Random, withSeeds } from "../../_support/random.ts";

const NAMES = Object.keys(CAPTURE_CPUS);
const TEXTS = NAMES.flatMap((name) => [`${name}.trace.txt`, `${name}.pipe.txt`]).map(readCapture);
const PAGES = Object.entries(CAPTURE_CPUS).flatMap(([name, cpus]) =>
  cpus.flatMap((cpu) => {
    const file = readCapture(`${name}.cpu${cpu}.raw`);
    return Array.from(
      { length: file.length / PAGE_BYTES },
      (_, i) => file.slice(i * PAGE_BYTES, (i + 1) * PAGE_BYTES),
    );
  })
);
const FORMATS = captureFormats();

/** Without sched_process_exec: in the name of an executed file no line is believed. */
const TEXTS_WITHOUT_EXEC = TEXTS.filter((text) => {
  return !new TextDecoder("latin1").decode(text).includes("sched_process_exec");
});
/** The lines of trace_pipe as one expression, an oracle for the text parser. */
const ORACLE =
  /-(\d{1,10}) +(?:\( *(?:\d{1,9}|-+)\) +)?\[(\d{1,6})\] (?:[.#*A-Za-z0-9]{4,5} +)? *(\d+\.\d{6}|\d+): rss_stat: mm_id=(\d+) curr=([01]) (?:type=(\w+)|member=(\d+)) size=(-?\d{1,20})B$/;

function parseText(
  bytes: Uint8Array,
  pieceBytes: () => number,
): { records: readonly PlainRecord[]; counters: ParserCounters } {
  const sink = new RecordSink();
  const parser = new TextParser(sink.writer, { pageBytes: PAGE_BYTES });
  const buffer = new Uint8Array(65536);
  for (let at = 0; at < bytes.length;) {
    const piece = bytes.subarray(at, at + Math.min(pieceBytes(), buffer.length));
    buffer.set(piece);
    parser.push(buffer, piece.length);
    at += piece.length;
  }
  parser.end();
  return { records: sink.drain(), counters: parser.counters };
}

/** A piece of a capture, damaged in places: bytes changed, cut out, doubled, newlines put in. */
function damagedText(random: Random, texts = TEXTS): Uint8Array {
  const text = random.pick(texts);
  const start = random.below(text.length - 6000);
  let bytes = [...text.subarray(start, start + random.between(1, 6000))];
  for (let i = random.below(30); i > 0; i--) {
    const at = random.below(bytes.length + 1);
    switch (random.below(6)) {
      case 0:
        bytes[at] = random.below(256);
        break;
      case 1:
        bytes.splice(at, random.between(1, 40));
        break;
      case 2:
        bytes.splice(at, 0, ...bytes.slice(at, at + random.between(1, 150)));
        break;
      case 3:
        bytes.splice(at, 0, 10);
        break;
      case 4:
        bytes.splice(at, 0, ...latin1(random.pick(["[", "]", " ", ":", "-", "9999999999", "B\n"])));
        break;
      default:
        bytes[at] = random.pick([0x30, 0x39, 0x20, 0x2d, 0x0a, 0xff]);
    }
    if (bytes.length > 8000) bytes = bytes.slice(0, 8000);
  }
  return Uint8Array.from(bytes);
}

Deno.test("TextParser gives the same for damaged text however it is cut into pieces", () => {
  withSeeds(400, (random) => {
    const bytes = damagedText(random);
    const whole = parseText(bytes, () => 65536);
    const most = random.pick([1, 3, 64, 200, 4096]);
    assertEquals(parseText(bytes, () => random.between(1, most)), whole);
    const { events, lifecycle, lossRecords } = whole.counters;
    assertEquals(whole.records.length, events + lifecycle + lossRecords);
  });
});

Deno.test("TextParser takes from damaged text what the expression takes, and no less", () => {
  withSeeds(400, (random) => {
    const bytes = damagedText(random, TEXTS_WITHOUT_EXEC);
    const lines = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("").split("\n");
    const expected = lines.map((line) => ORACLE.exec(line)).filter((match) => match !== null)
      .filter(([, pid, , , mmId, , type, member]) =>
        Number(pid) < 2 ** 31 && Number(mmId) < 2 ** 32 &&
        (type === undefined
          ? Number(member) < 4 && member!.length === 1
          : /^MM_(FILEPAGES|ANONPAGES|SWAPENTS|SHMEMPAGES)$/.test(type))
      )
      .map(([, pid, cpu, , mmId, curr]) => [pid, cpu, mmId, curr].map(Number).join());
    const { records } = parseText(bytes, () => 4096);
    const found = records.filter((record) => record.kind === "rss")
      .map(({ tid, cpu, mmId, curr }) => [tid, cpu, mmId, curr].join());
    // The parser reads more forms than the expression, and the expression's lines no otherwise.
    let at = 0;
    for (const record of found) if (record === expected[at]) at++;
    assertEquals(at, expected.length);
  });
});

Deno.test("TextParser survives random bytes", () => {
  withSeeds(20, (random) => {
    const bytes = new Uint8Array(random.between(1, 60_000));
    random.fill(bytes);
    const { records, counters } = parseText(bytes, () => random.between(1, 9000));
    assertEquals(records.length, 0);
    assertEquals(counters.malformed > 0, true);
  });
});

Deno.test("TextParser needs time in proportion to the text, whatever is in it", () => {
  const hostile = [
    " ",
    "9",
    "-",
    "1: ",
    "[0] 1: ",
    "x-1 [0] ",
    " =>",
    "B",
    "\n",
    "CPU:",
    "=",
    "(1) ",
  ];
  for (const text of hostile) {
    for (const end of ["", ": rss_stat: mm_id=1 curr=1 type=MM_ANONPAGES size=0B", " EVENTS]"]) {
      const bytes = latin1((text.repeat(60_000 / text.length) + end + "\n").repeat(4));
      const started = performance.now();
      parseText(bytes, () => 8192);
      // A quadratic loop over a line takes seconds.
      assertEquals(performance.now() - started < 2000, true, JSON.stringify(text + end));
    }
  }
});

Deno.test("TextParser holds no more of a line of 1 MiB than its buffer", () => {
  const bytes = new Uint8Array(1 << 20).fill(0x41);
  const { counters } = parseText(bytes, () => 8150);
  assertEquals([counters.malformed, counters.foreign], [1, 0]);
});

/** Every event of the pages through a merger of three CPUs; returns the counters. */
function parsePages(
  pages: readonly Uint8Array[],
  lengths: readonly number[],
  random: Random,
): ParserCounters[] {
  const sink = new RecordSink({ keep: false });
  const cursors = [0, 1, 2].map((cpu) => new RawPageCursor(FORMATS, cpu));
  let next = 0;
  let limit = pages.length * 2 + 10;
  const merger = new RawMerger(cursors, (index) => {
    assertEquals(limit-- > 0, true, "no end in sight");
    if (next === pages.length || random.oneIn(20)) return false;
    cursors[index]!.load(pages[next]!, lengths[next]!);
    next++;
    return true;
  });
  merger.drain(sink.writer);
  sink.drain();
  return cursors.map((cursor) => cursor.counters);
}

Deno.test("RawPageCursor survives flipped bits and cut pages", () => {
  let malformed = 0;
  withSeeds(300, (random) => {
    const pages = Array.from({ length: 8 }, () => random.pick(PAGES).slice());
    for (const page of pages) {
      for (let i = random.below(20); i > 0; i--) {
        page[random.oneIn(3) ? random.below(24) : random.below(page.length)]! ^= 1 <<
          random.below(8);
      }
    }
    const lengths = pages.map((page) => random.oneIn(3) ? random.below(page.length) : page.length);
    for (const counters of parsePages(pages, lengths, random)) malformed += counters.malformed;
  });
  assertEquals(malformed > 0, true);
});

Deno.test("RawPageCursor survives random pages of every sub-buffer size", () => {
  for (let pageBytes = 4096; pageBytes <= 512 * 1024; pageBytes *= 2) {
    withSeeds(4, (random) => {
      const pages = Array.from({ length: 4 }, () => new Uint8Array(pageBytes));
      for (const page of pages) {
        random.fill(page);
        // Half of them with a length that is right, and with the events' own types.
        if (random.oneIn(2)) new DataView(page.buffer).setUint32(8, pageBytes - 16, true);
        if (random.oneIn(2)) {
          for (let at = 16; at < pageBytes; at += 4) page[at]! &= 0xe0 | random.below(32);
        }
      }
      parsePages(pages, pages.map(() => pageBytes), random);
    });
  }
});

Deno.test("RawPageCursor gives from a cut page the first of its events", () => {
  withSeeds(60, (random) => {
    const page = random.pick(PAGES);
    const eventsOf = (length: number): readonly PlainRecord[] => {
      const sink = new RecordSink();
      const cursor = new RawPageCursor(FORMATS, 0);
      cursor.load(page, length);
      cursor.emit(sink.writer);
      return sink.drain().filter((record) => record.kind !== "lost");
    };
    const whole = eventsOf(page.length);
    const part = eventsOf(random.below(page.length));
    assertEquals(part, whole.slice(0, part.length));
  });
});
