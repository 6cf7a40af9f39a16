/**
 * What the pictures of the report have in common: colors, logarithmic axes, ranges of a series.
 *
 * @module
 */
import type { Summary } from "./stats.ts";

/** A Vega-Lite specification: plain data. https://vega.github.io/vega-lite/docs/spec.html */
export type Spec = Readonly<Record<string, unknown>>;

export const TOOM_COLOR = "#d1495b";
export const OTHER_COLOR = "#5b7db1";
export const BASE_COLOR = "#9aa5b1";
export const INK = "#243b53";
const FONT = "Helvetica, Arial, sans-serif";

export const CONFIG: Spec = {
  background: "white",
  font: FONT,
  padding: 12,
  view: { stroke: null },
  title: {
    anchor: "start",
    fontSize: 15,
    subtitleFontSize: 12,
    subtitlePadding: 5,
    offset: 12,
    color: INK,
    subtitleColor: "#52667a",
  },
  axis: {
    labelFontSize: 12,
    titleFontSize: 12,
    // Without a browser widths of texts are guessed, and too high: nothing is cut.
    labelLimit: 0,
    gridColor: "#e6eaee",
    labelColor: INK,
    titleColor: INK,
    titleFontWeight: "normal",
    domain: false,
    tickColor: "#c5ced6",
  },
  legend: { labelFontSize: 12, titleFontSize: 12, labelLimit: 0 },
};

export function isToom(killer: string): boolean {
  return killer.startsWith("toom");
}

export function colorOf(field: string): Record<string, unknown> {
  return {
    field,
    type: "nominal",
    legend: null,
    scale: { domain: ["toom", "rival", "base"], range: [TOOM_COLOR, OTHER_COLOR, BASE_COLOR] },
  };
}

/** A bar from p10 to p90, a tick at the median, a point at p99, for each row. */
export function ranges(
  rows: readonly { readonly label: string; readonly kind: string; readonly s: Summary }[],
  options: {
    readonly title: string;
    readonly subtitle: readonly string[];
    readonly axis: string;
    readonly ticks: LogTicks;
    /** Smaller values are drawn here, as a logarithm has no 0. */
    readonly least: number;
  },
): Spec {
  const clip = (value: number): number => Math.max(value, options.least);
  const values = rows.map(({ label, kind, s }) => ({
    label,
    kind,
    p10: clip(s.p10),
    median: clip(s.median),
    p90: clip(s.p90),
    p99: clip(s.p99),
  }));
  const y = { field: "label", type: "nominal", sort: null, title: null };
  const x = (field: string): Record<string, unknown> => ({
    field,
    type: "quantitative",
    ...logarithmic(options.ticks, rows.flatMap(({ s }) => [s.p10, s.p99].map(clip))),
    title: options.axis,
  });
  const color = colorOf("kind");
  return {
    title: { text: options.title, subtitle: [...options.subtitle] },
    width: 620,
    height: { step: 30 },
    data: { values },
    layer: [
      {
        mark: { type: "bar", height: 11, opacity: 0.45, cornerRadius: 3 },
        encoding: { y, x: x("p10"), x2: { field: "p90" }, color },
      },
      {
        mark: { type: "tick", thickness: 4, size: 20 },
        encoding: { y, x: x("median"), color },
      },
      {
        mark: { type: "point", filled: true, size: 34, opacity: 0.9 },
        encoding: { y, x: x("p99"), color },
      },
    ],
  };
}

/** Marks of a logarithmic axis, and how they are called. */
export interface LogTicks {
  readonly values: readonly number[];
  readonly labels: string;
}

/** Scale and axis for values: from the mark below all of them to the mark above. */
export function logarithmic(
  { values: ticks, labels }: LogTicks,
  values: readonly number[],
): Record<string, unknown> {
  const least = Math.min(...values);
  const most = Math.max(...values);
  const from = ticks.findLast((tick) => tick <= least) ?? ticks[0]!;
  const to = ticks.find((tick) => tick >= most) ?? ticks.at(-1)!;
  const shown = ticks.filter((tick) => tick >= from && tick <= to);
  return {
    scale: { type: "log", domain: [from, to], nice: false, clamp: true },
    axis: { values: shown, labelExpr: labels, labelOverlap: false, grid: true },
  };
}

const TIME_LABELS =
  "datum.value >= 1e6 ? datum.value / 1e6 + ' s' : datum.value >= 1000 ? datum.value / 1000 + ' ms' : datum.value + ' µs'";
export const TIME_TICKS: LogTicks = {
  values: Array.from({ length: 9 }, (_, i) => 10 ** i),
  labels: TIME_LABELS,
};
const SIZE_LABELS =
  "datum.value >= 1048576 ? datum.value / 1048576 + ' GiB' : datum.value >= 1024 ? datum.value / 1024 + ' MiB' : datum.value + ' KiB'";
export const SIZE_TICKS: LogTicks = {
  values: Array.from({ length: 13 }, (_, i) => 4 ** (i + 1)),
  labels: SIZE_LABELS,
};

/** A bar and its text for each row, those of the two sources beside each other. */
export function sourceBars(
  values: readonly { readonly source: string; readonly [field: string]: unknown }[],
  options: {
    readonly title: string;
    readonly subtitle: readonly string[];
    readonly sources: readonly [string, string];
    /** Field of the rows' names, in the order in which they come. */
    readonly row: string;
    /** Encoding of the bars' length. */
    readonly x: Spec;
  },
): Spec {
  const { title, subtitle, sources, row, x } = options;
  const names = [...new Set(values.map((one) => one[row]))];
  const y = { field: row, type: "nominal", sort: names, title: null };
  const yOffset = { field: "source", type: "nominal", sort: sources };
  return {
    title: { text: title, subtitle },
    width: 560,
    height: { step: 24 },
    data: { values },
    layer: [
      {
        mark: { type: "bar", cornerRadiusEnd: 3, opacity: 0.85 },
        encoding: {
          y,
          yOffset,
          x,
          color: {
            field: "source",
            type: "nominal",
            sort: sources,
            title: "source",
            scale: { domain: sources, range: [TOOM_COLOR, "#edae49"] },
          },
        },
      },
      {
        mark: { type: "text", align: "left", dx: 6, fontSize: 12, color: INK },
        encoding: { y, yOffset, x, text: { field: "text" } },
      },
    ],
  };
}
