/**
 * What the control API answers; the server without its socket.
 *
 * @module
 */
import {
  formatUidRange,
  isNoLimit,
  type LimitRule,
  limitRule,
  LimitRules,
  parseHardBytes,
  parseSoft,
  parseUidRange,
  RulesFullError,
  sameUids,
  type SoftSpec,
  type UidRange,
} from "../../pipeline/limits/limits.ts";
import { FormatError, quote } from "../../pipeline/limits/units.ts";
import type { OriginRule } from "../limits/origin_rule.ts";
import { configReport } from "./config_report.ts";
import type { ControlBackend, LimitReport } from "./control_api.ts";
import {
  CONTROL_PATH,
  EventsQuery,
  FaultRequest,
  KillsQuery,
  LimitRequest,
  RECORDING_HEADER,
  ReloadRequest,
} from "./control_requests.ts";
import { eventStream, FEED_READERS_MAX } from "./event_feed.ts";
import { readBody, readQuery } from "./request_body.ts";
import { planReport, readPlan } from "./plan_shape.ts";
import { definedOf } from "../config/defined.ts";
import { memberNames, parseLimitMembers, parseVictim } from "../config/option_values.ts";
import { RequestError, Router } from "./router.ts";

export interface HandlerOptions {
  readonly backend: ControlBackend;
  readonly totalMemoryBytes: number;
  readonly pageBytes: number;
  /** Where the soft limit lies when a request does not say. */
  readonly softDefault: () => SoftSpec;
  readonly debugFaults: boolean;
}

/** Answers one request; the server without its socket. */
export async function handleControl(request: Request, options: HandlerOptions): Promise<Response> {
  try {
    return await ROUTER.answer(options, request);
  } catch (error) {
    if (error instanceof RequestError) return failure(error.status, error.message);
    if (error instanceof FormatError) return failure(400, error.message);
    if (error instanceof RulesFullError) return failure(409, error.message);
    throw error;
  }
}

export function failure(status: number, error: string): Response {
  return Response.json({ error }, { status });
}

/** The files were understood, and are not right: 422 Unprocessable Content. */
const REFUSED = 422;

export const ROUTER = new Router<HandlerOptions>([
  {
    path: CONTROL_PATH.status,
    methods: { GET: ({ backend }) => Response.json(backend.status()) },
  },
  {
    path: CONTROL_PATH.users,
    methods: { GET: ({ backend }) => Response.json({ users: backend.status().users }) },
  },
  {
    path: `${CONTROL_PATH.users}/:target`,
    methods: {
      GET: async ({ backend }, _, { target }) => {
        const { user } = await backend.explain(readUid(target!));
        if (user === null) throw new RequestError(404, `no limit for ${target}`);
        return Response.json(user);
      },
    },
  },
  {
    path: `${CONTROL_PATH.users}/:target/processes`,
    methods: {
      GET: async ({ backend }, _, { target }) => {
        const { uid, ownerUid, processes } = await backend.explain(readUid(target!));
        return Response.json({ uid, ownerUid, processes });
      },
    },
  },
  {
    path: CONTROL_PATH.events,
    methods: { GET: ({ backend }, request) => followEvents(backend, request) },
  },
  {
    path: CONTROL_PATH.kills,
    methods: {
      GET: ({ backend }, request) => {
        const { uid } = readQuery(request, KillsQuery);
        const { historyPath, kills } = backend.kills();
        const wanted = uid === undefined ? kills : kills.filter((kill) => kill.uid === uid);
        return Response.json({ historyPath, kills: wanted });
      },
    },
  },
  {
    path: `${CONTROL_PATH.kills}/:id`,
    methods: {
      GET: ({ backend }, _, { id }) => {
        const found = backend.kills().kills.find((kill) => kill.id === id);
        if (found !== undefined) return Response.json(found);
        throw new RequestError(404, `no kill ${quote(id!)} among the last ones`);
      },
    },
  },
  {
    path: `${CONTROL_PATH.explain}/:target(.*)`,
    methods: {
      GET: async ({ backend }, _, { target }) =>
        Response.json(await backend.explain(readUid(target!))),
    },
  },
  {
    path: `${CONTROL_PATH.audit}/:target(.*)`,
    methods: {
      GET: async ({ backend }, _, { target }) =>
        Response.json(await backend.audit(readUid(target!))),
    },
  },
  {
    path: CONTROL_PATH.metrics,
    methods: {
      GET: async ({ backend }, request) => {
        const { type, bytes } = await backend.metrics(request.headers.get("accept"));
        return new Response(bytes, { headers: { "content-type": type } });
      },
    },
  },
  {
    path: CONTROL_PATH.limits,
    methods: {
      GET: ({ backend, pageBytes }) => {
        const report = (rule: OriginRule): LimitReport => limitReport(rule, pageBytes);
        const overridden = backend.overridden().map(({ running, configured, ...uids }) => ({
          ...uids,
          running: running === undefined ? null : report(running),
          configured: configured === undefined ? null : report(configured),
        }));
        const { absent } = backend.config();
        return Response.json({ limits: backend.limits().map(report), overridden, absent });
      },
    },
  },
  {
    path: `${CONTROL_PATH.limits}/:target(.*)`,
    methods: {
      GET: (options, _, { target }) => getLimit(readTarget(target!), options),
      PUT: (options, request, { target }) => putLimit(request, readTarget(target!), options),
      DELETE: ({ backend }, _, { target }) => deleteLimit(readTarget(target!), backend),
    },
  },
  {
    path: `${CONTROL_PATH.overrides}/:target(.*)`,
    methods: {
      DELETE: ({ backend }, _, { target }) => resetLimit(readTarget(target!), backend),
    },
  },
  {
    path: CONTROL_PATH.config,
    methods: {
      GET: ({ backend, pageBytes }) => Response.json(configReport(backend.config(), { pageBytes })),
    },
  },
  {
    path: CONTROL_PATH.reload,
    methods: {
      POST: async ({ backend }, request) => {
        const { now } = await readBody(request, ReloadRequest, {});
        const answer = await backend.reload(now === true);
        return Response.json(answer, { status: answer.reloaded ? 200 : REFUSED });
      },
    },
  },
  {
    path: CONTROL_PATH.recordings,
    methods: { POST: ({ backend }) => record(backend) },
  },
  {
    path: `${CONTROL_PATH.recordings}/:target`,
    methods: {
      DELETE: ({ backend }, _, { target }) => {
        if (/^\d{1,9}$/.test(target!) && backend.endRecording(Number(target))) {
          return Response.json({});
        }
        throw new RequestError(404, `no recording ${quote(target!)} is being made`);
      },
    },
  },
  {
    path: CONTROL_PATH.fault,
    methods: { POST: ({ backend }, request) => provokeFault(request, backend) },
    isThere: ({ debugFaults }) => debugFaults,
  },
]);

function record(backend: ControlBackend): Response {
  const recording = backend.record();
  if (recording === undefined) throw new RequestError(409, "too many recordings are being made");
  return new Response(recording.stream, {
    headers: {
      "content-type": "application/octet-stream",
      [RECORDING_HEADER]: String(recording.id),
    },
  });
}

function readTarget(text: string): UidRange {
  const uids = parseUidRange(text);
  if (uids !== undefined) return uids;
  throw new RequestError(400, `expected a uid or a range such as 1000-59999, not ${quote(text)}`);
}

function readUid(text: string): number {
  const { uidFirst, uidLast } = readTarget(text);
  if (uidFirst === uidLast) return uidFirst;
  throw new RequestError(400, `expected one uid, not ${quote(text)}`);
}

/** Server-Sent Events, see the HTML standard. */
function followEvents(backend: ControlBackend, request: Request): Response {
  // Of who comes back; its address still says where it began.
  const lastId = request.headers.get("last-event-id");
  const query = readQuery(request, EventsQuery, lastId === null ? {} : { after: lastId });
  const reader = backend.events(query);
  if (reader === undefined) {
    throw new RequestError(503, `expected at most ${FEED_READERS_MAX} streams of events`);
  }
  return new Response(eventStream(reader), {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store, no-transform",
      "x-accel-buffering": "no",
    },
  });
}

function limitReport(rule: OriginRule, pageBytes: number): LimitReport {
  const { uidFirst, uidLast, hardPages, softPages, origin, processesMax, subject, place } = rule;
  const more = {
    ...(processesMax === undefined ? {} : { maxProcesses: processesMax }),
    origin,
    ...(subject === undefined ? {} : { subject }),
    ...(place === undefined ? {} : { place }),
  };
  if (isNoLimit(rule)) {
    const none = { hardBytes: null, softBytes: null, hardPages: null, softPages: null };
    return { uidFirst, uidLast, ...none, ...more };
  }
  return {
    uidFirst,
    uidLast,
    hardBytes: hardPages * pageBytes,
    softBytes: softPages * pageBytes,
    hardPages,
    softPages,
    ...more,
    ...(rule.brake === undefined ? {} : { brake: rule.brake }),
    ...(rule.victim === undefined ? {} : { victim: rule.victim }),
    ...(rule.countMask === undefined ? {} : { count: memberNames(rule.countMask) }),
    ...(rule.plan === undefined ? {} : { plan: planReport(rule.plan) }),
    ...(rule.storm === undefined ? {} : { storm: rule.storm }),
  };
}

function getLimit(uids: UidRange, { backend, pageBytes }: HandlerOptions): Response {
  const limits = backend.limits();
  const rules = new LimitRules();
  for (const rule of limits) rules.set(rule);
  // Of a single uid people want to know what holds for it, be it by way of a range.
  const wanted = uids.uidFirst === uids.uidLast ? rules.find(backend.ownerOf(uids.uidFirst)) : uids;
  const found = wanted && limits.find((rule) => sameUids(rule, wanted));
  if (found === undefined) throw new RequestError(404, `no limit for ${formatUidRange(uids)}`);
  return Response.json({ limit: limitReport(found, pageBytes) });
}

async function putLimit(
  request: Request,
  uids: UidRange,
  options: HandlerOptions,
): Promise<Response> {
  const body = await readBody(request, LimitRequest);
  const { totalMemoryBytes, pageBytes } = options;
  const hardBytes = typeof body.hard === "number"
    ? body.hard
    : parseHardBytes(body.hard, totalMemoryBytes, pageBytes);
  if (hardBytes === Infinity && body.soft !== undefined) {
    throw new FormatError(
      `expected no soft limit where there is no limit, not ${quote(String(body.soft))}`,
    );
  }
  if (hardBytes === Infinity && body.brake !== undefined) {
    throw new FormatError(
      `expected no brake where there is no limit, not ${quote(body.brake)}`,
    );
  }
  if (hardBytes === Infinity && body.victim !== undefined) {
    throw new FormatError(
      `expected no victim policy where there is no limit, not ${quote(body.victim)}`,
    );
  }
  if (hardBytes === Infinity && body.count !== undefined) {
    throw new FormatError(
      `expected no counted members where there is no limit, not ${quote(body.count)}`,
    );
  }
  if (hardBytes === Infinity && body.maxProcesses !== undefined) {
    throw new FormatError(
      `expected no number of processes where there is no limit, not ${body.maxProcesses}`,
    );
  }
  if (hardBytes === Infinity && (body.plan ?? body.storm) !== undefined) {
    throw new FormatError("expected no plan and no storm where there is no limit");
  }
  const soft = body.soft === undefined ? options.softDefault() : readSoft(body.soft);
  const rule: LimitRule = {
    ...limitRule(uids, hardBytes, soft, pageBytes),
    ...(body.brake === undefined ? {} : { brake: body.brake }),
    ...(body.victim === undefined ? {} : { victim: parseVictim(body.victim) }),
    ...(body.count === undefined ? {} : { countMask: parseLimitMembers(body.count) }),
    ...(body.maxProcesses === undefined ? {} : { processesMax: body.maxProcesses }),
    ...(body.plan === undefined ? {} : { plan: readPlan(body.plan) }),
    ...(body.storm === undefined ? {} : { storm: definedOf(body.storm) }),
  };
  const atOnce = body.now === true ? { isAtOnce: true as const } : {};
  const { persisted } = await options.backend.setLimit({ ...rule, ...atOnce });
  const limit = limitReport({ ...rule, origin: "control" }, pageBytes);
  return Response.json({ limit, persisted });
}

function readSoft(soft: string | number): SoftSpec {
  // A number is bytes by the schema; a text is what a person wrote.
  return typeof soft === "number" && soft > 0
    ? { kind: "bytes", bytes: soft }
    : parseSoft(String(soft));
}

async function deleteLimit(uids: UidRange, backend: ControlBackend): Promise<Response> {
  const { cleared, persisted } = await backend.clearLimit(uids.uidFirst, uids.uidLast);
  if (!cleared) throw new RequestError(404, `no limit for exactly ${formatUidRange(uids)}`);
  return Response.json({ cleared, persisted });
}

async function resetLimit(uids: UidRange, backend: ControlBackend): Promise<Response> {
  const { cleared, persisted } = await backend.resetLimit(uids.uidFirst, uids.uidLast);
  if (cleared) return Response.json({ cleared, persisted });
  throw new RequestError(404, `nothing was set while running for exactly ${formatUidRange(uids)}`);
}

async function provokeFault(request: Request, backend: ControlBackend): Promise<Response> {
  const { role, kind } = await readBody(request, FaultRequest);
  if (!backend.fault(role, kind)) throw new RequestError(404, `no worker ${role}`);
  return Response.json({});
}
