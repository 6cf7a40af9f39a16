/**
 * Usage of users over the time of a replay, with their limits and kills: as SVG. Numbers only, so that
 * nothing that a user can name is in it.
 *
 * @module
 */
import { formatBytes } from "../pipeline/limits/units.ts";
import type { RecordingReplay } from "../pipeline/replay/recording_replay.ts";
import type { ComparedKill } from "./compare_kills.ts";
import { type Chart, chartsOf } from "./replay_chart.ts";

const WIDTH = 800;
const CHART_HEIGHT = 200;
const LEFT = 70;
const TOP = 30;
const BOTTOM = 30;
const COLUMNS = 360;

export function chartSvg(replay: RecordingReplay, compared: readonly ComparedKill[]): string {
  const charts = chartsOf(replay, compared, COLUMNS);
  const height = Math.max(1, charts.length) * (CHART_HEIGHT + TOP + BOTTOM);
  const parts = charts.map((chart, index) =>
    `<g transform="translate(${LEFT} ${index * (CHART_HEIGHT + TOP + BOTTOM) + TOP})">` +
    `${chartPart(chart, replay.head.pageBytes)}</g>`
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" ` +
    `viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>Usage of ${charts.length} users in a replay of toom</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="white"/>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function chartPart(chart: Chart, pageBytes: number): string {
  const { uid, usage, hard, soft, kills, topPages, fromNs, untilNs } = chart;
  const width = WIDTH - LEFT - 20;
  const x = (column: number): string => (column / COLUMNS * width).toFixed(1);
  const y = (pages: number): string => (CHART_HEIGHT * (1 - pages / topPages)).toFixed(1);
  const line = (values: readonly number[]): string => {
    let path = "";
    values.forEach((pages, column) => {
      if (Number.isNaN(pages)) return;
      const isFirst = column === 0 || Number.isNaN(values[column - 1]!);
      path += `${isFirst ? "M" : "L"}${x(column)} ${y(pages)}L${x(column + 1)} ${y(pages)}`;
    });
    return path;
  };
  const marks = kills.map(({ tsNs, isRecorded }) => {
    const at = ((tsNs - fromNs) / (untilNs - fromNs) * width).toFixed(1);
    const what = isRecorded ? "killed then" : "killed in the replay";
    const seconds = ((tsNs - fromNs) / 1e9).toFixed(3);
    const path = isRecorded ? "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0" : "M-5 -5L5 5M-5 5L5 -5";
    return `<path transform="translate(${at} -8)" d="${path}" fill="none" stroke="${
      isRecorded ? "#555" : "#b00020"
    }" stroke-width="2"><title>${what} at ${seconds} s</title></path>`;
  });
  const seconds = ((untilNs - fromNs) / 1e9).toFixed(1);
  const top = formatBytes(topPages * pageBytes);
  return [
    `<text x="0" y="-16">uid ${uid}</text>`,
    `<text x="${width}" y="-16" text-anchor="end">usage, - - soft, - hard, ` +
    `x killed in the replay, o killed then</text>`,
    `<rect width="${width}" height="${CHART_HEIGHT}" fill="#f6f6f6"/>`,
    `<path d="${line(usage)}" fill="none" stroke="#1f6fb4" stroke-width="1.5"/>`,
    `<path d="${line(hard)}" fill="none" stroke="#b00020"/>`,
    `<path d="${line(soft)}" fill="none" stroke="#c77700" stroke-dasharray="4 3"/>`,
    ...marks,
    `<text x="-6" y="10" text-anchor="end">${top}</text>`,
    `<text x="-6" y="${CHART_HEIGHT}" text-anchor="end">0</text>`,
    `<text x="0" y="${CHART_HEIGHT + 16}">0 s</text>`,
    `<text x="${width}" y="${CHART_HEIGHT + 16}" text-anchor="end">${seconds} s</text>`,
  ].join("");
}
