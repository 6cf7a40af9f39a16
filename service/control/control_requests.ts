/**
 * Paths of the control API, and the bodies of requests: what the daemon checks. What it answers is checked by
 * its clients, see control_api.ts; the daemon does without these schemas.
 *
 * @module
 */
import { z } from "zod";
import { BRAKE_MODES } from "../../pipeline/memory/settings.ts";
import { LIMIT_PROCESSES_MAX } from "../../pipeline/limits/limits.ts";
import { PlanRequest, Storm } from "./plan_shape.ts";
import { EVENT_KINDS } from "../journal/event_kinds.ts";

export const CONTROL_PATH = {
  limits: "/v1/limits",
  overrides: "/v1/overrides",
  config: "/v1/config",
  reload: "/v1/reload",
  status: "/v1/status",
  users: "/v1/users",
  events: "/v1/events",
  kills: "/v1/kills",
  explain: "/v1/explain",
  recordings: "/v1/recordings",
  audit: "/v1/audit",
  metrics: "/metrics",
  fault: "/v1/debug/fault",
} as const;
/** Names a recording, in the answer to who has begun it. */
export const RECORDING_HEADER = "toom-recording";
/** Largest body of a request. */
export const CONTROL_BODY_BYTES_MAX = 16 * 1024;

const count = z.number().int().nonnegative();
/** A size as on the command line, or bytes. */
const size = z.union([z.string().max(64), count]);

export const LimitRequest = z.strictObject({
  /** Text as on the command line (`64MiB`, `25%` of memory, `none`), or bytes. */
  hard: size,
  /** The same, but a percentage is of `hard`. Left out: the daemon's `--soft`. */
  soft: size.optional(),
  /**
   * Whom of the user the brake comes down on. Left out: as the configuration says of the same uids, else the
   * daemon's `--brake`.
   */
  brake: z.enum(BRAKE_MODES).optional(),
  /**
   * Which of its users' processes goes: `newest`, or several with weights. Left out: as the configuration
   * says of the same uids, else the daemon's `--victim`.
   */
  victim: z.string().max(64).optional(),
  /**
   * What counts for its users: `anon+file`. Left out: as the configuration says of the same uids, else the
   * daemon's `--count`.
   */
  count: z.string().max(64).optional(),
  /** The most processes of each user. Left out: as the configuration says of the same uids. */
  maxProcesses: z.number().int().min(1).max(LIMIT_PROCESSES_MAX).optional(),
  /** How its users are killed, and what is done about storms. Left out: as the daemon was started. */
  plan: PlanRequest.optional(),
  storm: Storm.optional(),
  /** A user that has more loses processes at once; else after the grace, if it had a higher limit. */
  now: z.boolean().optional(),
});
export type LimitRequest = z.infer<typeof LimitRequest>;

export const ReloadRequest = z.strictObject({
  /** As of {@link LimitRequest}, for all limits that are lowered. */
  now: z.boolean().optional(),
});
export type ReloadRequest = z.infer<typeof ReloadRequest>;

export const FaultRequest = z.strictObject({
  role: z.string().regex(/^(accounting|killer|coordinator|sweeper|reader\d{1,2})$/),
  kind: z.enum(["throw", "hang"]),
});
export type FaultRequest = z.infer<typeof FaultRequest>;

/** A number of an entry, and the run of toom that it is of: `41@m3k9x2`, or `41` of this one. */
export const EventId = z.string().regex(
  /^\d{1,15}(@[0-9a-z]{1,16})?$/,
  "expected the id of an event such as 41 or 41@m3k9x2",
).transform((text) => {
  const [number, instance] = text.split("@");
  return { number: Number(number), ...(instance === undefined ? {} : { instance }) };
});

const uidText = z.string().regex(/^\d{1,10}$/, "expected a uid").transform(Number);

/** What a client wants of `/v1/events`; all of it may be left out. */
export const EventsQuery = z.strictObject({
  after: EventId.describe(
    "What happened after this one, as far as it is remembered, comes first; 0: all that is remembered.",
  ).optional(),
  kinds: z.string().transform((text) => text.split(",")).pipe(z.array(z.enum(EVENT_KINDS)))
    .describe(`Only these kinds, joined by commas: ${EVENT_KINDS.join(", ")}.`).optional(),
  uid: uidText.describe("Only what happened to this user.").optional(),
});
export type EventsQuery = z.infer<typeof EventsQuery>;

/** What a client wants of `/v1/kills`. */
export const KillsQuery = z.strictObject({
  uid: uidText.describe("Only those of this user.").optional(),
});
