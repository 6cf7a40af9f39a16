/**
 * What the page of a recording knows: the decisions as they were, and as they would have been. Without a
 * document, so that it can be tested without a browser.
 */
import { formatPart, harmless } from "./format.js";

/** Parts of a limit that the slider has, percent. */
export const PERCENTS = [
  10,
  15,
  20,
  25,
  30,
  35,
  40,
  45,
  50,
  55,
  60,
  65,
  70,
  75,
  80,
  85,
  90,
  95,
  100,
  110,
  120,
  130,
  140,
  150,
  175,
  200,
  250,
  300,
  350,
  400,
];
export const PERCENT_THEN = 100;

/** The path of a question. @param uid undefined: of all users. @param victim undefined: as it was. */
export function questionPath({ percent, uid, victim }) {
  const words = new URLSearchParams({ percent: String(percent) });
  if (uid !== undefined) words.set("uid", String(uid));
  if (victim !== undefined) words.set("victim", victim);
  return `/api/what-if?${words}`;
}

/** Whether a question asks for anything that was not. */
export function isOther({ percent, victim }) {
  return percent !== PERCENT_THEN || victim !== undefined;
}

/** What became of a process: `both`, `then`, `now`, or `gap`: nothing is known. */
export function fateOf({ then, now, isInGap }) {
  if (isInGap) return "gap";
  if (then === null) return "now";
  return now === null ? "then" : "both";
}

export const FATES = {
  both: "killed, then and now",
  then: "killed then, lives now",
  now: "lived then, killed now",
  gap: "killed then; the recording has a gap there",
};

/** Seconds as a time within the recording; what was just before it is its beginning. */
export function formatElapsed(secondsSince) {
  const seconds = Math.max(0, secondsSince);
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const minutes = Math.floor(seconds / 60);
  const rest = String(Math.floor(seconds % 60)).padStart(2, "0");
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

const count = (number, one, more = `${one}es`) => `${number} ${number === 1 ? one : more}`;

/** The answer in a sentence. @param nameOf Of a uid. */
export function answerSentence({ question, kills, killsLeftOut }, nameOf) {
  const fates = kills.map(fateOf);
  const of = (fate) => fates.filter((one) => one === fate).length;
  const then = kills.filter((kill) => kill.then !== null).length;
  const now = kills.filter((kill) => kill.now !== null).length;
  const more = killsLeftOut > 0 ? ` Of ${killsLeftOut} later kills nothing is shown.` : "";
  if (!isOther(question)) {
    return `As it was: ${count(then, "process")} killed.${more}`;
  }
  const { percent, uid, victim } = question;
  const whose = uid === undefined ? "all limits" : `the limit of ${nameOf(uid)}`;
  const settings = [
    ...(percent === PERCENT_THEN ? [] : [`${whose} at ${formatPart(percent / 100)}`]),
    ...(victim === undefined ? [] : [`victims by ${harmless(victim)}`]),
  ];
  const lived = of("then");
  const died = of("now");
  return `With ${settings.join(" and ")}: ${
    count(now, "process")
  } would have been killed; ${then} ${
    then === 1 ? "was" : "were"
  }. ${lived} of those would have lived, ${count(died, "other", "others")} would have died.${more}`;
}

/** Users with what both answers say of them, those with kills first, then the largest. */
export function usersOf(then, now) {
  const before = new Map(then.users.map((user) => [user.uid, user]));
  return now.users.map((user) => {
    const was = before.get(user.uid);
    return {
      uid: user.uid,
      hardThen: was?.hardPages ?? null,
      hardNow: user.hardPages,
      peakThen: was?.peakPages ?? null,
      peakNow: user.peakPages,
      killsThen: user.killsThen,
      killsNow: user.killsNow,
    };
  }).filter(({ hardThen, hardNow, killsThen, killsNow }) =>
    hardThen !== null || hardNow !== null || killsThen + killsNow > 0
  ).sort((a, b) =>
    b.killsThen + b.killsNow - a.killsThen - a.killsNow || b.peakNow - a.peakNow || a.uid - b.uid
  );
}

/** Data of a chart, bytes: usage now, soft, hard, and usage as it was. undefined: there is none. */
export function chartData(then, now, uid, pageBytes) {
  const its = now.charts.find((chart) => chart.uid === uid);
  if (its === undefined) return undefined;
  const was = then.charts.find((chart) => chart.uid === uid);
  const bytes = (pages) => pages.map((value) => value === null ? null : value * pageBytes);
  const before = its.seconds.map((second) =>
    was === undefined ? null : bytesAt(was, second, pageBytes)
  );
  return [
    its.seconds,
    bytes(its.usagePages),
    bytes(its.softPages),
    bytes(its.hardPages),
    ...(isOther(now.question) ? [before] : []),
  ];
}

/** Both have their own stretches of time. */
function bytesAt({ seconds, usagePages }, second, pageBytes) {
  const stretch = seconds.length > 1 ? seconds[1] - seconds[0] : 1;
  const at = Math.round((second - seconds[0]) / stretch);
  const pages = usagePages[Math.max(0, Math.min(usagePages.length - 1, at))];
  return pages === null || pages === undefined ? null : pages * pageBytes;
}

/** The chart in a sentence, for who does not see it. */
export function chartSentence(name, data, kills, format) {
  const known = data[1].filter((value) => value !== null);
  if (known.length === 0) return `${name}: nothing is known.`;
  const hard = data[3].filter((value) => value !== null).at(-1);
  return `${name} used between ${format(Math.min(...known))} and ${format(Math.max(...known))}` +
    `${hard === undefined ? ", without a limit" : `; hard ${format(hard)}`}; ` +
    `${kills === 1 ? "one kill" : `${kills} kills`}.`;
}
