/**
 * `toom api`: the control API as an OpenAPI document. No toom need run.
 *
 * @module
 */
import { openApiDocument } from "../service/control/openapi.ts";
import { type CommandSpec, helpText, parseCommand } from "./args.ts";
import { type CommandIo, ExitCode, guard } from "./errors.ts";

export const API_COMMAND: CommandSpec = {
  name: "toom api",
  summary: "Print the control API as an OpenAPI 3.1 document in JSON.",
  options: [],
  notes: [
    "It is HTTP over a Unix socket: curl --unix-socket /run/toom/control.sock http://localhost/v1/status",
    "What happens comes as a stream: curl -N ... http://localhost/v1/events",
  ],
};

/**
 * `toom api`.
 *
 * @param args The words behind `toom api`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function apiCommand(args: string[], io: CommandIo): Promise<ExitCode> {
  return await guard(io, () => {
    const parsed = parseCommand(API_COMMAND, args);
    io.out(parsed.help ? helpText(API_COMMAND) : JSON.stringify(openApiDocument(), null, 2));
    return Promise.resolve(ExitCode.done);
  });
}
