/**
 * `toom reload`: the toom that runs here reads its configuration again.
 *
 * @module
 */
import { z } from "zod";
import { parseSocketPath } from "../service/config/option_values.ts";
import { checkOptions, type CommandSpec, helpText, parseCommand, readAs } from "./args.ts";
import { ControlClient } from "./control_client.ts";
import { type CommandIo, ExitCode, guard, ProblemsError } from "./errors.ts";
import { CONTROL_SOCKET_OPTION } from "./control_socket_option.ts";

export const RELOAD_COMMAND: CommandSpec = {
  name: "toom reload",
  summary:
    "Have the toom that runs here read its configuration again: all of it counts, or nothing.",
  options: [
    {
      name: "now",
      kind: "boolean",
      help: "Users who have more than lowered limits lose processes at once, without a grace",
    },
    { name: "json", kind: "boolean", help: "Print the daemon's answer as JSON, on one line" },
    CONTROL_SOCKET_OPTION,
  ],
  notes: [
    "Exit code 2, and what was in force stays, when the files are refused: all problems are told.",
    "Limits set by toom limit stay above those of the files. SIGHUP does the same.",
  ],
};

const OptionsSchema = z.strictObject({
  json: z.boolean(),
  now: z.boolean(),
  "control-socket": readAs(parseSocketPath),
});

/**
 * `toom reload`.
 *
 * @param args The words behind `toom reload`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function reloadCommand(args: string[], io: CommandIo): Promise<ExitCode> {
  return await guard(io, async () => {
    const parsed = parseCommand(RELOAD_COMMAND, args);
    if (parsed.help) {
      io.out(helpText(RELOAD_COMMAND));
      return ExitCode.done;
    }
    const options = checkOptions(RELOAD_COMMAND, OptionsSchema, parsed.options);
    using client = new ControlClient(options["control-socket"]);
    const answer = await client.reload({ now: options.now });
    if (options.json) io.out(JSON.stringify(answer));
    if (!answer.reloaded) {
      const kept = "not reloaded: what was in force stays in force";
      throw new ProblemsError([...answer.problems, kept], ExitCode.usage);
    }
    if (options.json) return ExitCode.done;
    io.out(`reloaded: ${answer.files.length === 0 ? "no file" : answer.files.join(", ")}`);
    for (const line of answer.changed) io.out(line);
    if (answer.limitsSet + answer.limitsCleared > 0) {
      io.out(`${answer.limitsSet} limits set, ${answer.limitsCleared} cleared`);
    }
    for (const line of answer.restart) io.out(`needs a restart: ${line}`);
    return ExitCode.done;
  });
}
