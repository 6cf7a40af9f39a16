/**
 * The screen of `toom top`: made of what the daemon has told and of what keys have changed, and of
 * nothing else.
 *
 * @module
 */
import { formatBytes } from "../../pipeline/limits/units.ts";
import type {
  Explanation,
  ProcessReport,
  StatusReport,
  UserReport,
} from "../../service/control/control_api.ts";
import { formatSeconds, harmless } from "../../service/fields/show.ts";
import type { KillRecord } from "../../service/history/record.ts";
import { keyHelp, KEYS } from "./keys.ts";
import { Screen, Style } from "./screen.ts";
import { barOf, type Sort, type Told, type TopState } from "./state.ts";
import {
  drawFoot,
  drawList,
  drawRow,
  drawTooSmall,
  ROWS_MIN,
  type ScreenColumn,
  short,
  timeToHard,
} from "./table.ts";

/** Lines of kills, of a screen of the least size; larger ones have more. */
const KILL_LINES = 4;
/** Processes of a user. */
export const PROCESS_LINES = 7;

/** @param pageBytes Of the machine. */
export const userColumns = (pageBytes: number): readonly ScreenColumn<UserReport, Sort>[] => [
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
    text: ({ usagePages }) => short(usagePages * pageBytes),
  },
  {
    title: "HARD",
    width: 8,
    right: true,
    text: ({ hardPages }) => short(hardPages * pageBytes),
  },
  {
    title: "GROWTH/s",
    width: 9,
    right: true,
    sort: "growth",
    text: ({ growthPagesPerSecond: pages }) => pages === 0 ? "-" : short(pages * pageBytes),
  },
  {
    title: "HARD IN",
    width: 7,
    right: true,
    text: (user) => timeToHard(barOf(user), user.growthPagesPerSecond),
  },
  {
    title: "PROC",
    width: 5,
    right: true,
    sort: "processes",
    text: ({ processes }) => String(processes),
  },
  { title: "KILLS", width: 5, right: true, sort: "kills", text: ({ kills }) => String(kills) },
];

const processColumns = (pageBytes: number): readonly ScreenColumn<ProcessReport>[] => [
  { title: "PID", width: 8, right: true, text: ({ pid }) => String(pid) },
  { title: "COMMAND", width: 16, text: ({ comm }) => harmless(comm) },
  {
    title: "COUNTED",
    width: 10,
    right: true,
    text: ({ countedPages }) => formatBytes(countedPages * pageBytes),
  },
  {
    title: "GIVES BACK",
    width: 10,
    right: true,
    text: ({ givesBackPages }) => formatBytes(givesBackPages * pageBytes),
  },
  {
    title: "GROWTH/s",
    width: 10,
    right: true,
    text: ({ growthPagesPerSecond: pages }) => pages === 0 ? "-" : formatBytes(pages * pageBytes),
  },
  { title: "FATE", width: 10, text: ({ fate }) => fate },
];

/** The whole screen. */
export function drawTop(state: TopState, columns: number, rows: number): Screen {
  const screen = new Screen(columns, rows);
  if (drawTooSmall(screen)) return screen;
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
    const bottom = rows - 1 -
      drawKills(screen, told.kills.map((kill) => killLine(kill, told.status)));
    const isUser = state.userUid !== undefined;
    const middle = isUser ? Math.max(8, bottom - PROCESS_LINES - 2) : bottom;
    const { pageBytes } = told.status;
    const view = { columns: userColumns(pageBytes), bar: barOf, style: styleOf };
    drawList(screen, state, view, 4, middle);
    if (isUser) drawProcesses(screen, told.explanation, pageBytes, middle, bottom);
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

/** Of the line of a user. */
export function styleOf({ state, inDoubt }: Pick<UserReport, "state" | "inDoubt">): Style {
  if (state === "hard" || inDoubt) return Style.bad;
  return state === "soft" ? Style.warning : Style.plain;
}

/** The processes of a user between two lines of the screen, with their titles in the first. */
export function drawProcesses(
  screen: Screen,
  explanation: Explanation | undefined,
  pageBytes: number,
  from: number,
  to: number,
): void {
  const columns = processColumns(pageBytes);
  screen.fill(from, "", Style.reverse);
  const at = drawRow(screen, from, columns, columns.map(({ title }) => title), Style.reverse);
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
    const cells = columns.map(({ text }) => text(process));
    drawRow(screen, from + 1 + index, columns, cells, style);
  });
  if (processes.length === 0) screen.put(from + 1, 0, "no processes", Style.dim);
}

/** The last kills, one a line, the newest at the bottom. @returns Lines that they take. */
export function drawKills(screen: Screen, kills: readonly string[]): number {
  const lines = Math.min(KILL_LINES + Math.floor((screen.rows - ROWS_MIN) / 6), 12);
  const from = screen.rows - 1 - lines;
  screen.fill(from, "KILLS", Style.reverse);
  const shown = kills.slice(-(lines - 1));
  shown.forEach((line, index) => screen.put(from + 1 + index, 0, line));
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
