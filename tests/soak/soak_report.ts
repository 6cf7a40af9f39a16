/**
 * What a soak has shown: as JSON, as a picture, and in words.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { drawPlots, type Line, type Plot } from "./plot.ts";
import type { ProcessSample, Sample } from "./samples.ts";
import type { Percentiles, Verdict } from "./witness.ts";

/** All that a soak has gathered. */
export interface SoakResult {
  readonly options: {
    readonly minutes: number;
    readonly seed: number;
    readonly activeMax: number;
    readonly restartMinutes: number;
    readonly faults: boolean;
  };
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Since the soak began, seconds. */
  readonly restartTimes: readonly number[];
  readonly verdict: Verdict;
  readonly samples: readonly Sample[];
  readonly log: string;
  readonly done: {
    readonly counts: Readonly<Record<string, number>>;
    readonly refused: Readonly<Record<string, number>>;
    readonly problems: string[];
  };
  readonly faults: Readonly<Record<string, number>>;
  readonly started: Readonly<Record<string, number>>;
  readonly askerUid: number;
}

interface Kill {
  readonly atMs: number;
  readonly uid: number;
  readonly trigger: string;
  readonly latencyUs: number;
}

/** Beyond that, of what there was at the same time after another start, it is growth. */
const GROWTH_MAX = 1.25;
const DESCRIPTORS_MORE_MAX = 8;
/** Within so long after a start, a process has not got all that it keeps. */
const SETTLED_SECONDS = 120;
const PARTS = [0.5, 0.9, 0.99, 0.999] as const;

function readKills(log: string): Kill[] {
  return log.split("\n").filter((line) => line.includes('"event":"kill"')).flatMap((line) => {
    try {
      const { ts, uid, trigger, latencyUs } = JSON.parse(line);
      return [{ atMs: Date.parse(ts), uid, trigger, latencyUs }];
    } catch {
      // A daemon that was killed was writing it.
      return [];
    }
  });
}

/** @returns The value below which `part` of them are; NaN of none. */
function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Kills within a tenth of the soak. */
function tenth(kills: readonly Kill[], { startedAt, options }: SoakResult, index: number): Kill[] {
  const spanMs = options.minutes * 6000;
  return kills.filter(({ atMs }) => Math.floor((atMs - startedAt) / spanMs) === index);
}

function latencyRow(name: string, kills: readonly Kill[]): string {
  const us = kills.map(({ latencyUs }) => latencyUs);
  const cells = PARTS.map((part) => percentile(us, part).toFixed(0));
  return `| ${name} | ${kills.length} | ${cells.join(" | ")} |`;
}

const percentileRow = (name: string, { kills, p50, p90, p99, p999 }: Percentiles): string =>
  `| ${name} | ${kills} | ${p50} | ${p90} | ${p99} | ${p999} |`;

/** A stretch between two starts. */
interface Stretch {
  readonly from: number;
  readonly to: number;
}

function stretches({ samples, restartTimes }: SoakResult): Stretch[] {
  const starts = [0, ...restartTimes];
  return starts.map((from, index) => ({
    from,
    to: starts[index + 1] ?? (samples.at(-1)?.atSeconds ?? 0) + 1,
  }));
}

type Reading = (sample: Sample) => ProcessSample | null;
const READINGS: Readonly<Record<string, Reading>> = {
  daemon: ({ daemon }) => daemon,
  page: ({ page }) => page,
};

/** What a process had at the beginning and at the end of a stretch, once it had settled. */
function growth(result: SoakResult, reading: Reading, { from, to }: Stretch): {
  ownMib: [number, number];
  descriptors: [number, number];
} | undefined {
  const settled = result.samples.filter(({ atSeconds }) =>
    atSeconds >= from + SETTLED_SECONDS && atSeconds < to
  ).map(reading).filter((sample) => sample !== null);
  const part = Math.floor(settled.length / 4);
  if (part < 3) return undefined;
  const first = settled.slice(0, part);
  const last = settled.slice(-part);
  const both = (of: (sample: ProcessSample) => number): [number, number] => [
    mean(first.map(of)),
    mean(last.map(of)),
  ];
  return {
    ownMib: both(({ ownKib }) => ownKib / 1024),
    descriptors: both(({ descriptors }) => descriptors),
  };
}

/** Tells of growth. @returns Rows of a table. */
function growthRows(result: SoakResult): string[] {
  const rows: string[] = [];
  for (const [name, reading] of Object.entries(READINGS)) {
    stretches(result).forEach((stretch, index) => {
      const found = growth(result, reading, stretch);
      if (found === undefined) return;
      const [memoryBefore, memory] = found.ownMib;
      const [descriptorsBefore, descriptors] = found.descriptors;
      rows.push(
        `| ${name} | ${index + 1} | ${memoryBefore.toFixed(1)} | ${memory.toFixed(1)} | ${
          descriptorsBefore.toFixed(1)
        } | ${descriptors.toFixed(1)} |`,
      );
      if (memory > memoryBefore * GROWTH_MAX) {
        result.done.problems.push(`${name}: grew from ${memoryBefore} to ${memory} MiB`);
      }
      if (descriptors > descriptorsBefore + DESCRIPTORS_MORE_MAX) {
        result.done.problems.push(`${name}: ${descriptorsBefore}, then ${descriptors} descriptors`);
      }
    });
  }
  return rows;
}

/** One line of a plot from the samples. */
function line(name: string, { samples }: SoakResult, value: (sample: Sample) => number): Line {
  return { name, points: samples.map((sample) => [sample.atSeconds / 60, value(sample)]) };
}

function plots(result: SoakResult, kills: readonly Kill[]): Plot[] {
  const { startedAt, options } = result;
  const minutes = Array.from(
    { length: Math.ceil(options.minutes) },
    (_, minute) => kills.filter(({ atMs }) => Math.floor((atMs - startedAt) / 60_000) === minute),
  );
  const perMinute = (name: string, value: (kills: readonly Kill[]) => number): Line => ({
    name,
    points: minutes.map((those, minute) => [minute + 0.5, value(those)] as const),
  });
  const latency = (part: number) => (those: readonly Kill[]): number =>
    percentile(those.map(({ latencyUs }) => latencyUs), part);
  return [
    {
      title: "From the page to the signal, per minute",
      unit: "us",
      isLogarithmic: true,
      lines: [perMinute("p50", latency(0.5)), perMinute("p99", latency(0.99))],
    },
    {
      title: "Kills",
      unit: "per minute",
      lines: [...new Set(kills.map(({ trigger }) => trigger))].map((trigger) =>
        perMinute(trigger, (those) => those.filter((kill) => kill.trigger === trigger).length)
      ),
    },
    {
      title: "Memory of its own",
      unit: "MiB",
      lines: Object.entries(READINGS).map(([name, reading]) =>
        line(name, result, (sample) => (reading(sample)?.ownKib ?? NaN) / 1024)
      ),
    },
    {
      title: "Descriptors",
      unit: "count",
      lines: Object.entries(READINGS).map(([name, reading]) =>
        line(name, result, (sample) => reading(sample)?.descriptors ?? NaN)
      ),
    },
    {
      title: "Corrections of the books by sweeps",
      unit: "pages since the start",
      lines: [line("drift", result, ({ driftPages }) => driftPages)],
    },
    {
      title: "Threads of the daemon",
      unit: "count",
      lines: [line("threads", result, ({ daemon }) => daemon.threads)],
    },
  ];
}

const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts).toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `- ${name}: ${count}`).join("\n") || "Nothing.";

function words(result: SoakResult, kills: readonly Kill[], rows: readonly string[]): string {
  const { verdict, options, done, startedAt } = result;
  const release = Deno.osRelease();
  const cpus = navigator.hardwareConcurrency;
  const longest = verdict.longestOver.map((one) =>
    `| ${one.uid} | ${((one.atMs - startedAt) / 60_000).toFixed(1)} | ${one.lastsMs.toFixed(0)} | ${
      one.untilKillMs.toFixed(0)
    } | ${one.kills} | ${one.isMeasured ? "measuring" : "events"} | ${
      (one.peakBytes / 2 ** 20).toFixed(1)
    } |`
  );
  const triggers = [...new Set(kills.map(({ trigger }) => trigger))];
  return `# A soak of ${options.minutes} minutes

${new Date(startedAt).toISOString()}, Linux ${release}, ${cpus} CPUs, Deno ${Deno.version.deno};
\`deno task soak --minutes ${options.minutes} --seed ${options.seed} --active ${options.activeMax}
--restart-minutes ${options.restartMinutes}${options.faults ? "" : " --no-faults"}\`.

${
    done.problems.length === 0
      ? "Nothing was found."
      : `**Found:**\n\n${done.problems.map((problem) => `- ${problem}`).join("\n")}`
  }

## Kills, judged by the witness

${verdict.kills} kills: ${verdict.wrong} wrong, ${verdict.foreign} of others, ${verdict.needlessSecond}
needless, ${verdict.undecided} not decided. By trigger: ${
    triggers.map((trigger) =>
      `${trigger} ${kills.filter((kill) => kill.trigger === trigger).length}`
    ).join(", ")
  }.

How long a user was over its limit, of all kills, milliseconds:

| | kills | p50 | p90 | p99 | p99.9 |
| --- | --- | --- | --- | --- | --- |
${percentileRow("until the last signal, by events and the kernel", verdict.untilKillMs)}
${percentileRow("until the last signal, found by measuring", verdict.untilMeasuredKillMs)}
${percentileRow("until memory had come back", verdict.overMs)}

The longest:

| uid | minute | ms | until the last signal | kills | found by | most beyond the limit, MiB |
| --- | --- | --- | --- | --- | --- | --- |
${longest.join("\n")}

## From the page to the signal, microseconds

| | kills | p50 | p90 | p99 | p99.9 |
| --- | --- | --- | --- | --- | --- |
${latencyRow("first tenth", tenth(kills, result, 0))}
${latencyRow("last tenth", tenth(kills, result, 9))}
${latencyRow("all", kills)}

![over time](./soak.svg)

## Growth between starts

Averages of the first and the last quarter of each stretch between two starts, from two minutes after the
start.

| process | stretch | own MiB first | own MiB last | descriptors first | descriptors last |
| --- | --- | --- | --- | --- | --- |
${rows.join("\n")}

## What was done meanwhile

${list(done.counts)}

Faults of toom:

${list(result.faults)}

What users did:

${list(result.started)}

Not answered, as while toom starts over:

${list(done.refused)}
`;
}

/** Writes the report. @returns Whether all was well. */
export async function reportSoak(dir: string, result: SoakResult): Promise<boolean> {
  const kills = readKills(result.log);
  const { verdict, done } = result;
  if (verdict.kills === 0) done.problems.push("nobody was killed: the soak is wrong");
  for (const what of ["wrong", "foreign", "needlessSecond"] as const) {
    if (verdict[what] > 0) done.problems.push(`${verdict[what]} kills: ${what}`);
  }
  const askers = kills.filter(({ uid }) => uid === result.askerUid).length;
  if (askers > 0) done.problems.push(`${askers} who had asked tmalloc were killed`);
  const rows = growthRows(result);
  const { log: _log, samples, ...rest } = result;
  const report = { isGood: done.problems.length === 0, ...rest };
  await Deno.writeTextFile(`${dir}/soak.json`, `${JSON.stringify({ ...report, samples })}\n`);
  await Deno.writeTextFile(`${dir}/log`, result.log);
  const svg = drawPlots(plots(result, kills), result.options.minutes);
  await Deno.writeTextFile(`${dir}/soak.svg`, svg);
  await Deno.writeTextFile(`${dir}/soak.md`, words(result, kills, rows));
  const { findings, ...counts } = verdict;
  console.log(JSON.stringify({ isGood: report.isGood, problems: done.problems, ...counts }));
  if (findings.length > 0) console.log(JSON.stringify(findings));
  return report.isGood;
}
