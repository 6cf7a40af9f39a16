/**
 * What the page knows, and how messages of the server and choices of the person change it. Without a
 * document, so that it can be tested without a browser.
 */
import { harmless } from "./format.js";

/** Kills that are kept on the page. */
export const KILLS_MAX = 500;
/** Looks that are kept of the users in the chart. */
export const LOOKS_MAX = 600;
/** Columns by which users can be sorted, and the order in which they begin. */
export const SORTS = {
  used: -1,
  user: 1,
  uid: 1,
  usagePages: -1,
  hardPages: -1,
  peakPages: -1,
  growthPagesPerSecond: -1,
  processes: -1,
  kills: -1,
};

export class Store {
  /** Of the daemon; undefined: nothing was told yet. @type {any} */
  toom = undefined;
  /** @type {any} */
  machine = undefined;
  atMs = 0;
  /** By uid. */
  users = new Map();
  /** By id, the oldest first. */
  kills = new Map();
  /** Ids of kills that came while the page was open. */
  news = [];
  /** Why what is shown is not of now. @type {string | undefined} */
  problem = undefined;
  /** `waiting`, `live`, `lost`, `refused`. */
  connection = "waiting";
  /** toom's CPU, parts of one; undefined: not known yet. @type {number | undefined} */
  cpuShare = undefined;
  /** The page's. @type {number | undefined} */
  pageCpuShare = undefined;

  sort = "used";
  /** 1: ascending, -1: descending. */
  order = SORTS.used;
  filter = "";
  isPaused = false;

  #fields = [];
  #before = undefined;

  /** @param event As the server has named it. @param data What it says. */
  take(event, data) {
    if (event === "problem") {
      this.problem = harmless(data.problem);
      return;
    }
    if (event !== "snapshot" && event !== "change") return;
    if (event === "snapshot") {
      this.#fields = data.fields;
      this.users = new Map();
    }
    const { toom, machine, atMs } = data;
    this.#takeCosts(toom, machine, atMs);
    Object.assign(this, { toom, machine, atMs });
    this.problem = data.problem ?? undefined;
    if (this.problem !== undefined) this.problem = harmless(this.problem);
    for (const row of data.users) {
      const user = Object.fromEntries(this.#fields.map((name, at) => [name, row[at]]));
      this.users.set(user.uid, user);
    }
    for (const uid of data.gone ?? []) this.users.delete(uid);
    for (const kill of data.kills) {
      if (!this.kills.has(kill.id) && event === "change") this.news.push(kill.id);
      this.kills.set(kill.id, kill);
    }
    while (this.kills.size > KILLS_MAX) this.kills.delete(this.kills.keys().next().value);
    this.news = this.news.slice(-3);
  }

  /** Older kills, which the page has asked for. */
  addKills(kills) {
    const all = [...kills.filter(({ id }) => !this.kills.has(id)), ...this.kills.values()];
    all.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
    this.kills = new Map(all.slice(-KILLS_MAX).map((kill) => [kill.id, kill]));
  }

  #takeCosts(toom, machine, atMs) {
    const cpuMs = toom.workers.reduce((sum, worker) => sum + worker.cpuMs, 0);
    const now = { atMs, cpuMs, pageCpuMs: machine.pageCpuMs, pid: toom.pid };
    const before = this.#before;
    if (before !== undefined && before.pid === now.pid && atMs - before.atMs < 500) return;
    if (before !== undefined && before.pid === now.pid) {
      const passedMs = atMs - before.atMs;
      this.cpuShare = Math.max(0, cpuMs - before.cpuMs) / passedMs;
      this.pageCpuShare = Math.max(0, now.pageCpuMs - before.pageCpuMs) / passedMs;
    }
    this.#before = now;
  }

  /** Users as they are shown. */
  get shownUsers() {
    const { sort, order, filter } = this;
    const users = [...this.users.values()].filter((user) => matches(user, filter));
    return users.sort((a, b) => order * compare(sort, a, b) || a.uid - b.uid);
  }

  /** Kills as they are shown, the newest first. @param uid Of this user only. */
  killsOf(uid) {
    const kills = [...this.kills.values()].reverse();
    return uid === undefined ? kills : kills.filter((kill) => kill.uid === uid);
  }

  /** Sorts by a column; by the same one again the other way round. */
  sortBy(sort) {
    this.order = this.sort === sort ? -this.order : SORTS[sort];
    this.sort = sort;
  }
}

/** What a user is charged, as a part of its limit; 1 and more is over. */
export function usedPart({ usagePages, hardPages }) {
  return hardPages === 0 ? 1 : usagePages / hardPages;
}

/** Seconds to the hard limit at the present growth; Infinity: never, or it is there. */
export function secondsToHard({ usagePages, hardPages, growthPagesPerSecond }) {
  if (growthPagesPerSecond <= 0 || usagePages >= hardPages) return Infinity;
  return (hardPages - usagePages) / growthPagesPerSecond;
}

function matches({ user, uid }, text) {
  const wanted = text.trim().toLowerCase();
  return wanted === "" || String(uid).includes(wanted) ||
    (user ?? "").toLowerCase().includes(wanted);
}

function compare(sort, a, b) {
  if (sort === "used") return usedPart(a) - usedPart(b);
  if (sort === "user") return (a.user ?? "\uffff").localeCompare(b.user ?? "\uffff");
  return a[sort] - b[sort];
}
