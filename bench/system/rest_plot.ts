/**
 * The picture of what toom costs while nothing happens.
 *
 * @module
 */
import { sourceBars, type Spec } from "./plot_parts.ts";
import type { RestResult } from "./rest.ts";

export function restPlot({ points }: RestResult): Spec {
  const values = points.map(({ source, processes, users, cpuShare }) => ({
    source,
    size: `${processes} processes, ${users} users`,
    percent: cpuShare * 100,
    text: `${(cpuShare * 100).toFixed(2)} %`,
  }));
  const most = Math.max(...values.map(({ percent }) => percent));
  const x = {
    field: "percent",
    type: "quantitative",
    title: "% of one CPU, all threads of toom",
    scale: { domain: [0, most * 1.2], nice: false },
  };
  return sourceBars(values, {
    title: "What toom costs while nothing happens",
    subtitle: ["All processes sleep, far from their users' limits."],
    sources: ["bpf", "raw"],
    row: "size",
    x,
  });
}
