/**
 * `toom status`: what is, at this moment.
 *
 * @module
 */
import { z } from "zod";
import { escapeJsonLine, formatBytes } from "../pipeline/limits/units.ts";
import type {
  StatusReport,
  TmallocReport,
  UserReport,
  WorkerReport,
} from "../service/control/control_api.ts";
import { checkOptions, type CommandSpec, helpText, parseCommand, readAs } from "./args.ts";
import { ControlClient } from "./control_client.ts";
import { type CommandIo, ExitCode, guard } from "./errors.ts";
import { CONTROL_SOCKET_OPTION } from "./run_command.ts";
import { parseSocketPath } from "./option_values.ts";
import { type Column, tableLines } from "./table.ts";

const STATUS_COMMAND: CommandSpec = {
  name: "toom status",
  summary: "Show users, kills, events and workers of the toom that runs here.",
  options: [
    { name: "json", kind: "boolean", help: "Print the daemon's answer as JSON, on one line" },
    CONTROL_SOCKET_OPTION,
  ],
};

const OptionsSchema = z.strictObject({
  json: z.boolean(),
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
    using client = new ControlClient(options["control-socket"]);
    const report = await client.status();
    if (options.json) io.out(JSON.stringify(report));
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
  return [
    `toom ${report.version}, pid ${report.pid}, up ${formatSeconds(report.uptimeSeconds)}, ` +
    `source ${report.source}, ${formatBytes(report.memory.rssBytes)} resident` +
    (report.dryRun ? ", dry run" : ""),
    books,
    "",
    ...(report.users.length === 0
      ? ["no users with a limit"]
      : tableLines(userColumns(report.pageBytes), report.users)),
    "",
    `kills   ${kills.total} (${kills.failed} failed, ${kills.spared} spared)`,
    `events  ${events.total} (${Math.round(events.perSecond)}/s), ${events.lost} lost, ` +
    `${events.malformed} malformed, ${events.foreign} foreign, ${events.stale} stale, ` +
    `${events.unattributed} unattributed`,
    `sweeps  ${events.sweeps}, drift corrected ${events.driftPages} pages`,
    ...measuringLines(report),
    ...nearLines(report),
    `tmalloc ${tmallocLine(report.tmalloc)}`,
    ...shedLines(report),
    ...journalLines(report),
    ...restartLines(report),
    "",
    ...tableLines(WORKER_COLUMNS, report.workers),
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

function tmallocLine(tmalloc: TmallocReport): string {
  if (tmalloc.socketPath === null) return "not served";
  const broken = Object.values(tmalloc.brokenConnections).reduce((sum, count) => sum + count, 0);
  return `${tmalloc.requests} requests of ${tmalloc.processes} processes: ${tmalloc.granted} ` +
    `granted, ${tmalloc.denied} denied, ${tmalloc.waiting} waiting; ${tmalloc.connections} ` +
    `connections, ${tmalloc.refusedConnections} refused, ${broken} broken off`;
}

function userColumns(pageBytes: number): readonly Column<UserReport>[] {
  const size = (pages: number): string => formatBytes(pages * pageBytes);
  const limit = (pages: number): string => pages === 0 ? "-" : size(pages);
  return [
    { title: "USER", text: ({ user }) => user ?? "-" },
    { title: "UID", text: ({ uid }) => String(uid), right: true },
    { title: "USAGE", text: ({ usagePages }) => size(usagePages), right: true },
    { title: "SHARED", text: ({ sharedPages }) => size(sharedPages), right: true },
    { title: "PROMISED", text: ({ promisedPages }) => size(promisedPages), right: true },
    { title: "SOFT", text: ({ softPages }) => limit(softPages), right: true },
    { title: "HARD", text: ({ hardPages }) => limit(hardPages), right: true },
    { title: "PEAK", text: ({ peakPages }) => size(peakPages), right: true },
    { title: "STATE", text: ({ state, inDoubt }) => inDoubt ? `${state}, in doubt` : state },
    { title: "PROCESSES", text: ({ processes }) => String(processes), right: true },
    { title: "KILLS", text: ({ kills }) => String(kills), right: true },
  ];
}

const WORKER_COLUMNS: readonly Column<WorkerReport>[] = [
  { title: "WORKER", text: ({ role }) => role },
  { title: "STATE", text: ({ state }) => state },
  {
    title: "HEARTBEAT",
    text: ({ heartbeatAgeMs }) => `${Math.round(heartbeatAgeMs)} ms ago`,
    right: true,
  },
  { title: "RESTARTS", text: ({ restarts }) => String(restarts), right: true },
  { title: "EVENTS", text: ({ events }) => String(events), right: true },
];

function formatSeconds(seconds: number): string {
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  if (minutes > 0) return `${minutes} min ${whole % 60} s`;
  return `${whole} s`;
}
