/**
 * The body of a request, and what stands behind the question mark of its address, checked.
 *
 * @module
 */
import type { z } from "zod";
import { quote } from "../../pipeline/limits/units.ts";
import { CONTROL_BODY_BYTES_MAX } from "./control_requests.ts";
import { RequestError } from "./router.ts";

/** Most bytes of a body that are read, if only to be thrown away. */
const DRAIN_BYTES_MAX = 1024 * 1024;

/**
 * @param whenEmpty Stands for a body that is not there; left out: there must be one.
 * @throws {RequestError} When it is no JSON, or not what the schema says.
 */
export async function readBody<Output>(
  request: Request,
  schema: z.ZodType<Output>,
  whenEmpty?: Output,
): Promise<Output> {
  let content: unknown;
  try {
    const text = await readText(request);
    content = text === "" && whenEmpty !== undefined ? whenEmpty : JSON.parse(text);
  } catch (error) {
    if (error instanceof RequestError) throw error;
    throw new RequestError(400, "expected a body of JSON");
  }
  const result = schema.safeParse(content);
  if (result.success) return result.data;
  throw refusal("body", result.error);
}

/**
 * @param over Parameters that win over those of the address.
 * @throws {RequestError} When they are not what the schema says, or one stands there twice.
 */
export function readQuery<Output>(
  request: Request,
  schema: z.ZodType<Output>,
  over: Readonly<Record<string, string>> = {},
): Output {
  const { searchParams } = new URL(request.url);
  for (const name of searchParams.keys()) {
    if (searchParams.getAll(name).length === 1) continue;
    throw new RequestError(400, `query: expected ${quote(name)} once`);
  }
  const result = schema.safeParse({ ...Object.fromEntries(searchParams), ...over });
  if (result.success) return result.data;
  throw refusal("query", result.error);
}

function refusal(where: string, { issues }: z.ZodError): RequestError {
  const { path, message } = issues[0]!;
  return new RequestError(
    400,
    `${where}: ${path.length === 0 ? "" : `${path.join(".")}: `}${message}`,
  );
}

async function readText(request: Request): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let totalBytes = 0;
  for await (const chunk of request.body ?? []) {
    totalBytes += chunk.byteLength;
    if (totalBytes <= CONTROL_BODY_BYTES_MAX) text += decoder.decode(chunk, { stream: true });
    // What is a little too long is read to its end, or the client would not get to see the answer.
    if (totalBytes > DRAIN_BYTES_MAX) break;
  }
  if (totalBytes <= CONTROL_BODY_BYTES_MAX) return text + decoder.decode();
  throw new RequestError(413, `expected a body of at most ${CONTROL_BODY_BYTES_MAX} bytes`);
}
