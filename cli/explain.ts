/**
 * `toom explain`: why nobody of a user is killed, or who would be.
 *
 * @module
 */
import { z } from "zod";
import { checkOptions, type CommandSpec, helpText, parseCommand, readAs } from "./args.ts";
import { ControlClient } from "./control_client.ts";
import { type CommandIo, ExitCode, guard } from "./errors.ts";
import { explanationLines } from "./explain_text.ts";
import type { ClientDependencies } from "./limit.ts";
import { parseSocketPath } from "../service/config/option_values.ts";
import { CONTROL_SOCKET_OPTION } from "./control_socket_option.ts";
import { uidOf } from "./one_user.ts";
import { systemUsers } from "./users.ts";

export const EXPLAIN_COMMAND: CommandSpec = {
  name: "toom explain",
  summary: "Tell what counts for a user, how far it is from its limit, and who would be killed.",
  positionals: [{ name: "USER", help: "A user's name or uid" }],
  options: [
    { name: "watch", kind: "boolean", help: "Tell it anew each second, until Ctrl-C" },
    { name: "json", kind: "boolean", help: "Print the daemon's answer as JSON, on one line" },
    CONTROL_SOCKET_OPTION,
  ],
};

const OptionsSchema = z.strictObject({
  watch: z.boolean(),
  json: z.boolean(),
  "control-socket": readAs(parseSocketPath),
});

const WATCH_EVERY_MS = 1000;
/** To the upper left corner, and everything below is gone. */
const CLEAR = "\u001b[H\u001b[J";

export interface ExplainDependencies extends ClientDependencies {
  /** Waits between two turns of --watch; false: it was the last one. */
  readonly next?: () => Promise<boolean>;
  readonly isTerminal?: boolean;
}

async function aSecond(): Promise<boolean> {
  await new Promise((resolve) => setTimeout(resolve, WATCH_EVERY_MS));
  return true;
}

/**
 * `toom explain`.
 *
 * @param args The words behind `toom explain`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function explainCommand(
  args: string[],
  io: CommandIo,
  { users, next = aSecond, isTerminal = Deno.stdout.isTerminal() }: ExplainDependencies = {},
): Promise<ExitCode> {
  return await guard(io, async () => {
    const parsed = parseCommand(EXPLAIN_COMMAND, args);
    if (parsed.help) {
      io.out(helpText(EXPLAIN_COMMAND));
      return ExitCode.done;
    }
    const options = checkOptions(EXPLAIN_COMMAND, OptionsSchema, parsed.options);
    const uid = uidOf(EXPLAIN_COMMAND, parsed.positionals[0]!, users ?? await systemUsers());
    using client = new ControlClient(options["control-socket"]);
    do {
      const told = await client.explain(uid);
      const lines = options.json ? [JSON.stringify(told)] : explanationLines(told);
      const isScreen = options.watch && isTerminal && !options.json;
      // In one piece, so that the screen does not flicker.
      io.out((isScreen ? CLEAR : "") + lines.join("\n"));
      if (options.watch && !isScreen && !options.json) io.out("");
    } while (options.watch && await next());
    return ExitCode.done;
  });
}
