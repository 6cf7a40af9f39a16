/**
 * An explanation, in plain sentences with the numbers.
 *
 * @module
 */
import { formatBytes, quote } from "../pipeline/limits/units.ts";
import type {
  Explanation,
  ProcessReport,
  Unmet,
  UserReport,
} from "../service/control/control_api.ts";
import { PROCESS_FIELDS } from "../service/fields/process_fields.ts";
import { formatSeconds, harmless } from "../service/fields/show.ts";
import { columnsOf } from "./field_columns.ts";
import { policyReason } from "./policy_text.ts";
import { tableLines } from "./table.ts";

/** Of those that are told of. */
const SHIELDED_SHOWN = 3;
const SAMPLES_SHOWN = 4;

/** All of it. */
export function explanationLines(told: Explanation): readonly string[] {
  const sentences = explanationSentences(told);
  if (told.user === null || told.processes.length === 0) return sentences;
  return [
    ...sentences,
    "",
    ...tableLines(columnsOf(PROCESS_FIELDS, told.pageBytes), told.processes),
  ];
}

/** All but the table of its processes. */
export function explanationSentences(told: Explanation): readonly string[] {
  const { user } = told;
  const counts = told.uid === told.ownerUid
    ? []
    : [`uid ${told.uid} is subordinate to uid ${told.ownerUid}, and counts for it.`];
  if (user === null) {
    return [...counts, `uid ${told.ownerUid} has no limit: nobody of it is killed.`];
  }
  return [
    ...counts,
    limitLine(told, user),
    countedLine(told, user),
    ...distanceLines(told, user),
    ...told.unmet.length === 0
      ? ["A kill is due now."]
      : told.unmet.map((one) => unmetLine(one, told, user)),
    ...nextLines(told, user),
    ...avoidedLines(told),
    ...protectedLines(told),
    ...planLines(told, user),
    booksLine(told, user),
    ...nearLines(told),
    ...samplesLines(told),
  ];
}

function name({ user, uid }: UserReport): string {
  return user === null ? `uid ${uid}` : `${harmless(user)} (uid ${uid})`;
}

function sizeOf({ pageBytes }: Explanation): (pages: number) => string {
  return (pages) => formatBytes(pages * pageBytes);
}

function limitLine(told: Explanation, user: UserReport): string {
  const size = sizeOf(told);
  return `${name(user)} may use ${size(user.hardPages)}; from ${size(user.softPages)} on (soft) ` +
    `toom makes ready. That is the limit ${
      told.rule === null ? "of before" : harmless(told.rule)
    }.`;
}

function countedLine(told: Explanation, user: UserReport): string {
  const size = sizeOf(told);
  const files = told.counted.includes("file") ? "" : "; mapped files and page cache do not count";
  const shared = told.counted.includes("+sum")
    ? "a page counts in each process that maps it"
    : `${size(user.sharedPages)} of that is shared, or can be taken back by the kernel`;
  return `It uses ${size(user.usagePages)}: ${size(user.countedPages)} of ${told.counted} in ` +
    `${user.processes} ${user.processes === 1 ? "process" : "processes"}, ${shared}${files}. ` +
    `tmalloc has promised ${size(user.promisedPages)} more. At most it has used ` +
    `${size(user.peakPages)}.`;
}

function distanceLines(told: Explanation, user: UserReport): string[] {
  const size = sizeOf(told);
  const { usagePages, softPages, hardPages, growthPagesPerSecond } = user;
  const percent = hardPages === 0 ? 100 : Math.round(usagePages / hardPages * 1000) / 10;
  const side = (limit: number, word: string): string =>
    usagePages <= limit
      ? `${size(limit - usagePages)} below ${word}`
      : `${size(usagePages - limit)} above ${word}`;
  const distance = `That is ${percent} % of the limit: ${side(softPages, "soft")}, ${
    side(hardPages, "hard")
  }.`;
  if (growthPagesPerSecond === 0) return [distance, "It does not grow."];
  if (growthPagesPerSecond < 0) {
    return [distance, `It shrinks by ${size(-growthPagesPerSecond)}/s.`];
  }
  const until = [
    told.secondsToSoft === null ? "" : `soft in ${formatTime(told.secondsToSoft)}`,
    told.secondsToHard === null ? "" : `hard in ${formatTime(told.secondsToHard)}`,
  ].filter((word) => word !== "");
  return [
    distance,
    `It grows by ${size(growthPagesPerSecond)}/s` +
    (until.length === 0 ? "." : `: ${until.join(", ")} at this pace.`),
  ];
}

function formatTime(seconds: number): string {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : formatSeconds(seconds);
}

function unmetLine(unmet: Unmet, told: Explanation, user: UserReport): string {
  const size = sizeOf(told);
  switch (unmet) {
    case "not-over":
      return "Nobody is killed now, because usage is not above hard.";
    case "dying-suffice":
      return `Nobody else is killed now, because ${size(told.dyingPages)} come back with those ` +
        "that are dying.";
    case "has-grace":
      return `Nobody else is killed now, because somebody was asked to end and has ${
        told.graceSeconds ?? 0
      } s left, unless usage passes ${
        size(user.hardPages * (told.plan?.ceilingPercent ?? 100) / 100)
      }.`;
    case "in-doubt":
      return "Its books may be wrong: its processes are read before anybody is signalled.";
    case "no-candidate":
      return user.processes === 0
        ? "It has no process."
        : "None of its processes may be killed, or has counted memory.";
    case "protected-hold-it":
      return `Nobody is killed, because it would not help: protected processes have ${
        size(told.protectedPages)
      }, and the ends of all others give back ${size(told.freeablePages)}.`;
    case "dry-run":
      return "Nobody is ever signalled: this is a dry run.";
  }
}

/** How a kill goes, where it is not SIGKILL to the process alone. */
function planLines(told: Explanation, user: UserReport): string[] {
  const { signal, graceMs, ceilingPercent, unit } = told.plan ?? {};
  const { kills, seconds, then } = told.storm ?? {};
  const size = sizeOf(told);
  const lines: string[] = [];
  if (signal !== undefined && signal !== "SIGKILL") {
    lines.push(
      `A process is asked to end first, by ${harmless(signal)}; SIGKILL comes after ${
        (graceMs ?? 0) / 1000
      } s, or above ${size(user.hardPages * (ceilingPercent ?? 100) / 100)}.`,
    );
  }
  if (unit !== undefined && unit !== "process") {
    const words = { group: "process group", session: "session", scope: "cgroup" } as const;
    lines.push(`With it goes what the user has in its ${words[unit]}.`);
  }
  if (kills !== undefined && kills > 0 && then !== undefined && then !== "off") {
    lines.push(
      `When more than ${kills} were killed within ${seconds} s, ${
        then === "parent" ? "the parent of the next is killed" : "all of the next one's session go"
      } too.`,
    );
  }
  return lines;
}

function processText({ pid, comm }: ProcessReport): string {
  return `pid ${pid} (${quote(comm)})`;
}

function nextLines(told: Explanation, user: UserReport): string[] {
  const next = told.processes.find(({ fate }) => fate === "next");
  if (next === undefined) return [];
  const size = sizeOf(told);
  const why = next.rule?.startsWith("prefer ") === true
    ? `a rule prefers it (${harmless(next.rule)})`
    : next.oomScoreAdj >= 500
    ? `it has volunteered (oom_score_adj ${next.oomScoreAdj})`
    : policyReason(told.policy);
  const by = told.kernelTrigger
    ? "by a program in the kernel, within the page fault"
    : "by toom, when it has read the event";
  const when = user.usagePages > user.hardPages ? "Next" : "If it were over its limit now";
  return [
    `${when}, ${processText(next)} would be killed, because ${why}; ${size(next.givesBackPages)} ` +
    `would come back. That is done ${by}.`,
  ];
}

function protectedLines(told: Explanation): string[] {
  const size = sizeOf(told);
  const shielded = told.processes.filter(({ fate }) => fate === "protected");
  if (shielded.length === 0) return ["None of its processes is protected."];
  const names = shielded.slice(0, SHIELDED_SHOWN).map(shieldText).join(", ");
  const more = shielded.length > SHIELDED_SHOWN
    ? ` and ${shielded.length - SHIELDED_SHOWN} more`
    : "";
  return [`Protected: ${names}${more}, with ${size(told.protectedPages)}.`];
}

/** Who protects a process. */
function shieldText(process: ProcessReport): string {
  const by = process.rule === null
    ? `an oom_score_adj of ${process.oomScoreAdj}`
    : `the rule ${harmless(process.rule)}`;
  return `${processText(process)} by ${by}`;
}

/** Whom rules avoid, while the others suffice. */
function avoidedLines(told: Explanation): string[] {
  const avoided = told.processes.filter(({ fate }) => fate === "avoided");
  if (avoided.length === 0) return [];
  const names = avoided.slice(0, SHIELDED_SHOWN)
    .map((one) => `${processText(one)} by ${harmless(one.rule ?? "a rule")}`).join(", ");
  const more = avoided.length > SHIELDED_SHOWN
    ? ` and ${avoided.length - SHIELDED_SHOWN} more`
    : "";
  return [`Avoided, as the others suffice: ${names}${more}.`];
}

function booksLine(told: Explanation, user: UserReport): string {
  if (user.inDoubt) return "Trust: in doubt until its processes were read.";
  return told.degraded
    ? "Trust: its books are exact; those of others wait for a look at /proc."
    : "Trust: its books are exact.";
}

function nearLines({ near, user }: Explanation): string[] {
  if (near === undefined) return ["Each event is read: with this source nobody is far."];
  const all = near.isNear
    ? `somebody is near, so each page is booked, for ${formatSeconds(near.seconds)}`
    : `all are far, so pages cost nothing and are looked at, for ${formatSeconds(near.seconds)}`;
  const looks = `${near.looks} looks took ${near.lookMs} ms`;
  return [`${user?.isNear === true ? "It is near" : "It is far"}; ${all}. So far ${looks}.`];
}

function samplesLines(told: Explanation): string[] {
  if (told.samples.length === 0) return [];
  const size = sizeOf(told);
  const shown = told.samples.slice(0, SAMPLES_SHOWN)
    .map(({ agoSeconds, usagePages }) => `${size(usagePages)} ${agoSeconds.toFixed(1)} s ago`);
  return [`It used ${shown.join(", ")}.`];
}
