/**
 * The screen of `toom top --record`: users, processes and kills at a moment of a recording.
 *
 * @module
 */
import { formatBytes } from "../../pipeline/limits/units.ts";
import type { RecordedKill, RecordingHead } from "../../pipeline/recording/format.ts";
import { harmless } from "../../service/fields/show.ts";
import { keyHelp } from "./keys.ts";
import type { RecordingState, ToldMoment } from "./recording.ts";
import { Screen, Style } from "./screen.ts";
import { barOf } from "./state.ts";
import { drawFoot, drawList, drawTooSmall } from "./table.ts";
import { drawKills, drawProcesses, PROCESS_LINES, styleOf, userColumns } from "./view.ts";

/** Of the name of the file, that the rest of the line has room. */
const NAME_CELLS = 26;

/**
 * The whole screen.
 * @param name Of the file, as it is shown to people.
 */
export function drawRecording(
  state: RecordingState,
  name: string,
  columns: number,
  rows: number,
): Screen {
  const screen = new Screen(columns, rows);
  if (drawTooSmall(screen)) return screen;
  if (state.isHelp) {
    drawHelp(screen, state);
    return screen;
  }
  const { told, progress, problem, head } = state;
  if (told === undefined) {
    screen.put(0, 0, shownName(name), Style.title);
    screen.put(1, 0, progress ?? "it is being read");
  } else {
    drawHead(screen, state, told, name);
    if (progress !== undefined) screen.put(3, 0, progress);
    else if (problem !== undefined) screen.put(3, 0, harmless(problem), Style.bad);
    const bottom = rows - 1 -
      drawKills(screen, told.kills.map((kill) => killLine(kill, state, told)));
    const isUser = state.userUid !== undefined;
    const middle = isUser ? Math.max(8, bottom - PROCESS_LINES - 2) : bottom;
    const { pageBytes } = head;
    const view = { columns: userColumns(pageBytes), bar: barOf, style: styleOf };
    drawList(screen, state, view, 4, middle);
    if (isUser) drawProcesses(screen, told.explanation, pageBytes, middle, bottom);
  }
  drawFoot(screen, state);
  return screen;
}

function drawHead(screen: Screen, state: RecordingState, told: ToldMoment, name: string): void {
  const { head, firstNs, lastNs, isPaused } = state;
  const { atNs, users, kills, isGap } = told;
  let at = screen.put(0, 0, shownName(name), Style.title);
  const seconds = (ns: number): string => ((ns - firstNs) / 1e9).toFixed(1);
  at = screen.put(
    0,
    at,
    `, ${timeOfDay(head, atNs)}, ${seconds(atNs)} of ${seconds(lastNs)} s, ` +
      `source ${harmless(String(head.source))}`,
  );
  if (isPaused) screen.put(0, at + 1, "PAUSED", Style.reverse);
  else screen.put(0, at + 1, "playing", Style.good);
  const over = users.filter((user) => user.state !== "ok").length;
  screen.put(
    1,
    0,
    `${users.length} users, ${over} above soft; kills until then ${kills.length}`,
  );
  if (isGap) {
    screen.put(
      2,
      0,
      "records were lost: users are as before, until the books were read again",
      Style.bad,
    );
  }
}

/** The end of it says more than its beginning. */
function shownName(name: string): string {
  const shown = harmless(name);
  return shown.length <= NAME_CELLS ? shown : `…${shown.slice(1 - NAME_CELLS)}`;
}

/** UTC, to the tenth of a second; dashes where the file does not say. */
function timeOfDay({ startedAt, startedNs }: RecordingHead, ns: number): string {
  const ms = Date.parse(String(startedAt)) + (ns - startedNs) / 1e6;
  // Beyond it there is no date.
  if (!(Math.abs(ms) < 8.64e15)) return "--:--:--";
  return `${new Date(ms).toISOString().slice(11, 21)}Z`;
}

function killLine(kill: RecordedKill, { head }: RecordingState, { users }: ToldMoment): string {
  const user = users.find(({ uid }) => uid === kill.uid)?.user ?? null;
  const who = user === null ? `uid ${kill.uid}` : harmless(user);
  const { pageBytes } = head;
  return `${timeOfDay(head, kill.tsNs)} ${who}: pid ${kill.pid} (${
    harmless(String(kill.comm))
  }), ` +
    `${formatBytes(kill.victimPages * pageBytes)}, at ${
      formatBytes(kill.usagePages * pageBytes)
    } ` +
    `of ${formatBytes(kill.hardPages * pageBytes)}, by ${harmless(String(kill.trigger))}` +
    (kill.dryRun === true ? ", dry run" : "");
}

function drawHelp(screen: Screen, { keys }: RecordingState): void {
  screen.put(0, 0, "toom top --record: users at a moment of a recording", Style.title);
  const help = keyHelp("processes", keys);
  help.forEach((line, index) => screen.put(2 + index, 2, line));
  const note = "A bar ends at the hard limit; the line in it is soft. Any key goes back.";
  screen.put(3 + help.length, 0, note);
}
