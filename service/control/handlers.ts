/**
 * What the control API answers; the server without its socket.
 *
 * @module
 */
import {
  formatUidRange,
  isNoLimit,
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
import {
  CONTROL_PATH,
  type ControlBackend,
  FaultRequest,
  type LimitReport,
  LimitRequest,
} from "./control_api.ts";
import { readBody } from "./request_body.ts";
import { RequestError, Router } from "./router.ts";

export interface HandlerOptions {
  readonly backend: ControlBackend;
  readonly totalMemoryBytes: number;
  readonly pageBytes: number;
  /** Where the soft limit lies when a request does not say. */
  readonly softDefault: SoftSpec;
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

const ROUTER = new Router<HandlerOptions>([
  {
    path: CONTROL_PATH.status,
    methods: { GET: ({ backend }) => Response.json(backend.status()) },
  },
  {
    path: CONTROL_PATH.limits,
    methods: {
      GET: ({ backend, pageBytes }) => {
        const limits = backend.limits().map((rule) => limitReport(rule, pageBytes));
        return Response.json({ limits });
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
    path: CONTROL_PATH.fault,
    methods: { POST: ({ backend }, request) => provokeFault(request, backend) },
    isThere: ({ debugFaults }) => debugFaults,
  },
]);

function readTarget(text: string): UidRange {
  const uids = parseUidRange(text);
  if (uids !== undefined) return uids;
  throw new RequestError(400, `expected a uid or a range such as 1000-59999, not ${quote(text)}`);
}

function limitReport(rule: OriginRule, pageBytes: number): LimitReport {
  const { uidFirst, uidLast, hardPages, softPages, origin } = rule;
  if (isNoLimit(rule)) {
    const none = { hardBytes: null, softBytes: null, hardPages: null, softPages: null };
    return { uidFirst, uidLast, ...none, origin };
  }
  return {
    uidFirst,
    uidLast,
    hardBytes: hardPages * pageBytes,
    softBytes: softPages * pageBytes,
    hardPages,
    softPages,
    origin,
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
  const rule = limitRule(
    uids,
    hardBytes,
    body.soft === undefined ? options.softDefault : readSoft(body.soft),
    pageBytes,
  );
  const { persisted } = await options.backend.setLimit(rule);
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

async function provokeFault(request: Request, backend: ControlBackend): Promise<Response> {
  const { role, kind } = await readBody(request, FaultRequest);
  if (!backend.fault(role, kind)) throw new RequestError(404, `no worker ${role}`);
  return Response.json({});
}
