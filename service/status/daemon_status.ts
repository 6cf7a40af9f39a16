/**
 * The whole of what `toom status` shows: what the daemon knows of itself, and what the shared memory
 * tells.
 *
 * @module
 */
import { MonotonicClock } from "../../kernel/ffi/clock.ts";
import type { BrakeMeans } from "../../kernel/brake/brake_world.ts";
import { CounterIndex, Role } from "../../pipeline/memory/layout.ts";
import { attachCounters, type Memory } from "../../pipeline/memory/memory.ts";
import type { StatusReport } from "../control/control_api.ts";
import type { EventFeed } from "../control/event_feed.ts";
import type { Journal } from "../journal/journal.ts";
import type { History } from "../history/history.ts";
import type { ShedWatch } from "../journal/shed_watch.ts";
import type { StartOver } from "../lifecycle/start_over.ts";
import type { WorkerWatch } from "../lifecycle/worker_watch.ts";
import type { LimitControl } from "../limits/limit_control.ts";
import type { UserNames } from "../limits/user_names.ts";
import type { SupervisorOptions } from "../lifecycle/options.ts";
import type { NotifierReport } from "../notify/notifier_report.ts";
import type { EventRate } from "./event_rate.ts";
import { memoryReport, workerReports } from "./memory_report.ts";
import type { UsageSamples } from "./usage_samples.ts";

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
  readonly feed: EventFeed;
  readonly notifiers: { report(): NotifierReport[] };
  /** null: no process can be braked here. */
  readonly brakeMeans: BrakeMeans | null;
  readonly history: History;
  readonly samples: UsageSamples;
  /** Users whose distance from soft is smaller are near; 0: with this source there is no near. */
  readonly nearPages: number;
}

/** As of now. */
export function daemonStatus(parts: DaemonStatusParts): StatusReport {
  const { options, memory, startOver, names } = parts;
  const report = memoryReport(memory, {
    rules: parts.limits.list(),
    nameOf: (uid) => names.nameOf(uid),
    eventsPerSecond: parts.rate.perSecond,
    tmallocSocketPath: parts.tmallocSocketPath,
    nowNs: new MonotonicClock().nowNs(),
    samples: parts.samples,
    nearPages: parts.nearPages,
  });
  return {
    version: options.version,
    pid: Deno.pid,
    uptimeSeconds: Math.round(startOver.uptimeMs() / 100) / 10,
    pageBytes: options.pageBytes,
    source: parts.source,
    dryRun: options.dryRun,
    ...report,
    brake: brakeReport(parts),
    kills: { ...report.kills, total: startOver.formerKills + report.kills.total },
    workers: workerReports(memory, parts.watch.reports()),
    memory: { rssBytes: Deno.memoryUsage().rss },
    restarts: startOver.report(),
    shed: parts.shed.totals(),
    history: parts.history.report(),
    streams: parts.feed.report(),
    notifiers: parts.notifiers.report(),
    journal: parts.journal.report(),
  };
}

function brakeReport(
  { options, memory, brakeMeans }: DaemonStatusParts,
): NonNullable<StatusReport["brake"]> {
  const sweeper = attachCounters(memory, Role.sweeper);
  return {
    mode: options.brake,
    by: brakeMeans,
    braked: sweeper[CounterIndex.braked]!,
    refused: sweeper[CounterIndex.refusals]!,
    failures: sweeper[CounterIndex.brakeFailures]!,
    left: sweeper[CounterIndex.brakesLeft]!,
  };
}
