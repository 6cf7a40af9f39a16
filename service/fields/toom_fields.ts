/**
 * What toom shows of itself, part by part.
 *
 * @module
 */
import { BRAKE_MODES } from "../../pipeline/memory/settings.ts";
import type { Fields } from "./field.ts";

export const TOOM_FIELDS = {
  version: { type: "text", unit: "none", help: "Version of the toom that runs" },
  pid: { type: "number", unit: "none", help: "Its process id" },
  uptimeSeconds: {
    type: "gauge",
    unit: "seconds",
    help: "Since its process began; starting over does not count",
    metric: { name: "toom_uptime_seconds" },
  },
  pageBytes: { type: "number", unit: "bytes", help: "Bytes of a page of this machine" },
  source: {
    type: "choice",
    choices: ["bpf", "raw", "text"],
    unit: "none",
    help: "How events are read: by programs in the kernel, as raw pages, or as lines of text",
  },
  degraded: {
    type: "flag",
    unit: "none",
    help: "Events were lost, and the books wait for a look at /proc",
    metric: { name: "toom_books_degraded" },
  },
  dryRun: {
    type: "flag",
    unit: "none",
    help: "Nobody is signalled, --dry-run",
    metric: { name: "toom_dry_run" },
  },
} as const satisfies Fields;

export const KILL_COUNT_FIELDS = {
  total: {
    type: "counter",
    unit: "none",
    help: "Processes that toom has killed, or would have, with --dry-run",
  },
  failed: {
    type: "counter",
    unit: "none",
    help: "Attempts in which nobody could be killed",
    metric: { name: "toom_kills_failed" },
  },
  spared: {
    type: "counter",
    unit: "none",
    help: "Orders to kill that needed no signal any more",
    metric: { name: "toom_kills_spared" },
  },
} as const satisfies Fields;

export const EVENT_FIELDS = {
  total: {
    type: "counter",
    unit: "none",
    help: "Changes of memory that were booked",
    metric: { name: "toom_events" },
  },
  perSecond: { type: "gauge", unit: "per second", help: "The same, over the last second" },
  lost: {
    type: "counter",
    unit: "none",
    help: "Events that the kernel dropped",
    metric: { name: "toom_events_lost" },
  },
  malformed: {
    type: "counter",
    unit: "none",
    help: "Records that were none",
    metric: { name: "toom_events_malformed" },
  },
  foreign: {
    type: "counter",
    unit: "none",
    help: "Records of events that toom did not ask for",
    metric: { name: "toom_events_foreign" },
  },
  stale: {
    type: "counter",
    unit: "none",
    help: "Events older than what was known already",
    metric: { name: "toom_events_stale" },
  },
  unattributed: {
    type: "counter",
    unit: "none",
    help: "Events of no process that is known",
    metric: { name: "toom_events_unattributed" },
  },
  driftPages: {
    type: "counter",
    unit: "pages",
    help: "What looks at /proc had to correct, in both directions",
    metric: { name: "toom_drift_bytes" },
  },
  sweeps: {
    type: "counter",
    unit: "none",
    help: "Looks at all of /proc",
    metric: { name: "toom_sweeps" },
  },
} as const satisfies Fields;

export const MEASURING_FIELDS = {
  users: {
    type: "counter",
    unit: "none",
    help: "Times that the sharing of a user was measured",
    metric: { name: "toom_share_measurings" },
  },
  ms: {
    type: "counter",
    unit: "milliseconds",
    help: "CPU time of these",
    metric: { name: "toom_share_measuring_seconds" },
  },
} as const satisfies Fields;

export const NEAR_FIELDS = {
  isNear: {
    type: "flag",
    unit: "none",
    help: "Somebody is near its limit, so that each page is booked",
    metric: { name: "toom_near" },
  },
  seconds: {
    type: "gauge",
    unit: "seconds",
    help: "For how long that has been so",
    metric: { name: "toom_near_since_seconds" },
  },
  looks: {
    type: "counter",
    unit: "none",
    help: "Looks at all users while nobody was near",
    metric: { name: "toom_looks" },
  },
  lookMs: {
    type: "counter",
    unit: "milliseconds",
    help: "CPU time of these",
    metric: { name: "toom_look_seconds" },
  },
  refusals: {
    type: "counter",
    unit: "none",
    help: "Times that the kernel refused to have each page booked",
    metric: { name: "toom_attach_failures" },
  },
} as const satisfies Fields;

export const BRAKE_FIELDS = {
  mode: {
    type: "choice",
    choices: BRAKE_MODES,
    unit: "none",
    help: "Whom the brake comes down on, of limits that do not say",
  },
  by: {
    type: "choice",
    choices: ["capability", "helpers"],
    unit: "none",
    nullable: true,
    help: "How limits are lowered; null: that cannot be done here",
  },
  braked: {
    type: "gauge",
    unit: "none",
    help: "Processes that are lowered now",
    metric: { name: "toom_braked_processes" },
  },
  refused: {
    type: "counter",
    unit: "none",
    help: "Processes that came under the brake above soft, so far",
    metric: { name: "toom_brake_refusals" },
  },
  failures: {
    type: "counter",
    unit: "none",
    help: "Times that a limit could not be lowered",
    metric: { name: "toom_brake_failures" },
  },
  left: {
    type: "gauge",
    unit: "none",
    help: "Processes that could not be given back what was lowered, by the last try",
    metric: { name: "toom_brake_left_processes" },
  },
} as const satisfies Fields;

export const TMALLOC_FIELDS = {
  socketPath: {
    type: "text",
    unit: "none",
    nullable: true,
    help: "Where programs ask for memory; null: nowhere",
  },
  connections: {
    type: "gauge",
    unit: "none",
    help: "Connections of programs that ask",
    metric: { name: "toom_tmalloc_connections" },
  },
  processes: {
    type: "gauge",
    unit: "none",
    help: "Processes that have asked and live",
    metric: { name: "toom_tmalloc_processes" },
  },
  waiting: {
    type: "gauge",
    unit: "none",
    help: "Requests that wait for memory",
    metric: { name: "toom_tmalloc_waiting" },
  },
  requests: {
    type: "counter",
    unit: "none",
    help: "Requests that were answered",
    metric: { name: "toom_tmalloc_requests" },
  },
  granted: {
    type: "counter",
    unit: "none",
    help: "Requests that were granted",
    metric: { name: "toom_tmalloc_granted" },
  },
  denied: {
    type: "counter",
    unit: "none",
    help: "Requests that were refused",
    metric: { name: "toom_tmalloc_denied" },
  },
  timedOut: {
    type: "counter",
    unit: "none",
    help: "Waits that came to their deadline",
    metric: { name: "toom_tmalloc_timed_out" },
  },
  refusedConnections: {
    type: "counter",
    unit: "none",
    help: "Connections that were closed at once: there were too many",
    metric: { name: "toom_tmalloc_connections_refused" },
  },
} as const satisfies Fields;

export const SHED_FIELDS = {
  reports: {
    type: "counter",
    unit: "none",
    help: "Reports of workers that found no room",
    metric: { name: "toom_shed", labels: { kind: "reports" } },
  },
  orders: {
    type: "counter",
    unit: "none",
    help: "Orders to the killer that found no room: the next event of that user orders again",
    metric: { name: "toom_shed", labels: { kind: "orders" } },
  },
  logLines: {
    type: "counter",
    unit: "none",
    help: "Lines of the log that were cut as a flood, or could not be written",
    metric: { name: "toom_shed", labels: { kind: "log_lines" } },
  },
  userChanges: {
    type: "counter",
    unit: "none",
    help: "Times that the kernel lost changes of user; all of /proc was read instead",
    metric: {
      name: "toom_shed",
      labels: { kind: "user_changes" },
      help: "What was left out because nobody took it in time; none of it delays a kill",
    },
  },
} as const satisfies Fields;

export const WORKER_FIELDS = {
  role: { type: "text", unit: "none", column: "WORKER", help: "Name of the worker" },
  state: {
    type: "choice",
    choices: ["absent", "starting", "running", "stopped"],
    unit: "none",
    column: "STATE",
    help: "What it does",
  },
  heartbeatAgeMs: {
    type: "gauge",
    unit: "milliseconds",
    column: "HEARTBEAT",
    help: "Since it has shown life last; it does so five times a second",
    metric: {
      name: "toom_worker_heartbeat_age_seconds",
      help: "Since a worker has shown life last; it does so five times a second",
    },
  },
  cpuMs: {
    type: "counter",
    unit: "milliseconds",
    column: "CPU",
    help: "CPU time of its thread; begins anew when it is replaced",
    metric: {
      name: "toom_worker_cpu_seconds",
      help: "CPU time of a worker's thread; begins anew when it is replaced",
    },
  },
  restarts: {
    type: "counter",
    unit: "none",
    column: "RESTARTS",
    help: "Times that it was replaced",
    metric: { name: "toom_worker_restarts", help: "Times that a worker was replaced" },
  },
  events: {
    type: "counter",
    unit: "none",
    column: "EVENTS",
    help: "Events that it has handled",
    metric: { name: "toom_worker_events", help: "Events that a worker has handled" },
  },
} as const satisfies Fields;

export const SUBSCRIBER_FIELDS = {
  name: { type: "text", unit: "none", help: "Who is told what happens" },
  taken: {
    type: "counter",
    unit: "none",
    help: "Entries of the journal that it has taken",
    metric: {
      name: "toom_journal_taken",
      help: "Entries of the journal that a subscriber has taken",
    },
  },
  missed: {
    type: "counter",
    unit: "none",
    help: "Entries that came while too many waited for it",
    metric: {
      name: "toom_journal_missed",
      help: "Entries of the journal that a subscriber has missed: too many waited for it",
    },
  },
  failed: {
    type: "counter",
    unit: "none",
    help: "Entries that it could not take",
    metric: {
      name: "toom_journal_failed",
      help: "Entries of the journal on which a subscriber has failed",
    },
  },
  queued: {
    type: "gauge",
    unit: "none",
    help: "Entries that wait for it",
    metric: {
      name: "toom_journal_queued",
      help: "Entries of the journal that wait for a subscriber",
    },
  },
} as const satisfies Fields;

export const HISTORY_FIELDS = {
  path: {
    type: "text",
    unit: "none",
    nullable: true,
    help: "File of kills and peaks; null: nothing is written, --history off",
  },
  written: {
    type: "counter",
    unit: "none",
    help: "Kills that were written",
    metric: { name: "toom_history_written" },
  },
  pending: {
    type: "gauge",
    unit: "none",
    help: "Kills, their ends and peaks that wait to be written",
    metric: { name: "toom_history_pending" },
  },
  missed: {
    type: "counter",
    unit: "none",
    help: "Those that were left out because too many waited",
    metric: { name: "toom_history_missed" },
  },
  failures: {
    type: "counter",
    unit: "none",
    help: "Attempts to write that failed; each is made again",
    metric: { name: "toom_history_failures" },
  },
} as const satisfies Fields;

export const MEMORY_FIELDS = {
  rssBytes: {
    type: "gauge",
    unit: "bytes",
    help: "What toom itself has resident",
    metric: { name: "process_resident_memory_bytes" },
  },
} as const satisfies Fields;
