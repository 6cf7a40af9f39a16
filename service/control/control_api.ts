/**
 * What goes over the control socket: HTTP with JSON bodies. Both ends check with these schemas; those of
 * what is shown are made from the tables of ../fields/.
 *
 * | request | answer |
 * |---|---|
 * | GET /v1/limits | {@link LimitList} |
 * | GET /v1/limits/TARGET | {@link LimitAnswer}: of a uid the limit that holds for it, of a range its own |
 * | PUT /v1/limits/TARGET {@link LimitRequest} | {@link LimitAnswer} |
 * | DELETE /v1/limits/TARGET | {@link ClearAnswer} |
 * | DELETE /v1/overrides/TARGET | {@link ClearAnswer}: what was set while running is forgotten |
 * | GET /v1/config | {@link ConfigAnswer}: what is in force, and who said so |
 * | POST /v1/reload {@link ReloadRequest} or nothing | {@link ReloadAnswer}; 422 when the files are refused, which leaves all as it is |
 * | GET /v1/status | {@link StatusReport} |
 * | GET /v1/users | {@link UserList} |
 * | GET /v1/users/UID | {@link UserReport} |
 * | GET /v1/users/UID/processes | {@link ProcessList}: the largest |
 * | GET /v1/events?after=ID&kinds=KIND,...&uid=UID | Server-Sent Events, see event_feed.ts; `Last-Event-ID` goes on |
 * | GET /v1/kills?uid=UID | {@link KillList}: the last ones |
 * | GET /v1/kills/ID | {@link KillRecord} |
 * | GET /v1/explain/UID | {@link Explanation} |
 * | POST /v1/recordings | A recording (docs/recording.md) without the head of its file, until it is ended; its number is in the header `toom-recording` |
 * | DELETE /v1/recordings/NUMBER | {}: that recording ends with what has come until now |
 * | GET /v1/audit/UID | {@link Audit}: what the books say, to be compared with /proc |
 * | GET /metrics | Prometheus' text format, or OpenMetrics by `Accept` |
 * | POST /v1/debug/fault {@link FaultRequest} | {}; 404 unless `--debug-faults` |
 *
 * TARGET is a uid `1000` or a range `1000-59999`; names are the client's to look up. An answer
 * other than 2xx is an {@link ErrorAnswer}.
 *
 * @module
 */
import { z } from "zod";
import { BRAKE_MODES } from "../../pipeline/memory/settings.ts";
import { EFFECT_NAMES } from "../../pipeline/rules/victim_rule.ts";
import type { LimitRule } from "../../pipeline/limits/limits.ts";
import type { ConfigReport } from "../config/report.ts";
import { shapeOf } from "../fields/field.ts";
import { NOTIFIER_FIELDS, STREAM_FIELDS } from "../fields/listener_fields.ts";
import {
  BRAKE_FIELDS,
  EVENT_FIELDS,
  HISTORY_FIELDS,
  KILL_COUNT_FIELDS,
  MEASURING_FIELDS,
  MEMORY_FIELDS,
  NEAR_FIELDS,
  SHED_FIELDS,
  SUBSCRIBER_FIELDS,
  TMALLOC_FIELDS,
  TOOM_FIELDS,
  WORKER_FIELDS,
} from "../fields/toom_fields.ts";
import { PROCESS_FIELDS } from "../fields/process_fields.ts";
import { PlanReport, Storm } from "./plan_shape.ts";
import { KillRecord } from "../history/record_schema.ts";
import { EVENT_KINDS } from "../journal/event_kinds.ts";
import type { OriginRule, OverriddenRule } from "../limits/origin_rule.ts";

import type { EventsQuery, FaultRequest } from "./control_requests.ts";
import { UserReport } from "./own_report.ts";
import type { FeedReader } from "./event_feed.ts";

export * from "./control_requests.ts";
export * from "./own_report.ts";

const count = z.number().int().nonnegative();
const uid = z.number().int().min(0).max(0xffffffff);
const TOOM_SHAPE = shapeOf(TOOM_FIELDS);

export const LimitReport = z.object({
  uidFirst: uid,
  uidLast: uid,
  /** All four are `null` where the rule says that there is no limit. */
  hardBytes: count.nullable(),
  softBytes: count.nullable(),
  hardPages: count.nullable(),
  softPages: count.nullable(),
  /** Processes of each user; left out: as many as all may have. */
  maxProcesses: count.optional(),
  /** `control`: set while running, by `toom limit set`; `config`: by a file of the configuration. */
  origin: z.enum(["command-line", "control", "config"]),
  /** Who is meant, as it is written: `@students`. */
  subject: z.string().optional(),
  /** File and line, of a limit of the configuration. */
  place: z.string().optional(),
  /** Whom the brake comes down on; left out: as `toom run --brake` says. */
  brake: z.enum(BRAKE_MODES).optional(),
  /** Which of the user's processes goes; left out: as `toom run --victim` says. */
  victim: z.string().optional(),
  /** The members that count; left out: as `toom run --count` says. */
  count: z.string().optional(),
  /** How its users are killed, and what is done about storms, where it is not as `toom run` says. */
  plan: PlanReport.optional(),
  storm: Storm.optional(),
});
export type LimitReport = z.infer<typeof LimitReport>;

/** A limit that was changed while running, beside what files and command line say. */
export const OverriddenReport = z.object({
  uidFirst: uid,
  uidLast: uid,
  /** `null`: it was cleared. */
  running: LimitReport.nullable(),
  /** `null`: they say nothing about exactly these uids. */
  configured: LimitReport.nullable(),
});
export type OverriddenReport = z.infer<typeof OverriddenReport>;

/** What stands in a file and is not in force, because it names somebody who is not there. */
export const AbsentReport = z.object({
  /** Of the setting or limit: `limits.bob`. */
  path: z.string(),
  /** File and line. */
  place: z.string(),
  /** What was expected, and what is there. */
  message: z.string(),
});
export type AbsentReport = z.infer<typeof AbsentReport>;

export const LimitList = z.object({
  limits: z.array(LimitReport),
  overridden: z.array(OverriddenReport).optional(),
  absent: z.array(AbsentReport).optional(),
});
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

/** A limit as it stands in a file or on the command line, whether it wins or not. */
export const ConfigLimitReport = z.object({
  subject: z.string(),
  kind: z.enum(["user", "group", "range", "everybody"]),
  /** File and line, or `--limit`. */
  place: z.string(),
  /** One; of a group one for each member. */
  uids: z.array(z.object({ uidFirst: uid, uidLast: uid })),
  /** `null`: it says that there is no limit. */
  hardBytes: count.nullable(),
  softBytes: count.nullable(),
  maxProcesses: count.optional(),
  brake: z.enum(BRAKE_MODES).optional(),
  victim: z.string().optional(),
  count: z.string().optional(),
  plan: PlanReport.optional(),
  storm: Storm.optional(),
});
export type ConfigLimitReport = z.infer<typeof ConfigLimitReport>;

export const ConfigAnswer = z.object({
  /** In the order in which they count. */
  files: z.array(z.string()),
  settings: z.array(z.object({
    path: z.string(),
    value: z.string(),
    /** File and line, an option, or `default`. */
    from: z.string(),
    /** A change of it counts at a reload; else it needs a restart. */
    reloads: z.boolean(),
  })),
  /** In order of precedence. */
  limits: z.array(ConfigLimitReport),
  /** About who dies, of the files; the last one that matches a process holds. */
  rules: z.array(z.object({
    effect: z.enum(EFFECT_NAMES),
    weight: z.number(),
    /** What it asks for, as it is written. */
    matches: z.string(),
    /** File and line. */
    place: z.string(),
  })),
  absent: z.array(AbsentReport).optional(),
});
export type ConfigAnswer = z.infer<typeof ConfigAnswer>;

export const ReloadAnswer = z.object({
  /** `false`: what was in force stays in force. */
  reloaded: z.boolean(),
  files: z.array(z.string()),
  /** All that is wrong with the files, a line each. */
  problems: z.array(z.string()),
  /** Settings that are others now, a line each. */
  changed: z.array(z.string()),
  /** Settings that need a restart, a line each. */
  restart: z.array(z.string()),
  limitsSet: count,
  limitsCleared: count,
});
export type ReloadAnswer = z.infer<typeof ReloadAnswer>;

export const ErrorAnswer = z.object({ error: z.string() });
export type ErrorAnswer = z.infer<typeof ErrorAnswer>;

export const WorkerReport = z.object(shapeOf(WORKER_FIELDS));
export type WorkerReport = z.infer<typeof WorkerReport>;

export const TmallocReport = z.object({
  ...shapeOf(TMALLOC_FIELDS),
  /** Closed for what they sent, by reason. */
  brokenConnections: z.record(z.string(), count),
});
export type TmallocReport = z.infer<typeof TmallocReport>;

export const SubscriberReport = z.object(shapeOf(SUBSCRIBER_FIELDS));
export type SubscriberReport = z.infer<typeof SubscriberReport>;

export const NotifierRow = z.object(shapeOf(NOTIFIER_FIELDS));
export type NotifierRow = z.infer<typeof NotifierRow>;

export const StatusReport = z.object({
  ...TOOM_SHAPE,
  users: z.array(UserReport),
  kills: z.object(shapeOf(KILL_COUNT_FIELDS)),
  events: z.object(shapeOf(EVENT_FIELDS)),
  /** How often a user's sharing was measured, and how long reading it from /proc took in all. */
  measuring: z.object(shapeOf(MEASURING_FIELDS)).optional(),
  /** With the bpf source. */
  near: z.object(shapeOf(NEAR_FIELDS)).optional(),
  /** Of the brake. */
  brake: z.object(shapeOf(BRAKE_FIELDS)).optional(),
  tmalloc: TmallocReport,
  workers: z.array(WorkerReport),
  memory: z.object(shapeOf(MEMORY_FIELDS)),
  /** How often toom has started over because a worker hung, and why the last time. */
  restarts: z.object({ total: count, reason: z.string().nullable() }).optional(),
  /** What was left out because nobody took it in time; none of it delays a kill. */
  shed: z.object(shapeOf(SHED_FIELDS)).optional(),
  history: z.object(shapeOf(HISTORY_FIELDS)).optional(),
  /** Clients that follow `/v1/events`. */
  streams: z.object(shapeOf(STREAM_FIELDS)).optional(),
  /** Hooks, mail and webhook, as far as they are configured. */
  notifiers: z.array(NotifierRow).optional(),
  /** How those keep up who are told what happens: the log, and others. */
  journal: z.array(SubscriberReport).optional(),
});
export type StatusReport = z.infer<typeof StatusReport>;

export const KillList = z.object({
  /** Where older ones are; null: nowhere. */
  historyPath: z.string().nullable(),
  /** The newest last. */
  kills: z.array(KillRecord),
});
export type KillList = z.infer<typeof KillList>;

export const ProcessReport = z.object(shapeOf(PROCESS_FIELDS));
export type ProcessReport = z.infer<typeof ProcessReport>;

export const UserList = z.object({ users: z.array(UserReport) });
export type UserList = z.infer<typeof UserList>;

/** The data of a message of `/v1/events`: the rest of its fields are those of its kind. */
export const EventEntry = z.looseObject({
  /** 1 for the first since toom began; consecutive. */
  number: count,
  /** When it happened, ISO 8601. */
  ts: z.string(),
  event: z.enum(EVENT_KINDS),
});
export type EventEntry = z.infer<typeof EventEntry>;

/** The data of the first message, `event: hello`. */
export const HelloNotice = z.object({
  /** Names this run of toom: numbers begin anew with another. */
  instance: z.string(),
  /** The number of the oldest entry that is remembered. */
  oldest: count,
  /** The number of the last entry. */
  last: count,
});

/** The data of a message `event: gap`: entries are missing here. */
export const GapNotice = z.object({
  /** null: nobody knows how many, as toom has begun anew. */
  missed: count.nullable(),
});

/** Processes of a user, the largest, and who would be killed. */
export const ProcessList = z.object({
  uid,
  /** Whom it counts for: itself, or whom it is subordinate to. */
  ownerUid: uid,
  processes: z.array(ProcessReport),
});
export type ProcessList = z.infer<typeof ProcessList>;

/** What is missing for a kill of a user's process. */
export const Unmet = z.enum([
  "not-over",
  "dying-suffice",
  "has-grace",
  "in-doubt",
  "no-candidate",
  "protected-hold-it",
  "dry-run",
]);
export type Unmet = z.infer<typeof Unmet>;

/** Why nobody of a user is killed now, or who would be. */
export const Explanation = z.object({
  uid,
  /** Whom it counts for: itself, or whom it is subordinate to. All the rest is about that one. */
  ownerUid: uid,
  /** null: it has no limit. */
  user: UserReport.nullable(),
  /** The limit that holds: its uids, and who asked for it; null: none does. */
  rule: z.string().nullable(),
  /** The counted members, as `--count` has them. */
  counted: z.string(),
  /** By which this user's victims are chosen. */
  policy: z.string(),
  /** How a process of it is killed, and what is done about its storms. */
  plan: PlanReport.optional(),
  storm: Storm.optional(),
  pageBytes: count,
  source: TOOM_SHAPE.source,
  /** Programs in the kernel kill within the page fault. */
  kernelTrigger: z.boolean(),
  degraded: TOOM_SHAPE.degraded,
  near: z.object(shapeOf(NEAR_FIELDS)).optional(),
  unmet: z.array(Unmet),
  /** At the present growth; null: never, or it is there already. */
  secondsToSoft: z.number().nonnegative().nullable(),
  secondsToHard: z.number().nonnegative().nullable(),
  /** The largest, and who would be killed. */
  processes: z.array(ProcessReport),
  /** What the ends of all that may be killed give back. */
  freeablePages: count,
  protectedPages: count,
  dyingPages: count,
  /** Until the grace of those is over that were asked to end; null: nobody was. */
  graceSeconds: z.number().nonnegative().nullable().optional(),
  /** What it was charged lately, one a second, the newest first. */
  samples: z.array(z.object({ agoSeconds: z.number().nonnegative(), usagePages: z.number() })),
});
export type Explanation = z.infer<typeof Explanation>;

/** What the books say of a user, for who compares them with /proc. */
export const Audit = z.object({
  uid,
  /** Whom it counts for: itself, or whom it is subordinate to. All the rest is about that one. */
  ownerUid: uid,
  pageBytes: count,
  /** The counted members, by bit. */
  countMask: count,
  /** Whether what is shared counts once. */
  creditsShares: z.boolean(),
  source: TOOM_SHAPE.source,
  degraded: TOOM_SHAPE.degraded,
  near: z.object(shapeOf(NEAR_FIELDS)).optional(),
  /** null: it is in no book. */
  user: z.object({
    /** Of all processes, shared pages in each of them. */
    countedPages: z.number().int(),
    creditPages: z.number().int(),
    inDoubt: z.boolean(),
    processes: count,
  }).nullable(),
  /** What programs in the kernel keep of it; null: they keep nothing of it. */
  kernel: z.object({
    totalPages: z.number().int(),
    pendingPages: z.number().int(),
    inheritedPages: z.number().int(),
  }).nullable(),
  processes: z.array(z.object({ pid: count, countedPages: z.number().int() })),
});
export type Audit = z.infer<typeof Audit>;

export interface MetricsAnswer {
  /** Content type. */
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A recording under way. */
export interface OpenRecording {
  readonly id: number;
  /** Chunks of the file, from the first on. */
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
}

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
  /** Forgets what was set or cleared while running for exactly this range; then as {@link clearLimit}. */
  resetLimit(
    uidFirst: number,
    uidLast: number,
  ): Promise<{ readonly cleared: boolean; readonly persisted: boolean }>;
  /** Limits that were changed while running, beside what files and command line say. */
  overridden(): readonly OverriddenRule[];
  /** What is in force, and who said so. */
  config(): ConfigReport;
  /** Reads the configuration again and puts it in force, all of it or nothing. Never throws. */
  reload(isAtOnce: boolean): Promise<ReloadAnswer>;
  status(): StatusReport;
  /** The last kills. */
  kills(): KillList;
  explain(uid: number): Explanation | Promise<Explanation>;
  audit(uid: number): Audit | Promise<Audit>;
  /** A client that follows what happens; undefined: there are too many. */
  events(query: EventsQuery): FeedReader | undefined;
  /** @param accept What the client wants, as in HTTP. */
  metrics(accept: string | null): MetricsAnswer | Promise<MetricsAnswer>;
  /** Begins a recording; undefined: there are too many. */
  record(): OpenRecording | undefined;
  /** Ends a recording; `false`: there is none of that number. */
  endRecording(id: number): boolean;
  /** Provokes a fault; `false` when there is no such worker. */
  fault(role: string, kind: FaultRequest["kind"]): boolean;
}
