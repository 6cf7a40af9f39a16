import { assertEquals } from "@std/assert";
import { parseEventFormat, parseHeaderPage } from "../../../kernel/trace/formats.ts";
import { makeRawFormats } from "../../../kernel/trace/page_format.ts";
import { RawMerger } from "../../../kernel/trace/raw_merger.ts";
import { RawPageCursor } from "../../../kernel/trace/raw_parser.ts";
import { rehearsePages } from "../../../kernel/trace/rehearsal.ts";
import { TextParser } from "../../../kernel/trace/text_parser.ts";
import {
  captureFormats,
  PAGE_BYTES,
  type PlainRecord,
  readCapture,
  RecordSink,
} from "../../_support/captures.ts";
import { RHEL_CAPTURE, RHEL_CPU, rhelFiles } from "../../_support/rhel_capture.ts";

const RAW = `${RHEL_CAPTURE}.cpu${RHEL_CPU}.raw`;
const TEXT = `${RHEL_CAPTURE}.trace.txt`;

function rhelFormat(name: string): string {
  return new TextDecoder().decode(readCapture(`rhel/formats/${name}.txt`));
}

const RHEL_FORMATS = makeRawFormats({
  headerPage: parseHeaderPage(rhelFormat("header_page")),
  rssStat: parseEventFormat(rhelFormat("rss_stat.format")),
  newTask: parseEventFormat(rhelFormat("task_newtask.format")),
  exec: parseEventFormat(rhelFormat("sched_process_exec.format")),
  exit: parseEventFormat(rhelFormat("sched_process_exit.format")),
  free: parseEventFormat(rhelFormat("sched_process_free.format")),
  pageBytes: PAGE_BYTES,
});

function parseRaw(file: string, formats: typeof RHEL_FORMATS): readonly PlainRecord[] {
  const bytes = readCapture(file);
  const sink = new RecordSink();
  const cursor = new RawPageCursor(formats, RHEL_CPU);
  const page = new Uint8Array(PAGE_BYTES);
  let at = 0;
  new RawMerger([cursor], () => {
    if (at >= bytes.length) return false;
    page.set(bytes.subarray(at, at += PAGE_BYTES));
    cursor.load(page, PAGE_BYTES);
    return true;
  }).drain(sink.writer);
  assertEquals(cursor.counters.malformed, 0);
  return sink.drain();
}

function parseText(file: string): readonly PlainRecord[] {
  const bytes = readCapture(file);
  const sink = new RecordSink();
  const parser = new TextParser(sink.writer, { pageBytes: PAGE_BYTES });
  parser.push(bytes, bytes.length);
  parser.end();
  assertEquals(parser.counters.malformed, 0);
  return sink.drain();
}

Deno.test("the RHEL fixture is what its generator makes", () => {
  for (const [path, bytes] of rhelFiles()) assertEquals(readCapture(`rhel/${path}`), bytes, path);
});

Deno.test("events that one common field more has moved are read from raw pages", () => {
  assertEquals(RHEL_FORMATS.rssStat.mmIdWord, 3);
  const expected = parseRaw(RAW, captureFormats());
  assertEquals(expected.length, 425);
  assertEquals(parseRaw(`rhel/${RAW}`, RHEL_FORMATS), expected);
  // The offsets are those of the file and no others: with the ordinary ones it is all wrong.
  assertEquals(
    parseRaw(`rhel/${RAW}`, captureFormats()).some((record) =>
      record.kind === "rss" && expected.some((one) => one["mmId"] === record["mmId"])
    ),
    false,
  );
});

Deno.test("lines with two more columns are read as text", () => {
  const expected = parseText(TEXT);
  assertEquals(expected.length, 425);
  assertEquals(parseText(`rhel/${TEXT}`), expected);
});

Deno.test("pages of that form can be rehearsed", () => {
  assertEquals(rehearsePages(RHEL_FORMATS, 1, 32), rehearsePages(captureFormats(), 1, 32));
});
