/**
 * The pipes of a trace instance as ports: opened by the supervisor, described by plain data, read by a
 * worker.
 *
 * @module
 */
import type { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import type { TraceSource } from "../../pipeline/ports.ts";
import { EventFd } from "../ffi/fd.ts";
import { POLLIN, PollSet } from "../ffi/poll.ts";
import { type FormatTexts, rawFormats } from "./raw_formats.ts";
import { RawSource } from "./raw_source.ts";
import { rehearseLines, rehearsePages } from "./rehearsal.ts";
import { SourceCounts } from "./source_counts.ts";
import { TextSource } from "./text_source.ts";

/** A pipe of trace data and the CPU that it comes from; -1: of all CPUs, merged by the kernel. */
export interface TracePipe {
  readonly cpu: number;
  readonly fd: number;
}

/** Pipes that one thread reads. Plain data; the descriptors belong to the process. */
export interface PipesSpec {
  /** Pages or lines. */
  readonly source: "raw" | "text";
  readonly pipes: readonly TracePipe[];
  /** To decode pages by. */
  readonly formats: FormatTexts;
  readonly pageBytes: number;
}

/** The pipes of a reader. */
export interface TraceSourceSpec extends PipesSpec {
  /** eventfd(2) that ends its waiting. */
  readonly wakeFd: number;
}

/** More of them make no other code. */
const REHEARSED_CPUS_MAX = 4;

/** @param onPage Called between pages, or chunks of lines. */
export function openPipes(
  { source, pipes, formats, pageBytes }: PipesSpec,
  writer: RecordWriter,
  onPage: () => void,
): RawSource | TextSource {
  return source === "raw"
    ? new RawSource(pipes, rawFormats(formats, pageBytes), writer, onPage)
    : new TextSource(pipes, pageBytes, writer, onPage);
}

class PipeSource implements TraceSource {
  readonly firstCpu: number;
  private readonly spec: TraceSourceSpec;
  private readonly source: RawSource | TextSource;
  private readonly counts: SourceCounts;
  private readonly wake: EventFd;
  private readonly poll: PollSet;
  private readonly wakeIndex: number;

  constructor(
    spec: TraceSourceSpec,
    writer: RecordWriter,
    onPage: () => void,
    counters: Float64Array,
  ) {
    this.spec = spec;
    this.firstCpu = spec.pipes[0]!.cpu;
    this.source = openPipes(spec, writer, onPage);
    this.counts = new SourceCounts(counters, this.source.parsers);
    this.wake = new EventFd(spec.wakeFd);
    this.poll = new PollSet(spec.pipes.length + 1);
    for (const { fd } of spec.pipes) this.poll.add(fd, POLLIN);
    this.wakeIndex = this.poll.add(spec.wakeFd, POLLIN);
  }

  read(isChasing: boolean): number {
    return this.source.read(isChasing);
  }

  storeCounts(): void {
    this.counts.store();
  }

  wait(timeoutMs: number): boolean {
    if (this.poll.wait(timeoutMs) <= 0) return false;
    if ((this.poll.revents(this.wakeIndex) & POLLIN) !== 0) this.wake.drain();
    return true;
  }

  rehearse(reads: number): void {
    const { source, pipes, formats, pageBytes } = this.spec;
    if (source === "raw") {
      const cpus = Math.min(pipes.length, REHEARSED_CPUS_MAX);
      rehearsePages(rawFormats(formats, pageBytes), cpus, reads);
    } else rehearseLines(pageBytes, reads);
  }
}

/**
 * @param onPage Called between pages, or chunks of lines.
 * @param counters Of the reader: its parsers' counts go there.
 */
export function openTraceSource(
  spec: TraceSourceSpec,
  writer: RecordWriter,
  onPage: () => void,
  counters: Float64Array,
): TraceSource {
  return new PipeSource(spec, writer, onPage, counters);
}
