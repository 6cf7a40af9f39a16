/**
 * The pictures of the report: Vega-Lite specifications, which draw/draw.ts turns into SVG.
 *
 * @module
 */
import type { KillSeries, KillsResult } from "./kills.ts";
import type { ExperimentResults, Results } from "./results.ts";
import {
  BASE_COLOR,
  colorOf,
  CONFIG,
  INK,
  isToom,
  logarithmic,
  OTHER_COLOR,
  ranges,
  SIZE_TICKS,
  sourceBars,
  type Spec,
  TIME_TICKS,
  TOOM_COLOR,
} from "./plot_parts.ts";
import { restPlot } from "./rest_plot.ts";
import { highestLossless } from "./scale.ts";
import type { Summary } from "./stats.ts";

export interface Plot {
  /** Of the file, without `.svg`. */
  readonly name: string;
  readonly spec: Spec;
}

const DRAW = new URL("./draw/", import.meta.url).pathname;

/** SVG of each picture, by the program that has the plotting library. @throws {Error} */
export async function draw(plots: readonly Plot[]): Promise<string[]> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", `--config=${DRAW}deno.json`, `${DRAW}draw.ts`],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = child.output();
  const specs = JSON.stringify(plots.map(({ spec }) => ({ ...spec, config: CONFIG })));
  await new Response(specs).body!.pipeTo(child.stdin);
  const { success, stdout, stderr } = await output;
  if (!success) throw new Error(`the plots cannot be drawn: ${new TextDecoder().decode(stderr)}`);
  return (JSON.parse(new TextDecoder().decode(stdout)) as string[]).map((svg) => `${svg}\n`);
}

function rowsOf(
  series: readonly KillSeries[],
  pick: (one: KillSeries) => Summary | undefined,
): { label: string; kind: string; s: Summary }[] {
  return series.flatMap((one) => {
    const s = pick(one);
    return s === undefined
      ? []
      : [{ label: one.label, kind: isToom(one.killer) ? "toom" : "rival", s }];
  });
}

function killPlots(kills: KillsResult): Plot[] {
  const first = kills.series.filter(({ scenario }) => scenario === "full-speed");
  const legend = "Bar: p10 to p90, tick: median, point: p99.";
  const latency = ranges(rowsOf(first, ({ stopUs }) => stopUs), {
    title: "How long a hog goes on after the page that crossed the line",
    subtitle: [
      "One hog at full speed, until its last page, by its own clock.",
      `The original: 3 times quicker than a timer, with less spread. ${legend}`,
    ],
    axis: "time from the page that crossed to the last page (logarithmic)",
    ticks: TIME_TICKS,
    least: 1,
  });
  const overshoot = ranges(
    rowsOf(first, ({ overKib }) => overKib),
    {
      title: "How much memory a hog takes past its line",
      subtitle: [`One hog at full speed, by its own count. ${legend}`],
      axis: "touched past the line until the hog was dead (logarithmic)",
      ticks: SIZE_TICKS,
      least: 4,
    },
  );
  return [
    { name: "kill-latency", spec: latency },
    { name: "kill-overshoot", spec: overshoot },
    { name: "kill-scenarios", spec: scenarioPlot(kills) },
  ];
}

/** Those killers that were in every scenario. */
function scenarioPlot(kills: KillsResult): Spec {
  const names = new Set(kills.series.map(({ scenario }) => scenario));
  const everywhere = (killer: string): boolean =>
    [...names].every((name) =>
      kills.series.some((one) => one.scenario === name && one.killer === killer)
    );
  const values = kills.series.filter(({ killer }) => everywhere(killer)).flatMap((one) => {
    if (one.overKib === undefined) return [];
    const scenario = kills.scenarios.find(({ name }) => name === one.scenario)!.label;
    const { p10, median, p90 } = one.overKib;
    const clip = (kib: number): number => Math.max(kib, 4);
    return [{ scenario, label: one.label, p10: clip(p10), median: clip(median), p90: clip(p90) }];
  });
  const shown = kills.series.filter(({ killer }) => everywhere(killer));
  const colors = new Map(
    shown.map(({ label, killer }) => [label, isToom(killer) ? TOOM_COLOR : OTHER_COLOR]),
  );
  const labels = [...colors.keys()];
  const y = { field: "label", type: "nominal", sort: null, title: null, axis: { grid: false } };
  const x = (field: string): Record<string, unknown> => ({
    field,
    type: "quantitative",
    ...logarithmic(SIZE_TICKS, values.flatMap(({ p10, p90 }) => [p10, p90])),
    title: "touched past the line until the first victim was dead (logarithmic)",
  });
  const color = {
    field: "label",
    type: "nominal",
    sort: null,
    legend: null,
    scale: { domain: labels, range: labels.map((label) => colors.get(label)!) },
  };
  return {
    title: {
      text: "The same in other circumstances",
      subtitle: ["Bar: 10 to 90 % of the kills, tick: median."],
    },
    data: { values },
    facet: {
      row: {
        field: "scenario",
        type: "nominal",
        sort: kills.scenarios.map(({ label }) => label),
        title: null,
        header: {
          labelOrient: "top",
          labelAnchor: "start",
          labelFontSize: 12,
          labelFontWeight: "bold",
          labelColor: INK,
        },
      },
    },
    spec: {
      width: 620,
      height: { step: 20 },
      layer: [
        {
          mark: { type: "bar", height: 9, opacity: 0.45, cornerRadius: 3 },
          encoding: { y, x: x("p10"), x2: { field: "p90" }, color },
        },
        {
          mark: { type: "tick", thickness: 4, size: 15 },
          encoding: { y, x: x("median"), color },
        },
      ],
    },
  };
}

function allocationPlot({ states }: ExperimentResults["allocation"]): Spec {
  const values = states.filter(({ name, base }) => name !== base).map((state) => ({
    label: state.label,
    kind: /^toom/.test(state.label) ? "toom" : /^tracing/.test(state.label) ? "base" : "rival",
    median: state.ratio.median,
    p10: state.ratio.p10,
    p90: state.ratio.p90,
    text: `${state.ratio.median.toFixed(2)} ×${
      state.claim === undefined ? "" : `   (original: ${state.claim})`
    }`,
  }));
  const most = Math.max(...values.map(({ p90 }) => p90));
  const y = { field: "label", type: "nominal", sort: null, title: null };
  const scale = { domain: [0, most * 1.35], nice: false };
  const title = "cost of a page touched for the first time, times that with toom off";
  return {
    title: {
      text: "Memory allocation speed",
      subtitle: [
        "Per 4 KiB page, ratio to toom off in the same round. Line: p10 to p90 of the rounds.",
        "Grey: the tracepoint alone, nobody reads. No reader of events can be below it.",
      ],
    },
    width: 620,
    height: { step: 30 },
    data: { values },
    layer: [
      {
        mark: { type: "bar", height: 15, opacity: 0.8, cornerRadiusEnd: 3 },
        encoding: {
          y,
          x: { field: "median", type: "quantitative", scale, title },
          color: colorOf("kind"),
        },
      },
      {
        mark: { type: "rule", strokeWidth: 2, color: INK },
        encoding: { y, x: { field: "p10", type: "quantitative", scale }, x2: { field: "p90" } },
      },
      {
        mark: { type: "rule", strokeDash: [4, 3], color: INK },
        encoding: { x: { datum: 1, type: "quantitative", scale } },
      },
      {
        mark: { type: "text", align: "left", dx: 7, fontSize: 12, color: INK },
        encoding: {
          y,
          x: { field: "p90", type: "quantitative", scale },
          text: { field: "text" },
        },
      },
    ],
  };
}

function breakdownPlot({ stages, signalUs }: ExperimentResults["breakdown"]): Spec {
  const shown = stages.filter(({ name }) => name !== "back");
  const back = stages.find(({ name }) => name === "back")!;
  const values = shown.map(({ label, us }) => ({
    label,
    median: us.median,
    p90: us.p90,
    text: `${us.median.toFixed(0)} µs`,
  }));
  const y = { field: "label", type: "nominal", sort: null, title: null };
  const x = (field: string): Record<string, unknown> => ({
    field,
    type: "quantitative",
    title: "µs (bar: median, line: to p90)",
  });
  return {
    title: {
      text: "Where the time of a kill goes",
      subtitle: [
        `toom raw, one hog at full speed. Page to signal: ${
          signalUs.median.toFixed(0)
        } µs in the median.`,
        `Then the kernel takes ${
          (back.us.median / 1000).toFixed(1)
        } ms to give all of its memory back.`,
      ],
    },
    width: 620,
    height: { step: 32 },
    data: { values },
    layer: [
      {
        mark: { type: "bar", height: 16, color: TOOM_COLOR, opacity: 0.8, cornerRadiusEnd: 3 },
        encoding: { y, x: x("median") },
      },
      {
        mark: { type: "rule", strokeWidth: 2, color: INK },
        encoding: { y, x: x("median"), x2: { field: "p90" } },
      },
      {
        mark: { type: "text", align: "left", dx: 7, fontSize: 12, color: INK },
        encoding: { y, x: x("p90"), text: { field: "text" } },
      },
    ],
  };
}

function costPlot({ cost }: ExperimentResults["scale"]): Spec {
  const values = cost.map(({ processes, users, nsPerEvent }) => ({
    size: `${processes} processes, ${users === 1 ? "1 user" : `${users} users`}`,
    ns: nsPerEvent.median,
    p10: nsPerEvent.p10,
    p90: nsPerEvent.p90,
  }));
  const y = { field: "size", type: "nominal", sort: null, title: null };
  const x = (field: string): Record<string, unknown> => ({
    field,
    type: "quantitative",
    title: "ns an event (bar: median, line: 10 to 90 % of rounds)",
    scale: { zero: true },
  });
  return {
    title: {
      text: "What an event costs, by number of processes and users",
      subtitle: ["The accounting agent alone, from a full ring."],
    },
    width: 560,
    height: { step: 28 },
    data: { values },
    layer: [
      {
        mark: { type: "bar", height: 14, color: TOOM_COLOR, opacity: 0.8, cornerRadiusEnd: 3 },
        encoding: { y, x: x("ns") },
      },
      {
        mark: { type: "rule", strokeWidth: 2, color: INK },
        encoding: { y, x: x("p10"), x2: { field: "p90" } },
      },
    ],
  };
}

function cpuPlot({ cpu }: ExperimentResults["scale"]): Spec {
  const values = cpu.flatMap(({ source, secondsPerMillion }) =>
    Object.entries(secondsPerMillion).map(([worker, seconds]) => ({ source, worker, seconds }))
  );
  return {
    title: {
      text: "CPU time of the workers",
      subtitle: ["One limited process at full speed."],
    },
    width: 560,
    height: { step: 46 },
    data: { values },
    mark: { type: "bar", height: 24 },
    encoding: {
      y: { field: "source", type: "nominal", title: null },
      x: {
        field: "seconds",
        type: "quantitative",
        aggregate: "sum",
        title: "CPU seconds for a million events (µs an event)",
      },
      color: {
        field: "worker",
        type: "nominal",
        title: "worker",
        scale: { range: [TOOM_COLOR, "#edae49", "#66a182", OTHER_COLOR, "#30638e", BASE_COLOR] },
      },
    },
  };
}

function lossPlot({ loss }: ExperimentResults["scale"]): Spec {
  const places = new Map(loss.map((one) => [`${one.source} ${one.bufferKib}`, one]));
  const values = [...places.values()].map(({ source, bufferKib }) => {
    const best = highestLossless(loss, source, bufferKib);
    const lost = loss.some((one) =>
      one.source === source && one.bufferKib === bufferKib && one.lost > 0
    );
    return {
      source,
      buffer: `${bufferKib} KiB a CPU`,
      rate: best?.eventsPerSecond ?? 0,
      text: `${((best?.eventsPerSecond ?? 0) / 1000).toFixed(0)} k/s${
        lost ? "" : ", no more to be had"
      }`,
    };
  });
  const most = Math.max(...values.map(({ rate }) => rate));
  const x = {
    field: "rate",
    type: "quantitative",
    title: "events a second",
    axis: { format: "~s" },
    scale: { domain: [0, most * 1.35], nice: false },
  };
  return sourceBars(values, {
    title: "Highest rate of events that was held without a loss",
    subtitle: ["Two limited processes, quicker and quicker until events are lost."],
    sources: ["raw", "text"],
    row: "buffer",
    x,
  });
}

/** All that there are results for. */
export function plotsOf({ experiments }: Results): Plot[] {
  const plots: Plot[] = [];
  const { allocation, kills, breakdown, scale, rest } = experiments;
  const add = (name: string, spec: Spec): void => void plots.push({ name, spec });
  if (allocation?.result !== undefined) add("allocation", allocationPlot(allocation.result));
  if (kills?.result !== undefined) plots.push(...killPlots(kills.result));
  if (breakdown?.result !== undefined) add("breakdown", breakdownPlot(breakdown.result));
  if (scale?.result !== undefined) {
    add("cost", costPlot(scale.result));
    add("cpu", cpuPlot(scale.result));
    add("loss", lossPlot(scale.result));
  }
  if (rest?.result !== undefined) add("rest", restPlot(rest.result));
  return plots;
}
