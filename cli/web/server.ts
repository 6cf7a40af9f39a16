/**
 * What the page of a running toom asks for.
 *
 * | path | what |
 * |---|---|
 * | / /page/ /vendor/ | the page |
 * | /api/live | Server-Sent Events: `snapshot`, `change`, `problem`, `ping`, see feed.ts |
 * | /api/fields | the tables of service/fields/ that the page shows |
 * | /api/explain/UID | the daemon's explanation, and its sentences |
 * | /api/series/UID?range= | what a user used: `live`, or `day` or `week` by hours |
 * | /api/kills?uid=&since= | kills, the newest last, those of the history too |
 * | /api/kills/ID | a receipt, and its sentences |
 *
 * @module
 */
import { quote } from "../../pipeline/limits/units.ts";
import type { Explanation } from "../../service/control/control_api.ts";
import { KILL_FIELDS, WEIGHED_FIELDS } from "../../service/fields/kill_fields.ts";
import { PROCESS_FIELDS } from "../../service/fields/process_fields.ts";
import {
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
} from "../../service/fields/toom_fields.ts";
import { USER_FIELDS } from "../../service/fields/user_fields.ts";
import type { KillRecord } from "../../service/history/record.ts";
import { answerRequest, readUid, Refusal, unknownPath } from "./answer.ts";
import { type Archive, RANGES_MS } from "./archive.ts";
import type { Assets } from "./assets.ts";
import type { Watcher } from "./watcher.ts";

/** What is told in words, as the commands tell it. */
export interface Sentences {
  readonly explanation: (told: Explanation) => readonly string[];
  /** Pairs: what it is about, and what is to be said about it. */
  readonly receipt: (kill: KillRecord) => readonly (readonly [string, string])[];
}

export interface PageServerOptions {
  readonly assets: Assets;
  readonly watcher: Watcher;
  readonly archive: Archive;
  readonly sentences: Sentences;
  /** undefined: whoever can open the socket may see it all. */
  readonly token: string | undefined;
}

/** The page has one name for each number, that of these tables. */
const TABLES = {
  user: USER_FIELDS,
  process: PROCESS_FIELDS,
  kill: KILL_FIELDS,
  weighed: WEIGHED_FIELDS,
  toom: TOOM_FIELDS,
  killCounts: KILL_COUNT_FIELDS,
  events: EVENT_FIELDS,
  measuring: MEASURING_FIELDS,
  near: NEAR_FIELDS,
  shed: SHED_FIELDS,
  history: HISTORY_FIELDS,
  journal: SUBSCRIBER_FIELDS,
  memory: MEMORY_FIELDS,
  tmalloc: TMALLOC_FIELDS,
  workers: WORKER_FIELDS,
} as const;
const KILL_ID = /^[\w-]{1,80}$/;

/** Answers a request. Never rejects. */
export async function answerPage(request: Request, options: PageServerOptions): Promise<Response> {
  const { assets, token } = options;
  return await answerRequest(request, {
    assets,
    token,
    streams: ["/api/live"],
    answerData: (url) => answerData(url, options),
  });
}

async function answerData(url: URL, options: PageServerOptions): Promise<Response> {
  const { watcher, archive, sentences } = options;
  const [, , name, argument, ...more] = url.pathname.split("/");
  if (more.length > 0) throw unknownPath(url);
  switch (name) {
    case "live":
      return liveResponse(watcher);
    case "fields":
      return Response.json(TABLES);
    case "explain": {
      const explanation = await watcher.explain(readUid(argument));
      return Response.json({ explanation, sentences: sentences.explanation(explanation) });
    }
    case "series":
      return Response.json(await series(readUid(argument), url, options));
    case "kills": {
      if (argument === undefined) return Response.json({ kills: await archive.kills(query(url)) });
      const kill = KILL_ID.test(argument) ? await archive.kill(argument) : undefined;
      if (kill === undefined) throw new Refusal(404, `no kill ${quote(argument)}`);
      return Response.json({ kill, sentences: sentences.receipt(kill) });
    }
    default:
      throw unknownPath(url);
  }
}

function liveResponse(watcher: Watcher): Response {
  const body = watcher.listeners.add();
  if (body === undefined) throw new Refusal(503, "too many pages are open");
  // Who was not watched is looked at now.
  watcher.hurry();
  const headers = { "content-type": "text/event-stream", "x-accel-buffering": "no" };
  return new Response(body, { headers });
}

/** Usage over time, pages of {@link StatusReport.pageBytes}. */
async function series(
  uid: number,
  url: URL,
  { watcher, archive }: PageServerOptions,
): Promise<unknown> {
  const range = url.searchParams.get("range") ?? "live";
  if (range === "live") return { uid, range, ...watcher.samples.of(uid) };
  const rangeMs = Object.hasOwn(RANGES_MS, range) ? RANGES_MS[range] : undefined;
  if (rangeMs === undefined) {
    const known = ["live", ...Object.keys(RANGES_MS)].join(", ");
    throw new Refusal(400, `range: expected one of ${known}, not ${quote(range)}`);
  }
  const pageBytes = watcher.feed.look?.status.pageBytes ?? 4096;
  const peaks = await archive.peaks(uid, Date.now() - rangeMs);
  return {
    uid,
    range,
    atMs: peaks.map(({ hourMs }) => hourMs),
    usagePages: peaks.map(({ peakBytes }) => Math.round(peakBytes / pageBytes)),
  };
}

function query({ searchParams }: URL): { uid: number | undefined; sinceMs: number | undefined } {
  const uid = searchParams.get("uid");
  const since = searchParams.get("since");
  const sinceMs = since === null ? undefined : Number(since);
  if (sinceMs !== undefined && !(sinceMs >= 0)) {
    throw new Refusal(400, `since: expected milliseconds since 1970, not ${quote(since!)}`);
  }
  return { uid: uid === null ? undefined : readUid(uid), sinceMs };
}
