/**
 * Limits in force, for people.
 *
 * @module
 */
import { formatUidRange, type UidRange } from "../pipeline/limits/limits.ts";
import { escapeJsonLine, formatBytes } from "../pipeline/limits/units.ts";
import type { LimitReport, OverriddenReport } from "../service/control/control_api.ts";
import { sizeText } from "./config_lines.ts";
import { type Column, tableLines } from "./table.ts";
import { userLabel, type Users } from "./users.ts";

export function uidsLabel(uids: UidRange, users: Users): string {
  return uids.uidFirst === uids.uidLast
    ? userLabel(uids.uidFirst, users)
    : `each of ${formatUidRange(uids)}`;
}

export function describeLimit(limit: LimitReport, users: Users): string {
  const { hardBytes, softBytes } = limit;
  const who = `${uidsLabel(limit, users)} (uid ${formatUidRange(limit)})`;
  if (hardBytes === null || softBytes === null) return `${who} no limit`;
  return `${who} hard ${formatBytes(hardBytes)} (${limit.hardPages} pages), ` +
    `soft ${formatBytes(softBytes)} (${limit.softPages} pages)` + moreClauses(limit);
}

/** What a limit says besides its sizes: `, victim newest`. */
function moreClauses({ count, maxProcesses, brake, victim, plan, storm }: LimitReport): string {
  return (count === undefined ? "" : `, counted ${count}`) +
    (maxProcesses === undefined ? "" : `, at most ${maxProcesses} processes`) +
    (brake === undefined ? "" : `, brake ${brake}`) +
    (victim === undefined ? "" : `, victim ${victim}`) + planClauses(plan, storm);
}

/** Who asked for a limit: a command, or a place in a file with the subject that it has there. */
export function setBy({ origin, place, subject, ...uids }: LimitReport): string {
  if (origin === "control") return "toom limit set";
  if (origin === "command-line") return "toom run --limit";
  const isPlain = subject === undefined || subject === formatUidRange(uids);
  return `${place ?? "a file"}${isPlain ? "" : ` (${escapeJsonLine(subject)})`}`;
}

/** A table, those that win first; one line when there are none. */
export async function limitLines(
  limits: readonly LimitReport[],
  users: Users,
): Promise<readonly string[]> {
  if (limits.length === 0) return ["no limits; set one with toom limit set USER SIZE"];
  await expectNames(limits, users);
  const isAnyCeiling = limits.some(({ maxProcesses }) => maxProcesses !== undefined);
  return tableLines<LimitReport>([
    { title: "USER", text: (limit) => uidsLabel(limit, users) },
    { title: "UID", text: formatUidRange },
    { title: "HARD", text: ({ hardBytes }) => sizeText(hardBytes), right: true },
    { title: "SOFT", text: ({ softBytes }) => sizeText(softBytes), right: true },
    {
      title: "PAGES",
      text: ({ hardPages }) => hardPages === null ? "-" : String(hardPages),
      right: true,
    },
    ...(isAnyCeiling
      ? [{
        title: "PROCESSES",
        text: ({ maxProcesses }: LimitReport) => String(maxProcesses ?? "-"),
        right: true as const,
      }]
      : []),
    ...columnWhereSaid(limits, "COUNTED", ({ count }) => count),
    ...columnWhereSaid(limits, "BRAKE", ({ brake }) => brake),
    ...columnWhereSaid(limits, "VICTIM", ({ victim }) => victim),
    ...columnWhereSaid(limits, "PLAN", (limit) => planOf(limit)),
    { title: "SET BY", text: setBy },
  ], limits);
}

/** How its users are killed, as far as the limit itself says it. */
export function planClauses(plan: LimitReport["plan"], storm: LimitReport["storm"]): string {
  const parts = [
    plan?.signal,
    plan?.graceMs === undefined ? undefined : `grace ${plan.graceMs / 1000} s`,
    plan?.ceilingPercent === undefined ? undefined : `ceiling ${plan.ceilingPercent} %`,
    plan?.unit === undefined ? undefined : `unit ${plan.unit}`,
    storm?.kills === undefined ? undefined : `storm above ${storm.kills} kills`,
    storm?.seconds === undefined ? undefined : `storm within ${storm.seconds} s`,
    storm?.then === undefined ? undefined : `storm then ${storm.then}`,
  ];
  return parts.filter((part) => part !== undefined).map((part) => `, ${part}`).join("");
}

/** How its users are killed, in words; undefined: it says nothing. */
function planOf({ plan, storm }: LimitReport): string | undefined {
  const clauses = planClauses(plan, storm);
  return clauses === "" ? undefined : clauses.slice(", ".length);
}

/** A column that is there where a limit has something of its own for it. */
function columnWhereSaid(
  limits: readonly LimitReport[],
  title: string,
  textOf: (limit: LimitReport) => string | undefined,
): readonly Column<LimitReport>[] {
  if (limits.every((limit) => textOf(limit) === undefined)) return [];
  return [{ title, text: (limit) => textOf(limit) ?? "-" }];
}

/** What was changed while running beside what is configured. */
export async function overriddenLines(
  overridden: readonly OverriddenReport[],
  users: Users,
): Promise<readonly string[]> {
  if (overridden.length === 0) return ["no limit differs from the configuration"];
  await expectNames(overridden, users);
  const shown = (limit: LimitReport | null, nothing: string): string => {
    if (limit === null) return nothing;
    const { hardBytes, softBytes } = limit;
    if (hardBytes === null) return "none";
    return `${sizeText(hardBytes)}, soft ${sizeText(softBytes)}${moreClauses(limit)}`;
  };
  return tableLines<OverriddenReport>([
    { title: "USER", text: (one) => uidsLabel(one, users) },
    { title: "UID", text: formatUidRange },
    { title: "IN FORCE", text: ({ running }) => shown(running, "cleared") },
    { title: "CONFIGURED", text: ({ configured }) => shown(configured, "-") },
    { title: "BY", text: ({ configured }) => configured === null ? "-" : setBy(configured) },
  ], overridden);
}

async function expectNames(limits: readonly UidRange[], users: Users): Promise<void> {
  const single = limits.filter(({ uidFirst, uidLast }) => uidFirst === uidLast);
  await users.expect?.(single.map(({ uidFirst }) => uidFirst));
}
