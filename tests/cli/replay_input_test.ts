/** What `toom replay` reads: lines and pages, cut anywhere, hostile, or of another kernel. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { gzipSync } from "node:zlib";
import { CAPTURE_CPUS, latin1, readCapture } from "../_support/captures.ts";
import { HAS_ZSTD, zstdSync } from "../_support/zstd.ts";
import {
  assertFailed,
  captureArgs,
  type Ran,
  replayAll,
  runReplay,
} from "../_support/replay_run.ts";
import { type Random, withSeeds } from "../_support/random.ts";
import { pieces } from "../_support/replay_trace.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const SLIDES_PATH = `${ROOT}tests/fixtures/original_slides.trace.txt`;

Deno.test("replay reads the original's lines: pages, and an mm of each task's own", async () => {
  const { events, summary } = await replayAll([SLIDES_PATH, "--assume-uid", "10071"]);
  assertEquals(events.length, 31);
  assertEquals(events[0], {
    ts: 597_590_000_000,
    cpu: 0,
    tid: 888,
    mmId: null,
    curr: 1,
    member: 1,
    bytes: 6681 * 4096,
  });
  const { mms, users, ...counts } = summary;
  assertEquals(counts, {
    events: 31,
    lifecycle: 0,
    lost: 0,
    malformed: 0,
    foreign: 0,
    timesBack: 0,
    timesBackNsMax: 0,
    decisions: [],
  });
  assertEquals(mms.map(({ mmId, tgid, pages }) => [mmId, tgid, pages.anon]), [
    [null, 77, 58],
    [null, 172, 53],
    [null, 173, 57],
    [null, 888, 6442],
  ]);
  assertEquals(users, [{ uid: 10071, usagePages: 6610, peakPages: 6703, limitPages: null }]);
});

Deno.test("replay does not depend on how its input is cut", async () => {
  for (const name of ["fork_storm", "hostile_comms"]) {
    const args = ["--assume-uid", "7", "--limit", "7=8500KiB", "--json", "--dump"];
    const expected = await runReplay([...captureArgs(name, "trace"), ...args]);
    assertEquals(expected.code, 0);
    const bytes = readCapture(`${name}.trace.txt`);
    for (const pieceBytes of [1, 7, 333, 4096, Infinity]) {
      const ran = await runReplay(["-", ...args], { stdin: pieces(bytes, pieceBytes) });
      assertEquals(ran, expected, `pieces of ${pieceBytes}`);
    }
  }
});

Deno.test("replay takes page size and sub-buffer size from its options", async () => {
  const small = await replayAll([...captureArgs("thp_madvise", "trace")]);
  const large = await replayAll([...captureArgs("thp_madvise", "trace"), "--page-bytes", "16384"]);
  assertEquals(large.summary.users[0]!.peakPages, small.summary.users[0]!.peakPages / 4 | 0);
  const raw = captureArgs("fork_storm", "raw");
  const explicit = await runReplay([...raw, "--subbuf", "4096", "--json"]);
  assertEquals(explicit, await runReplay([...raw, "--json"]));
  // Wrong ones are survived: what is behind a page's data is not seen.
  for (const subbuf of ["64", "8192", "1048576", "100"]) {
    assertEquals((await runReplay([...raw, "--subbuf", subbuf, "--json"])).code, 0);
  }
});

Deno.test("replay takes the CPU from the file's name, else from its place", async () => {
  const dirPath = await Deno.makeTempDir();
  try {
    for (const cpu of CAPTURE_CPUS["fork_storm"]!) {
      const bytes = readCapture(`fork_storm.cpu${cpu}.raw`);
      await Deno.writeFile(`${dirPath}/${cpu}.raw`, bytes);
      await Deno.writeFile(`${dirPath}/x.cpu${cpu + 5}.raw`, bytes);
    }
    const cpus = async (...files: string[]): Promise<Set<number>> => {
      const [, , ...formats] = captureArgs("fork_storm", "raw");
      const paths = files.map((file) => `${dirPath}/${file}`).join(",");
      const { events } = await replayAll(["--raw", paths, ...formats]);
      return new Set(events.map(({ cpu }) => cpu));
    };
    assertEquals(await cpus("0.raw", "1.raw"), new Set([0, 1]));
    assertEquals(await cpus("x.cpu6.raw", "x.cpu5.raw"), new Set([5, 6]));
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
});

Deno.test("replay reads a last page that is short", async () => {
  const dirPath = await Deno.makeTempDir();
  try {
    const whole = await replayAll(captureArgs("thp_madvise", "raw"));
    const bytes = readCapture("thp_madvise.cpu0.raw");
    await Deno.writeFile(`${dirPath}/x.cpu0.raw`, bytes.subarray(0, 16 + 36 * 10 + 8));
    const [, , ...formats] = captureArgs("thp_madvise", "raw");
    const cut = await replayAll(["--raw", `${dirPath}/x.cpu0.raw`, ...formats]);
    assertEquals(cut.events, whole.events.slice(0, cut.events.length));
    assert(cut.events.length >= 5 && cut.events.length <= 10);
    assert(cut.summary.malformed > 0);
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
});

/** A few hundred changes anywhere: bytes, gaps, repetitions, and an end that comes too soon. */
function mutated(random: Random, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  let copy = Uint8Array.from(bytes);
  for (let change = random.between(1, 200); change > 0; change--) {
    const at = random.below(copy.length);
    const length = Math.min(random.between(1, 60), copy.length - at);
    switch (random.below(4)) {
      case 0:
        copy[at] = random.next();
        break;
      case 1:
        random.fill(copy.subarray(at, at + length));
        break;
      case 2:
        copy.copyWithin(random.below(copy.length), at, at + length);
        break;
      default:
        if (random.oneIn(20)) copy = copy.slice(0, Math.max(at, 100));
    }
  }
  return copy;
}

/** Understood in part, or refused in one line. */
function assertSurvived({ code, out, err }: Ran): void {
  assert(code === 0 ? err.length === 0 : code === 1 && err.length === 1, err.join("\n"));
  if (code === 1) assertMatch(err[0]!, /^Cannot (replay|read|unpack) /);
  for (const line of out) if (line !== "") JSON.parse(line);
}

Deno.test("replay survives any text", async () => {
  const names = Object.keys(CAPTURE_CPUS);
  const inputs: Uint8Array[] = [];
  withSeeds(60, (random) => {
    inputs.push(mutated(random, readCapture(`${random.pick(names)}.pipe.txt`)));
  });
  withSeeds(5, (random) => {
    const noise = new Uint8Array(random.between(1, 100_000));
    random.fill(noise);
    inputs.push(noise);
  });
  inputs.push(new Uint8Array(0), new Uint8Array(1 << 20).fill(0x41), latin1("\0\n\xff"));
  for (const input of inputs) {
    const args = ["-", "--assume-uid", "7", "--limit", "7=2MiB", "--json", "--dump"];
    const ran = await runReplay(args, { stdin: pieces(input, 10_000) });
    assertSurvived(ran);
  }
});

Deno.test("replay survives any pages", async () => {
  const dirPath = await Deno.makeTempDir();
  const [, , ...formats] = captureArgs("fork_storm", "raw");
  try {
    const inputs: [Uint8Array, Uint8Array][] = [];
    const cpu0 = readCapture("fork_storm.cpu0.raw");
    const cpu1 = readCapture("fork_storm.cpu1.raw");
    withSeeds(60, (random) => inputs.push([mutated(random, cpu0), mutated(random, cpu1)]));
    for (const [one, other] of inputs) {
      const paths = [`${dirPath}/cpu0.raw`, `${dirPath}/cpu1.raw`];
      await Deno.writeFile(paths[0]!, one);
      await Deno.writeFile(paths[1]!, other);
      const args = ["--raw", paths.join(","), ...formats, "--assume-uid", "7", "--limit", "7=2MiB"];
      const ran = await runReplay([...args, "--json", "--dump"]);
      assertSurvived(ran);
    }
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
});

Deno.test("replay fails where nothing was understood, instead of deciding nothing", async () => {
  const other =
    "  x-7  [000] ..... 1.000001: rss_stat_throttled: mm_id=9 curr=1 member=1 size=4096\n";
  const life = "  x-7  [000] ..... 1.000001: sched_process_exit: comm=p pid=7 prio=120\n";
  const cases: readonly (readonly [string, RegExp])[] = [
    ["", /^Cannot replay standard input: it is empty/],
    [
      "no trace\n",
      /none of its 1 lines is an event rss_stat \(0 life-cycle, 1 malformed, 0 foreign\)/,
    ],
    [other.repeat(3), /none of its 3 lines .* 3 foreign\); expected trace_pipe, trace, trace-cmd/],
    [life, /none of its 1 lines .*\(1 life-cycle/],
    ["PERFILE2xxxxxxxxx", /perf script -i FILE/],
  ];
  for (const [text, message] of cases) {
    for (const more of [[], ["--json"]]) {
      const stdin = pieces(latin1(text), 100);
      assertFailed(await runReplay(["-", "--limit", "7=8M", ...more], { stdin }), 1, message);
    }
  }
  const dirPath = await Deno.makeTempDir();
  try {
    // Pages of another boot: the numbers of the events mean others.
    await Deno.mkdir(`${dirPath}/formats`);
    const [, files, , formats] = captureArgs("fork_storm", "raw");
    for await (const { name } of Deno.readDir(formats!)) {
      const text = await Deno.readTextFile(`${formats}/${name}`);
      await Deno.writeTextFile(`${dirPath}/formats/${name}`, text.replace("ID: 646", "ID: 647"));
    }
    const args = ["--raw", files!, "--formats", `${dirPath}/formats`, "--json"];
    assertFailed(await runReplay(args), 1, /none of its \d+ records is an event rss_stat/);
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
});

Deno.test("replay decides the same of a capture that came another way", async () => {
  const args = ["--assume-uid", "7", "--limit", "7=8500KiB", "--json"];
  const plain = await runReplay([...captureArgs("fork_storm", "trace"), ...args]);
  const bytes = readCapture("fork_storm.trace.txt");
  const text = [...bytes].map((byte) => String.fromCharCode(byte)).join("");
  const wide = new Uint16Array(1 + text.length);
  wide.set([0xfeff, ...[...text].map((char) => char.charCodeAt(0))]);
  const forms = {
    gzip: gzipSync(bytes),
    zstd: zstdSync(bytes),
    "CR LF": latin1(text.replaceAll("\n", "\r\n")),
    "UTF-16": new Uint8Array(wide.buffer),
    "UTF-16 and CR LF in gzip": gzipSync(
      new Uint8Array(
        Uint16Array.from(
          [0xfeff, ...[...text.replaceAll("\n", "\r\n")].map((char) => char.charCodeAt(0))],
        ).buffer,
      ),
    ),
  };
  for (const [name, form] of Object.entries(forms)) {
    const ran = await runReplay(["-", ...args], { stdin: pieces(form, 10_000) });
    assertEquals([ran.code, ran.err, ran.out], [0, [], plain.out], name);
  }
  // Pages too, by their names.
  const dirPath = await Deno.makeTempDir();
  try {
    const [, files, , formats] = captureArgs("fork_storm", "raw");
    const raw = await runReplay(["--raw", files!, "--formats", formats!, ...args]);
    const packed: string[] = [];
    for (const [index, path] of files!.split(",").entries()) {
      const pack = index === 0 || !HAS_ZSTD ? gzipSync : zstdSync;
      packed.push(`${dirPath}/cpu${index}.raw.${index === 0 ? "gz" : "zst"}`);
      await Deno.writeFile(packed.at(-1)!, pack(await Deno.readFile(path)));
    }
    const ran = await runReplay(["--raw", packed.join(","), "--formats", formats!, ...args]);
    assertEquals([ran.code, ran.err, ran.out], [0, [], raw.out]);
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
});

Deno.test("replay tells of times that go back", async () => {
  const line = (cpu: number, us: number, pages: number): string =>
    `  p-7  [00${cpu}] ..... 1.${String(us).padStart(6, "0")}: ` +
    `rss_stat: mm_id=9 curr=1 type=MM_ANONPAGES size=${pages * 4096}B\n`;
  const text = line(0, 100, 1) + line(1, 60, 2) + line(0, 101, 3) + line(1, 75, 4) +
    line(0, 102, 5);
  const stdin = (): ReturnType<typeof pieces> => pieces(latin1(text), 1000);
  const { summary } = await replayAll(["-", "--assume-uid", "7"], { stdin: stdin() });
  assertEquals([summary.timesBack, summary.timesBackNsMax], [2, 40_000]);
  const { out } = await runReplay(["-", "--assume-uid", "7"], { stdin: stdin() });
  assertMatch(out[1]!, /^times +2 events are older than one before them, by up to 40 us: .*local/);
  const ordered = await runReplay(captureArgs("fork_storm", "trace"));
  assertEquals(ordered.out.some((one) => one.startsWith("times")), false);
});

Deno.test("replay reads the pages of a kernel that has moved every field", async () => {
  const rhel = new URL("../fixtures/captures/rhel/", import.meta.url).pathname;
  const args = ["--assume-uid", "7", "--limit", "7=8M", "--json"];
  const plain = await runReplay([...captureArgs("exec_chain", "raw"), ...args]);
  const raw = ["--raw", `${rhel}exec_chain.cpu1.raw`, "--formats", `${rhel}formats`];
  assertEquals(await runReplay([...raw, ...args]), plain);
  assert(JSON.parse(plain.out[0]!).decisions.length > 0);
});
