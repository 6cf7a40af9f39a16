/** The benchmark of the system in small: what it computes, draws and writes, and one real kill each. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { AllocationBench } from "../bench/system/allocation.ts";
import { followKill, parseWay } from "../bench/system/breakdown.ts";
import { killerNamed, KILLERS } from "../bench/system/killers.ts";
import { KillsBench, SCENARIOS } from "../bench/system/kills.ts";
import { describeMachine } from "../bench/system/machine.ts";
import { nohangConfig } from "../bench/system/nohang_config.ts";
import { TINY } from "../bench/system/plan.ts";
import { draw, plotsOf } from "../bench/system/plots.ts";
import { report } from "../bench/system/report.ts";
import type { Results } from "../bench/system/results.ts";
import { eventCost, highestLossless } from "../bench/system/scale.ts";
import { parseEnding } from "../bench/system/stage.ts";
import { pairedRatios, pretty, summarize } from "../bench/system/stats.ts";
import { collectionsIn } from "../bench/system/steady.ts";
import { statSeconds, threadTimes } from "../bench/system/threads.ts";
import { tmallocProblem } from "../bench/system/tmalloc.ts";
import { Toolbox } from "../bench/system/toolbox.ts";
import { hasTracefs, needing } from "./_support/real_kernel.ts";

const REAL = hasTracefs() && Toolbox.possible;
const NEEDS = "root, tracefs with rss_stat, and a C compiler";

Deno.test("summarize(), pairedRatios() and pretty() say what was seen", () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  assertEquals(summarize(values), {
    count: 100,
    min: 1,
    p10: 10,
    p25: 25,
    median: 50,
    p75: 75,
    p90: 90,
    p99: 99,
    max: 100,
  });
  assertEquals(summarize([7])?.p10, 7);
  assertEquals(summarize([]), undefined);
  assertEquals(pairedRatios([2, 9], [1, 3]), [2, 3]);
  assertEquals([0, 0.0123, 0.5, 12.34, 1234567.8, NaN].map(pretty), [
    "0",
    "0.012",
    "0.50",
    "12.3",
    "1 234 568",
    "–",
  ]);
});

Deno.test("parseEnding() reads what the stage says of a hog's end", () => {
  assertEquals(parseEnding("41 9 16000 16010 5000 9000 25000", 4), {
    kind: "killed",
    pid: 41,
    stopUs: 4,
    deathUs: 20,
    overKib: 40,
    crossedNs: 5000,
    deathNs: 25000,
  });
  assertEquals(parseEnding("41 9 16000 16001 5000 4000 25000", 4), {
    kind: "killed",
    pid: 41,
    stopUs: 0,
    deathUs: 20,
    overKib: 4,
    crossedNs: 5000,
    deathNs: 25000,
  });
  assertEquals(parseEnding("41 15 16000 15000 0 9 25000", 4), {
    kind: "early",
    pid: 41,
    overKib: -4000,
  });
  assertEquals(parseEnding("survived", 4), { kind: "survived" });
  assertThrows(() => parseEnding("41 11 16000 15000 0 9 25000", 4), Error, "signal 11");
  assertThrows(() => parseEnding("what", 4), Error, "stage says");
});

const WAY = `
# tracer: nop
    <idle>-0       [001] d..2.  10.000010: sched_switch: prev_comm=swapper/1 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm=toom-reader0 next_pid=70 next_prio=89
    toom-reader0-70      [001] d..2.  10.000015: sched_switch: prev_comm=toom-reader0 prev_pid=70 prev_prio=89 prev_state=R ==> next_comm=toom-accounting next_pid=71 next_prio=88
    toom-accounting-71      [001] d..2.  10.000020: sched_switch: prev_comm=toom-accounting prev_pid=71 prev_prio=88 prev_state=R ==> next_comm=toom-killer next_pid=72 next_prio=87
    toom-killer-72      [001] d..2.  10.000050: signal_generate: sig=9 errno=0 code=0 comm=zzhog pid=80 grp=1 res=0
    zzhog-80      [000] .....  10.000080: sched_process_exit: comm=zzhog pid=80 prio=120 group_dead=true
`;

Deno.test("followKill() follows a kill through the scheduler's events", () => {
  const events = parseWay(WAY);
  assertEquals(events.length, 5);
  const round = (way: number[] | undefined): number[] | undefined => way?.map(Math.round);
  const kill = { crossedNs: 10_000_002_000, deathNs: 10_005_080_000 };
  assertEquals(round(followKill(events, 80, kill)), [8, 5, 5, 30, 30, 5000]);
  // Reader and accounting had the CPU already.
  const late = { ...kill, crossedNs: 10_000_018_000 };
  assertEquals(round(followKill(events, 80, late)), [0, 0, 2, 30, 30, 5000]);
  assertEquals(followKill(events, 81, kill), undefined);
  assertEquals(followKill(events.slice(1), 80, kill), undefined);
});

Deno.test("threadTimes() and statSeconds() read CPU time of threads", () => {
  assertEquals(statSeconds("7 (a) b) S 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20"), 2);
  const seconds = [...threadTimes(Deno.pid).values()].reduce((sum, one) => sum + one, 0);
  assert(seconds > 0, `${seconds} s`);
});

Deno.test("collectionsIn() finds collections, whoever else writes on their lines", () => {
  const text = "[123:0x7f1234]     4242 ms: Scavenge 5.1 (6.0) -> 4.9 (7.0) MB, 0.4 / 0.0 ms\n" +
    '{"event":"ready"}[123:0x7f99]       17 ms: Mark-Compact (reduce) 8.7 (9.0) -> 8.7 MB\n' +
    "[123:0x7f99]    30204 ms: Incremental Mark-Compact (reduce) 10.6 (12.3) -> 8.9 (10.3) MB\n";
  assertEquals(collectionsIn(text), [
    { heap: "0x7f1234", atMs: 4242 },
    { heap: "0x7f99", atMs: 17 },
    { heap: "0x7f99", atMs: 30_204 },
  ]);
});

Deno.test("highestLossless() is the best that lost nothing", () => {
  const point = { source: "raw", bufferKib: 64, askedPerSecond: 0 } as const;
  const points = [
    { ...point, eventsPerSecond: 100, lost: 0 },
    { ...point, eventsPerSecond: 200, lost: 0 },
    { ...point, eventsPerSecond: 300, lost: 5 },
  ];
  assertEquals(highestLossless(points, "raw", 64)?.eventsPerSecond, 200);
  assertEquals(highestLossless(points, "text", 64), undefined);
});

Deno.test("scenarios name killers that there are; who cannot take part says why", () => {
  for (const { full, quick } of SCENARIOS) {
    for (const name of [...full, ...quick]) assertEquals(killerNamed(name).name, name);
    for (const name of quick) assert(full.includes(name), name);
  }
  for (const kind of KILLERS) assert((kind.unavailable() ?? "not installed").length > 5);
  assertThrows(() => killerNamed("nobody"));
  assertStringIncludes(nohangConfig(4242), "hard_threshold_min_mem = 4242 M\n");
  assert((tmallocProblem() ?? "make").includes("make"));
});

function madeResults(): Results {
  const s = summarize([1, 2, 3, 4, 400])!;
  const outcome = { date: "2026-01-02T03:04:05.678Z", mode: "tiny", seconds: 1 } as const;
  const state = { nsPerPage: s, ratio: s, base: "off" };
  const series = SCENARIOS.flatMap(({ name }) =>
    ["toom-raw", "poll-10"].map((killer) => ({
      scenario: name,
      killer,
      label: killerNamed(killer).label,
      kills: 5,
      survived: 1,
      early: 0,
      stopUs: s,
      deathUs: s,
      overKib: s,
      ...(killer === "toom-raw" ? { logLatencyUs: s, firstLogLatencyUs: s } : {}),
    }))
  );
  return {
    machine: describeMachine(),
    experiments: {
      allocation: {
        ...outcome,
        result: {
          areaPages: 2048,
          rounds: 1,
          areas: 3,
          states: [
            { ...state, name: "off", label: "toom off" },
            { ...state, name: "one", label: "toom raw, one", claim: "nearly none" },
          ],
          trivial: { sumUs: 100, eventsChecked: 0.02 },
          skipped: ["memory cgroup: none"],
        },
      },
      kills: {
        ...outcome,
        result: {
          scenarios: SCENARIOS.map(({ name, label }) => ({ name, label })),
          blocks: 1,
          killsPerBlock: 5,
          series,
          skipped: ["earlyoom: not installed"],
        },
      },
      breakdown: {
        ...outcome,
        result: {
          kills: 5,
          lost: 0,
          stages: ["reader", "back"].map((name) => ({ name, label: name, us: s })),
          signalUs: s,
        },
      },
      rest: {
        ...outcome,
        result: {
          points: [{
            source: "bpf",
            processes: 100,
            users: 10,
            seconds: 1,
            cpuShare: 0.004,
            threads: { "toom-sweeper": 0.003 },
            lookUs: 50,
            looksPerSecond: 1,
          }, { source: "raw", processes: 100, users: 10, seconds: 1, cpuShare: 0.02, threads: {} }],
          skipped: ["10000 processes: this machine cannot have so many"],
        },
      },
      scale: {
        ...outcome,
        result: {
          cost: [{ processes: 1, users: 1, nsPerEvent: s, ratio: 1 }],
          cpu: [{ source: "raw", events: 5, lost: 0, secondsPerMillion: { reader0: 1 } }],
          loss: [{
            source: "raw",
            bufferKib: 64,
            askedPerSecond: 0,
            eventsPerSecond: 7,
            lost: 0,
          }],
        },
      },
      tmalloc: { ...outcome, skipped: "it is not there" },
    },
  };
}

Deno.test("report and plots have everything that was measured, and the original's claims", async () => {
  const results = madeResults();
  const plots = plotsOf(results);
  const svgs = await draw(plots);
  assertEquals(plots.map(({ name }) => name).sort(), [
    "allocation",
    "breakdown",
    "cost",
    "cpu",
    "kill-latency",
    "kill-overshoot",
    "kill-scenarios",
    "loss",
    "rest",
  ]);
  for (const [i, { name }] of plots.entries()) {
    const svg = svgs[i]!;
    assert(svg.startsWith("<svg") && svg.endsWith("</svg>\n"), name);
    assertEquals(svg.match(/NaN|undefined|Infinity/g), null, name);
  }
  assertStringIncludes(svgs[plots.findIndex(({ name }) => name === "allocation")]!, "nearly none");
  const text = report(results, plots.map(({ name }) => name));
  for (
    const part of [
      "nearly none",
      "3 times as quick as with a timer",
      "Left out: earlyoom: not installed.",
      "Left out: memory cgroup: none.",
      "Skipped: it is not there.",
      "1 survived",
      "Not measured.",
      Deno.osRelease(),
    ]
  ) assertStringIncludes(text, part);
  assertEquals(text.match(/NaN|undefined|Infinity/g), null);
  for (const { name } of plots) assertStringIncludes(text, `(plots/${name}.svg)`);
});

Deno.test("cost of an event is measured at all sizes", () => {
  const points = eventCost(1);
  assert(points.length > 4);
  for (const { nsPerEvent } of points) assert(nsPerEvent.median > 0);
});

Deno.test({
  ...needing(REAL, NEEDS, "kills bench: a timer and toom end hogs, and both are measured alike"),
  fn: async () => {
    using toolbox = new Toolbox();
    const bench = new KillsBench(toolbox, TINY);
    for (const name of ["poll-1", "toom-raw"]) {
      const tally = await bench.block(SCENARIOS[0]!, killerNamed(name));
      assertEquals([tally.kills.length, tally.survived], [TINY.killsPerBlock, 0], name);
      for (const { stopUs, deathUs, overKib } of tally.kills) {
        assert(stopUs >= 0 && stopUs <= deathUs, `${stopUs} ${deathUs}`);
        assert(overKib > 0, `${overKib} KiB`);
      }
      assertEquals(tally.latencyUs.length, name === "toom-raw" ? TINY.killsPerBlock : 0);
    }
  },
});

Deno.test({
  ...needing(REAL, NEEDS, "allocation bench: pages have a cost, with and without a reader"),
  fn: async () => {
    using toolbox = new Toolbox();
    const { states, trivial } = await new AllocationBench(toolbox, TINY).run(false);
    const names = states.map(({ name }) => name);
    for (const name of ["off", "floor", "trivial", "off-each"]) assert(names.includes(name), name);
    for (const { nsPerPage } of states) assert(nsPerPage.median > 50, `${nsPerPage.median} ns`);
    assert(trivial.sumUs > 1);
  },
});
