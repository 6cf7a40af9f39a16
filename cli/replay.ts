/**
 * `toom replay`: a capture run through a policy. What would have happened?
 *
 * Needs nothing but the capture: no root, no foreign functions, no permission but to read. The file
 * is read piece by piece, and what `--dump` prints is written as it comes.
 *
 * @module
 */
import { z } from "zod";
import { LimitRules, parseSoft, SOFT_PERCENT_DEFAULT, UID_MAX } from "../pipeline/limits/limits.ts";
import { VICTIM_POLICIES } from "../pipeline/memory/settings.ts";
import {
  type ParserCounts,
  Replay,
  REPLAY_CAPACITY,
  type ReplayDecision,
  type ReplayMm,
  type ReplaySummary,
} from "../pipeline/replay/replay.ts";
import { formatBytes, FormatError, quote } from "../pipeline/limits/units.ts";
import {
  type EventFormat,
  type PageHeader,
  parseEventFormat,
  parseHeaderPage,
} from "../kernel/trace/formats.ts";
import {
  makeRawFormats,
  type RawFormats,
  RawMerger,
  RawPageCursor,
} from "../kernel/trace/raw_parser.ts";
import { TextFront } from "../kernel/trace/text_front.ts";
import { TextParser } from "../kernel/trace/text_parser.ts";
import {
  checkOptions,
  type CommandSpec,
  helpText,
  oneOf,
  parseCommand,
  readAs,
  usageError,
  wholeNumber,
} from "./args.ts";
import {
  type ByteSource,
  cannotRead,
  isPackedName,
  textChunks,
  unpackWhole,
} from "./capture_bytes.ts";
import { type CommandIo, ExitCode, FailedError, guard } from "./errors.ts";
import { parseLimitSpec, type UserResolver } from "./limit_spec.ts";
import { parseMembers } from "./run_options.ts";
import { tableLines } from "./table.ts";
import { readableUsers } from "./users.ts";

/** Characters of `--dump` that are written with one call. */
const DUMP_BATCH_CHARACTERS = 16 * 1024;
const PAGE_BYTES_MIN = 4096;
const PAGE_BYTES_MAX = 1024 * 1024;
/** The smallest that could hold an event; the largest that the kernel makes is 512 KiB. */
const SUBBUF_BYTES_MIN = 64;
const SUBBUF_BYTES_MAX = 1024 * 1024;
/** Rows of each part of the summary for people; `--json` has them all. */
const SHOWN_ROWS_MAX = 30;

const REPLAY_COMMAND: CommandSpec = {
  name: "toom replay",
  summary: "Run a capture through limits and a victim policy: what would have happened? No root.",
  usage: "FILE.txt|- [OPTION]...  or  --raw CPU0.raw,CPU1.raw --formats DIR [OPTION]...",
  positionals: [{
    name: "FILE",
    help:
      "Lines of trace_pipe, trace, trace-cmd report or perf script, perhaps .gz or .zst; - is stdin",
    optional: true,
  }],
  options: [
    {
      name: "raw",
      kind: "string",
      value: "FILE,FILE...",
      help: "Pages of per_cpu/cpuN/trace_pipe_raw, one file a CPU; N from the name, else by place",
    },
    {
      name: "formats",
      kind: "string",
      value: "DIR",
      help: "The kernel's description of those pages: header_page.txt, rss_stat.format.txt, ...",
    },
    {
      name: "subbuf",
      kind: "string",
      value: "BYTES",
      help: "Bytes of a page of the ring buffer (default: what header_page.txt says)",
    },
    {
      name: "limit",
      kind: "collect",
      value: "USER=SIZE[,soft=SIZE|PCT]",
      help: "Limit a user (name, uid, or a range 1000-59999; uid:N, user:NAME) to SIZE",
    },
    {
      name: "soft",
      kind: "string",
      value: "PCT|SIZE",
      default: `${SOFT_PERCENT_DEFAULT}%`,
      help: "Soft limit of limits that do not say, in percent of the hard one or as a size",
    },
    {
      name: "count",
      kind: "string",
      value: "MEMBERS",
      default: "anon+swap+shmem",
      help: "What counts as usage: file, anon, swap, shmem joined by +, or rss = anon+file+shmem",
    },
    {
      name: "victim",
      kind: "string",
      value: VICTIM_POLICIES.join("|"),
      default: "largest",
      help: "Which of the user's processes dies",
    },
    {
      name: "assume-uid",
      kind: "string",
      value: "UID",
      help: "The user of processes whose user the capture does not tell (it tells of none)",
    },
    {
      name: "page-bytes",
      kind: "string",
      value: "BYTES",
      default: String(PAGE_BYTES_MIN),
      help: "Page size of the machine that made the capture",
    },
    { name: "json", kind: "boolean", help: "Print the summary as JSON, on one line" },
    {
      name: "dump",
      kind: "boolean",
      help: "Print each rss_stat event and each loss as JSON, one a line; the summary needs --json",
    },
  ],
  notes: [
    "SIZE: 64MiB, 4G, 512Ki (1024-based), 25% of this machine's memory, whole pages in bytes, none.",
    "A process that would have been killed goes on in the capture; its pages count as being freed.",
  ],
};

/** What the command depends on; tests bring their own. */
export interface ReplayDependencies {
  readonly stdin?: ByteSource;
}

/**
 * `toom replay`.
 *
 * @param args The words behind `toom replay`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function replayCommand(
  args: string[],
  io: CommandIo,
  dependencies: ReplayDependencies = {},
): Promise<ExitCode> {
  return await guard(io, async () => {
    try {
      return await run(args, io, dependencies);
    } catch (error) {
      // Who read the output has seen enough, as `head` does: no reason to complain.
      if (error instanceof Deno.errors.BrokenPipe) return ExitCode.failed;
      throw error;
    }
  });
}

/** All at one pace: a slow reader of the output holds up the reading of the capture. */
async function run(
  args: string[],
  io: CommandIo,
  { stdin }: ReplayDependencies,
): Promise<ExitCode> {
  const parsed = parseCommand(REPLAY_COMMAND, args);
  if (parsed.help) {
    io.out(helpText(REPLAY_COMMAND));
    return ExitCode.done;
  }
  const options = checkOptions(REPLAY_COMMAND, OptionsSchema, parsed.options);
  const capture = captureOf(parsed.positionals[0], options);
  const batch = new DumpBatch(io);
  const replay = new Replay({
    capacity: { ...REPLAY_CAPACITY, pageBytes: options["page-bytes"] },
    countMask: options.count,
    policy: options.victim,
    limits: readLimits(options, await readableUsers()),
    assumeUid: options["assume-uid"],
    dump: options.dump ? (line) => batch.add(line) : undefined,
  });
  const counts = capture.kind === "text"
    ? await replayText(replay, capture.path, options["page-bytes"], stdin ?? Deno.stdin)
    : await replayRaw(replay, capture, options["page-bytes"]);
  batch.flush();
  requireEvents(capture, counts);
  const summary = replay.summary(counts);
  if (options.json) io.out(JSON.stringify(summary));
  else if (!options.dump) {
    for (const line of summaryLines(summary, options["page-bytes"])) io.out(line);
  }
  return ExitCode.done;
}

// --------------------------------------------------------------------------------------- options

const OptionsSchema = z.strictObject({
  raw: readAs(parsePaths).optional(),
  formats: z.string().optional(),
  subbuf: readAs(parseSubbufBytes).optional(),
  limit: z.array(z.string()),
  soft: readAs(parseSoft),
  count: readAs(parseMembers),
  victim: oneOf(VICTIM_POLICIES),
  "assume-uid": wholeNumber(0, UID_MAX).optional(),
  "page-bytes": readAs(parsePageBytes),
  json: z.boolean(),
  dump: z.boolean(),
});
type Options = z.infer<typeof OptionsSchema>;

function parsePaths(text: string): readonly string[] {
  const paths = text.split(",");
  if (paths.every((path) => path !== "")) return paths;
  throw new FormatError(`expected files joined by commas, not ${quote(text)}`);
}

function parsePageBytes(text: string): number {
  const bytes = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (bytes >= PAGE_BYTES_MIN && bytes <= PAGE_BYTES_MAX && (bytes & (bytes - 1)) === 0) {
    return bytes;
  }
  throw new FormatError(
    `expected a power of two from ${PAGE_BYTES_MIN} to ${PAGE_BYTES_MAX}, not ${quote(text)}`,
  );
}

function parseSubbufBytes(text: string): number {
  const bytes = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (bytes >= SUBBUF_BYTES_MIN && bytes <= SUBBUF_BYTES_MAX && bytes % 4 === 0) return bytes;
  throw new FormatError(
    `expected a multiple of 4 from ${SUBBUF_BYTES_MIN} to ${SUBBUF_BYTES_MAX}, not ${quote(text)}`,
  );
}

interface TextCapture {
  readonly kind: "text";
  /** `-`: standard input. */
  readonly path: string;
}

interface RawCapture {
  readonly kind: "raw";
  readonly paths: readonly string[];
  readonly formatsPath: string;
  readonly subbufBytes: number | undefined;
}

function captureOf(path: string | undefined, options: Options): TextCapture | RawCapture {
  const { raw, formats, subbuf } = options;
  if (raw === undefined) {
    const rawOnly = formats !== undefined ? "--formats" : subbuf !== undefined ? "--subbuf" : "";
    if (rawOnly !== "") throw usageError(REPLAY_COMMAND, `${rawOnly} is for --raw only`);
    if (path === undefined) {
      throw usageError(REPLAY_COMMAND, "expected a FILE, - for stdin, or --raw FILE,...");
    }
    return { kind: "text", path };
  }
  if (path !== undefined) {
    throw usageError(REPLAY_COMMAND, `expected FILE or --raw, not both: ${quote(path)}`);
  }
  if (formats === undefined) throw usageError(REPLAY_COMMAND, "--raw needs --formats DIR");
  return { kind: "raw", paths: raw, formatsPath: formats, subbufBytes: subbuf };
}

function readLimits(options: Options, users: UserResolver): LimitRules {
  const limits = new LimitRules();
  for (const text of options.limit) {
    const host = {
      uidOf: (name: string) => users.uidOf(name),
      pageBytes: options["page-bytes"],
      // Asked for only where it counts: it takes a permission of its own.
      totalMemoryBytes: /=[^,]*%/.test(text) ? Deno.systemMemoryInfo().total : 0,
    };
    try {
      const rule = parseLimitSpec(text, host, options.soft);
      if (
        limits.list().some(({ uidFirst, uidLast }) =>
          uidFirst === rule.uidFirst && uidLast === rule.uidLast
        )
      ) {
        throw new FormatError(`--limit: expected one limit a user, not another ${quote(text)}`);
      }
      limits.set(rule);
    } catch (error) {
      if (error instanceof FormatError) throw usageError(REPLAY_COMMAND, error.message);
      throw error;
    }
  }
  return limits;
}

// --------------------------------------------------------------------------------------- reading

/**
 * A capture that nothing was understood of says nothing about limits: no "decisions: 0" for it.
 *
 * @throws {FailedError}
 */
function requireEvents(capture: TextCapture | RawCapture, counts: ParserCounts): void {
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

async function replayText(
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

async function replayRaw(
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
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

// ---------------------------------------------------------------------------------------- output

/** Writes many lines with one call. */
class DumpBatch {
  private readonly io: CommandIo;
  private text = "";

  constructor(io: CommandIo) {
    this.io = io;
  }

  add(line: string): void {
    this.text += this.text === "" ? line : `\n${line}`;
    if (this.text.length >= DUMP_BATCH_CHARACTERS) this.flush();
  }

  flush(): void {
    if (this.text !== "") this.io.out(this.text);
    this.text = "";
  }
}

/** A summary for people. */
export function summaryLines(summary: ReplaySummary, pageBytes: number): readonly string[] {
  const { events, lifecycle, lost, malformed, foreign, mms, users, decisions } = summary;
  const size = (pages: number | null): string =>
    pages === null ? "-" : formatBytes(pages * pageBytes);
  const id = (value: number | null): string => value === null ? "?" : String(value);
  const sum = ({ pages }: ReplayMm): number => pages.file + pages.anon + pages.swap + pages.shmem;
  const alive = mms.filter((mm) => sum(mm) > 0).sort((a, b) => sum(b) - sum(a));
  const { timesBack, timesBackNsMax } = summary;
  const lines = [
    `events     ${events} rss_stat, ${lifecycle} life-cycle, ${lost} lost, ` +
    `${malformed} malformed, ${foreign} foreign`,
    ...(timesBack === 0 ? [] : [
      `times      ${timesBack} events are older than one before them, by up to ` +
      `${
        Math.round(timesBackNsMax / 1000)
      } us: is the trace_clock local? mono is the same on all CPUs`,
    ]),
    "",
    ...part("users", users, (rows) =>
      tableLines([
        { title: "UID", text: ({ uid }) => id(uid), right: true },
        { title: "USAGE", text: ({ usagePages }) => size(usagePages), right: true },
        { title: "PEAK", text: ({ peakPages }) => size(peakPages), right: true },
        { title: "LIMIT", text: ({ limitPages }) => size(limitPages), right: true },
      ], rows)),
    "",
    ...part(`mms with pages at the end (of ${mms.length})`, alive, (rows) =>
      tableLines([
        { title: "MM", text: ({ mmId }) => id(mmId), right: true },
        { title: "PID", text: ({ tgid }) => id(tgid), right: true },
        { title: "UID", text: ({ uid }) => id(uid), right: true },
        { title: "FILE", text: ({ pages }) => size(pages.file), right: true },
        { title: "ANON", text: ({ pages }) => size(pages.anon), right: true },
        { title: "SWAP", text: ({ pages }) => size(pages.swap), right: true },
        { title: "SHMEM", text: ({ pages }) => size(pages.shmem), right: true },
      ], rows)),
    "",
    ...part("decisions", decisions, (rows) => rows.map((row) => decisionLine(row, size, id))),
  ];
  return lines;
}

function decisionLine(
  { ts, event, uid, pid, usagePages, hardPages }: ReplayDecision,
  size: (pages: number) => string,
  id: (value: number | null) => string,
): string {
  const when = `${(ts / 1e9).toFixed(6)} s`;
  const what = event === "kill" ? `kill pid ${id(pid)} of uid ${id(uid)}` : `soft uid ${id(uid)}`;
  return `${when}  ${what}, at ${size(usagePages)} of ${size(hardPages)} ` +
    `(${usagePages} of ${hardPages} pages)`;
}

/** A heading with the number of rows, and the first of them. */
function part<Row>(
  title: string,
  rows: readonly Row[],
  show: (rows: readonly Row[]) => readonly string[],
): readonly string[] {
  const left = rows.length - SHOWN_ROWS_MAX;
  return [
    `${title}: ${rows.length}`,
    ...(rows.length === 0 ? [] : show(rows.slice(0, SHOWN_ROWS_MAX)).map((line) => `  ${line}`)),
    ...(left > 0 ? [`  … and ${left} more, see --json`] : []),
  ];
}
