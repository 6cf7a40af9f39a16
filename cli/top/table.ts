/**
 * Lists of `toom top`: rows of cells, one of which the cursor is on, each with a bar behind it.
 *
 * @module
 */
import { formatBytes } from "../../pipeline/limits/units.ts";
import { formatSeconds, harmless } from "../../service/fields/show.ts";
import type { Listed, ListState } from "./list_state.ts";
import { type Screen, Style } from "./screen.ts";

/** The least screen that has room for all. */
export const COLUMNS_MIN = 80;
export const ROWS_MIN = 24;
/** Behind a bar. */
const PERCENT_WIDTH = 5;

/** Short, as a screen has little room: `64.0M`, `1.5G`, `512B`. */
export function short(bytes: number): string {
  return formatBytes(bytes).replace(" ", "").replace("iB", "");
}

export interface ScreenColumn<Row, Sort extends string = never> {
  readonly title: string;
  readonly width: number;
  readonly right?: boolean;
  readonly sort?: Sort;
  readonly text: (row: Row) => string;
}

/** Usage against the limits, all in one unit; 0 as a limit: there is none. */
export interface Bar {
  readonly usage: number;
  readonly soft: number;
  readonly hard: number;
}

/** What is charged, as a part of the limit; 1 and more is over. */
export function partOf({ usage, hard }: Bar): number {
  return hard === 0 ? 1 : usage / hard;
}

/** Until the limit is reached, if growth stays; `-` when it never is. @param growth A second. */
export function timeToHard({ usage, hard }: Bar, growth: number): string {
  if (growth <= 0 || usage >= hard) return "-";
  const seconds = (hard - usage) / growth;
  return seconds > 359_999 ? "days" : formatSeconds(seconds).replace(/ (h|min|s)/g, "$1");
}

/** How the rows of a list are shown. */
export interface ListView<Row, Sort extends string> {
  readonly columns: readonly ScreenColumn<Row, Sort>[];
  readonly bar: (row: Row) => Bar;
  readonly style: (row: Row) => Style;
}

/** A screen that is too small says so. @returns Whether it is. */
export function drawTooSmall(screen: Screen): boolean {
  const { columns, rows } = screen;
  if (columns >= COLUMNS_MIN && rows >= ROWS_MIN) return false;
  const needs =
    `toom top needs ${COLUMNS_MIN} by ${ROWS_MIN} cells, here are ${columns} by ${rows}`;
  screen.put(0, 0, needs);
  return true;
}

/** The list of a state between two lines of the screen, with its titles in the first. */
export function drawList<Row extends Listed, Sort extends string>(
  screen: Screen,
  state: ListState<Row, Sort>,
  { columns, bar, style }: ListView<Row, Sort>,
  from: number,
  to: number,
): void {
  const { users, sort, isInverted } = state;
  const arrow = isInverted ? "↑" : "↓";
  const titles = columns.map((column) =>
    column.sort === sort ? `${column.title}${arrow}` : column.title
  );
  screen.fill(from, "", Style.reverse);
  const barAt = drawRow(screen, from, columns, titles, Style.reverse);
  screen.put(from, barAt, `USED${sort === "used" ? arrow : ""}`, Style.reverse);
  const room = Math.max(0, to - from - 1);
  const cursor = Math.max(0, users.findIndex(({ uid }) => uid === state.cursorUid));
  const first = Math.max(0, Math.min(cursor - room + 1, users.length - room));
  users.slice(first, first + room).forEach((row, index) => {
    const line = from + 1 + index;
    const isCursor = first + index === cursor;
    if (isCursor) screen.fill(line, "", Style.reverse);
    const cells = columns.map(({ text }) => text(row));
    drawRow(screen, line, columns, cells, isCursor ? Style.reverse : style(row));
    drawBar(screen, line, barAt, bar(row), isCursor);
  });
  if (users.length === 0) {
    const none = state.filter === "" ? "no users with a limit" : "no user has this text";
    screen.put(from + 1, 0, none, Style.dim);
  }
}

/** One row of cells. @returns The column behind them. */
export function drawRow<Row, Sort extends string>(
  screen: Screen,
  row: number,
  columns: readonly ScreenColumn<Row, Sort>[],
  cells: readonly string[],
  style: Style,
): number {
  let at = 0;
  columns.forEach(({ width, right }, index) => {
    const cut = cells[index]!.slice(0, width);
    screen.put(row, at, right === true ? cut.padStart(width) : cut.padEnd(width), style);
    at += width;
    screen.put(row, at, " ", style);
    at++;
  });
  return at;
}

/** Usage against the limits: soft is a line in it, hard its end; then the percentage. */
export function drawBar(
  screen: Screen,
  row: number,
  at: number,
  bar: Bar,
  isCursor: boolean,
): void {
  const width = screen.columns - at - PERCENT_WIDTH;
  const part = partOf(bar);
  const filled = Math.min(width, Math.round(part * width));
  const softAt = bar.hard === 0
    ? width
    : Math.min(width - 1, Math.round(bar.soft / bar.hard * width));
  let style: Style = part >= 1 ? Style.bad : filled > softAt ? Style.warning : Style.good;
  if (isCursor) style = Style.reverse;
  let cells = "";
  for (let cell = 0; cell < width; cell++) {
    cells += cell < filled ? "█" : cell === softAt ? "│" : " ";
  }
  const percent = `${(part * 100).toFixed(part < 0.1 ? 1 : 0)}%`;
  screen.put(row, at, cells + percent.slice(0, PERCENT_WIDTH).padStart(PERCENT_WIDTH), style);
}

/** The line at the bottom: keys, or what is being typed. */
export function drawFoot(
  screen: Screen,
  state: ListState<Listed, string>,
): void {
  const row = screen.rows - 1;
  const { prompt } = state;
  if (prompt !== undefined) {
    screen.fill(
      row,
      `${prompt.action === "search" ? "Search" : "Filter"}: ${prompt.text}_`,
      Style.reverse,
    );
    return;
  }
  let at = 0;
  for (const { hint } of state.keys) {
    if (hint === undefined) continue;
    const [, key, word] = /^(F\d+|.)(.*)$/.exec(hint)!;
    at = screen.put(row, at, key!);
    at = screen.put(row, at, word!, Style.reverse);
    at = screen.put(row, at, " ");
  }
  const every = `every ${state.refreshMs / 1000} s` +
    (state.filter === "" ? "" : `, only ${harmless(state.filter)}`);
  screen.put(row, at + 1, every, Style.dim);
}
