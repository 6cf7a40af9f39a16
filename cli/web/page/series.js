/**
 * What users used over time, as the chart has it. Without a document, so that it can be tested without a
 * browser.
 */
import { formatBytes, formatTime, userName } from "./format.js";
import { LOOKS_MAX, usedPart } from "./store.js";

/** Users in the chart of all. */
export const OVERVIEW_USERS = 6;

/** The last looks at some users; each begins with what the server remembers. */
export class LiveSeries {
  /** By uid: seconds since 1970, and pages or null. */
  #byUid = new Map();

  has(uid) {
    return this.#byUid.has(uid);
  }

  /** @param atMs Of each look. @param usagePages Of each look; null: the user was not there. */
  begin(uid, atMs, usagePages) {
    const { seconds, pages } = this.#byUid.get(uid) ?? { seconds: [], pages: [] };
    const last = atMs.length === 0 ? -Infinity : atMs.at(-1) / 1000;
    const later = seconds.findIndex((second) => second > last);
    const since = later < 0 ? seconds.length : later;
    this.#byUid.set(uid, {
      seconds: [...atMs.map((ms) => ms / 1000), ...seconds.slice(since)],
      pages: [...usagePages, ...pages.slice(since)],
    });
  }

  /** Takes a look. @param users By uid. */
  take(atMs, users) {
    for (const [uid, { seconds, pages }] of this.#byUid) {
      if (seconds.length > 0 && seconds.at(-1) * 1000 >= atMs) continue;
      seconds.push(atMs / 1000);
      pages.push(users.get(uid)?.usagePages ?? null);
      if (seconds.length > LOOKS_MAX) {
        seconds.shift();
        pages.shift();
      }
    }
  }

  /** Forgets all but these. */
  keep(uids) {
    for (const uid of this.#byUid.keys()) if (!uids.includes(uid)) this.#byUid.delete(uid);
  }

  of(uid) {
    return this.#byUid.get(uid) ?? { seconds: [], pages: [] };
  }
}

/** Those who are nearest to their limits. */
export function nearestUsers(users) {
  return [...users].sort((a, b) => usedPart(b) - usedPart(a) || a.uid - b.uid)
    .slice(0, OVERVIEW_USERS).map(({ uid }) => uid);
}

/** The chart in a sentence, for who does not see it. */
export function chartSentence(user, { seconds, pages }, kills, pageBytes) {
  const known = pages.filter((value) => value !== null);
  if (known.length === 0) return `${userName(user)}: nothing is known of this time yet.`;
  const size = (value) => formatBytes(value * pageBytes);
  const first = pages.findIndex((value) => value !== null);
  return `${userName(user)} used ${size(pages[first])} at ${formatTime(seconds[first] * 1000)}, ` +
    `${size(known.at(-1))} at the end, between ${size(Math.min(...known))} and ` +
    `${size(Math.max(...known))}; soft ${size(user.softPages)}, hard ${size(user.hardPages)}; ` +
    `${kills === 1 ? "one kill" : `${kills} kills`}.`;
}
