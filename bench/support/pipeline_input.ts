/**
 * What a pipeline is fed with, in memory: pages of each CPU, or reads of trace_pipe.
 *
 * @module
 */
import { captureFormats, PAGE_BYTES } from "../../tests/_support/captures.ts";
import type { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { RawMerger } from "../../kernel/trace/raw_merger.ts";
import { RawPageCursor } from "../../kernel/trace/raw_parser.ts";
import { TextParser } from "../../kernel/trace/text_parser.ts";
import { Load } from "./load.ts";
import { longRawCapture, longTextCapture } from "./long_captures.ts";

/** Plain data, to be posted to workers. */
export type PipelineInput =
  | { readonly source: "raw"; readonly cpus: readonly (readonly Uint8Array[])[] }
  | { readonly source: "text"; readonly reads: readonly Uint8Array[] };

export function captureInput(source: "raw" | "text", repeats: number): PipelineInput {
  return source === "raw"
    ? { source, cpus: longRawCapture(repeats) }
    : { source, reads: longTextCapture(repeats) };
}

/** Processes on two CPUs that grow, and do nothing else. */
export function growthInput(source: "raw" | "text", events: number): PipelineInput {
  const half = events / 2;
  const loads = [0, 1].map((cpu) => new Load({ processes: 10, run: 256, cpu }));
  if (source === "raw") {
    const formats = captureFormats();
    return { source, cpus: loads.map((load) => load.toRawPages(half, formats)) };
  }
  // The kernel merges lines; whole reads of each in turn cost the same.
  const [first, second] = loads.map((load) => load.toTextReads(half)) as [Reads, Reads];
  const reads: Uint8Array[] = [];
  for (let i = 0; i < Math.max(first.length, second.length); i++) {
    reads.push(...first.slice(i, i + 1), ...second.slice(i, i + 1));
  }
  return { source, reads };
}
type Reads = Uint8Array[];

/** Parses all of an input, as the sources of the reader do, with copies where these read. */
export class InputParser {
  private readonly parse: () => number;

  /** @param onPage Called after each page or read: the place to publish. */
  constructor(input: PipelineInput, writer: RecordWriter, onPage: () => void) {
    this.parse = input.source === "raw"
      ? rawParse(input.cpus, writer, onPage)
      : textParse(input.reads, writer, onPage);
  }

  /** @returns Events and life-cycle events. */
  run(): number {
    return this.parse();
  }
}

function rawParse(
  cpus: readonly (readonly Uint8Array[])[],
  writer: RecordWriter,
  onPage: () => void,
): () => number {
  const formats = captureFormats();
  const buffers = cpus.map(() => new Uint8Array(PAGE_BYTES));
  const next = cpus.map(() => 0);
  const cursors = cpus.map((_, cpu) => new RawPageCursor(formats, cpu));
  const merger = new RawMerger(cursors, (index) => {
    onPage();
    const page = cpus[index]![next[index]!++];
    if (page === undefined) return false;
    buffers[index]!.set(page);
    cursors[index]!.load(buffers[index]!, page.length);
    return true;
  });
  let before = 0;
  return () => {
    next.fill(0);
    merger.drain(writer);
    onPage();
    const sum = cursors.reduce(
      (sum, { counters }) => sum + counters.events + counters.lifecycle,
      0,
    );
    const parsed = sum - before;
    before = sum;
    return parsed;
  };
}

function textParse(
  reads: readonly Uint8Array[],
  writer: RecordWriter,
  onPage: () => void,
): () => number {
  const parser = new TextParser(writer, { pageBytes: PAGE_BYTES });
  const buffer = new Uint8Array(16 * 1024);
  let before = 0;
  return () => {
    for (let i = 0; i < reads.length; i++) {
      const read = reads[i]!;
      buffer.set(read);
      parser.push(buffer, read.length);
      onPage();
    }
    const sum = parser.counters.events + parser.counters.lifecycle;
    const parsed = sum - before;
    before = sum;
    return parsed;
  };
}
