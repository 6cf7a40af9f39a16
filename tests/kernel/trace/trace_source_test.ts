import { assertEquals, assertThrows } from "@std/assert";
import { KernelError } from "../../../kernel/ffi/errno.ts";
import { closeFd, EventFd, openFd, OpenFlag, writeFd } from "../../../kernel/ffi/fd.ts";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import type { FormatTexts } from "../../../kernel/trace/raw_formats.ts";
import { openTraceSource, type TraceSourceSpec } from "../../../kernel/trace/trace_source.ts";
import { COUNTER_COUNT, CounterIndex, RecordKind } from "../../../pipeline/memory/layout.ts";
import { PAGE_BYTES } from "../../_support/captures.ts";
import { Tellings } from "../../_support/fake_proc.ts";

openLibc();

const LINES = [
  "  a-77    [001] ...1.  24.936892: rss_stat: mm_id=9 curr=1 type=MM_ANONPAGES size=4096B",
  "CPU:1 [LOST 9 EVENTS]",
  "no line of the kernel's",
];

/** Lines are read, so nobody looks at these. */
const FORMATS = {} as FormatTexts;

Deno.test("openTraceSource() reads its pipes, counts, and waits for data or for being woken", async () => {
  const folder = await Deno.makeTempDir({ prefix: "toom-source-" });
  const path = `${folder}/pipe`;
  await new Deno.Command("mkfifo", { args: [path] }).output();
  const fd = openFd(path, OpenFlag.O_RDWR | OpenFlag.O_NONBLOCK);
  using wake = new EventFd();
  const spec: TraceSourceSpec = {
    source: "text",
    pipes: [{ cpu: 3, fd }],
    formats: FORMATS,
    pageBytes: PAGE_BYTES,
    wakeFd: wake.fd,
  };
  const tellings = new Tellings();
  const counters = new Float64Array(COUNTER_COUNT);
  counters[CounterIndex.events] = 100;
  let pages = 0;
  const source = openTraceSource(spec, tellings.writer, () => pages++, counters);
  assertEquals(source.firstCpu, 3);
  assertEquals([source.wait(0), source.read(true)], [false, 0]);
  wake.ring();
  assertEquals([source.wait(1000), source.wait(0)], [true, false], "a ring ends one wait");
  const text = new TextEncoder().encode(`${LINES.join("\n")}\n`);
  writeFd(fd, text);
  assertEquals([source.wait(1000), source.read(true), pages], [true, text.length, 1]);
  assertEquals(tellings.take().map(({ kind }) => kind), [RecordKind.rss, RecordKind.lost]);
  assertEquals(counters[CounterIndex.events], 100, "not before it is asked to");
  source.storeCounts();
  const { events, lost, malformed, foreign } = CounterIndex;
  assertEquals([counters[events], counters[lost]], [101, 9], "those of a predecessor are kept");
  assertEquals(counters[malformed]! + counters[foreign]!, 1);
  source.rehearse(10);
  source.storeCounts();
  assertEquals([tellings.take(), counters[events]], [[], 101], "a rehearsal is upon nobody");
  closeFd(fd);
  const directory = openFd(folder, OpenFlag.O_RDONLY);
  const broken = openTraceSource(
    { ...spec, pipes: [{ cpu: 0, fd: directory }] },
    tellings.writer,
    () => {},
    counters,
  );
  assertThrows(() => broken.read(false), KernelError, "EISDIR");
  closeFd(directory);
  await Deno.remove(folder, { recursive: true });
});
