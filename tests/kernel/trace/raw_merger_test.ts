/** The pages of all CPUs come in the order of time. */
import { assertEquals } from "@std/assert";
import { RawPageCursor } from "../../../kernel/trace/raw_parser.ts";
import { RawMerger } from "../../../kernel/trace/raw_merger.ts";
import { captureFormats, type PlainRecord, RecordSink } from "../../_support/captures.ts";
import { brief, PageBuilder } from "../../_support/raw_pages.ts";

const FORMATS = captureFormats();

/** Merges lists of pages, one list a CPU. */
function merge(cpus: ReadonlyArray<ReadonlyArray<Uint8Array>>): [PlainRecord[], number[]] {
  const sink = new RecordSink();
  const cursors = cpus.map((_, cpu) => new RawPageCursor(FORMATS, cpu));
  const next = cpus.map(() => 0);
  const refills: number[] = [];
  const merger = new RawMerger(cursors, (index) => {
    refills.push(index);
    const page = cpus[index]![next[index]!++];
    if (page === undefined) return false;
    cursors[index]!.load(page, page.length);
    return true;
  });
  merger.drain(sink.writer);
  return [sink.drain(), refills];
}

Deno.test("RawMerger writes the events of all CPUs in the order of time", () => {
  const cpus: Uint8Array[][] = [[], [], []];
  let ns = 0;
  for (let pageIndex = 0; pageIndex < 5; pageIndex++) {
    const builders = cpus.map(() => new PageBuilder(BigInt(ns)));
    const last = cpus.map(() => ns);
    for (let i = 0; i < 100; i++) {
      const cpu = (i * 7 + (i >> 3)) % 3;
      ns += i % 4;
      builders[cpu]!.rss(ns - last[cpu]!, i);
      last[cpu] = ns;
    }
    builders.forEach((builder, cpu) => cpus[cpu]!.push(builder.commit()));
  }
  const [records] = merge(cpus);
  assertEquals(records.length, 500);
  assertEquals(new Set(records.map((record) => record.cpu)).size, 3);
  for (let i = 1; i < records.length; i++) {
    assertEquals(records[i]!.tsNs >= records[i - 1]!.tsNs, true, `${i}`);
  }
});

Deno.test("RawMerger asks each CPU until it is dry, once, over empty pages", () => {
  const empty = new PageBuilder(7n).commit();
  const [records, refills] = merge([[], [empty, empty, new PageBuilder(9n).rss(0, 1).commit()]]);
  assertEquals(brief(records), [[9, 1]]);
  assertEquals(refills, [0, 1, 1, 1, 1]);
  assertEquals(merge([]), [[], []]);
});
