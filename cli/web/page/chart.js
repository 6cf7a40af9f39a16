/** A chart of usage over time, by uPlot; kills are marks in it that open their receipts. */
import uPlot from "../vendor/uPlot.esm.js";
import { formatBytes, formatPart, formatTime } from "./format.js";
import { Component, html } from "./html.js";

const HEIGHT = 220;
const MARK_PIXELS = 9;
const AXIS_PIXELS = 76;

/** A colour of the style sheet, as it is now. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/**
 * Properties: `data` (seconds, then values of each line), `lines` (label, colour's name, and whether it is
 * dashed, stepped or filled), `unit` (`bytes` or `part`), `top` (the least that the scale goes up to),
 * `kills` (id, title, second, and a class of the mark where it has one), `onKill`, `theme`, `label`, and
 * `formatSecond` where seconds are not since 1970.
 */
export class Chart extends Component {
  #plot = undefined;
  #signature = "";
  #frame = null;
  #readout = null;
  #marks = [];
  #observer = undefined;

  componentDidMount() {
    this.#observer = new ResizeObserver(() => {
      if (this.#plot === undefined || this.#frame === null) return;
      const width = this.#frame.clientWidth;
      if (width > 0 && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT });
    });
    this.#observer.observe(this.#frame);
    this.#update();
  }

  componentDidUpdate() {
    this.#update();
  }

  componentWillUnmount() {
    this.#observer.disconnect();
    this.#plot?.destroy();
  }

  #update() {
    const { data, lines, unit, theme } = this.props;
    const signature = JSON.stringify([lines, unit, theme]);
    if (signature !== this.#signature) {
      this.#signature = signature;
      this.#plot?.destroy();
      this.#plot = new uPlot(this.#options(), data, this.#frame);
    } else this.#plot.setData(data);
    this.#placeMarks();
  }

  #options() {
    const { lines, unit, formatSecond } = this.props;
    const format = unit === "bytes" ? formatBytes : formatPart;
    const axis = {
      stroke: colour("--dim"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { stroke: colour("--line"), width: 1, size: 4 },
      font: "12px system-ui, sans-serif",
    };
    return {
      width: Math.max(100, this.#frame.clientWidth),
      height: HEIGHT,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 7 } },
      scales: {
        x: { time: formatSecond === undefined },
        y: { range: (_plot, _least, most) => [0, Math.max(this.props.top, most ?? 0) * 1.08] },
      },
      axes: [
        {
          ...axis,
          space: 70,
          size: 34,
          values: (_plot, values) =>
            formatSecond === undefined ? timeTexts(values) : values.map(formatSecond),
        },
        {
          ...axis,
          size: AXIS_PIXELS,
          values: (_plot, values) => values.map((value) => format(value)),
          ...(unit === "bytes" ? { splits: byteSplits } : {}),
        },
      ],
      series: [{}, ...lines.map((line) => this.#series(line))],
      hooks: {
        setCursor: [(plot) => this.#read(plot)],
        setSize: [() => this.#placeMarks()],
      },
    };
  }

  #series({ label, colour: name, isDashed, isStepped, isFilled }) {
    const stroke = colour(name);
    return {
      label,
      stroke,
      width: isDashed ? 1.5 : 2,
      points: { show: false },
      spanGaps: false,
      ...(isDashed ? { dash: [6, 4] } : {}),
      ...(isStepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
      ...(isFilled ? { fill: colour("--fill") } : {}),
    };
  }

  /** What is under the pointer, in words. */
  #read(plot) {
    if (this.#readout === null) return;
    const { idx } = plot.cursor;
    const { lines, unit } = this.props;
    const format = unit === "bytes" ? formatBytes : formatPart;
    if (idx === null || idx === undefined) {
      this.#readout.textContent = "";
      return;
    }
    const values = lines.map(({ label }, at) => [label, plot.data[at + 1]?.[idx]])
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([label, value]) => `${label} ${format(value)}`);
    const { formatSecond = (second) => formatTime(second * 1000) } = this.props;
    this.#readout.textContent = `${formatSecond(plot.data[0][idx])}  ${values.join(", ")}`;
  }

  #placeMarks() {
    const plot = this.#plot;
    if (plot === undefined) return;
    for (const mark of this.#marks) mark.remove();
    this.#marks = [];
    const { min, max } = plot.scales.x;
    if (min === null || min === undefined || max === min) return;
    for (const kill of this.props.kills) {
      const { second } = kill;
      if (second < min || second > max) continue;
      const mark = document.createElement("button");
      mark.className = `mark ${kill.className ?? ""}`;
      mark.type = "button";
      mark.title = mark.ariaLabel = kill.title;
      mark.style.left = `${plot.valToPos(second, "x") - MARK_PIXELS}px`;
      mark.addEventListener("click", () => this.props.onKill(kill.id));
      plot.over.append(mark);
      this.#marks.push(mark);
    }
  }

  render({ label }) {
    return html`
      <figure class="chart" role="group" aria-label=${label}>
        <div ref=${(element) => (this.#frame = element)}></div>
        <p class="readout" aria-hidden="true" ref=${(element) => (this.#readout = element)}></p>
        <figcaption class="sr">${label}</figcaption>
      </figure>
    `;
  }
}

/** Steps of a scale of bytes: round in units of 1024. */
function byteSplits(_plot, _axis, least, most) {
  const wanted = (most - least) / 4;
  let step = 1;
  while (step < wanted) step *= 2;
  const splits = [];
  for (let value = Math.ceil(least / step) * step; value <= most; value += step) splits.push(value);
  return splits;
}

/** Times of an axis in the browser's own time; with the date where that is another one than before. */
function timeTexts(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const span = seconds.length > 1 ? seconds.at(-1) - seconds[0] : 0;
  const isLong = span >= 86_400;
  const isShort = span < 60 * (seconds.length - 1);
  return seconds.map((second) => {
    const date = new Date(second * 1000);
    const day = `${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    if (isLong) return day;
    const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
    return isShort ? `${time}:${two(date.getSeconds())}` : time;
  });
}
