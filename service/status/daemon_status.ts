/**
 * The whole of what `toom status` shows: what the daemon knows of itself, and what the shared memory
 * tells.
 *
 * @module
 */
import type { Memory } from "../../pipeline/memory/memory.ts";
import type { StatusReport } from "../control/control_api.ts";
import type { Journal } from "../journal/journal.ts";
import type { ShedWatch } from "../journal/shed_watch.ts";
import type { StartOver } from "../lifecycle/start_over.ts";
import type { WorkerWatch } from "../lifecycle/worker_watch.ts";
import type { LimitControl } from "../limits/limit_control.ts";
import type { UserNames } from "../limits/user_names.ts";
import type { SupervisorOptions } from "../lifecycle/options.ts";
import type { EventRate } from "./event_rate.ts";
import { memoryReport, workerReports } from "./memory_report.ts";

export interface DaemonStatusParts {
  readonly options: SupervisorOptions;
  readonly source: "bpf" | "raw" | "text";
  /** null: not served. */
  readonly tmallocSocketPath: string | null;
  readonly memory: Memory;
  readonly limits: LimitControl;
  readonly names: UserNames;
  readonly rate: EventRate;
  readonly watch: WorkerWatch;
  readonly startOver: StartOver;
  readonly shed: ShedWatch;
  readonly journal: Journal;
}

/** As of now. */
export function daemonStatus(parts: DaemonStatusParts): StatusReport {
  const { options, memory, startOver, names } = parts;
  const report = memoryReport(memory, {
    rules: parts.limits.list(),
    nameOf: (uid) => names.nameOf(uid),
    eventsPerSecond: parts.rate.perSecond,
    tmallocSocketPath: parts.tmallocSocketPath,
  });
  return {
    version: options.version,
    pid: Deno.pid,
    uptimeSeconds: Math.round(startOver.uptimeMs() / 100) / 10,
    pageBytes: options.pageBytes,
    source: parts.source,
    dryRun: options.dryRun,
    ...report,
    kills: { ...report.kills, total: startOver.formerKills + report.kills.total },
    workers: workerReports(memory, parts.watch.reports()),
    memory: { rssBytes: Deno.memoryUsage().rss },
    restarts: startOver.report(),
    shed: parts.shed.totals(),
    journal: parts.journal.report(),
  };
}
