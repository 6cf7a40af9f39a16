import { assert, assertEquals, assertMatch } from "@std/assert";
import { gzipSync } from "node:zlib";
import { readCapture } from "../_support/captures.ts";
import { assertFailed, captureArgs, replayAll, runReplay } from "../_support/replay_run.ts";
import { decide, kills, PAGES_OF_MIB, Trace } from "../_support/replay_trace.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
// -------------------------------------------------------------------------------------- decisions

Deno.test("replay kills the larger of two, and says when soft was passed", async () => {
  const trace = new Trace();
  for (let pages = 1; pages <= 40 * PAGES_OF_MIB; pages++) trace.anon(101, pages);
  for (let pages = 1; pages <= 30 * PAGES_OF_MIB; pages++) trace.anon(102, pages);
  const decisions = await decide(trace, "--limit", "7=64MiB");
  assertEquals(decisions.map(({ event, pid, usagePages }) => [event, pid, usagePages]), [
    ["soft", null, Math.floor(64 * PAGES_OF_MIB * 0.9) + 1],
    ["kill", 101, 64 * PAGES_OF_MIB + 1],
  ]);
  assertEquals(decisions[1]!.hardPages, 64 * PAGES_OF_MIB);
  assertEquals(decisions[1]!.uid, 7);
  assertEquals(decisions[1]!.ts, (1_000_000 + 64 * PAGES_OF_MIB) * 1000);
});

Deno.test("replay kills as many as needed, one after the other", async () => {
  const trace = new Trace();
  // 16 fit; each of the other four costs the largest that is left its life.
  for (let pid = 101; pid <= 120; pid++) trace.anon(pid, 4 * PAGES_OF_MIB - (pid - 100));
  assertEquals(kills(await decide(trace, "--limit", "7=64MiB")), [101, 102, 103, 104]);
});

Deno.test("replay kills several at one moment when one is not enough", async () => {
  const trace = new Trace();
  for (let pid = 101; pid <= 110; pid++) trace.anon(pid, 10);
  trace.anon(101, 40);
  const decisions = await decide(trace, "--limit", `7=${105 * 4096}B`, "--victim", "newest");
  assertEquals(kills(decisions), [110, 109, 108]);
  assertEquals(
    new Set(decisions.filter(({ event }) => event === "kill").map(({ ts }) => ts)).size,
    1,
  );
});

Deno.test("replay does not count a victim twice, nor for ever", async () => {
  const trace = new Trace().anon(101, 50).anon(102, 30).anon(101, 80);
  // The victim grows on and costs nobody anything; when it has gone, the other may have it all.
  trace.anon(101, 500).exit(101).anon(102, 100);
  const args = ["--limit", `7=${100 * 4096}B`];
  assertEquals(kills(await decide(trace, ...args)), [101]);
  assertEquals(kills(await decide(trace.anon(102, 101), ...args)), [101, 102]);
  // The number comes back: it is another process.
  trace.exit(102).anon(101, 101);
  assertEquals(kills(await decide(trace, ...args)), [101, 102, 101]);
});

Deno.test("replay frees what it holds of victims that are gone", async () => {
  const trace = new Trace();
  // More victims than the killer can have at one time.
  for (let pid = 1001; pid <= 2000; pid++) trace.anon(pid, 20).exit(pid);
  assertEquals(kills(await decide(trace, "--limit", `7=${10 * 4096}B`)).length, 1000);
});

Deno.test("replay survives more victims than the killer can have", async () => {
  const trace = new Trace();
  for (let pid = 1001; pid <= 1600; pid++) trace.anon(pid, 20);
  const killed = kills(await decide(trace, "--limit", `7=${10 * 4096}B`));
  assert(killed.length >= 192 && killed.length <= 600, String(killed.length));
});

Deno.test("replay obeys --count, --victim, soft= and ranges", async () => {
  const file = (pid: number, pages: number): string =>
    `rss_stat: mm_id=${pid * 10} curr=1 type=MM_FILEPAGES size=${pages * 4096}B`;
  const trace = new Trace().anon(101, 20).anon(102, 10).line(102, file(102, 90)).anon(101, 21);
  const limit = ["--limit", `1-9=${100 * 4096}B,soft=50%`];
  assertEquals((await decide(trace, ...limit)).length, 0);
  const [soft, kill, ...more] = await decide(trace, ...limit, "--count", "rss");
  assertEquals([soft!.event, soft!.usagePages, soft!.hardPages], ["soft", 120, 100]);
  assertEquals([kill!.event, kill!.pid, more], ["kill", 102, []]);
  // Soft at hard: nobody is armed beforehand.
  const tight = ["--limit", `7=${20 * 4096}B,soft=100%`];
  assertEquals(kills(await decide(trace, ...tight)), [101]);
  assertEquals(kills(await decide(trace, ...tight, "--victim", "newest")), [102, 101]);
  assertEquals(kills(await decide(trace, "--limit", "8=4096B")), []);
});

Deno.test("replay limits nobody whose user it cannot tell", async () => {
  const trace = new Trace().anon(101, 5000);
  const { summary } = await replayAll(["-", "--limit", "1-4294967294=4096B"], trace);
  assertEquals(summary.decisions, []);
  assertEquals(summary.users, [
    { uid: null, usagePages: 5000, peakPages: 5000, limitPages: null },
  ]);
});

// -------------------------------------------------------------------------------------- the command

Deno.test("replay tells people what happened", async () => {
  const args = [...captureArgs("fork_storm", "trace"), "--assume-uid", "7", "--limit", "7=8MiB"];
  const { code, out, err } = await runReplay(args);
  assertEquals([code, err], [0, []]);
  assertMatch(out[0]!, /^events +1042 rss_stat, 40 life-cycle, 0 lost, 0 malformed, 39 foreign$/);
  assert(out.includes("users: 1"));
  assert(
    out.some((line) => /kill pid 13556 of uid 7, at 8\.0 MiB of 8\.0 MiB/.test(line)),
    out.join("\n"),
  );
  const { out: help } = await runReplay(["--help"]);
  assert(help.some((line) => line.includes("--assume-uid UID")));
});

Deno.test("replay --dump prints events only; with --json the summary comes last", async () => {
  const words = captureArgs("lost_small_buffer", "raw");
  const dump = await runReplay([...words, "--dump"]);
  const both = await runReplay([...words, "--dump", "--json"]);
  assertEquals(both.out.slice(0, -1), dump.out);
  assertEquals([both.out.at(-1)], (await runReplay([...words, "--json"])).out);
  const { events, lost } = JSON.parse(both.out.at(-1)!);
  assertEquals(dump.out.length, events + 1);
  assertMatch(dump.out[0]!, new RegExp(`^\\{"ts":\\d+,"cpu":0,"lost":${lost}\\}$`));
});

Deno.test("replay says in one line what it cannot read", async () => {
  const [, rawFiles, , formats] = captureArgs("fork_storm", "raw");
  const bad: [string[], RegExp][] = [
    [["/no/such.txt"], /^Cannot read \/no\/such\.txt: no such file$/],
    [[ROOT], /^Cannot read .*: .*directory/i],
    [
      ["--raw", "/no/such.raw", "--formats", formats!],
      /^Cannot read \/no\/such\.raw: no such file$/,
    ],
    [
      ["--raw", rawFiles!, "--formats", "/no"],
      /^Cannot read \/no\/header_page\.txt: no such file$/,
    ],
  ];
  const dirPath = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dirPath}/header_page.txt`, "nonsense\n");
    bad.push([
      ["--raw", rawFiles!, "--formats", dirPath],
      /^Cannot use .*header_page\.txt: .*timestamp/,
    ]);
    for (const [args, message] of bad) assertFailed(await runReplay(args), 1, message);
    await Deno.copyFile(`${formats}/header_page.txt`, `${dirPath}/header_page.txt`);
    await Deno.copyFile(`${formats}/task_rename.format.txt`, `${dirPath}/rss_stat.format.txt`);
    const ran = await runReplay(["--raw", rawFiles!, "--formats", dirPath]);
    assertFailed(ran, 1, /^Cannot decode task_rename: its format has no field "size"/);
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
});

Deno.test("replay says in one line what is wrong with its options", async () => {
  const bad: [string[], RegExp][] = [
    [[], /expected a FILE/],
    [["a", "b"], /unexpected argument "b"/],
    [["--raw", "x"], /--raw needs --formats DIR/],
    [["a", "--raw", "x", "--formats", "y"], /expected FILE or --raw, not both/],
    [["a", "--formats", "y"], /--formats is for --raw only/],
    [["a", "--subbuf", "4096"], /--subbuf is for --raw only/],
    [["--raw", "x,,y", "--formats", "y"], /--raw: expected files joined by commas/],
    [["--raw", "x", "--formats", "y", "--subbuf", "5"], /--subbuf: expected a multiple of 4/],
    [["a", "--limit", "7"], /Cannot read limit "7": expected USER=SIZE/],
    [["a", "--limit", "7=1G", "--limit", "7=2G"], /expected one limit a user/],
    [["a", "--limit", "7=0"], /expected a size above 0, or none for no limit/],
    [["a", "--limit", "7=4095B"], /at least one page/],
    [["a", "--limit", "7=4096"], /expected a size with a unit such as 4096MiB/],
    [["a", "--soft", "95"], /--soft: expected 95%/],
    [["a", "--limit", "no-such-user=1G"], /no user is "no-such-user"/],
    [["a", "--count", "all"], /--count: expected/],
    [
      ["a", "--victim", "me"],
      /--victim: expected largest, newest, growing, culprit, or some .* not "me"/,
    ],
    [["a", "--page-bytes", "5000"], /--page-bytes: expected a power of two/],
    [["a", "--assume-uid", "bob"], /--assume-uid: expected a whole number/],
    [["a", "--soft", "200%"], /--soft: expected/],
    [["a", "--wat"], /unknown option --wat/],
  ];
  for (const [args, message] of bad) assertFailed(await runReplay(args), 2, message);
});

Deno.test("replay needs no permission but to read, and reads standard input", async () => {
  const run = async (args: string[], stdin?: Uint8Array): Promise<[number, string]> => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--cached-only", "--allow-read", "mod.ts", "replay", ...args],
      cwd: ROOT,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(stdin ?? new Uint8Array(0));
    await writer.close();
    const { code, stdout, stderr } = await child.output();
    return [code, new TextDecoder().decode(code === 0 ? stdout : stderr)];
  };
  const args = ["--assume-uid", "7", "--limit", "7=8MiB", "--limit", "daemon=1G", "--json"];
  const [text] = captureArgs("fork_storm", "trace");
  const [code, expected] = await run([text!, ...args]);
  assertEquals(code, 0, expected);
  assertEquals(await run(["-", ...args], readCapture("fork_storm.trace.txt")), [0, expected]);
  const packed = gzipSync(readCapture("fork_storm.trace.txt"));
  assertEquals(await run(["-", ...args], packed), [0, expected]);
  const [rawCode, raw] = await run([...captureArgs("fork_storm", "raw"), ...args]);
  assertEquals(rawCode, 0, raw);
  assertEquals(JSON.parse(raw).mms, JSON.parse(expected).mms);
});
