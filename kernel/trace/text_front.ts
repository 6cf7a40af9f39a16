/**
 * Captures that came another way, made into lines of trace_pipe: in front of the text parser, for
 * `toom replay` only. A live reader gets its lines from the kernel and has no use for it.
 *
 *     trace_pipe        hog-9001    [000] ...1.   300.001000: rss_stat: mm_id=9 curr=1 ...
 *     trace-cmd report  hog-9001  [000] ...1.   300.001000: rss_stat:             mm_id=9 curr=1 ...
 *     perf script       hog  9001 [000]   300.001000:            kmem:rss_stat: mm_id=9 curr=1 ...
 *
 * And lines that end in CR LF, of any of them. Which form a capture has is decided once, by what
 * most lines of its beginning look like. Most captures are of the kernel's own form, and pass
 * through as they are.
 *
 * Source: tools/perf/builtin-script.c, trace-cmd's tracecmd/trace-read.c, libtraceevent.
 *
 * @module
 */

/** How much of the beginning is looked at. */
const HEAD_BYTES = 64 * 1024;
/** A longer line is passed on in pieces; the parser drops it. */
const LINE_BYTES_MAX = 64 * 1024;
const NEWLINE = 0x0a;
const RETURN = 0x0d;

export type TextForm = "trace" | "trace-cmd" | "perf";

/** What a capture looks like. */
export interface TextShape {
  readonly form: TextForm;
  /** Lines end in CR LF. */
  readonly hasReturns: boolean;
}

const EVENTS = "rss_stat|task_newtask|sched_process_(?:exec|exit|free)";
const IS_TRACE_CMD = /\d: \w+: {2,}\S/;
const IS_TRACE_CMD_HEAD = /^cpus=\d+$/;
/** Not the name alone: the kernel's lines have a dash before the pid, and no name of a system. */
const IS_PERF = /^\s*\S[^]*?\s+-?\d+(?:\/\d+)?\s+\[\d+\]\s+\d+\.\d+:\s+\w+:\w+: /;

/** Looks at the beginning of a capture. */
export function shapeOf(head: string): TextShape {
  const lines = head.split("\n");
  let returns = 0;
  let perf = 0;
  let traceCmd = 0;
  let trace = 0;
  for (const raw of lines) {
    const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    if (line.length < raw.length) returns++;
    if (IS_PERF.test(line)) perf++;
    else if (IS_TRACE_CMD.test(line) || IS_TRACE_CMD_HEAD.test(line)) traceCmd++;
    else if (/\d: \w+: \S/.test(line)) trace++;
  }
  const form = perf > traceCmd && perf > trace ? "perf" : traceCmd > trace ? "trace-cmd" : "trace";
  return { form, hasReturns: returns > 0 && returns >= (lines.length - 1) / 2 };
}

const PADDED_EVENT = new RegExp(`(\\d: (?:${EVENTS}):) {2,}`, "g");
const TRACE_CMD_LOSS = /^CPU:(\d+) \[(?:(\d+) )?EVENTS DROPPED\]$/;
const TRACE_CMD_HEAD = /^(?:cpus=\d+|version = .*|CPU \d+ is empty)$/;
/**
 * The first place that looks like it: a comm is too short to hold another, a file name is not.
 * Groups: comm, pid or tid, tid where both are told, cpu, time, event and fields.
 */
const PERF_EVENT = new RegExp(
  "^\\s*([^]*?)\\s+(\\d+)(?:\\/(\\d+))?\\s+\\[(\\d+)\\]\\s+(\\d+\\.\\d+):\\s+" +
    `(?:kmem|task|sched):((?:${EVENTS}): [^]*)$`,
);
const PERF_LOSS = /\[(\d+)\]\s+\d+\.\d+:\s+PERF_RECORD_LOST lost (\d+)$/;

/**
 * Makes a line, without its end, into one of trace_pipe. What is none of toom's business in the
 * form of another tool, headers and call chains for instance, becomes an empty line.
 */
export function toTraceLine(form: TextForm, line: string): string {
  if (form === "trace-cmd") {
    if (TRACE_CMD_HEAD.test(line)) return "";
    const [, cpu, lost] = TRACE_CMD_LOSS.exec(line) ?? [];
    if (cpu !== undefined) return `CPU:${cpu} [LOST ${lost === undefined ? "" : `${lost} `}EVENTS]`;
    return line.replace(PADDED_EVENT, "$1 ");
  }
  if (form === "perf") {
    const [, comm, first, second, cpu, time, event] = PERF_EVENT.exec(line) ?? [];
    if (event !== undefined) {
      const tgid = second === undefined ? "" : ` (${first})`;
      return `${comm}-${second ?? first}${tgid} [${cpu}] ..... ${time}: ${event}`;
    }
    const [, lossCpu, lost] = PERF_LOSS.exec(line) ?? [];
    return lossCpu === undefined ? "" : `CPU:${lossCpu} [LOST ${lost} EVENTS]`;
  }
  return line;
}

/** Where bytes go; what it gets is only good until it returns. */
export type ByteSink = (bytes: Uint8Array, length: number) => void;

/** A capture on its way to the text parser. */
export class TextFront {
  /** Known when the beginning has been looked at. */
  shape: TextShape | undefined;
  private readonly sink: ByteSink;
  private head: Uint8Array = new Uint8Array(HEAD_BYTES);
  private headLength = 0;
  /** The beginning of a line whose end has not come yet; one character a byte. */
  private rest = "";
  private out = new Uint8Array(HEAD_BYTES);

  constructor(sink: ByteSink) {
    this.sink = sink;
  }

  /** Takes a piece of the capture, cut anywhere. */
  push(bytes: Uint8Array, length: number): void {
    let from = 0;
    if (this.shape === undefined) {
      from = Math.min(length, HEAD_BYTES - this.headLength);
      this.head.set(bytes.subarray(0, from), this.headLength);
      this.headLength += from;
      if (this.headLength < HEAD_BYTES) return;
      this.begin();
    }
    if (from < length) this.pass(from === 0 ? bytes : bytes.subarray(from, length), length - from);
  }

  /** The capture is over. */
  end(): void {
    if (this.shape === undefined) this.begin();
    if (this.rest === "") return;
    const { form } = this.shape!;
    this.write(toTraceLine(form, withoutReturn(this.rest, this.shape!)));
    this.rest = "";
  }

  private begin(): void {
    const head = this.head.subarray(0, this.headLength);
    this.shape = shapeOf(latin1(head, 0, head.length));
    this.head = new Uint8Array(0);
    this.pass(head, head.length);
  }

  private pass(bytes: Uint8Array, length: number): void {
    const { form, hasReturns } = this.shape!;
    if (form === "trace" && !hasReturns) {
      this.sink(bytes, length);
      return;
    }
    let text = "";
    let start = 0;
    for (
      let at = bytes.indexOf(NEWLINE);
      at >= 0 && at < length;
      at = bytes.indexOf(NEWLINE, start)
    ) {
      const line = this.rest + latin1(bytes, start, at);
      this.rest = "";
      text += `${toTraceLine(form, withoutReturn(line, this.shape!))}\n`;
      if (text.length > HEAD_BYTES) {
        this.write(text);
        text = "";
      }
      start = at + 1;
    }
    this.rest += latin1(bytes, start, length);
    if (this.rest.length > LINE_BYTES_MAX) {
      text += this.rest;
      this.rest = "";
    }
    this.write(text);
  }

  /** Hands over text that has one character a byte. */
  private write(text: string): void {
    if (text.length > this.out.length) this.out = new Uint8Array(2 * text.length);
    const { out } = this;
    for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
    if (text !== "") this.sink(out, text.length);
  }
}

function withoutReturn(line: string, { hasReturns }: TextShape): string {
  return hasReturns && line.charCodeAt(line.length - 1) === RETURN ? line.slice(0, -1) : line;
}

/** Bytes as characters of the same numbers: TextDecoder's "latin1" is another. */
function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let at = start; at < end; at += 4096) {
    text += String.fromCharCode(...bytes.subarray(at, Math.min(end, at + 4096)));
  }
  return text;
}
