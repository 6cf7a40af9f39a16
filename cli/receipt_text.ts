/**
 * The receipt of a kill, in words.
 *
 * @module
 */
import { formatBytes, quote } from "../pipeline/limits/units.ts";
import { KILL_FIELDS, WEIGHED_FIELDS } from "../service/fields/kill_fields.ts";
import { harmless, show } from "../service/fields/show.ts";
import type { KillRecord } from "../service/history/record.ts";
import { columnsOf } from "./field_columns.ts";
import { policyReason } from "./policy_text.ts";
import { tableLines } from "./table.ts";

const TRIGGERS: Readonly<Record<KillRecord["trigger"], string>> = {
  user: "an event of the user, which toom has read",
  kernel: "the kernel: a program within the page fault, or a machine that was short of memory",
  "last-defense": "the look every --interval",
};

/** All of it. */
export function receiptLines(kill: KillRecord): readonly string[] {
  return [
    `kill ${harmless(kill.id)} of ${harmless(kill.at)}${kill.dryRun ? ", a dry run" : ""}`,
    ...receiptParts(kill).map(([about, said]) => `  ${about.padEnd(9)} ${said}`),
    ...(kill.others.length === 0 ? [] : [
      "",
      "beside it",
      ...tableLines(columnsOf(WEIGHED_FIELDS, kill.pageBytes), kill.others),
    ]),
  ];
}

/** What is said of a kill, by what it is about. */
export function receiptParts(kill: KillRecord): readonly (readonly [string, string])[] {
  const size = (pages: number): string => formatBytes(pages * kill.pageBytes);
  return [
    [
      "user",
      `${userText(kill)}, may use ${size(kill.hardPages)} (soft ${size(kill.softPages)}): ${
        kill.rule === null ? "by a limit that is gone" : harmless(kill.rule)
      }`,
    ],
    [
      "used",
      `${size(kill.usagePages)}, ${formatBytes(kill.overshootBytes)} too much; ` +
      `${size(kill.countedPages)} counted less ${size(kill.sharedPages)} shared, by ` +
      `${kill.processes} processes; promised ${size(kill.promisedPages)}, at most so far ` +
      size(kill.peakPages),
    ],
    [
      "killed",
      `pid ${kill.pid}${nameText(kill)}, ${victimSize(kill)}` + membersText(kill, size) +
      (kill.sharers === 0 ? "" : `, with ${kill.sharers} that ran on the same memory`),
    ],
    ...planParts(kill, size),
    [
      "chosen",
      `because ${policyReason(kill.policy)}` +
      (kill.victimRule === null ? "" : `; rule: ${harmless(kill.victimRule)}`),
    ],
    [
      "trigger",
      TRIGGERS[kill.trigger] + (kill.isDegraded ? "; events had been lost before" : ""),
    ],
    ["times", `the page crossed at ${harmless(kill.crossedAt)}; ${stepsText(kill)}`],
    ["then", endText(kill)],
  ];
}

function userText({ user, uid }: KillRecord): string {
  return user === null ? `uid ${uid}` : `${harmless(user)} (uid ${uid})`;
}

/** A program in the kernel has killed it, and it was gone before toom could ask for its name. */
function nameText({ comm }: KillRecord): string {
  return comm === "" ? "" : ` (${quote(comm)})`;
}

/** Where something else than SIGKILL went to the process alone. */
function planParts(
  kill: KillRecord,
  size: (pages: number) => string,
): readonly (readonly [string, string])[] {
  const { signal, graceMs, ceilingPages, unit, unitProcesses, storm } = kill;
  const first = graceMs === null || ceilingPages === null
    ? ""
    : `${harmless(signal ?? "")} first, SIGKILL after ${graceMs / 1000} s or above ` +
      size(ceilingPages);
  const others = unit === "process"
    ? ""
    : `with its ${UNITS[unit]}, ${unitProcesses} more processes of the user`;
  const parts = [first, others, storm ? "one of a storm of kills" : ""].filter((one) => one !== "");
  return parts.length === 0 ? [] : [["how", parts.join("; ")]];
}

const UNITS: Readonly<Record<KillRecord["unit"], string>> = {
  process: "process",
  group: "process group",
  session: "session",
  scope: "cgroup",
};
const OUTCOMES: Readonly<Record<NonNullable<KillRecord["outcome"]>, string>> = {
  ended: "within its time, by itself",
  over: "by SIGKILL, when its time was over",
  ceiling: "by SIGKILL, as its user was above the ceiling",
  pressure: "by SIGKILL, as the machine was short of memory",
  spared: "left alone, as its user was below its limit",
};

function victimSize({ victimPages, pageBytes }: KillRecord): string {
  return victimPages === 0 ? "an amount that is not known" : formatBytes(victimPages * pageBytes);
}

function membersText(kill: KillRecord, size: (pages: number) => string): string {
  const members = [
    [kill.victimAnonPages, "anonymous"],
    [kill.victimShmemPages, "shared memory"],
    [kill.victimFilePages, "of files"],
    [kill.victimSwapPages, "swapped out"],
  ] as const;
  const known = members.filter(([pages]) => pages !== null && pages > 0)
    .map(([pages, name]) => `${size(pages!)} ${name}`);
  return known.length === 0 ? "" : ` (${known.join(", ")})`;
}

function stepsText({ beganUs, latencyUs, toldUs }: KillRecord): string {
  const time = (us: number): string => show(KILL_FIELDS.latencyUs, us, 1);
  const began = beganUs === null ? "" : `the killer began ${time(beganUs)} later, `;
  return `${began}the signal was sent ${time(latencyUs)} later, told of ${time(toldUs)} after that`;
}

function endText({ dryRun, freedBytes, exitUs, exitStatus, outcome }: KillRecord): string {
  if (dryRun) return "nothing: nobody was signalled";
  if (outcome === "spared") return OUTCOMES.spared;
  if (freedBytes === null || exitUs === null) return "not known: its end was not seen";
  const after = show(KILL_FIELDS.exitUs, exitUs, 1);
  return `gone ${after} after the signal, ${formatBytes(freedBytes)} came back; ` +
    (outcome === null ? statusText(exitStatus) : `${OUTCOMES[outcome]}; ${statusText(exitStatus)}`);
}

/** A status of wait(2): signal in the lower 7 bits, else the exit code above 8. */
function statusText(status: number | null): string {
  if (status === null) return "the kernel does not tell how it ended";
  const signal = status & 0x7f;
  if (signal === 9) return "ended by SIGKILL, as the kernel says";
  if (signal !== 0) return `ended by signal ${signal}, before toom's SIGKILL`;
  return `it had ended by itself, with exit code ${status >> 8}`;
}

/** The receipt in one sentence, for the user whose process it was. */
export function ownReceiptLine(kill: KillRecord): string {
  const size = (pages: number): string => formatBytes(pages * kill.pageBytes);
  const did = kill.dryRun ? "would have killed" : "killed";
  return `${harmless(kill.at)}: toom ${did} pid ${kill.pid}${nameText(kill)}, which used ` +
    `${victimSize(kill)}: you used ${size(kill.usagePages)} of ${size(kill.hardPages)}`;
}
