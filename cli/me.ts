/**
 * `toom me`: what the user who runs this uses, may use, and has lost. Needs no root.
 *
 * @module
 */
import { z } from "zod";
import { formatBytes } from "../pipeline/limits/units.ts";
import { OwnReport } from "../service/control/own_report.ts";
import { ownSocketPath } from "../service/control/own_socket_path.ts";
import { checkOptions, type CommandSpec, helpText, parseCommand, readAs } from "./args.ts";
import { type CommandIo, ExitCode, FailedError, guard } from "./errors.ts";
import { parseSocketPath } from "../service/config/option_values.ts";
import { ownReceiptLine } from "./receipt_text.ts";
import { CONTROL_SOCKET_OPTION } from "./control_socket_option.ts";

export const ME_COMMAND: CommandSpec = {
  name: "toom me",
  summary: "Show what you use, what you may use, and what toom has killed of you last.",
  options: [
    { name: "json", kind: "boolean", help: "Print the daemon's answer as JSON, on one line" },
    CONTROL_SOCKET_OPTION,
  ],
};

const OptionsSchema = z.strictObject({
  json: z.boolean(),
  "control-socket": readAs(parseSocketPath),
});

const ANSWER_MS_MAX = 5000;
const ANSWER_CHARACTERS_MAX = 1_000_000;

/**
 * `toom me`.
 *
 * @param args The words behind `toom me`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function meCommand(args: string[], io: CommandIo): Promise<ExitCode> {
  return await guard(io, async () => {
    const parsed = parseCommand(ME_COMMAND, args);
    if (parsed.help) {
      io.out(helpText(ME_COMMAND));
      return ExitCode.done;
    }
    const options = checkOptions(ME_COMMAND, OptionsSchema, parsed.options);
    const report = await askOwn(options["control-socket"]);
    if (options.json) io.out(JSON.stringify(report));
    else for (const line of ownLines(report)) io.out(line);
    return ExitCode.done;
  });
}

/**
 * Asks toom about the user who runs this.
 *
 * @param controlPath The control socket, beside which users ask for their own.
 * @throws {FailedError} When nobody answers.
 */
export async function askOwn(controlPath: string): Promise<OwnReport> {
  const path = ownSocketPath(controlPath);
  let text = "";
  let connection: Deno.UnixConn;
  try {
    connection = await Deno.connect({ transport: "unix", path });
  } catch (error) {
    throw new FailedError(
      `toom is not running here (no answer on ${path}): root can start it with toom run`,
      { cause: error },
    );
  }
  const timer = setTimeout(() => connection.close(), ANSWER_MS_MAX);
  try {
    for await (const part of connection.readable.pipeThrough(new TextDecoderStream())) {
      text += part;
      if (text.length > ANSWER_CHARACTERS_MAX) break;
    }
    return OwnReport.parse(JSON.parse(text));
  } catch (error) {
    throw new FailedError(`Cannot understand toom's answer on ${path}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** For people. */
export function ownLines({ uid, user, kills, pageBytes }: OwnReport): readonly string[] {
  const size = (pages: number): string => formatBytes(pages * pageBytes);
  const losses = kills.length === 0
    ? ["toom has killed none of your processes since it started."]
    : [...kills.map(ownReceiptLine), ...adviceLines(kills.at(-1)!.id)];
  if (user === null) return [`You (uid ${uid}) have no limit, or run nothing.`, ...losses];
  const left = Math.max(0, user.hardPages - user.usagePages);
  return [
    `You (uid ${uid}) use ${size(user.usagePages)} of ${size(user.hardPages)}; ${size(left)} can ` +
    "still be had.",
    `That is the memory of your ${user.processes} processes together, not of one. At most you used ` +
    `${size(user.peakPages)}.`,
    ...losses,
  ];
}

function adviceLines(id: string): string[] {
  return [
    "What to do: end what you do not need, use less in each process, or run it by toom exec, which has",
    `it told "no memory" instead of killed. Root can see all of it by toom kills show ${id}, and can`,
    "raise your limit by toom limit set.",
  ];
}
