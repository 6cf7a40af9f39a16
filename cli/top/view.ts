/**
 * The screen of `toom top`: made of what the daemon has told and of what keys have changed, and of
 * nothing else.
 *
 * @module
 */
import { formatBytes } from "../../pipeline/limits/units.ts";
import type { ProcessReport, StatusReport, UserReport } from "../../service/control/control_api.ts";
import { formatSeconds, harmless } from "../../service/fields/show.ts";
import type { KillRecord } from "../../service/history/record.ts";
import { keyHelp, KEYS } from "./keys.ts";
import { Screen, Style } from "./screen.ts";
import { type Sort, type Told, type TopState, usedPart } from "./state.ts";

export const COLUMNS_MIN = 80;
export const ROWS_MIN = 24;
/** Lines of kills, of a screen of the least size; larger ones have more. */
const KILL_LINES = 4;
/** Processes of a user. */
const PROCESS_LINES = 7;
/** Behind a bar. */
const PERCENT_WIDTH = 5;

/** Short, as a screen has little room: `64.0M`, `1.5G`, `512B`. */
function short(bytes: number): string {
  return formatBytes(bytes).replace(" ", "").replace("iB", "");
}

interface ScreenColumn<Row> {
  readonly title: string;
  readonly width: number;
  readonly right?: boolean;
  readonly sort?: Sort;
  readonly text: (row: Row, pageBytes: number) => string;
}

const USER_COLUMNS: readonly ScreenColumn<UserReport>[] = [
  {
    title: "USER",
    width: 10,
    sort: "user",
    text: ({ user, uid }) => user === null ? String(uid) : harmless(user),
  },
  { title: "UID", width: 6, right: true, sort: "uid", text: ({ uid }) => String(uid) },
  {
    title: "USAGE",
    width: 8,
    right: true,
    sort: "usage",
    text: ({ usagePages }, pageBytes) => short(usagePages * pageBytes),
  },
  {
    title: "HARD",
    width: 8,
    right: true,
    text: ({ hardPages }, pageBytes) => short(hardPages * pageBytes),
  },
  {
    title: "GROWTH/s",
    width: 9,
    right: true,
    sort: "growth",
    text: ({ growthPagesPerSecond: pages }, pageBytes) =>
      pages === 0 ? "-" : short(pages * pageBytes),
  },
  { title: "HARD IN", width: 7, right: true, text: (user) => timeToHard(user) },
  {
    title: "PROC",
    width: 5,
    right: true,
    sort: "processes",
    text: ({ processes }) => String(processes),
  },
  { title: "KILLS", width: 5, right: true, sort: "kills", text: ({ kills }) => String(kills) },
];

const PROCESS_COLUMNS: readonly ScreenColumn<ProcessReport>[] = [
  { title: "PID", width: 8, right: true, text: ({ pid }) => String(pid) },
  { title: "COMMAND", width: 16, text: ({ comm }) => harmless(comm) },
  {
    title: "COUNTED",
    width: 10,
    right: true,
    text: ({ countedPages }, pageBytes) => formatBytes(countedPages * pageBytes),
  },
  {
    title: "GIVES BACK",
    width: 10,
    right: true,
    text: ({ givesBackPages }, pageBytes) => formatBytes(givesBackPages * pageBytes),
  },
  {
    title: "GROWTH/s",
    width: 10,
    right: true,
    text: ({ growthPagesPerSecond: pages }, pageBytes) =>
      pages === 0 ? "-" : formatBytes(pages * pageBytes),
  },
  { title: "FATE", width: 10, text: ({ fate }) => fate },
];

/** The whole screen. */
export function drawTop(state: TopState, columns: number, rows: number): Screen {
  const screen = new Screen(columns, rows);
  if (columns < COLUMNS_MIN || rows < ROWS_MIN) {
    screen.put(
      0,
      0,
      `toom top needs ${COLUMNS_MIN} by ${ROWS_MIN} cells, here are ${columns} by ${rows}`,
    );
    return screen;
  }
  if (state.isHelp) {
    drawHelp(screen);
    return screen;
  }
  const { told } = state;
  if (told === undefined) {
    screen.put(0, 0, state.problem ?? "toom is being asked", Style.bold);
  } else {
    drawHead(screen, state, told);
    drawProblem(screen, state);
    const bottom = rows - 1 - drawKills(screen, told);
    const isUser = state.userUid !== undefined;
    const middle = isUser ? Math.max(8, bottom - PROCESS_LINES - 2) : bottom;
    drawUsers(screen, state, 4, middle);
    if (isUser) drawProcesses(screen, told, middle, bottom);
  }
  drawFoot(screen, state);
  return screen;
}

function drawHead(screen: Screen, state: TopState, told: Told): void {
  const { status, cpuShare } = told;
  const { kills, events, shed, near, memory } = status;
  const cpu = cpuShare === undefined ? "" : `, ${(cpuShare * 100).toFixed(1)} % CPU`;
  let at = screen.put(0, 0, `toom ${harmless(status.version)}`, Style.title);
  at = screen.put(
    0,
    at,
    `, up ${formatSeconds(status.uptimeSeconds)}, source ${status.source}, ` +
      `${formatBytes(memory.rssBytes)}${cpu}`,
  );
  if (state.isPaused) screen.put(0, at + 2, "PAUSED", Style.reverse);
  const over = status.users.filter((user) => user.state !== "ok").length;
  at = screen.put(1, 0, `${status.users.length} users, ${over} above soft; kills ${kills.total}`);
  if (kills.failed > 0) at = screen.put(1, at, `, ${kills.failed} failed`, Style.bad);
  screen.put(
    1,
    at,
    `; events ${Math.round(events.perSecond)}/s` +
      (near === undefined ? "" : near.isNear ? "; near: each page is booked" : "; all are far"),
  );
  const doubts = status.users.filter(({ inDoubt }) => inDoubt).length;
  at = status.degraded
    ? screen.put(2, 0, "books degraded", Style.bad)
    : screen.put(2, 0, "books in order", Style.good);
  const left = shed === undefined ? 0 : shed.reports + shed.orders + shed.logLines;
  screen.put(
    2,
    at,
    `; in doubt ${doubts}; lost ${events.lost}, shed ${left}, drift ${
      formatBytes(events.driftPages * status.pageBytes)
    }`,
  );
}

/** Below the head: why what is shown is not of now. */
function drawProblem(screen: Screen, { problem }: TopState): void {
  if (problem !== undefined) screen.put(3, 0, harmless(problem), Style.bad);
}

function timeToHard({ usagePages, hardPages, growthPagesPerSecond: growth }: UserReport): string {
  if (growth <= 0 || usagePages >= hardPages) return "-";
  const seconds = (hardPages - usagePages) / growth;
  return seconds > 359_999 ? "days" : formatSeconds(seconds).replace(/ (h|min|s)/g, "$1");
}

function drawRow<Row>(
  screen: Screen,
  row: number,
  columns: readonly ScreenColumn<Row>[],
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

function drawUsers(screen: Screen, state: TopState, from: number, to: number): void {
  const { users, sort, isInverted } = state;
  const titles = USER_COLUMNS.map((column) =>
    column.sort === sort ? `${column.title}${isInverted ? "↑" : "↓"}` : column.title
  );
  screen.fill(from, "", Style.reverse);
  const barAt = drawRow(screen, from, USER_COLUMNS, titles, Style.reverse);
  const isByPart = sort === "used" ? (isInverted ? "↑" : "↓") : "";
  screen.put(from, barAt, `USED${isByPart}`, Style.reverse);
  const room = Math.max(0, to - from - 1);
  const cursor = Math.max(0, users.findIndex(({ uid }) => uid === state.cursorUid));
  const first = Math.max(0, Math.min(cursor - room + 1, users.length - room));
  const { pageBytes } = state.told!.status;
  users.slice(first, first + room).forEach((user, index) => {
    const row = from + 1 + index;
    const isCursor = first + index === cursor;
    const style = isCursor ? Style.reverse : styleOf(user);
    if (isCursor) screen.fill(row, "", Style.reverse);
    drawRow(
      screen,
      row,
      USER_COLUMNS,
      USER_COLUMNS.map(({ text }) => text(user, pageBytes)),
      style,
    );
    drawBar(screen, row, barAt, user, isCursor);
  });
  if (users.length === 0) {
    const none = state.filter === "" ? "no users with a limit" : "no user has this text";
    screen.put(from + 1, 0, none, Style.dim);
  }
}

function styleOf({ state, inDoubt }: UserReport): Style {
  if (state === "hard" || inDoubt) return Style.bad;
  return state === "soft" ? Style.warning : Style.plain;
}

/** Usage against the limits: soft is a line in it, hard its end; then the percentage. */
function drawBar(
  screen: Screen,
  row: number,
  at: number,
  user: UserReport,
  isCursor: boolean,
): void {
  const width = screen.columns - at - PERCENT_WIDTH;
  const part = usedPart(user);
  const filled = Math.min(width, Math.round(part * width));
  const softAt = user.hardPages === 0
    ? width
    : Math.min(width - 1, Math.round(user.softPages / user.hardPages * width));
  let style: Style = part >= 1 ? Style.bad : filled > softAt ? Style.warning : Style.good;
  if (isCursor) style = Style.reverse;
  let bar = "";
  for (let cell = 0; cell < width; cell++) {
    bar += cell < filled ? "█" : cell === softAt ? "│" : " ";
  }
  const percent = `${(part * 100).toFixed(part < 0.1 ? 1 : 0)}%`;
  screen.put(row, at, bar + percent.slice(0, PERCENT_WIDTH).padStart(PERCENT_WIDTH), style);
}

function drawProcesses(screen: Screen, told: Told, from: number, to: number): void {
  const { explanation } = told;
  const { pageBytes } = told.status;
  screen.fill(from, "", Style.reverse);
  const at = drawRow(
    screen,
    from,
    PROCESS_COLUMNS,
    PROCESS_COLUMNS.map(({ title }) => title),
    Style.reverse,
  );
  screen.put(
    from,
    at,
    explanation?.user?.user ?? String(explanation?.ownerUid ?? ""),
    Style.reverse,
  );
  const processes = explanation?.processes ?? [];
  processes.slice(0, Math.max(0, to - from - 1)).forEach((process, index) => {
    const style = process.fate === "next"
      ? Style.warning
      : process.fate === "candidate"
      ? Style.plain
      : Style.dim;
    const cells = PROCESS_COLUMNS.map(({ text }) => text(process, pageBytes));
    drawRow(screen, from + 1 + index, PROCESS_COLUMNS, cells, style);
  });
  if (processes.length === 0) screen.put(from + 1, 0, "no processes", Style.dim);
}

/** The last kills, the newest at the bottom. @returns Lines that they take. */
function drawKills(screen: Screen, { kills, status }: Told): number {
  const lines = Math.min(KILL_LINES + Math.floor((screen.rows - ROWS_MIN) / 6), 12);
  const from = screen.rows - 1 - lines;
  screen.fill(from, "KILLS", Style.reverse);
  const shown = kills.slice(-(lines - 1));
  shown.forEach((kill, index) => screen.put(from + 1 + index, 0, killLine(kill, status)));
  if (shown.length === 0) screen.put(from + 1, 0, "none", Style.dim);
  return lines;
}

function killLine(kill: KillRecord, { pageBytes }: StatusReport): string {
  const who = kill.user === null ? `uid ${kill.uid}` : harmless(kill.user);
  return `${kill.at.slice(11, 19)}Z ${who}: pid ${kill.pid} (${harmless(kill.comm)}), ` +
    `${formatBytes(kill.victimPages * pageBytes)}, ${formatBytes(kill.overshootBytes)} over ` +
    `${formatBytes(kill.hardPages * pageBytes)}, by ${kill.trigger}, ${
      Math.round(kill.latencyUs)
    } µs`
      .replace("µ", "u");
}

function drawHelp(screen: Screen): void {
  screen.put(0, 0, "toom top: users against their limits, and what was killed", Style.title);
  keyHelp().forEach((line, index) => screen.put(2 + index, 2, line));
  const last = 3 + KEYS.length;
  screen.put(
    last,
    0,
    "A bar ends at the hard limit; the line in it is soft. Yellow: above soft, red: above hard",
  );
  screen.put(last + 1, 0, "or in doubt. Any key goes back.");
}

function drawFoot(screen: Screen, state: TopState): void {
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
  for (const { hint } of KEYS) {
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
