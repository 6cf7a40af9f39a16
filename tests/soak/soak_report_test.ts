/** What a soak tells of: growth, kills that were not right, and those who asked and were killed. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Sample } from "./samples.ts";
import { reportSoak, type SoakResult } from "./soak_report.ts";
import type { Verdict } from "./witness.ts";

const STARTED_AT = Date.UTC(2026, 0, 2);
const MINUTES = 30;
const SAMPLE_SECONDS = 5;
const RESTART_SECONDS = 900;
const ASKER_UID = 60140;

const TIMES = { kills: 100, p50: 1, p90: 2, p99: 3, p999: 4 };
const VERDICT: Verdict = {
  kills: 100,
  wrong: 0,
  foreign: 0,
  needlessSecond: 0,
  undecided: 3,
  longestOverMs: 80,
  longestOver: [{
    uid: 60110,
    atMs: STARTED_AT + 120_000,
    lastsMs: 80,
    kills: 1,
    untilKillMs: 70,
    isMeasured: true,
    peakBytes: 2 ** 20,
  }],
  overMs: TIMES,
  untilKillMs: TIMES,
  untilMeasuredKillMs: TIMES,
  goodMostBytes: 1,
  findings: [],
};

function samplesOf(ownMib: (seconds: number) => number, descriptors = 40): Sample[] {
  return Array.from({ length: MINUTES * 60 / SAMPLE_SECONDS }, (_, index) => {
    const atSeconds = index * SAMPLE_SECONDS;
    const part = { ownKib: ownMib(atSeconds) * 1024, descriptors, threads: 20 };
    return {
      atSeconds,
      daemon: part,
      page: index % 7 === 0 ? null : { ...part, ownKib: 30 * 1024 },
      cpuMs: { killer: atSeconds },
      events: atSeconds * 100,
      driftPages: 0,
      isDegraded: false,
    };
  });
}

function kill(minute: number, uid: number, latencyUs: number): string {
  const ts = new Date(STARTED_AT + minute * 60_000).toISOString();
  return JSON.stringify({ ts, event: "kill", uid, trigger: "kernel", latencyUs });
}

/** @returns Whether all was well, what was found, and the report. */
async function report(change: Partial<SoakResult>): Promise<{
  isGood: boolean;
  problems: readonly string[];
  text: string;
  svg: string;
}> {
  const dir = await Deno.makeTempDir();
  try {
    const problems: string[] = [];
    const isGood = await reportSoak(dir, {
      options: { minutes: MINUTES, seed: 1, activeMax: 24, restartMinutes: 15, faults: false },
      startedAt: STARTED_AT,
      restartTimes: [RESTART_SECONDS],
      verdict: VERDICT,
      samples: samplesOf(() => 50),
      log: [kill(1, 60110, 20), kill(29, 60111, 30), '{"event":"kill","ts"'].join("\n"),
      done: { counts: { scrape: 9 }, refused: {}, problems },
      faults: {},
      started: { hog: 4 },
      askerUid: ASKER_UID,
      ...change,
    });
    return {
      isGood,
      problems,
      text: await Deno.readTextFile(`${dir}/soak.md`),
      svg: await Deno.readTextFile(`${dir}/soak.svg`),
    };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("a soak without findings tells of kills, growth and what was done", async () => {
  const { isGood, problems, text, svg } = await report({});
  assertEquals([isGood, problems], [true, []]);
  assertMatch(text, /\| first tenth \| 1 \| 20 \|/);
  assertMatch(text, /\| last tenth \| 1 \| 30 \|/);
  assertMatch(text, /\| daemon \| 2 \| 50\.0 \| 50\.0 \| 40\.0 \| 40\.0 \|/);
  assertStringIncludes(text, "- scrape: 9");
  assert(svg.startsWith("<svg ") && !svg.includes("NaN") && !svg.includes("Infinity"), svg);
});

Deno.test("a soak tells of memory that grows within one stretch", async () => {
  const { isGood, problems } = await report({ samples: samplesOf((seconds) => 50 + seconds / 20) });
  assert(!isGood);
  assertMatch(problems.join(), /^daemon: grew from/);
});

Deno.test("what a start lets go of is no growth", async () => {
  const samples = samplesOf((seconds) => seconds < RESTART_SECONDS ? 40 : 70);
  assertEquals((await report({ samples })).problems, []);
});

Deno.test("a soak tells of wrong kills, and of who had asked", async () => {
  const verdict = { ...VERDICT, wrong: 1, needlessSecond: 2 };
  const { problems } = await report({ verdict, log: kill(3, ASKER_UID, 10) });
  assertEquals(problems, [
    "1 kills: wrong",
    "2 kills: needlessSecond",
    "1 who had asked tmalloc were killed",
  ]);
});
