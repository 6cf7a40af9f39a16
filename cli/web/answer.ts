/**
 * What the server of any page answers: its files, which are no secret; what they ask for, which needs the
 * token; refusals, in one line each. Nothing can be changed by it.
 *
 * @module
 */
import { quote } from "../../pipeline/limits/units.ts";
import { hasToken, isOtherOrigin, isOwnHost, SECURITY_HEADERS } from "./access.ts";
import type { Asset, Assets } from "./assets.ts";

const UID_MAX = 0xffffffff;

export interface AnswerOptions {
  readonly assets: Assets;
  /** undefined: whoever can open the socket may see it all. */
  readonly token: string | undefined;
  /** Paths that are answered by streams, of which there is no head alone. */
  readonly streams: readonly string[];
  /** Answers what is below `/api/`; rejects with a {@link Refusal}, or for another reason: 502. */
  readonly answerData: (url: URL) => Promise<Response>;
}

/** An answer that is no success, in one line. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Answers a request. Never rejects. */
export async function answerRequest(request: Request, options: AnswerOptions): Promise<Response> {
  let response: Response;
  try {
    response = await answer(request, options);
  } catch (error) {
    const status = error instanceof Refusal ? error.status : 502;
    const text = error instanceof Error ? error.message : String(error);
    response = Response.json({ error: text }, { status });
  }
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
    if (!response.headers.has(name)) response.headers.set(name, value);
  }
  return response;
}

async function answer(request: Request, options: AnswerOptions): Promise<Response> {
  const { headers, method } = request;
  if (!isOwnHost(headers.get("host"))) {
    throw new Refusal(421, "expected a name of this machine in the header Host");
  }
  const url = new URL(request.url);
  if (method !== "GET" && method !== "HEAD") {
    throw new Refusal(405, `expected GET, not ${quote(method)}`);
  }
  const asset = options.assets.get(url.pathname);
  if (asset !== undefined) return assetResponse(request, asset);
  if (method === "HEAD" && options.streams.includes(url.pathname)) {
    throw new Refusal(405, `expected GET, not ${quote(method)}`);
  }
  if (!url.pathname.startsWith("/api/")) {
    throw new Refusal(404, `expected a path of the page, not ${quote(url.pathname)}`);
  }
  if (isOtherOrigin(headers)) throw new Refusal(403, "expected a request of the page itself");
  if (options.token !== undefined && !hasToken(headers, options.token)) {
    throw new Refusal(401, "expected the token of the link that toom web prints");
  }
  return await options.answerData(url);
}

/** Files may be seen by everybody, and are fetched anew only when they have changed. */
function assetResponse(request: Request, { type, bytes, etag }: Asset): Response {
  const headers = { "content-type": type, etag, "cache-control": "no-cache" };
  if (request.headers.get("if-none-match") === etag) {
    return new Response(null, { status: 304, headers });
  }
  return new Response(request.method === "HEAD" ? null : bytes, { headers });
}

export function unknownPath({ pathname }: URL): Refusal {
  return new Refusal(404, `expected a path of the page, not ${quote(pathname)}`);
}

/** @throws {Refusal} */
export function readUid(text: string | null | undefined): number {
  const uid = /^\d{1,10}$/.test(text ?? "") ? Number(text) : NaN;
  if (uid <= UID_MAX) return uid;
  throw new Refusal(400, `expected a uid, not ${quote(text ?? "")}`);
}
