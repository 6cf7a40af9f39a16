/**
 * What both pages do when they begin to serve.
 *
 * @module
 */
import type { WebAddress } from "../service/config/web_address.ts";
import { FailedError } from "./errors.ts";
import type { Answer } from "./web/http_server.ts";
import { ListenError, listenForPages, type PageListener } from "./web/listen.ts";

/** What this process does without once it has started: whoever gets into it cannot start a program. */
const GIVEN_UP = ["run", "ffi", "import"] as const;

export function giveUp(): void {
  for (const name of GIVEN_UP) Deno.permissions.revokeSync({ name });
}

/** @throws {FailedError} Where it cannot listen. */
export async function listenOrFail(address: WebAddress, answer: Answer): Promise<PageListener> {
  try {
    return await listenForPages(address, answer);
  } catch (error) {
    if (error instanceof ListenError) throw new FailedError(error.message, { cause: error });
    throw error;
  }
}
