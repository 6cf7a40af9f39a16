/**
 * Usage of users over the time of a replay, with their limits and kills: as text.
 *
 * @module
 */
import { formatBytes } from "../pipeline/limits/units.ts";
import type { RecordingReplay } from "../pipeline/replay/recording_replay.ts";
import type { ComparedKill } from "./compare_kills.ts";

const COLUMNS = 72;
const ROWS = 12;
/** Users with a chart of their own, in a terminal and in a picture. */
const USERS_MAX = 8;
const BLOCKS = " ▁▂▃▄▅▆▇█";

/** What is drawn of one user; pages. */
export interface Chart {
  readonly uid: number;
  readonly fromNs: number;
  readonly untilNs: number;
  /** The most in each column; NaN where nothing is known. */
  readonly usage: readonly number[];
  /** Limits in force in each column; NaN where there are none. */
  readonly hard: readonly number[];
  readonly soft: readonly number[];
  readonly kills: readonly { readonly tsNs: number; readonly isRecorded: boolean }[];
  /** Of the scale. */
  readonly topPages: number;
}

/**
 * Charts of the users that are worth one.
 * @param columns Columns of each.
 * @param usersMax As many at most; those with kills, and then the largest.
 */
export function chartsOf(
  replay: RecordingReplay,
  compared: readonly ComparedKill[],
  columns: number,
  usersMax = USERS_MAX,
): readonly Chart[] {
  const { usage } = replay;
  const killed = new Set(compared.map(({ uid }) => uid));
  const peak = (uid: number): number =>
    usage.of(uid).reduce((most, pages) => pages > most ? pages : most, 0);
  const rank = (uid: number): number => (killed.has(uid) ? 2 ** 40 : 0) + peak(uid);
  const uids = usage.uids.filter((uid) => rank(uid) > 0).sort((a, b) => rank(b) - rank(a));
  return uids.slice(0, usersMax).map((uid) => chartOf(replay, compared, uid, columns));
}

function chartOf(
  replay: RecordingReplay,
  compared: readonly ComparedKill[],
  uid: number,
  columns: number,
): Chart {
  const { usage } = replay;
  const series = usage.of(uid);
  const fromNs = usage.firstNs;
  const untilNs = Math.max(usage.lastNs, fromNs + 1);
  const values: number[] = [];
  const hard: number[] = [];
  const soft: number[] = [];
  for (let column = 0; column < columns; column++) {
    const start = Math.floor(column * series.length / columns);
    const end = Math.max(start + 1, Math.floor((column + 1) * series.length / columns));
    let most = NaN;
    for (let at = start; at < end; at++) {
      if (Number.isNaN(most) || series[at]! > most) most = series[at]!;
    }
    // Between two looks it had what it had.
    values.push(Number.isNaN(most) ? values.at(-1) ?? NaN : most);
    const atNs = fromNs + (column + 0.5) * (untilNs - fromNs) / columns;
    const limits = usage.limitsSince.findLast(({ sinceNs }) => sinceNs <= atNs) ??
      usage.limitsSince[0];
    const rule = limits?.rules.find(uid);
    const hasLimit = rule !== undefined && rule.hardPages !== 0x7fffffff;
    hard.push(hasLimit ? rule.hardPages : NaN);
    soft.push(hasLimit ? rule.softPages : NaN);
  }
  const kills = compared.filter((kill) => kill.uid === uid).flatMap(({ recorded, replayed }) => [
    ...(recorded === null ? [] : [{ tsNs: recorded.tsNs, isRecorded: true }]),
    ...(replayed === null ? [] : [{ tsNs: replayed.tsNs, isRecorded: false }]),
  ]);
  const top = [...values, ...hard].reduce((most, pages) => pages > most ? pages : most, 1);
  return { uid, fromNs, untilNs, usage: values, hard, soft, kills, topPages: top * 1.1 };
}

/** As text, for a terminal of 80 columns. */
export function chartLines(
  replay: RecordingReplay,
  compared: readonly ComparedKill[],
): readonly string[] {
  return chartsOf(replay, compared, COLUMNS).flatMap((chart) => [
    "",
    ...textOf(chart, replay.head.pageBytes),
  ]);
}

function textOf(chart: Chart, pageBytes: number): readonly string[] {
  const { uid, usage, hard, soft, topPages, kills, fromNs, untilNs } = chart;
  const rowPages = topPages / ROWS;
  const lines = [
    `uid ${uid}, usage up to ${formatBytes(topPages * pageBytes)}: - hard, . soft, ` +
    "x killed in the replay, o killed then, * both",
  ];
  lines.push(` ${marks(kills, fromNs, untilNs)}`.trimEnd());
  for (let row = ROWS - 1; row >= 0; row--) {
    const cells = usage.map((pages, column) => {
      const filled = Number.isNaN(pages) ? 0 : pages / rowPages - row;
      const block = BLOCKS[Math.max(0, Math.min(8, Math.round(filled * 8)))]!;
      const isAt = (line: number): boolean => Math.floor(line / rowPages) === row;
      if (isAt(hard[column]!)) return "-";
      if (block !== " ") return block;
      return isAt(soft[column]!) ? "." : " ";
    });
    lines.push(`|${cells.join("")}`.trimEnd());
  }
  const seconds = (untilNs - fromNs) / 1e9;
  const end = `${seconds.toFixed(1)} s`;
  lines.push(`+${"-".repeat(COLUMNS)}`, ` 0 s${end.padStart(COLUMNS - 3)}`);
  return lines;
}

function marks(kills: Chart["kills"], fromNs: number, untilNs: number): string {
  const cells = new Array<string>(COLUMNS).fill(" ");
  for (const { tsNs, isRecorded } of kills) {
    const share = (tsNs - fromNs) / (untilNs - fromNs);
    const at = Math.max(0, Math.min(COLUMNS - 1, Math.floor(share * COLUMNS)));
    const mark = isRecorded ? "o" : "x";
    cells[at] = cells[at] === " " || cells[at] === mark ? mark : "*";
  }
  return cells.join("");
}
