/**
 * Captures read into a replay, piece by piece: lines, or pages with the formats of their boot.
 *
 * @module
 */
import { messageOf } from "../kernel/ffi/thrown.ts";
import type { ParserCounts } from "../pipeline/replay/replay_summary.ts";
import { Replay } from "../pipeline/replay/replay.ts";
import {
  type EventFormat,
  type PageHeader,
  parseEventFormat,
  parseHeaderPage,
} from "../kernel/trace/formats.ts";
import { makeRawFormats, type RawFormats, RawPageCursor } from "../kernel/trace/raw_parser.ts";
import { RawMerger } from "../kernel/trace/raw_merger.ts";
import { TextFront } from "../kernel/trace/text_front.ts";
import { TextParser } from "../kernel/trace/text_parser.ts";
import {
  type ByteSource,
  cannotRead,
  isPackedName,
  textChunks,
  unpackWhole,
} from "./capture_bytes.ts";
import { FailedError } from "./errors.ts";
import {
  type RawCapture,
  SUBBUF_BYTES_MAX,
  SUBBUF_BYTES_MIN,
  type TextCapture,
} from "./replay_options.ts";

/**
 * A capture that nothing was understood of says nothing about limits: no "decisions: 0" for it.
 *
 * @throws {FailedError}
 */
export function requireEvents(capture: TextCapture | RawCapture, counts: ParserCounts): void {
  const { events, lifecycle, malformed, foreign } = counts;
  if (events > 0) return;
  const isText = capture.kind === "text";
  const path = isText ? shown(capture.path) : capture.paths.join(", ");
  const all = lifecycle + malformed + foreign;
  const of = all === 0
    ? "it is empty"
    : `none of its ${all} ${isText ? "lines" : "records"} is an event rss_stat ` +
      `(${lifecycle} life-cycle, ${malformed} malformed, ${foreign} foreign)`;
  const expected = isText
    ? "trace_pipe, trace, trace-cmd report or perf script"
    : "pages of trace_pipe_raw and the formats of the same boot";
  throw new FailedError(`Cannot replay ${path}: ${of}; expected ${expected} with kmem:rss_stat`);
}

function shown(path: string): string {
  return path === "-" ? "standard input" : path;
}

export async function replayText(
  replay: Replay,
  path: string,
  pageBytes: number,
  stdin: ByteSource,
): Promise<ParserCounts> {
  const parser = new TextParser(replay.writer, { pageBytes });
  const front = new TextFront((bytes, length) => {
    parser.push(bytes, length);
    replay.drain();
  });
  const file = path === "-" ? undefined : openFile(path);
  try {
    for await (const chunk of textChunks(file ?? stdin, shown(path))) {
      front.push(chunk, chunk.length);
    }
  } finally {
    file?.close();
  }
  front.end();
  parser.end();
  replay.drain();
  return parser.counters;
}

export async function replayRaw(
  replay: Replay,
  capture: RawCapture,
  pageBytes: number,
): Promise<ParserCounts> {
  const { formats, subbufBytes } = readFormats(capture, pageBytes);
  const files: Deno.FsFile[] = [];
  try {
    const sources: ByteSource[] = [];
    for (const path of capture.paths) {
      const file = openFile(path);
      files.push(file);
      sources.push(isPackedName(path) ? await unpackWhole(file, path) : file);
    }
    const cursors = capture.paths.map((path, index) =>
      new RawPageCursor(formats, cpuOf(path, index))
    );
    const pages = cursors.map(() => new Uint8Array(subbufBytes));
    const merger = new RawMerger(cursors, (index) => {
      replay.drain();
      const length = readWhole(sources[index]!, pages[index]!, capture.paths[index]!);
      if (length > 0) cursors[index]!.load(pages[index]!, length);
      return length > 0;
    });
    merger.drain(replay.writer);
    replay.drain();
    return sumOf(cursors);
  } finally {
    for (const file of files) file.close();
  }
}

function sumOf(cursors: readonly RawPageCursor[]): ParserCounts {
  const sum = { events: 0, lifecycle: 0, lost: 0, malformed: 0, foreign: 0 };
  for (const { counters } of cursors) {
    sum.events += counters.events;
    sum.lifecycle += counters.lifecycle;
    sum.lost += counters.lost;
    sum.malformed += counters.malformed;
    sum.foreign += counters.foreign;
  }
  return sum;
}

/** The CPU of a file `NAME.cpu3.raw`; else its place. */
function cpuOf(path: string, index: number): number {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const digits = [...name.matchAll(/cpu(\d{1,5})/g)].at(-1)?.[1];
  return digits === undefined ? index : Number(digits);
}

function readFormats(
  { formatsPath, subbufBytes }: RawCapture,
  pageBytes: number,
): { readonly formats: RawFormats; readonly subbufBytes: number } {
  const header = readFormat(formatsPath, "header_page.txt", parseHeaderPage);
  const event = (name: string): EventFormat =>
    readFormat(formatsPath, `${name}.format.txt`, parseEventFormat);
  const optional = (name: string): EventFormat | undefined =>
    isThere(`${formatsPath}/${name}.format.txt`) ? event(name) : undefined;
  const sources = {
    headerPage: header,
    rssStat: event("rss_stat"),
    newTask: optional("task_newtask"),
    exec: optional("sched_process_exec"),
    exit: optional("sched_process_exit"),
    free: optional("sched_process_free"),
    pageBytes,
  };
  try {
    return { formats: makeRawFormats(sources), subbufBytes: subbufBytes ?? pageOf(header) };
  } catch (error) {
    throw new FailedError(`${messageOf(error)} (in ${formatsPath})`, { cause: error });
  }
}

function pageOf({ dataOffset, dataBytes }: PageHeader): number {
  const bytes = dataOffset + dataBytes;
  if (bytes >= SUBBUF_BYTES_MIN && bytes <= SUBBUF_BYTES_MAX && bytes % 4 === 0) return bytes;
  throw new RangeError(`Cannot use header_page: it says that pages have ${bytes} bytes`);
}

function readFormat<Format>(
  formatsPath: string,
  name: string,
  parse: (text: string) => Format,
): Format {
  const path = `${formatsPath}/${name}`;
  const text = readText(path);
  try {
    return parse(text);
  } catch (error) {
    throw new FailedError(`Cannot use ${path}: ${messageOf(error)}`, { cause: error });
  }
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw cannotRead(path, error);
  }
}

function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    throw cannotRead(path, error);
  }
}

function openFile(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path);
  } catch (error) {
    throw cannotRead(path, error);
  }
}

/** @returns Bytes read; 0 at the end. */
function readInto(source: ByteSource, bytes: Uint8Array, path: string): number {
  try {
    return source.readSync(bytes) ?? 0;
  } catch (error) {
    throw cannotRead(path, error);
  }
}

/** Fills all of the page, less only at the end of the file. */
function readWhole(source: ByteSource, page: Uint8Array, path: string): number {
  let length = 0;
  while (length < page.length) {
    const count = readInto(source, page.subarray(length), path);
    if (count === 0) break;
    length += count;
  }
  return length;
}
