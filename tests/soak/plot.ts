/**
 * Lines over time as an SVG picture.
 *
 * @module
 */

export interface Line {
  readonly name: string;
  /** x and y, by rising x; NaN interrupts it. */
  readonly points: readonly (readonly [number, number])[];
}

export interface Plot {
  readonly title: string;
  readonly unit: string;
  /** Whether y is logarithmic. */
  readonly isLogarithmic?: boolean;
  readonly lines: readonly Line[];
}

const WIDTH = 760;
const HEIGHT = 190;
const LEFT = 62;
const RIGHT = 12;
const TOP = 34;
const BOTTOM = 26;
const COLOURS = ["#1565c0", "#c62828", "#2e7d32", "#6a1b9a", "#ef6c00", "#00838f"] as const;
const Y_MARKS = 4;
const X_MARKS = 9;

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const shown = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value.toPrecision(3).replace(/\.?0+$/, "");

/** From values to a place on one axis. */
type Scale = (value: number) => number;

function scaleY({ lines, isLogarithmic = false }: Plot): { at: Scale; marks: readonly number[] } {
  const values = lines.flatMap(({ points }) => points.map(([, y]) => y)).filter(Number.isFinite);
  const form = (value: number): number => isLogarithmic ? Math.log10(Math.max(value, 1)) : value;
  const low = isLogarithmic ? Math.floor(form(Math.min(...values, 1e9))) : 0;
  const high = isLogarithmic
    ? Math.ceil(form(Math.max(...values, 10)))
    : Math.max(...values, 1) * 1.08;
  const span = HEIGHT - TOP - BOTTOM;
  const marks = isLogarithmic
    ? Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index))
    : Array.from({ length: Y_MARKS + 1 }, (_, index) => high * index / Y_MARKS);
  return { at: (value) => TOP + span * (1 - (form(value) - low) / (high - low || 1)), marks };
}

function path(points: Line["points"], x: Scale, y: Scale): string {
  let isDrawing = false;
  return points.map(([at, value]) => {
    if (!Number.isFinite(value)) {
      isDrawing = false;
      return "";
    }
    const verb = isDrawing ? "L" : "M";
    isDrawing = true;
    return `${verb}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
  }).join("");
}

/** One plot, `top` pixels below the picture's edge, x from 0 to `end` minutes. */
function drawPlot(plot: Plot, top: number, end: number): string {
  const x: Scale = (value) => LEFT + (WIDTH - LEFT - RIGHT) * value / end;
  const { at: y, marks } = scaleY(plot);
  const parts = [
    `<text x="${LEFT}" y="16" class="title">${escaped(plot.title)}, ${escaped(plot.unit)}</text>`,
  ];
  for (const mark of marks) {
    const at = y(mark).toFixed(1);
    parts.push(`<path class="grid" d="M${LEFT} ${at}H${WIDTH - RIGHT}"/>`);
    parts.push(
      `<text class="mark" text-anchor="end" x="${LEFT - 6}" y="${at}" dy="4">${shown(mark)}</text>`,
    );
  }
  for (let index = 0; index <= X_MARKS; index++) {
    const minutes = end * index / X_MARKS;
    parts.push(
      `<text class="mark" text-anchor="middle" x="${x(minutes).toFixed(1)}" y="${
        HEIGHT - BOTTOM + 15
      }">${shown(minutes)}</text>`,
    );
  }
  let legend = WIDTH - RIGHT;
  plot.lines.forEach(({ name, points }, index) => {
    const colour = COLOURS[index % COLOURS.length]!;
    parts.push(`<path class="line" stroke="${colour}" d="${path(points, x, y)}"/>`);
    parts.push(
      `<text class="mark" text-anchor="end" x="${legend}" y="16" fill="${colour}">${
        escaped(name)
      }</text>`,
    );
    legend -= name.length * 6.5 + 14;
  });
  return `<g transform="translate(0 ${top})">${parts.join("\n")}</g>`;
}

/** @param minutes Where the x axis ends. @returns The plots below one another. */
export function drawPlots(plots: readonly Plot[], minutes: number): string {
  const height = HEIGHT * plots.length;
  const style = "text{font:11px sans-serif}.title{font-weight:bold}.mark{font-size:10px}" +
    ".grid{stroke:#ddd;fill:none}.line{fill:none;stroke-width:1.2}";
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<style>${style}</style><rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    ...plots.map((plot, index) => drawPlot(plot, index * HEIGHT, minutes)),
    "</svg>\n",
  ].join("\n");
}
