import { assertEquals, assertThrows } from "@std/assert";
import { LINE_BYTES_MAX, TextParser } from "../../../kernel/trace/text_parser.ts";
import type { ParserCounters } from "../../../kernel/trace/page_format.ts";
import { latin1, type PlainRecord, RecordSink } from "../../_support/captures.ts";

interface Parsed {
  readonly records: readonly PlainRecord[];
  readonly counters: ParserCounters;
}

/** Parses a text of code points up to 255, given in pieces of at most so many bytes. */
function parse(text: string, { chunkBytes = Infinity, pageBytes = 4096 } = {}): Parsed {
  const sink = new RecordSink();
  const parser = new TextParser(sink.writer, { pageBytes });
  const bytes = latin1(text);
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    const piece = bytes.slice(at, at + chunkBytes);
    parser.push(piece, piece.length);
  }
  parser.end();
  return { records: sink.drain(), counters: parser.counters };
}

/** The line's only record. */
function parseOne(line: string): PlainRecord {
  const { records, counters } = parse(line + "\n");
  assertEquals(records.length, 1, `${JSON.stringify(line)}: ${JSON.stringify(counters)}`);
  assertEquals(counters.malformed, 0, line);
  return records[0]!;
}

const BODY = "rss_stat: mm_id=2320283767 curr=1 type=MM_ANONPAGES size=40960B";
const HEAD = "        wl_touch-7985    [001] ...1.  1585.585326: ";
const RSS = {
  kind: "rss",
  tsNs: 1585585326000,
  cpu: 1,
  tid: 7985,
  mmId: 2320283767,
  pages: 10,
  member: 1,
  curr: 1,
  noMmId: false,
  tgid: 0,
} as const;

Deno.test("TextParser reads every prefix that kernels print", () => {
  const cases: Array<[string, Partial<PlainRecord>]> = [
    [HEAD, {}],
    ["        wl_touch-7986    [001]   1585.648746: ", { tid: 7986, tsNs: 1585648746000 }],
    ["        wl_touch-7985    [001] .... 1585.585326: ", {}],
    ["        wl_touch-7985    [001] d..1.1  1585.585326: ", {}],
    ["        wl_touch-7985    [001] ...21  1585.585326: ", {}],
    ["        wl_touch-7985    [001] DNZff  1585.585326: ", {}],
    ["        wl_touch-7987    (   7987) [001] ...1.  1585.585326: ", { tid: 7987, tgid: 7987 }],
    ["        wl_touch-7987    (     12) [001]   1585.585326: ", { tid: 7987, tgid: 12 }],
    ["        wl_touch-14624   (-------) [001] ...1.  1585.585326: ", { tid: 14624 }],
    ["        wl_touch-14624 (-----) [001] ...1.  1585.585326: ", { tid: 14624 }],
    ["        wl_touch-14624 (14620) [001] ....  1585.585326: ", { tid: 14624, tgid: 14620 }],
    ["           <...>-7988    [001] ...1.  1585.585326: ", { tid: 7988 }],
    ["          <idle>-0       [001] ..s1.  1585.585326: ", { tid: 0 }],
    ["        wl_touch-8004    [000] ...1.           23: ", { cpu: 0, tid: 8004, tsNs: 23 }],
    ["        wl_touch-8004    [000] ...1. 18446744073709551615: ", {
      cpu: 0,
      tid: 8004,
      tsNs: 2 ** 64,
    }],
    ["        wl_touch-8010    [001] ...1. 1795377082.246284: ", {
      tid: 8010,
      tsNs: 1795377082246284000,
    }],
    ["        wl_touch-7985    [001] ...1.  1585.585326123: ", { tsNs: 1585585326123 }],
    ["            bash-1108  [000] ...21    73.950578: ", { cpu: 0, tid: 1108, tsNs: 73950578000 }],
    ["   a-4194304 [1023] ...1.     0.000001: ", { cpu: 1023, tid: 4194304, tsNs: 1000 }],
    ["org.servo.servo-44682   (  44682) [006] .... 17863.362316: ", {
      cpu: 6,
      tid: 44682,
      tgid: 44682,
      tsNs: 17863362316000,
    }],
    ["ndroid.systemui-888 [000] ... 2 597.590000: ", { cpu: 0, tid: 888, tsNs: 597590000000 }],
  ];
  for (const [head, difference] of cases) {
    assertEquals<unknown>(parseOne(head + BODY), { ...RSS, ...difference }, head);
  }
});

Deno.test("TextParser reads every body that kernels print", () => {
  const cases: Array<[string, Partial<PlainRecord>]> = [
    ["mm_id=2320283767 curr=1 type=MM_FILEPAGES size=40960B", { member: 0 }],
    ["mm_id=2320283767 curr=1 type=MM_SWAPENTS size=40960B", { member: 2 }],
    ["mm_id=2320283767 curr=1 type=MM_SHMEMPAGES size=40960B", { member: 3 }],
    ["mm_id=1216113068 curr=0 member=1 size=28672B", { mmId: 1216113068, curr: 0, pages: 7 }],
    ["mm_id=537018 curr=1 member=2 size=68227072B", { mmId: 537018, member: 2, pages: 16657 }],
    ["mm_id=4294967295 curr=1 member=3 size=0B", { mmId: 4294967295, member: 3, pages: 0 }],
    ["mm_id=0 curr=1 member=0 size=0B", { mmId: 0, member: 0, pages: 0 }],
    ["mm_id=5 curr=1 type=MM_ANONPAGES size=-8192B", { mmId: 5, pages: -2 }],
    ["mm_id=5 curr=1 type=MM_ANONPAGES size=9223372036854775807B", { mmId: 5, pages: 2 ** 31 - 1 }],
    ["mm_id=5 curr=1 type=MM_ANONPAGES size=-9223372036854775808B", { mmId: 5, pages: -(2 ** 31) }],
    ["mm_id=5 curr=1 type=MM_ANONPAGES size=8796093018112B", { mmId: 5, pages: 2 ** 31 - 1 }],
    ["member=1 size=27365376B", { mmId: 0, noMmId: true, pages: 6681 }],
    ["member=1 size=6681", { mmId: 0, noMmId: true, pages: 6681 }],
    ["member=2 size=-3", { mmId: 0, noMmId: true, member: 2, pages: -3 }],
    ["member=1 size=99999999999", { mmId: 0, noMmId: true, pages: 2 ** 31 - 1 }],
  ];
  for (const [body, difference] of cases) {
    assertEquals<unknown>(parseOne(`${HEAD}rss_stat: ${body}`), { ...RSS, ...difference }, body);
  }
});

Deno.test("TextParser reads the original's lines", () => {
  const { records, counters } = parse(
    "ndroid.systemui-888 [000] ... 2 597.590000: rss_stat: member=1 size=6681\n" +
      "ndroid.systemui-888 [000] ... 2 597.610000: rss_stat: member=1 size=6639\n" +
      "adbd-77 [000] ... 2 597.640000: rss_stat: member=1 size=58\n",
  );
  assertEquals(records.map(({ tid, tsNs, pages }) => [tid, tsNs, pages]), [
    [888, 597590000000, 6681],
    [888, 597610000000, 6639],
    [77, 597640000000, 58],
  ]);
  assertEquals(records.map(({ curr, noMmId, mmId }) => [curr, noMmId, mmId])[0], [1, true, 0]);
  assertEquals(counters.malformed, 0);
});

Deno.test("TextParser converts bytes by the page size it is given", () => {
  const { records } = parse(`${HEAD}${BODY.replace("40960", "131072")}\n`, { pageBytes: 16384 });
  assertEquals(records[0]!["pages"], 8);
  assertThrows(() => parse("", { pageBytes: 5000 }), RangeError, "power of two");
});

Deno.test("TextParser counts an unknown member as foreign", () => {
  for (const body of ["type=0x4", "type=MM_NEWPAGES", "member=4", "member=-1", "member=17"]) {
    const { records, counters } = parse(`${HEAD}rss_stat: mm_id=1 curr=1 ${body} size=0B\n`);
    assertEquals(records, [], body);
    assertEquals(counters.foreign + counters.malformed, 1, body);
    assertEquals(counters.foreign, body === "member=-1" ? 0 : 1, body);
  }
});

Deno.test("TextParser is not deceived by any comm", () => {
  const comms = [
    "",
    " ",
    "a b c",
    "x-123",
    "[0]",
    "(tg) ",
    "<...>",
    "<idle>",
    "0-1 [000] ....1",
    "-1 [0] 1: ",
    "-1 [0] 1: rss_s",
    "rss_stat: mm_id",
    "CPU:0 [LOST 9 E",
    "CPU:0 [LOST]",
    " => f",
    "#",
    "x\ty\x1b[31m",
    "\xff\xfe\x80",
    "a\r",
    "123456789012345",
    "a: b: c: d: e:",
    "size=0B",
    "\0",
  ];
  for (const comm of comms) {
    const line = `${comm.padStart(16)}-7985    [001] ...1.  1585.585326: ${BODY}`;
    assertEquals<unknown>(parseOne(line), RSS, JSON.stringify(comm));
  }
});

Deno.test("TextParser reads the event behind a newline in a comm", () => {
  const comms: Array<[string, number]> = [
    ["a\nb", 1],
    ["\n", 0],
    ["\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n", 0],
    ["\n => \n# \nCPU:0 [", 0],
    ["a\n-1 [0] 1: b", 1],
    ["-1 [0] 1: a\n", 0],
    ["\nCPU:9 [LOST 1\n", 1],
  ];
  for (const [comm, malformedMin] of comms) {
    const line = `${comm.padStart(16)}-7985    [001] ...1.  1585.585326: ${BODY}\n`;
    const { records, counters } = parse(line);
    assertEquals<unknown>(records, [RSS], JSON.stringify(comm));
    assertEquals(counters.malformed >= malformedMin, true, JSON.stringify(comm));
  }
});

Deno.test("TextParser reads life-cycle events", () => {
  const head = "          python3-13556   [001] .....  2426.737608: ";
  const base = { tsNs: 2426737608000, cpu: 1, tid: 13556 };
  const cases: Array<[string, Record<string, unknown>]> = [
    ["task_newtask: pid=13729 comm=python3 clone_flags=4100 oom_score_adj=0", {
      kind: "newTask",
      child: 13729,
      cloneFlags: 0x4100,
      tgid: 0,
    }],
    ["task_newtask: pid=1 comm= comm=x pid=2 clone_flags=2003d0f00 oom_score_adj=-1000", {
      kind: "newTask",
      child: 1,
      cloneFlags: 0x003d0f00,
      tgid: 0,
    }],
    ["task_newtask: pid=8 comm=x clone_flags=fffffffff1200000 oom_score_adj=1000", {
      kind: "newTask",
      child: 8,
      cloneFlags: 0xf1200000,
      tgid: 0,
    }],
    ["sched_process_exec: filename=/bin/true pid=13713 old_pid=13714", {
      kind: "exec",
      pid: 13713,
      oldPid: 13714,
    }],
    ["sched_process_exec: filename=/a b/ pid=1 old_pid=1 pid=13713 old_pid=13713", {
      kind: "exec",
      pid: 13713,
      oldPid: 13713,
    }],
    [
      "sched_process_exec: filename=x-1 [0] ... 1.000000: sched_process_exec: filename=y pid=7 old_pid=7",
      {
        kind: "exec",
        pid: 7,
        oldPid: 7,
      },
    ],
    ["sched_process_exit: comm=pvm_tgt pid=13714 prio=120 group_dead=true", {
      kind: "exit",
      pid: 13714,
      groupDead: 1,
    }],
    ["sched_process_exit: comm= pid=1 prio=1 g pid=13714 prio=-1 group_dead=false", {
      kind: "exit",
      pid: 13714,
      groupDead: 0,
    }],
    ["sched_process_exit: comm= pid=13714 prio=120", { kind: "exit", pid: 13714, groupDead: -1 }],
    ["sched_process_free: comm= pid=1 prio=1  pid=13714 prio=120", { kind: "free", pid: 13714 }],
  ];
  for (const [body, expected] of cases) {
    assertEquals<unknown>(parseOne(head + body), { ...base, ...expected }, body);
  }
  const tgid = parseOne(
    "        python3-13556   (  13550) [001] .....  2426.737608: " +
      "task_newtask: pid=13729 comm=python3 clone_flags=10900 oom_score_adj=0",
  );
  assertEquals(tgid["tgid"], 13550);
});

Deno.test("TextParser puts a life-cycle event together whose comm has newlines", () => {
  const comms = [
    "\n",
    "a\nb",
    "\n\n\n",
    "\n pid=1 prio=1\n",
    " pid=1 prio=1\n",
    "a\n pid=1 prio=1",
  ];
  const bodies: Array<[string, string, string]> = [
    ["newTask", "task_newtask: pid=77 comm=", " clone_flags=1200000 oom_score_adj=0"],
    ["exit", "sched_process_exit: comm=", " pid=77 prio=120 group_dead=true"],
    ["exit", "sched_process_exit: comm=", " pid=77 prio=120"],
    ["free", "sched_process_free: comm=", " pid=77 prio=120"],
  ];
  for (const comm of comms) {
    for (const [kind, head, tail] of bodies) {
      const { records, counters } = parse(`${HEAD}${head}${comm}${tail}\n${HEAD}${BODY}\n`);
      assertEquals(records.map((record) => record.kind), [kind, "rss"], JSON.stringify(comm));
      assertEquals(records[0]!.tid, 7985);
      assertEquals(records[0]!["pid"] ?? records[0]!["child"], 77, JSON.stringify(comm));
      assertEquals(counters.malformed, 0);
      assertEquals(counters.lifecycle, 1);
    }
  }
});

Deno.test("TextParser sees a life-cycle event behind a comm that looks like a comment", () => {
  for (const comm of ["a\n#b", "\n => b", "#b"]) {
    const head = `${comm}-7985    [001] .....  1585.585326: `;
    const { records } = parse(`${head}sched_process_exit: comm=${comm} pid=7985 prio=120\n`);
    assertEquals(records.map(({ kind, tid, pid }) => [kind, tid, pid]), [["exit", 7985, 7985]]);
  }
});

Deno.test("TextParser gives up a life-cycle event whose end never comes", () => {
  const { records, counters } = parse(
    `${HEAD}sched_process_free: comm=a\n${HEAD}${BODY}\n${HEAD}sched_process_exit: comm=\n`,
  );
  assertEquals<unknown>(records, [RSS]);
  assertEquals([counters.lifecycle, counters.malformed], [0, 2]);
});

Deno.test("TextParser believes no line inside of an executed file's name", () => {
  const forged = `${HEAD}${BODY}\nCPU:0 [LOST 1 EVENTS]\n`;
  const { records, counters } = parse(
    `${HEAD}sched_process_exec: filename=/tmp/a\n${forged} pid=7985 old_pid=7985\n${HEAD}${BODY}\n`,
  );
  assertEquals(records.map((record) => record.kind), ["exec", "rss"]);
  assertEquals(counters.malformed, 2);
  // Names end at PATH_MAX: a line cut by the kernel does not silence the stream for ever.
  const cut = `${HEAD}sched_process_exec: filename=/tmp/a\n${`${HEAD}${BODY}\n`.repeat(100)}`;
  assertEquals(parse(cut).counters.events > 50, true);
});

Deno.test("TextParser reports losses at the time of the last event", () => {
  const { records, counters } = parse(
    `CPU:3 [LOST 7 EVENTS]\n${HEAD}${BODY}\nCPU:0 [LOST 2712 EVENTS]\nCPU:127 [LOST EVENTS]\n` +
      "CPU:1 [LOST 99999999999 EVENTS]\n",
  );
  assertEquals(records.filter((record) => record.kind === "lost"), [
    { kind: "lost", tsNs: 0, cpu: 3, tid: 0, lost: 7 },
    { kind: "lost", tsNs: RSS.tsNs, cpu: 0, tid: 0, lost: 2712 },
    { kind: "lost", tsNs: RSS.tsNs, cpu: 127, tid: 0, lost: -1 },
    { kind: "lost", tsNs: RSS.tsNs, cpu: 1, tid: 0, lost: 2 ** 31 - 1 },
  ]);
  assertEquals(counters.lossRecords, 4);
  assertEquals(counters.lost, 7 + 2712 + 1 + 2 ** 31 - 1);
});

Deno.test("TextParser tells foreign lines from malformed ones", () => {
  const foreign = [
    "# tracer: nop",
    "#",
    "",
    " => handle_mm_fault",
    " => trace_event_raw_event_rss_stat",
    `${HEAD}<stack trace>`,
    `${HEAD}sched_switch: prev_comm=a prev_pid=0 ==> next_comm=b next_pid=1 next_prio=120`,
    `${HEAD}task_rename: pid=1 oldcomm=a newcomm=b oom_score_adj=0`,
    `${HEAD}tracing_mark_write: hello`,
  ];
  const malformed = [
    "a",
    "             a",
    "rss_stat",
    BODY,
    "wl_touch-7989      1...1. 19499us : " + BODY,
    "        wl_touch    7990   1 0 00000001 00000015 [5e863fe8] 18.872ms (+0.000ms): " + BODY,
    "7993 1 1586020969800 type: 646",
    `${HEAD}rss_stat: mm_id=0xbb336923 (-1154258653) curr=0x1 (1) member=0x1 (1) size=0xa000 (40960)`,
    `${HEAD}rss_stat: mm_id=1 curr=1 type=MM_ANONPAGES size=40960`,
    `${HEAD}rss_stat: mm_id=1 curr=2 type=MM_ANONPAGES size=40960B`,
    `${HEAD}rss_stat: mm_id=4294967296 curr=1 type=MM_ANONPAGES size=40960B`,
    `${HEAD}rss_stat: mm_id= curr=1 type=MM_ANONPAGES size=40960B`,
    `${HEAD}rss_stat: mm_id=1 curr=1 type=MM_ANONPAGES size=B`,
    `${HEAD}rss_stat: size=8437760 member=1 curr=1 mm_id=2824390453`,
    `${HEAD}${BODY} `,
    `${HEAD}${BODY}\r`,
    `a-2147483648 [001] ...1.  1585.585326: ${BODY}`,
    `a-1 [9999999] ...1.  1585.585326: ${BODY}`,
    `a-1 [001] ...1.  1585.58532: ${BODY}`,
    `a-1 [001] ...1.  .585326: ${BODY}`,
    `a-1 (x) [001] ...1.  1585.585326: ${BODY}`,
    `a-1[001] ...1.  1585.585326: ${BODY}`,
    "CPU:0 [LOST x EVENTS]",
    "CPU: [LOST 1 EVENTS]",
    "xCPU:0 [LOST 1 EVENTS]",
    "CPU:0 [LOST  EVENTS]",
    "CPU:0 [LOST 1 EVENTS] ",
    `${HEAD}sched_process_exit: comm=a pid= prio=120 group_dead=true`,
    `${HEAD}sched_process_free: comm=1234567890123456 pid=1 prio=120`,
    `${HEAD}task_newtask: pid=x comm=a clone_flags=0 oom_score_adj=0`,
    `${HEAD}task_newtask: pid=1 comm=a clone_flags= oom_score_adj=0`,
  ];
  for (const line of foreign) {
    const { records, counters } = parse(line + "\n");
    assertEquals(records, [], line);
    assertEquals([counters.foreign, counters.malformed], [1, 0], line);
  }
  for (const line of malformed) {
    const { records, counters } = parse(line + "\n");
    assertEquals(records, [], line);
    assertEquals([counters.foreign, counters.malformed], [0, 1], line);
  }
});

Deno.test("TextParser takes an unfinished last line only if it must be whole", () => {
  assertEquals<unknown>(parse(HEAD + BODY).records, [RSS]);
  assertEquals(parse("CPU:0 [LOST 2 EVENTS]").records.length, 1);
  const original = `${HEAD}rss_stat: member=1 size=6681`;
  assertEquals(parse(original).records.length, 0);
  assertEquals(parse(original).counters.malformed, 1);
  assertEquals(parse(`${HEAD}sched_process_exec: filename=a pid=12 old_pid=12`).records, []);
});

Deno.test("TextParser drops a line that is too long, and counts it once", () => {
  for (const lineBytes of [LINE_BYTES_MAX, LINE_BYTES_MAX + 1, 1 << 20]) {
    for (const chunkBytes of [8192, Infinity]) {
      const long = "x".repeat(lineBytes);
      const { records, counters } = parse(`${HEAD}${BODY}\n${long}\n${HEAD}${BODY}\n`, {
        chunkBytes,
      });
      assertEquals<unknown>(records, [RSS, RSS]);
      assertEquals(counters.malformed, 1);
    }
  }
});

Deno.test("TextParser gives the same records wherever the lines are cut", () => {
  const text = `${HEAD}${BODY}\n\n# x\n a\n${HEAD}sched_process_free: comm=a\nb pid=3 prio=120\n` +
    `CPU:0 [LOST EVENTS]\n${HEAD}${BODY}\n => f\n${HEAD}${BODY}`;
  const whole = parse(text);
  assertEquals(whole.records.length, 5);
  for (let chunkBytes = 1; chunkBytes < 300; chunkBytes++) {
    assertEquals(parse(text, { chunkBytes }), whole, `${chunkBytes}`);
  }
});

Deno.test("TextParser.push() reads only as many bytes as it is told", () => {
  const sink = new RecordSink();
  const parser = new TextParser(sink.writer, { pageBytes: 4096 });
  const text = latin1(`${HEAD}${BODY}\n`);
  const buffer = new Uint8Array(8192).fill(10);
  buffer.set(text);
  parser.push(buffer, text.length);
  parser.push(buffer, 0);
  // A view into a larger buffer, as readers have it.
  const larger = new Uint8Array(16384);
  larger.set(buffer, 100);
  parser.push(larger.subarray(100, 100 + text.length), text.length);
  parser.end();
  assertEquals<unknown>(sink.drain(), [RSS, RSS]);
  assertEquals(parser.counters.foreign, 0);
});
