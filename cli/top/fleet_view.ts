/**
 * The screen of `toom top --prometheus`: users over all machines, and one user's machines.
 *
 * @module
 */
import { harmless } from "../../service/fields/show.ts";
import {
  barOfShare,
  type FleetSort,
  type FleetState,
  type FleetUser,
  fullest,
  type MachineShare,
  sumOf,
} from "./fleet.ts";
import { keyHelp, KEYS } from "./keys.ts";
import { Screen, Style } from "./screen.ts";
import {
  type Bar,
  drawBar,
  drawFoot,
  drawList,
  drawRow,
  drawTooSmall,
  type ScreenColumn,
  short,
  timeToHard,
} from "./table.ts";
import { styleOf } from "./view.ts";

/** Of the screen, for the machines of a user, with their titles. */
const MACHINES_PART = 0.4;

const perSecond = (bytes: number): string => bytes === 0 ? "-" : short(bytes);

const USER_COLUMNS: readonly ScreenColumn<FleetUser, FleetSort>[] = [
  {
    title: "USER",
    width: 10,
    sort: "user",
    text: ({ user, uid }) => user === null ? String(uid) : harmless(user),
  },
  { title: "UID", width: 6, right: true, sort: "uid", text: ({ uid }) => String(uid) },
  {
    title: "MACH",
    width: 5,
    right: true,
    sort: "machines",
    text: ({ machines }) => String(machines.length),
  },
  {
    title: "USAGE",
    width: 7,
    right: true,
    sort: "usage",
    text: (user) => short(sumOf(user, "usageBytes")),
  },
  {
    title: "GROWTH/s",
    width: 9,
    right: true,
    sort: "growth",
    text: (user) => perSecond(sumOf(user, "growthBytesPerSecond")),
  },
  {
    title: "PROC",
    width: 5,
    right: true,
    sort: "processes",
    text: (user) => String(sumOf(user, "processes")),
  },
  {
    title: "KILLS",
    width: 6,
    right: true,
    sort: "kills",
    text: (user) => String(sumOf(user, "kills")),
  },
  { title: "FULLEST ON", width: 12, text: (user) => harmless(fullest(user).machine) },
];

const MACHINE_COLUMNS: readonly ScreenColumn<MachineShare>[] = [
  { title: "MACHINE", width: 23, text: ({ machine }) => harmless(machine) },
  { title: "USAGE", width: 7, right: true, text: ({ usageBytes }) => short(usageBytes) },
  { title: "HARD", width: 7, right: true, text: ({ hardBytes }) => short(hardBytes) },
  {
    title: "GROWTH/s",
    width: 8,
    right: true,
    text: ({ growthBytesPerSecond }) => perSecond(growthBytesPerSecond),
  },
  {
    title: "HARD IN",
    width: 7,
    right: true,
    text: (share) => timeToHard(barOfShare(share), share.growthBytesPerSecond),
  },
  { title: "PROC", width: 4, right: true, text: ({ processes }) => String(processes) },
  { title: "KILLS", width: 5, right: true, text: ({ kills }) => String(kills) },
];

/** Of the machine where it is fullest. */
const barOf = (user: FleetUser): Bar => barOfShare(fullest(user));

/**
 * The whole screen.
 * @param server The Prometheus server, as it is named to people.
 */
export function drawFleet(
  state: FleetState,
  server: string,
  columns: number,
  rows: number,
): Screen {
  const screen = new Screen(columns, rows);
  if (drawTooSmall(screen)) return screen;
  if (state.isHelp) {
    drawHelp(screen);
    return screen;
  }
  const { told, problem } = state;
  if (told === undefined) {
    screen.put(0, 0, harmless(problem ?? "Prometheus is being asked"), Style.bold);
  } else {
    drawHead(screen, state, told, server);
    if (problem !== undefined) screen.put(2, 0, harmless(problem), Style.bad);
    const user = told.find(({ uid }) => uid === state.userUid);
    const bottom = rows - 1;
    const middle = user === undefined ? bottom : Math.floor(bottom * (1 - MACHINES_PART));
    drawList(screen, state, { columns: USER_COLUMNS, bar: barOf, style: styleOfUser }, 3, middle);
    if (user !== undefined) drawMachines(screen, user, middle, bottom);
  }
  drawFoot(screen, state);
  return screen;
}

function drawHead(
  screen: Screen,
  { isPaused }: FleetState,
  told: readonly FleetUser[],
  server: string,
): void {
  const machines = new Set(told.flatMap((user) => user.machines.map(({ machine }) => machine)));
  const at = screen.put(0, 0, `toom on ${machines.size} machines`, Style.title);
  const end = screen.put(0, at, `, by Prometheus at ${harmless(server)}`);
  if (isPaused) screen.put(0, end + 2, "PAUSED", Style.reverse);
  const states = told.map(stateOf);
  const soft = states.filter((one) => one === "soft").length;
  const hard = states.filter((one) => one === "hard").length;
  const kills = told.reduce((sum, user) => sum + sumOf(user, "kills"), 0);
  screen.put(
    1,
    0,
    `${told.length} users; on some machine above soft: ${soft}, above hard: ${hard}; kills ${kills}`,
  );
}

function shareState({ usageBytes, softBytes, hardBytes }: MachineShare): "ok" | "soft" | "hard" {
  if (hardBytes > 0 && usageBytes > hardBytes) return "hard";
  return softBytes > 0 && usageBytes > softBytes ? "soft" : "ok";
}

/** The worst of its machines. */
function stateOf({ machines }: FleetUser): "ok" | "soft" | "hard" {
  const states = machines.map(shareState);
  if (states.includes("hard")) return "hard";
  return states.includes("soft") ? "soft" : "ok";
}

function styleOfUser(user: FleetUser): Style {
  return styleOf({ state: stateOf(user), inDoubt: user.machines.some(({ inDoubt }) => inDoubt) });
}

function drawMachines(screen: Screen, user: FleetUser, from: number, to: number): void {
  screen.fill(from, "", Style.reverse);
  const titles = MACHINE_COLUMNS.map(({ title }) => title);
  const barAt = drawRow(screen, from, MACHINE_COLUMNS, titles, Style.reverse);
  screen.put(from, barAt, harmless(user.user ?? String(user.uid)), Style.reverse);
  const shares = [...user.machines].sort((a, b) =>
    b.usageBytes - a.usageBytes || a.machine.localeCompare(b.machine)
  );
  const room = to - from - 1;
  // The last line says what there is no room for.
  const shown = shares.length <= room ? shares : shares.slice(0, room - 1);
  shown.forEach((share, index) => {
    const row = from + 1 + index;
    const style = styleOf({ state: shareState(share), inDoubt: share.inDoubt });
    drawRow(screen, row, MACHINE_COLUMNS, MACHINE_COLUMNS.map(({ text }) => text(share)), style);
    drawBar(screen, row, barAt, barOfShare(share), false);
  });
  const more = shares.length - shown.length;
  if (more > 0) screen.put(to - 1, 0, `and ${more} machines where it uses less`, Style.dim);
}

function drawHelp(screen: Screen): void {
  screen.put(0, 0, "toom top --prometheus: users over all machines", Style.title);
  keyHelp("machines").forEach((line, index) => screen.put(2 + index, 2, line));
  const last = 3 + KEYS.length;
  screen.put(
    last,
    0,
    "Usage, growth, processes and kills are sums over all machines. The bar is of the",
  );
  screen.put(last + 1, 0, "machine where the user is nearest to its limit. Any key goes back.");
}
