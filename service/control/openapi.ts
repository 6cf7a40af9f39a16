/**
 * The control API as an OpenAPI 3.1 document, made of the schemas by which both ends check. The daemon does
 * without it: `toom api` prints it, and docs/openapi.json is a copy.
 *
 * @module
 */
import { z } from "zod";
import { VERSION } from "../../version.ts";
import {
  Audit,
  ClearAnswer,
  ConfigAnswer,
  CONTROL_PATH,
  ErrorAnswer,
  EventEntry,
  EventsQuery,
  Explanation,
  FaultRequest,
  GapNotice,
  HelloNotice,
  KillList,
  KillsQuery,
  LimitAnswer,
  LimitList,
  LimitRequest,
  ProcessList,
  ReloadAnswer,
  ReloadRequest,
  StatusReport,
  UserList,
  UserReport,
} from "./control_api.ts";
import { KillRecord } from "../history/record_schema.ts";

type Method = "get" | "put" | "post" | "delete";

interface Operation {
  readonly method: Method;
  /** With `{name}` for what differs. */
  readonly path: string;
  readonly id: string;
  readonly summary: string;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  readonly isBodyOptional?: true;
  /** What comes with 200: of JSON, or its media type. */
  readonly answer: z.ZodType | string;
  /** Other statuses, and what they mean. */
  readonly refusals: Readonly<Record<number, string>>;
  /** Of an answer of these statuses that is no {@link ErrorAnswer}. */
  readonly otherAnswers?: Readonly<Record<number, z.ZodType>>;
}

/** What stands in a path in place of its names. */
const PATH_PARAMETERS: Readonly<Record<string, { pattern: string; description: string }>> = {
  target: {
    pattern: "^\\d{1,10}(-\\d{1,10})?$",
    description: "A uid such as 1000, or a range of uids such as 1000-59999.",
  },
  uid: { pattern: "^\\d{1,10}$", description: "A uid; a subordinate one counts for its owner." },
  recording: { pattern: "^\\d{1,9}$", description: "The number in the header toom-recording." },
  id: { pattern: "^.{1,64}$", description: "The id of a kill, as the log has it." },
};

const NO_LIMIT = { 404: "There is no limit for exactly these uids." };
const FULL = { 409: "There are as many limits as there may be." };

export const OPERATIONS: readonly Operation[] = [
  {
    method: "get",
    path: CONTROL_PATH.status,
    id: "getStatus",
    summary: "What is, at this moment: users, kills, events, workers.",
    answer: StatusReport,
    refusals: {},
  },
  {
    method: "get",
    path: CONTROL_PATH.users,
    id: "listUsers",
    summary: "Users with a limit, and what they use.",
    answer: UserList,
    refusals: {},
  },
  {
    method: "get",
    path: `${CONTROL_PATH.users}/{uid}`,
    id: "getUser",
    summary: "One user, and what it uses.",
    answer: UserReport,
    refusals: { 404: "The user has no limit." },
  },
  {
    method: "get",
    path: `${CONTROL_PATH.users}/{uid}/processes`,
    id: "listProcesses",
    summary: "The largest processes of a user, 50 at most, and which would be killed.",
    answer: ProcessList,
    refusals: {},
  },
  {
    method: "get",
    path: CONTROL_PATH.events,
    id: "followEvents",
    summary:
      "What happens, as Server-Sent Events: each message's data is an EventEntry, and its id " +
      "comes back as Last-Event-ID to go on from there. The first is an event hello (HelloNotice); " +
      "an event gap (GapNotice) tells that entries were forgotten meanwhile.",
    query: EventsQuery,
    answer: "text/event-stream",
    refusals: { 503: "There are as many streams as there may be." },
  },
  {
    method: "get",
    path: CONTROL_PATH.kills,
    id: "listKills",
    summary: "The last kills with their receipts, the newest last.",
    query: KillsQuery,
    answer: KillList,
    refusals: {},
  },
  {
    method: "get",
    path: `${CONTROL_PATH.kills}/{id}`,
    id: "getKill",
    summary: "The receipt of one of the last kills.",
    answer: KillRecord,
    refusals: { 404: "It is not among the last ones." },
  },
  {
    method: "get",
    path: `${CONTROL_PATH.explain}/{uid}`,
    id: "explain",
    summary: "Why nobody of a user is killed now, or who would be.",
    answer: Explanation,
    refusals: {},
  },
  {
    method: "get",
    path: `${CONTROL_PATH.audit}/{uid}`,
    id: "audit",
    summary: "What the books say of a user and its processes, to be compared with /proc.",
    answer: Audit,
    refusals: {},
  },
  {
    method: "get",
    path: CONTROL_PATH.limits,
    id: "listLimits",
    summary: "The limits in force, and those that were changed while running.",
    answer: LimitList,
    refusals: {},
  },
  {
    method: "get",
    path: `${CONTROL_PATH.limits}/{target}`,
    id: "getLimit",
    summary: "Of a uid the limit that holds for it, of a range its own.",
    answer: LimitAnswer,
    refusals: { 404: "There is no limit for it." },
  },
  {
    method: "put",
    path: `${CONTROL_PATH.limits}/{target}`,
    id: "setLimit",
    summary: "Puts a limit in force at once, and keeps it across restarts.",
    body: LimitRequest,
    answer: LimitAnswer,
    refusals: FULL,
  },
  {
    method: "delete",
    path: `${CONTROL_PATH.limits}/{target}`,
    id: "clearLimit",
    summary: "Ends the limit of exactly these uids.",
    answer: ClearAnswer,
    refusals: NO_LIMIT,
  },
  {
    method: "delete",
    path: `${CONTROL_PATH.overrides}/{target}`,
    id: "resetLimit",
    summary: "Forgets what was set or cleared while running for exactly these uids.",
    answer: ClearAnswer,
    refusals: { 404: "Nothing was set while running for exactly these uids.", ...FULL },
  },
  {
    method: "get",
    path: CONTROL_PATH.config,
    id: "getConfig",
    summary: "What is in force, and which file and line said so.",
    answer: ConfigAnswer,
    refusals: {},
  },
  {
    method: "post",
    path: CONTROL_PATH.reload,
    id: "reload",
    summary: "Reads the configuration again and puts it in force, all of it or nothing.",
    body: ReloadRequest,
    isBodyOptional: true,
    answer: ReloadAnswer,
    refusals: { 422: "The files are refused; all is as it was." },
    otherAnswers: { 422: ReloadAnswer },
  },
  {
    method: "get",
    path: CONTROL_PATH.metrics,
    id: "getMetrics",
    summary: "Metrics in Prometheus' text format, or OpenMetrics by Accept.",
    answer: "text/plain",
    refusals: {},
  },
  {
    method: "post",
    path: CONTROL_PATH.recordings,
    id: "record",
    summary:
      "A recording (docs/recording.md) without the head of its file, until it is ended or the " +
      "client goes; its number is in the header toom-recording.",
    answer: "application/octet-stream",
    refusals: { 409: "There are as many recordings as there may be." },
  },
  {
    method: "delete",
    path: `${CONTROL_PATH.recordings}/{recording}`,
    id: "endRecording",
    summary: "Ends a recording: its stream ends with what has come until now.",
    answer: z.strictObject({}),
    refusals: { 404: "No such recording is being made." },
  },
  {
    method: "post",
    path: CONTROL_PATH.fault,
    id: "provokeFault",
    summary: "Provokes a fault in a worker, for tests; only with --debug-faults.",
    body: FaultRequest,
    answer: z.strictObject({}),
    refusals: { 404: "There is no such worker, or faults are not allowed." },
  },
];

/** Schemas that have a name of their own in the document. */
const NAMED: Readonly<Record<string, z.ZodType>> = {
  Audit,
  ClearAnswer,
  ConfigAnswer,
  ErrorAnswer,
  EventEntry,
  Explanation,
  FaultRequest,
  GapNotice,
  HelloNotice,
  KillList,
  KillRecord,
  LimitAnswer,
  LimitList,
  LimitRequest,
  ProcessList,
  ReloadAnswer,
  ReloadRequest,
  StatusReport,
  UserList,
  UserReport,
};

/** The document. Plain data. */
export function openApiDocument(): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const operation of OPERATIONS) {
    (paths[operation.path] ??= {})[operation.method] = operationOf(operation);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "toom control API",
      version: VERSION,
      license: { name: "MIT", identifier: "MIT" },
      description:
        "HTTP over the Unix socket /run/toom/control.sock, which is root's alone. With " +
        "control.readGroup in the configuration, members of that group GET the same on " +
        "/run/toom/read.sock; all else is answered with 403 there. " +
        "What begins with /v1 stays as it is or grows; what would break a client gets another number.",
    },
    servers: [{ url: "http://localhost", description: "Over the socket: curl --unix-socket" }],
    paths,
    components: { schemas: componentSchemas() },
  };
}

function componentSchemas(): Record<string, unknown> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(NAMED)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { io: "input", uri: (id) => refTo(id) });
  return Object.fromEntries(
    Object.entries(schemas).map((
      [id, { $schema: _, $id: __, id: ___, ...rest }],
    ) => [id, rest]),
  );
}

function refTo(id: string): string {
  return `#/components/schemas/${id}`;
}

function operationOf(operation: Operation): Record<string, unknown> {
  const { id, summary, body, isBodyOptional, answer, refusals, otherAnswers } = operation;
  const statuses: Record<string, unknown> = {
    200: typeof answer === "string"
      ? { description: "As said.", content: { [answer]: { schema: { type: "string" } } } }
      : jsonAnswer("As said.", answer),
    400: jsonAnswer("What was asked is not right; the text says what was expected.", ErrorAnswer),
  };
  for (const [status, meaning] of Object.entries(refusals)) {
    statuses[status] = jsonAnswer(meaning, otherAnswers?.[Number(status)] ?? ErrorAnswer);
  }
  const parameters = parametersOf(operation);
  return {
    operationId: id,
    summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : {
      requestBody: {
        required: isBodyOptional !== true,
        content: { "application/json": { schema: schemaOf(body) } },
      },
    }),
    responses: statuses,
  };
}

function jsonAnswer(description: string, schema: z.ZodType): Record<string, unknown> {
  return { description, content: { "application/json": { schema: schemaOf(schema) } } };
}

function schemaOf(schema: z.ZodType): Record<string, unknown> {
  const name = Object.keys(NAMED).find((one) => NAMED[one] === schema);
  if (name !== undefined) return { $ref: refTo(name) };
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input" });
  return rest;
}

function parametersOf({ path, query, id }: Operation): Record<string, unknown>[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => {
    const { pattern, description } = PATH_PARAMETERS[name!]!;
    return { name, in: "path", required: true, description, schema: { type: "string", pattern } };
  });
  const inQuery = Object.entries(query?.shape ?? {}).map(([name, schema]) => {
    const { description, ...rest } = schemaOf(schema as z.ZodType);
    return { name, in: "query", required: false, description, schema: rest };
  });
  const header = id !== "followEvents" ? [] : [{
    name: "Last-Event-ID",
    in: "header",
    required: false,
    description: "The id of the last message that came; it wins over after.",
    schema: schemaOf(EventsQuery.shape.after),
  }];
  return [...inPath, ...inQuery, ...header];
}
