import { assertEquals } from "@std/assert";
import { shapeOf, TextFront, toTraceLine } from "../../../kernel/trace/text_front.ts";
import { TextParser } from "../../../kernel/trace/text_parser.ts";
import {
  CAPTURE_CPUS,
  latin1,
  PAGE_BYTES,
  type PlainRecord,
  readCapture,
  RecordSink,
} from "../../_support/captures.ts";
import { withSeeds } from "../../_support/random.ts";

interface Parsed {
  readonly records: readonly PlainRecord[];
  readonly counts: readonly number[];
  readonly front: TextFront;
}

/** A capture through the front, in pieces. */
function parse(bytes: Uint8Array, pieceBytes = bytes.length): Parsed {
  const sink = new RecordSink();
  const parser = new TextParser(sink.writer, { pageBytes: PAGE_BYTES });
  const front = new TextFront((piece, length) => parser.push(piece, length));
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = bytes.subarray(at, at + pieceBytes);
    front.push(piece, piece.length);
  }
  front.end();
  parser.end();
  const { events, lifecycle, lossRecords, malformed } = parser.counters;
  return { records: sink.drain(), counts: [events, lifecycle, lossRecords, malformed], front };
}

function text(bytes: Uint8Array): string {
  return [...bytes].map((byte) => String.fromCharCode(byte)).join("");
}

const NAMES = "rss_stat|task_newtask|sched_process_(?:exec|exit|free)";
const SYSTEMS: Readonly<Record<string, string>> = { rss_stat: "kmem", task_newtask: "task" };

/** As trace-cmd report prints it: other columns, the name padded to 20. */
function asTraceCmd(capture: string): string {
  const lines = capture.split("\n").filter((line) => !line.startsWith("#"))
    .map((line) =>
      line.replace(/^CPU:(\d+) \[LOST (\d+) EVENTS\]$/, "CPU:$1 [$2 EVENTS DROPPED]")
        .replace(
          new RegExp(`(\\d: )(${NAMES}): `),
          (_, head, name) => `${head}${`${name}:`.padEnd(20)}  `,
        )
    );
  return `version = 6\nCPU 0 is empty\ncpus=2\n${lines.join("\n")}`;
}

/** As perf script prints it; with both pid and tid, or the tid alone. */
function asPerf(capture: string, both: boolean): string {
  return capture.split("\n").filter((line) => !line.startsWith("#")).map((line) => {
    const match = new RegExp(
      `^ *([^]*)-(\\d+) +\\[(\\d+)\\] [^ ]+ +(\\d+\\.\\d+): (${NAMES}): ([^]*)$`,
    ).exec(line);
    if (match === null) return line.replace(/^.*sched_process_fork.*$/, "");
    const [, comm, tid, cpu, time, name, body] = match;
    const event = `${SYSTEMS[name!] ?? "sched"}:${name}`;
    const ids = both ? `${tid}/${tid}` : tid!;
    return `${comm!.padStart(16)} ${ids.padStart(5)} [${cpu}] ${time!.padStart(12)}: ` +
      `${event.padStart(24)}: ${body}\n\tffffffff81234567 handle_mm_fault+0x12 ([kernel.kallsyms])`;
  }).join("\n");
}

Deno.test("the kernel's own lines pass through as they are", () => {
  for (const name of Object.keys(CAPTURE_CPUS)) {
    for (const form of ["trace", "pipe"]) {
      const bytes = readCapture(`${name}.${form}.txt`);
      const pieces: Uint8Array[] = [];
      const front = new TextFront((piece, length) => pieces.push(piece.slice(0, length)));
      front.push(bytes, bytes.length);
      front.end();
      assertEquals(front.shape, { form: "trace", hasReturns: false }, name);
      const out = new Uint8Array(bytes.length);
      let at = 0;
      for (const piece of pieces) {
        out.set(piece, at);
        at += piece.length;
      }
      assertEquals([at, out], [bytes.length, bytes]);
    }
  }
});

for (const name of ["exec_chain", "fork_storm", "vfork_exec", "swap_pageout"]) {
  Deno.test(`${name} gives the same records in every form`, () => {
    const bytes = readCapture(`${name}.trace.txt`);
    const plain = parse(bytes);
    const capture = text(bytes);
    const forms: readonly (readonly [string, string, number])[] = [
      ["trace", capture, 0],
      ["trace-cmd", asTraceCmd(capture), 0],
      ["perf", asPerf(capture, false), 0],
      ["perf", asPerf(capture, true), 1],
    ];
    withSeeds(3, (random) => {
      for (const [form, lines, hasTgid] of forms) {
        for (const returns of [false, true]) {
          const input = latin1(returns ? lines.replaceAll("\n", "\r\n") : lines);
          const parsed = parse(input, random.between(1000, 100_000));
          assertEquals(parsed.front.shape, { form, hasReturns: returns } as unknown);
          const records = parsed.records.map((record) =>
            "tgid" in record && hasTgid === 1 ? { ...record, tgid: 0 } : record
          );
          assertEquals(records, plain.records);
          assertEquals(parsed.counts, plain.counts);
          if (hasTgid === 1) assertEquals(parsed.records[0]!["tgid"], parsed.records[0]!.tid);
        }
      }
    });
  });
}

Deno.test("a capture of perf script is read as it was taken", () => {
  const { records, counts, front } = parse(readCapture("perf_script.txt"));
  assertEquals(front.shape, { form: "perf", hasReturns: false });
  const lines = text(readCapture("perf_script.txt")).trimEnd().split("\n");
  const events = lines.filter((line) => line.includes("rss_stat")).length;
  assertEquals(counts, [events, lines.length - events, 0, 0]);
  assertEquals(records.filter(({ kind }) => kind === "exec").length, 4);
  assertEquals(records.filter(({ kind }) => kind === "newTask").length, 3);
});

Deno.test("toTraceLine() reads names with anything in them, losses, and other columns", () => {
  const body = "rss_stat: mm_id=9 curr=1 type=MM_ANONPAGES size=4096B";
  const perf: readonly (readonly [string, string])[] = [
    [
      `  a b-1 [0] 2  9001 [003]   1.000001:   kmem:${body}`,
      `a b-1 [0] 2-9001 [003] ..... 1.000001: ${body}`,
    ],
    [
      `hog 9001/9002 [000] 1.000001001: kmem:${body}`,
      `hog-9002 (9001) [000] ..... 1.000001001: ${body}`,
    ],
    [`    :-1    -1 [000]   1.000001:   kmem:${body}`, ""],
    ["hog 7 [002] 1.000001: PERF_RECORD_LOST lost 12", "CPU:002 [LOST 12 EVENTS]"],
    ["hog 7 [002] 1.000001: sched:sched_switch: prev_comm=x", ""],
    ["\tffffffff81 handle_mm_fault+0x1 ([kernel])", ""],
    ["# ========", ""],
    [
      // A file name that looks like an event is a file name.
      `sh 7 [000] 1.5: sched:sched_process_exec: filename=/tmp/x 1 [0] 1.5: kmem:${body} pid=7 old_pid=7`,
      `sh-7 [000] ..... 1.5: sched_process_exec: filename=/tmp/x 1 [0] 1.5: kmem:${body} pid=7 old_pid=7`,
    ],
  ];
  for (const [line, expected] of perf) assertEquals(toTraceLine("perf", line), expected);
  const traceCmd: readonly (readonly [string, string])[] = [
    ["cpus=2", ""],
    ["CPU:1 [EVENTS DROPPED]", "CPU:1 [LOST EVENTS]"],
    ["CPU:1 [12 EVENTS DROPPED]", "CPU:1 [LOST 12 EVENTS]"],
    [
      "  x-7  [000]   1.000001: rss_stat:             mm_id=9",
      "  x-7  [000]   1.000001: rss_stat: mm_id=9",
    ],
    ["  x-7  [000]   1.000001: other:     a  b", "  x-7  [000]   1.000001: other:     a  b"],
  ];
  for (const [line, expected] of traceCmd) assertEquals(toTraceLine("trace-cmd", line), expected);
});

Deno.test("shapeOf() goes by most lines, not by what a name looks like", () => {
  const plain = "  x-7  [000] ..... 1.000001: rss_stat: mm_id=9 curr=1 type=MM_ANONPAGES size=0B";
  const hostile = "x 1 [0] 1.0: a:b: -7  [000] ..... 1.000001: rss_stat: mm_id=9";
  assertEquals(shapeOf([plain, plain, hostile, "cpus=2", "x\r"].join("\n")).form, "trace");
  assertEquals(shapeOf([plain, plain, plain, "x\r", plain].join("\n")).hasReturns, false);
  assertEquals(shapeOf(""), { form: "trace", hasReturns: false });
});

Deno.test("lines without end, and no lines, go through", () => {
  for (const form of ["cpus=2\n", ""]) {
    const endless = new Uint8Array(300_000).fill(0x41);
    endless.set(latin1(form));
    const { counts } = parse(endless, 10_000);
    assertEquals(counts.slice(0, 3), [0, 0, 0]);
  }
  assertEquals(parse(new Uint8Array(0)).counts, [0, 0, 0, 0]);
});
