/**
 * The body of a request, checked.
 *
 * @module
 */
import type { z } from "zod";
import { CONTROL_BODY_BYTES_MAX } from "./control_api.ts";
import { RequestError } from "./router.ts";

/** Most bytes of a body that are read, if only to be thrown away. */
const DRAIN_BYTES_MAX = 1024 * 1024;

/** @throws {RequestError} When it is no JSON, or not what the schema says. */
export async function readBody<Output>(
  request: Request,
  schema: z.ZodType<Output>,
): Promise<Output> {
  let content: unknown;
  try {
    content = JSON.parse(await readText(request));
  } catch (error) {
    if (error instanceof RequestError) throw error;
    throw new RequestError(400, "expected a body of JSON");
  }
  const result = schema.safeParse(content);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  throw new RequestError(400, `body: ${path.length === 0 ? "" : `${path.join(".")}: `}${message}`);
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
