/**
 * `toom status`: what is, at this moment.
 *
 * @module
 */
import { z } from "zod";
import { escapeJsonLine, formatBytes } from "../pipeline/limits/units.ts";
import type { StatusReport, TmallocReport } from "../service/control/control_api.ts";
import { csvLines } from "../service/fields/csv.ts";
import { formatSeconds, harmless } from "../service/fields/show.ts";
import { NOTIFIER_FIELDS } from "../service/fields/listener_fields.ts";
import { WORKER_FIELDS } from "../service/fields/toom_fields.ts";
import { USER_FIELDS } from "../service/fields/user_fields.ts";
import {
  checkOptions,
  type CommandSpec,
  helpText,
  parseCommand,
  readAs,
  requireOne,
} from "./args.ts";
import { ControlClient } from "./control_client.ts";
import { type CommandIo, ExitCode, guard } from "./errors.ts";
import { columnsOf, type Shown } from "./field_columns.ts";
import { CONTROL_SOCKET_OPTION } from "./control_socket_option.ts";
import { parseSocketPath } from "../service/config/option_values.ts";
import { tableLines } from "./table.ts";

export const STATUS_COMMAND: CommandSpec = {
  name: "toom status",
  summary: "Show users, kills, events and workers of the toom that runs here.",
  options: [
    { name: "json", kind: "boolean", help: "Print the daemon's answer as JSON, on one line" },
    { name: "csv", kind: "boolean", help: "Print the users as CSV, RFC 4180" },
    CONTROL_SOCKET_OPTION,
  ],
};

const OptionsSchema = z.strictObject({
  json: z.boolean(),
  csv: z.boolean(),
  "control-socket": readAs(parseSocketPath),
});

/**
 * `toom status`.
 *
 * @param args The words behind `toom status`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function statusCommand(args: string[], io: CommandIo): Promise<ExitCode> {
  return await guard(io, async () => {
    const parsed = parseCommand(STATUS_COMMAND, args);
    if (parsed.help) {
      io.out(helpText(STATUS_COMMAND));
      return ExitCode.done;
    }
    const options = checkOptions(STATUS_COMMAND, OptionsSchema, parsed.options);
    requireOne(STATUS_COMMAND, options, ["json", "csv"]);
    using client = new ControlClient(options["control-socket"]);
    const report = await client.status();
    if (options.json) io.out(JSON.stringify(report));
    else if (options.csv) { for (const line of csvLines(USER_FIELDS, report.users)) io.out(line); }
    else for (const line of statusLines(report)) io.out(line);
    return ExitCode.done;
  });
}

/** A report for people. */
export function statusLines(report: StatusReport): readonly string[] {
  const { kills, events } = report;
  const books = report.degraded
    ? "books degraded: events were lost, waiting for a sweep"
    : "books in order";
  // Whether anybody is braked, or was.
  const left = brakeLines(report).length > 0 ? [] : ["refusals"];
  return [
    `toom ${report.version}, pid ${report.pid}, up ${formatSeconds(report.uptimeSeconds)}, ` +
    `source ${report.source}, ${formatBytes(report.memory.rssBytes)} resident` +
    (report.dryRun ? ", dry run" : ""),
    books,
    "",
    ...(report.users.length === 0
      ? ["no users with a limit"]
      : tableLines(columnsOf(USER_FIELDS, report.pageBytes, USERS_SHOWN, left), report.users)),
    "",
    `kills   ${kills.total} (${kills.failed} failed, ${kills.spared} spared)`,
    `events  ${events.total} (${Math.round(events.perSecond)}/s), ${events.lost} lost, ` +
    `${events.malformed} malformed, ${events.foreign} foreign, ${events.stale} stale, ` +
    `${events.unattributed} unattributed`,
    `sweeps  ${events.sweeps}, drift corrected ${events.driftPages} pages`,
    ...measuringLines(report),
    ...nearLines(report),
    ...brakeLines(report),
    `tmalloc ${tmallocLine(report.tmalloc)}`,
    ...shedLines(report),
    ...historyLines(report),
    ...streamLines(report),
    ...journalLines(report),
    ...restartLines(report),
    "",
    ...tableLines(columnsOf(WORKER_FIELDS, report.pageBytes, WORKERS_SHOWN), report.workers),
    ...notifierLines(report),
  ];
}

/** What it costs to know who shares what; in shares of one CPU since the start. */
function measuringLines({ measuring, uptimeSeconds }: StatusReport): string[] {
  if (measuring === undefined) return [];
  const percent = measuring.ms / Math.max(1, uptimeSeconds * 10);
  return [
    `shares  measured ${measuring.users} times in ${measuring.ms} ms, ${
      percent.toFixed(2)
    }% of a CPU`,
  ];
}

/** Whether pages cost anything at this moment, and what it costs that they do not. */
function nearLines({ near, uptimeSeconds }: StatusReport): string[] {
  if (near === undefined) return [];
  const percent = near.lookMs / Math.max(1, uptimeSeconds * 10);
  const state = near.isNear ? "somebody is near: each page is booked" : "all are far: none is";
  return [
    `near    ${state}, for ${formatSeconds(near.seconds)}; ${near.looks} looks in ` +
    `${near.lookMs} ms, ${percent.toFixed(2)}% of a CPU` +
    (near.refusals === 0 ? "" : `; refused by the kernel ${near.refusals} times`),
  ];
}

function shedLines({ shed }: StatusReport): string[] {
  if (shed === undefined) return [];
  return [
    `shed    ${shed.reports} reports, ${shed.orders} orders, ${shed.logLines} log lines, ` +
    `${shed.userChanges} changes of user`,
  ];
}

function historyLines({ history }: StatusReport): string[] {
  if (history === undefined) return [];
  if (history.path === null) return ["history off"];
  const { written, pending, missed, failures } = history;
  return [
    `history ${written} kills written to ${harmless(history.path)}, ${pending} wait, ` +
    `${missed} missed, ${failures} failures`,
  ];
}

/** Only where there is one. */
function notifierLines({ notifiers = [], pageBytes }: StatusReport): readonly string[] {
  return notifiers.length === 0
    ? []
    : ["", ...tableLines(columnsOf(NOTIFIER_FIELDS, pageBytes, {}), notifiers)];
}

/** Only where somebody follows, or did. */
function streamLines({ streams }: StatusReport): string[] {
  if (streams === undefined || streams.total + streams.refused === 0) return [];
  const { clients, total, missed, dropped, refused } = streams;
  return [
    `streams ${clients} clients follow, ${total} so far; ${missed} entries missed, ` +
    `${dropped} clients dropped, ${refused} refused`,
  ];
}

/** Only of those that could not follow. */
function journalLines({ journal }: StatusReport): string[] {
  return (journal ?? []).filter(({ missed, failed }) => missed + failed > 0).map((one) =>
    `journal ${one.name} has missed ${one.missed} entries and failed on ${one.failed}`
  );
}

function restartLines({ restarts }: StatusReport): string[] {
  if (restarts === undefined || restarts.total === 0) return [];
  const reason = escapeJsonLine(restarts.reason ?? "unknown");
  return [`started over ${restarts.total} times, the last time as ${reason}`];
}

/** Whom the kernel refuses memory for toom's sake. */
function brakeLines({ brake }: StatusReport): string[] {
  if (brake === undefined) return [];
  if (brake.mode === "off" && brake.braked + brake.refused + brake.left === 0) return [];
  return [
    `brake   ${brake.mode}, ${brake.by === null ? "cannot be here" : `by ${brake.by}`}: ` +
    `${brake.braked} processes lowered, ${brake.refused} refused so far` +
    (brake.failures === 0 ? "" : `, ${brake.failures} times not allowed`) +
    (brake.left === 0 ? "" : `, ${brake.left} not given back yet`),
  ];
}

function tmallocLine(tmalloc: TmallocReport): string {
  if (tmalloc.socketPath === null) return "not served";
  const broken = Object.values(tmalloc.brokenConnections).reduce((sum, count) => sum + count, 0);
  return `${tmalloc.requests} requests of ${tmalloc.processes} processes: ${tmalloc.granted} ` +
    `granted, ${tmalloc.denied} denied, ${tmalloc.waiting} waiting; ${tmalloc.connections} ` +
    `connections, ${tmalloc.refusedConnections} refused, ${broken} broken off`;
}

const USERS_SHOWN: Shown<typeof USER_FIELDS> = {
  state: ({ state, inDoubt }) => inDoubt ? `${state}, in doubt` : state,
};
const WORKERS_SHOWN: Shown<typeof WORKER_FIELDS> = {
  heartbeatAgeMs: ({ heartbeatAgeMs }) => `${Math.round(heartbeatAgeMs)} ms ago`,
};
