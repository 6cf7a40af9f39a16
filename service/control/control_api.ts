/**
 * What goes over the control socket: HTTP with JSON bodies. Both ends check with these schemas.
 *
 * | request | answer |
 * |---|---|
 * | GET /v1/limits | {@link LimitList} |
 * | GET /v1/limits/TARGET | {@link LimitAnswer}: of a uid the limit that holds for it, of a range its own |
 * | PUT /v1/limits/TARGET {@link LimitRequest} | {@link LimitAnswer} |
 * | DELETE /v1/limits/TARGET | {@link ClearAnswer} |
 * | GET /v1/status | {@link StatusReport} |
 * | POST /v1/debug/fault {@link FaultRequest} | {}; 404 unless `--debug-faults` |
 *
 * TARGET is a uid `1000` or a range `1000-59999`; names are the client's to look up. An answer
 * other than 2xx is an {@link ErrorAnswer}.
 *
 * @module
 */
import { z } from "zod";
import type { LimitRule } from "../../pipeline/limits/limits.ts";
import type { OriginRule } from "../limits/origin_rule.ts";

export const CONTROL_PATH = {
  limits: "/v1/limits",
  status: "/v1/status",
  fault: "/v1/debug/fault",
} as const;
/** Largest body of a request. */
export const CONTROL_BODY_BYTES_MAX = 16 * 1024;

const count = z.number().int().nonnegative();
const uid = z.number().int().min(0).max(0xffffffff);
/** A size as on the command line, or bytes. */
const size = z.union([z.string().max(64), count]);

export const LimitRequest = z.strictObject({
  /** Text as on the command line (`64MiB`, `25%` of memory, `none`), or bytes. */
  hard: size,
  /** The same, but a percentage is of `hard`. Left out: the daemon's `--soft`. */
  soft: size.optional(),
});
export type LimitRequest = z.infer<typeof LimitRequest>;

export const FaultRequest = z.strictObject({
  role: z.string().regex(/^(accounting|killer|coordinator|sweeper|reader\d{1,2})$/),
  kind: z.enum(["throw", "hang"]),
});
export type FaultRequest = z.infer<typeof FaultRequest>;

export const LimitReport = z.object({
  uidFirst: uid,
  uidLast: uid,
  /** All four are `null` where the rule says that there is no limit. */
  hardBytes: count.nullable(),
  softBytes: count.nullable(),
  hardPages: count.nullable(),
  softPages: count.nullable(),
  /** `control`: set while running, by `toom limit set`. */
  origin: z.enum(["command-line", "control"]),
});
export type LimitReport = z.infer<typeof LimitReport>;

export const LimitList = z.object({ limits: z.array(LimitReport) });
export type LimitList = z.infer<typeof LimitList>;

export const LimitAnswer = z.object({
  limit: LimitReport,
  /** Only after PUT. `false`: in force, but it will not survive a restart. */
  persisted: z.boolean().optional(),
});
export type LimitAnswer = z.infer<typeof LimitAnswer>;

export const ClearAnswer = z.object({
  /** Whether there was a limit for exactly this target. */
  cleared: z.boolean(),
  persisted: z.boolean(),
});
export type ClearAnswer = z.infer<typeof ClearAnswer>;

export const ErrorAnswer = z.object({ error: z.string() });
export type ErrorAnswer = z.infer<typeof ErrorAnswer>;

export const UserReport = z.object({
  uid,
  /** `null`: the uid has no name. */
  user: z.string().nullable(),
  /** Charged: counted less shared. This is compared with the limits. */
  usagePages: z.number().int(),
  /** The sum over its processes, so that a page counts in each process that maps it. */
  countedPages: count,
  /** Share credit: of these, pages that are counted more than once or can be taken back. */
  sharedPages: count,
  /** Its books may be wrong, and do not decide before its processes were read. */
  inDoubt: z.boolean(),
  /** Granted by tmalloc and not in use yet. */
  promisedPages: count,
  /** 0: no limit. */
  softPages: count,
  hardPages: count,
  peakPages: z.number().int(),
  state: z.enum(["ok", "soft", "hard"]),
  processes: count,
  kills: count,
});
export type UserReport = z.infer<typeof UserReport>;

export const WorkerReport = z.object({
  role: z.string(),
  state: z.enum(["absent", "starting", "running", "stopped"]),
  heartbeatAgeMs: z.number().nonnegative(),
  restarts: count,
  events: count,
});
export type WorkerReport = z.infer<typeof WorkerReport>;

export const TmallocReport = z.object({
  /** `null`: not served. */
  socketPath: z.string().nullable(),
  connections: count,
  /** Processes that have asked and live. */
  processes: count,
  /** Requests that wait for memory. */
  waiting: count,
  requests: count,
  granted: count,
  denied: count,
  /** Waits that came to their deadline. */
  timedOut: count,
  /** Closed at once: there were too many. */
  refusedConnections: count,
  /** Closed for what they sent, by reason. */
  brokenConnections: z.record(z.string(), count),
});
export type TmallocReport = z.infer<typeof TmallocReport>;

export const SubscriberReport = z.object({
  name: z.string(),
  taken: count,
  /** Came while too many waited for it. */
  missed: count,
  /** It could not take them. */
  failed: count,
  queued: count,
});
export type SubscriberReport = z.infer<typeof SubscriberReport>;

export const StatusReport = z.object({
  version: z.string(),
  pid: count,
  uptimeSeconds: z.number().nonnegative(),
  pageBytes: count,
  source: z.enum(["bpf", "raw", "text"]),
  /** The books are not to be trusted at this moment. */
  degraded: z.boolean(),
  dryRun: z.boolean(),
  users: z.array(UserReport),
  kills: z.object({ total: count, failed: count, spared: count }),
  events: z.object({
    total: count,
    perSecond: z.number().nonnegative(),
    lost: count,
    malformed: count,
    foreign: count,
    stale: count,
    unattributed: count,
    driftPages: count,
    sweeps: count,
  }),
  /** How often a user's sharing was measured, and how long reading it from /proc took in all. */
  measuring: z.object({ users: count, ms: count }).optional(),
  /**
   * With the bpf source: whether each page of limited users is booked (somebody is near its limit), for
   * how long that has been so, and how often all were looked at while it was not.
   */
  near: z.object({
    isNear: z.boolean(),
    seconds: z.number(),
    looks: count,
    lookMs: count,
    /** Times that the kernel refused to have each page booked: then looks are all there is. */
    refusals: count,
  }).optional(),
  tmalloc: TmallocReport,
  workers: z.array(WorkerReport),
  memory: z.object({ rssBytes: count }),
  /** How often toom has started over because a worker hung, and why the last time. */
  restarts: z.object({ total: count, reason: z.string().nullable() }).optional(),
  /** What was left out because nobody took it in time; none of it delays a kill. */
  shed: z.object({
    /** Of the workers, for the log. */
    reports: count,
    /** To the killer: the next event of that user orders again. */
    orders: count,
    /** Of the log: floods that were cut, and lines that could not be written. */
    logLines: count,
    /** Told by the kernel of changes of user and lost; all of /proc was read instead. */
    userChanges: count,
  }).optional(),
  /** How those keep up who are told what happens: the log, and others. */
  journal: z.array(SubscriberReport).optional(),
});
export type StatusReport = z.infer<typeof StatusReport>;

/** What the server stands in front of: the supervisor. */
export interface ControlBackend {
  /** The rules in force. */
  limits(): readonly OriginRule[];
  /**
   * Puts a rule in force at once, then tries to keep it.
   *
   * @returns Whether it will survive a restart.
   * @throws {RulesFullError} When there is no room; nothing has changed then.
   */
  setLimit(rule: LimitRule): Promise<{ readonly persisted: boolean }>;
  /** Whom a uid counts for: itself, or whom it is subordinate to. */
  ownerOf(uid: number): number;
  /** Removes the rule of exactly this range at once, then tries to remember that. */
  clearLimit(
    uidFirst: number,
    uidLast: number,
  ): Promise<{ readonly cleared: boolean; readonly persisted: boolean }>;
  status(): StatusReport;
  /** Provokes a fault; `false` when there is no such worker. */
  fault(role: string, kind: FaultRequest["kind"]): boolean;
}
