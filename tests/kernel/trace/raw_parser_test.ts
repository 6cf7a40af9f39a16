import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../../../pipeline/memory/invariant.ts";
import { parseEventFormat, parseHeaderPage } from "../../../kernel/trace/formats.ts";
import { makeRawFormats, RawPageCursor } from "../../../kernel/trace/raw_parser.ts";
import type { RawFormats } from "../../../kernel/trace/page_format.ts";
import { captureFormats, PAGE_BYTES, readFormat, RecordSink } from "../../_support/captures.ts";
import {
  brief,
  decode,
  EXIT_ID,
  MISSED,
  NEWTASK_ID,
  PageBuilder,
  RSS_ID,
  STORED,
} from "../../_support/raw_pages.ts";

const FORMATS = captureFormats();

Deno.test("RawPageCursor decodes an rss_stat event", () => {
  const page = new PageBuilder(1000n).rss(5, 0xfedcba98, 40960n).commit();
  const { records, cursor } = decode(page);
  assertEquals<unknown>(records, [{
    kind: "rss",
    tsNs: 1005,
    cpu: 3,
    tid: 77,
    mmId: 0xfedcba98,
    pages: 10,
    member: 1,
    curr: 1,
    noMmId: false,
    tgid: 0,
  }]);
  assertEquals(cursor.counters.events, 1);
});

Deno.test("RawPageCursor saturates sizes, and keeps their sign", () => {
  const sizes: Array<[bigint, number]> = [
    [0n, 0],
    [4095n, 0],
    [-4096n, -1],
    [2n ** 31n, 2 ** 19],
    [2n ** 43n - 4096n, 2 ** 31 - 1],
    [2n ** 43n, 2 ** 31 - 1],
    [2n ** 63n - 1n, 2 ** 31 - 1],
    [-(2n ** 43n), -(2 ** 31)],
    [-(2n ** 43n) - 4096n, -(2 ** 31)],
    [-(2n ** 63n), -(2 ** 31)],
  ];
  const page = new PageBuilder(0n);
  for (const [size] of sizes) page.rss(1, 1, size);
  const { records } = decode(page.commit());
  assertEquals(records.map((record) => record["pages"]), sizes.map(([, pages]) => pages));
});

Deno.test("RawPageCursor adds up the time over every kind of event", () => {
  const page = new PageBuilder(2n ** 40n)
    .rss(10, 1)
    .header(30, 3).word(2) // extend: 2 << 27 and 3
    .rss(0, 2)
    .header(29, 7).word(12).word(0).word(0) // a discarded event of 12 bytes
    .rss(1, 3)
    .header(0, 4).word(36).rssPayload(4) // long form
    .header(31, 5).word(1 << 14) // absolute: 2^41 and 5
    .rss(6, 5)
    .header(29, 0).word(0xffffffff); // nothing more
  const { records, cursor } = decode(page.commit());
  const base = 2 ** 40;
  assertEquals(brief(records), [
    [base + 10, 1],
    [base + 10 + 2 * 2 ** 27 + 3, 2],
    [base + 10 + 2 * 2 ** 27 + 3 + 8, 3],
    [base + 10 + 2 * 2 ** 27 + 3 + 12, 4],
    [2 ** 41 + 11, 5],
  ]);
  assertEquals(cursor.counters.malformed, 0);
});

Deno.test("RawPageCursor keeps the top bits of the time, and small deltas of a large one", () => {
  const tai = 1_795_377_082_246_284_032n; // beyond 2^60: a double has steps of 256 there
  const page = new PageBuilder(tai);
  for (let i = 0; i < 64; i++) page.rss(100, i);
  assertAlmostEquals(decode(page.commit()).records[63]!.tsNs, Number(tai) + 6400, 256);

  const low = (tai + 1_000_000n) % 2n ** 59n;
  const stamp = new PageBuilder(tai)
    .header(31, Number(low % 2n ** 27n)).word(Number(low / 2n ** 27n)).rss(0, 1);
  assertAlmostEquals(decode(stamp.commit()).records[0]!.tsNs, Number(tai) + 1e6, 512);

  const late = 2n ** 60n - 1000n; // a stamp that has just lost its carry
  const wrapped = new PageBuilder(late).header(31, 24).word(0).rss(0, 1);
  assertAlmostEquals(decode(wrapped.commit()).records[0]!.tsNs, 2 ** 60 + 24, 512);
});

Deno.test("RawPageCursor tells of a loss before the page's events", () => {
  const page = new PageBuilder(500n).rss(5, 1);
  const { dataBytes } = page;
  page.word(2599).word(0);
  const { records, cursor } = decode(page.commit(MISSED + STORED, dataBytes));
  assertEquals(records[0], { kind: "lost", tsNs: 500, cpu: 3, tid: 0, lost: 2599 });
  assertEquals(brief(records), [[500, 2599], [505, 1]]);
  assertEquals([cursor.counters.lost, cursor.counters.lossRecords], [2599, 1]);

  const uncounted = decode(new PageBuilder(500n).rss(5, 1).commit(MISSED));
  assertEquals(brief(uncounted.records), [[500, -1], [505, 1]]);
  assertEquals([uncounted.cursor.counters.lost, uncounted.cursor.counters.lossRecords], [1, 1]);

  const empty = decode(new PageBuilder(500n).commit(MISSED));
  assertEquals(brief(empty.records), [[500, -1]]);

  const huge = new PageBuilder(500n).word(5).word(1);
  assertEquals(brief(decode(huge.commit(MISSED + STORED, 0)).records), [[500, 2 ** 31 - 1]]);

  // The flag says that a number follows, but the read ended before it.
  const cut = new PageBuilder(500n).rss(0, 1);
  assertEquals(brief(decode(cut.commit(MISSED + STORED), 16 + 36).records), [[500, -1], [500, 1]]);
});

Deno.test("RawPageCursor.emit() stops behind the limit", () => {
  const page = new PageBuilder(100n).rss(0, 1).rss(10, 2).rss(0, 3).rss(10, 4).commit(MISSED);
  const sink = new RecordSink();
  const cursor = new RawPageCursor(FORMATS, 0);
  assertEquals([cursor.done, cursor.nextTsNs], [true, Infinity]);
  cursor.load(page, page.length);
  const seen: unknown[] = [];
  for (const limit of [99, 100, 109, 110, 119, 120, Infinity]) {
    cursor.limitTsNs = limit;
    cursor.emit(sink.writer);
    seen.push([limit, sink.drain().length, cursor.nextTsNs]);
  }
  assertEquals<unknown>(seen, [
    [99, 0, 100],
    [100, 2, 110],
    [109, 2, 110],
    [110, 4, 120],
    [119, 4, 120],
    [120, 5, Infinity],
    [Infinity, 5, Infinity],
  ]);
});

Deno.test("RawPageCursor counts foreign events, unknown members and short records", () => {
  const page = new PageBuilder(0n)
    .header(3, 1).word(5).word(0).word(0) // a print
    .header(1, 1).word(0xffff)
    .header(0, 1).word(400);
  page.word(4);
  for (let i = 0; i < 98; i++) page.word(0); // a long stack trace
  page.header(8, 1).rssPayload(1, 0n, 4).header(8, 1).rssPayload(1, 0n, -1);
  page.header(4, 1).word(RSS_ID).word(1).word(2).word(3); // half an rss_stat
  page.header(2, 1).word(NEWTASK_ID).word(0);
  page.rss(1, 9);
  const { records, cursor } = decode(page.commit());
  assertEquals(brief(records), [[8, 9]]);
  assertEquals([cursor.counters.foreign, cursor.counters.malformed], [5, 2]);
});

Deno.test("RawPageCursor drops the rest of a page that points outside of it", () => {
  const starts: Array<[string, (page: PageBuilder) => PageBuilder]> = [
    ["short event", (page) => page.header(28, 1).word(0)],
    ["long event", (page) => page.header(0, 1).word(4096).word(0)],
    ["long event, negative", (page) => page.header(0, 1).word(-4).word(0)],
    ["long event, empty", (page) => page.header(0, 1).word(4).word(0)],
    ["long event, odd", (page) => page.header(0, 1).word(9).word(0).word(0)],
    ["long event, cut", (page) => page.header(0, 1)],
    ["padding", (page) => page.header(29, 1).word(4096)],
    ["padding, empty", (page) => page.header(29, 1).word(0)],
    ["padding, odd", (page) => page.header(29, 1).word(5).word(0)],
    ["padding, cut", (page) => page.header(29, 1)],
    ["extend, cut", (page) => page.header(30, 1)],
    ["absolute, cut", (page) => page.header(31, 1)],
  ];
  for (const [name, put] of starts) {
    const page = put(new PageBuilder(0n).rss(1, 1)).commit();
    const { records, cursor } = decode(page);
    assertEquals(brief(records), [[1, 1]], name);
    assertEquals(cursor.counters.malformed, 1, name);
  }
});

Deno.test("RawPageCursor takes what there is of a cut page", () => {
  const page = new PageBuilder(0n).rss(1, 1).rss(1, 2).rss(1, 3).commit();
  for (let length = 0; length <= page.length; length++) {
    const { records, cursor } = decode(page, length);
    assertEquals(records.length, Math.max(0, Math.min(3, Math.floor((length - 16) / 36))));
    // A cut inside the page is counted once; what was cut off zeros is not missed.
    const isCut = length > 0 && length < 16 + 3 * 36;
    assertEquals(cursor.counters.malformed > 0, isCut, `${length}`);
  }
  // The rest of a fragment, and what an empty buffer reads as.
  const { records, cursor } = decode(new Uint8Array(PAGE_BYTES));
  assertEquals([records.length, cursor.counters.malformed], [0, 0]);
});

Deno.test("RawPageCursor takes sub-buffers up to 512 KiB", () => {
  for (let subBufferBytes = 4096; subBufferBytes <= 512 * 1024; subBufferBytes *= 2) {
    const page = new PageBuilder(0n, subBufferBytes);
    const count = Math.floor((subBufferBytes - 16) / 36);
    for (let i = 0; i < count; i++) page.rss(1, i);
    const { records, cursor } = decode(page.commit());
    assertEquals(records.length, count);
    assertEquals(brief(records).at(-1), [count, count - 1]);
    assertEquals(cursor.counters.malformed, 0);
  }
});

Deno.test("RawPageCursor decodes life-cycle events", () => {
  const page = new PageBuilder(0n);
  page.header(11, 1).word(NEWTASK_ID).word(50).word(51);
  for (let i = 0; i < 5; i++) page.word(0);
  page.word(0x01200000).word(1).word(0);
  page.header(9, 1).word(EXIT_ID).word(51);
  for (let i = 0; i < 4; i++) page.word(0);
  page.word(51).word(120).word(0x100);
  const { records } = decode(page.commit());
  assertEquals<unknown>(records, [
    { kind: "newTask", tsNs: 1, cpu: 3, tid: 50, child: 51, cloneFlags: 0x01200000, tgid: 0 },
    { kind: "exit", tsNs: 2, cpu: 3, tid: 51, pid: 51, groupDead: 0 },
  ]);
});

/** The first fields of oom:mark_victim, as on Linux 6.18. */
const MARK_VICTIM = "name: mark_victim\nID: 609\nformat:\n" +
  "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n" +
  "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n" +
  "\tfield:int pid;\toffset:8;\tsize:4;\tsigned:1;\n" +
  "\tfield:__data_loc char[] comm;\toffset:12;\tsize:4;\tsigned:0;\n";

Deno.test("RawPageCursor decodes mark_victim where its format is given", () => {
  const page = new PageBuilder(100n).header(4, 7).word(609).word(50).word(61).word(0)
    .header(2, 1).word(609).word(50).commit();
  const formats = makeRawFormats({
    headerPage: parseHeaderPage(readFormat("header_page")),
    rssStat: parseEventFormat(readFormat("rss_stat.format")),
    oomVictim: parseEventFormat(MARK_VICTIM),
    pageBytes: PAGE_BYTES,
  });
  const { records, cursor } = decode(page, page.length, formats);
  assertEquals<unknown>(records, [
    { kind: "oomVictim", tsNs: 107, cpu: 3, tid: 50, a: 61, b: 0, c: 0, d: 0 },
  ]);
  assertEquals([cursor.counters.lifecycle, cursor.counters.malformed], [1, 1]);
  const without = decode(page);
  assertEquals([without.records.length, without.cursor.counters.foreign], [0, 2]);
});

/** The formats of a 32-bit kernel: narrow commit, narrow size, everything elsewhere. */
function narrowFormats(): RawFormats {
  return makeRawFormats({
    headerPage: parseHeaderPage(
      "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n" +
        "\tfield: local_t commit;\toffset:8;\tsize:4;\tsigned:1;\n" +
        "\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n" +
        "\tfield: char data;\toffset:12;\tsize:4084;\tsigned:0;\n",
    ),
    rssStat: parseEventFormat(
      readFormat("rss_stat.format").replace("offset:24;\tsize:8", "offset:20;\tsize:4"),
    ),
    exit: parseEventFormat(
      readFormat("sched_process_exit.format").replace(/.*group_dead;.*\n/, ""),
    ),
    pageBytes: PAGE_BYTES,
  });
}

Deno.test("RawPageCursor reads offsets from the formats: a 32-bit kernel", () => {
  const words = new Uint32Array(1024);
  const data = [
    7 + 32 * 5,
    RSS_ID,
    77,
    9,
    0,
    3,
    0xffffe000,
    0, // 2 pages below 0
    8 + 32 * 5,
    EXIT_ID,
    51,
    0,
    0,
    0,
    0,
    51,
    120,
    3,
    NEWTASK_ID,
    1,
    2, // not asked for: foreign
  ]; // deno-fmt-ignore
  words.set([1000, 0, data.length * 4 + MISSED + STORED, ...data, 17]);
  const { records, cursor } = decode(new Uint8Array(words.buffer), PAGE_BYTES, narrowFormats());
  assertEquals<unknown>(records, [
    { kind: "lost", tsNs: 1000, cpu: 3, tid: 0, lost: 17 },
    {
      kind: "rss",
      tsNs: 1005,
      cpu: 3,
      tid: 77,
      mmId: 9,
      pages: -2,
      member: 3,
      curr: 0,
      noMmId: false,
      tgid: 0,
    },
    { kind: "exit", tsNs: 1010, cpu: 3, tid: 51, pid: 51, groupDead: -1 },
  ]);
  assertEquals([cursor.counters.foreign, cursor.counters.malformed], [1, 0]);
});

Deno.test("makeRawFormats() says what it cannot decode", () => {
  const headerPage = parseHeaderPage(readFormat("header_page"));
  const rssStat = (from: RegExp | string, to: string): unknown => {
    const text = readFormat("rss_stat.format").replace(from, to);
    return makeRawFormats({ headerPage, rssStat: parseEventFormat(text), pageBytes: PAGE_BYTES });
  };
  assertThrows(
    () => rssStat(/.*mm_id;.*\n/, ""),
    RangeError,
    'rss_stat: its format has no field "mm_id"',
  );
  assertThrows(() => rssStat("offset:12;", "offset:13;"), RangeError, '"curr" must have 4 bytes');
  assertThrows(() => rssStat("size:8", "size:2"), RangeError, '"size" must have');
  assertThrows(() => rssStat("offset:0;\tsize:2", "offset:2;\tsize:2"), RangeError, "common_type");
  assertThrows(() => rssStat("ID: 646", "ID: 70000"), RangeError, "its ID must be 0 to 65535");
  assertThrows(() => captureFormats(5000), RangeError, "power of two");
  assertThrows(() => captureFormats(0), RangeError, "power of two");
});

Deno.test("RawPageCursor.load() refuses a buffer that is not aligned", () => {
  const cursor = new RawPageCursor(FORMATS, 0);
  assertThrows(() => cursor.load(new Uint8Array(64).subarray(1), 63), InvariantError, "aligned");
});

Deno.test("RawPageCursor says how much room a page has left: little in a full one", () => {
  const room = (events: number): number => {
    const page = new PageBuilder(7n);
    for (let i = 0; i < events; i++) page.rss(1, i);
    const cursor = new RawPageCursor(FORMATS, 0);
    cursor.load(page.commit(), PAGE_BYTES);
    return cursor.roomBytes(PAGE_BYTES);
  };
  assertEquals(room(0), PAGE_BYTES - 16);
  assertEquals(room(1), PAGE_BYTES - 16 - 36);
  assertEquals(room(113), PAGE_BYTES - 16 - 113 * 36);
  assertEquals(room(113) < 64, true);
});
