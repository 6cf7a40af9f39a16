/**
 * `toom config show`: what is in force in the toom that runs here, and who said so.
 *
 * @module
 */
import { z } from "zod";
import type { UidRange } from "../pipeline/limits/limits.ts";
import { formatUidRange } from "../pipeline/limits/limits.ts";
import { didYouMean } from "../pipeline/limits/did_you_mean.ts";
import { FormatError, quote } from "../pipeline/limits/units.ts";
import { parseUser } from "../service/config/limit_spec.ts";
import { parseSocketPath } from "../service/config/option_values.ts";
import type { ConfigAnswer, LimitList } from "../service/control/control_api.ts";
import {
  checkOptions,
  type CommandSpec,
  helpText,
  parseCommand,
  readAs,
  usageError,
} from "./args.ts";
import { absentLines, configLimitLines, ruleLines, settingLines } from "./config_lines.ts";
import { ControlClient } from "./control_client.ts";
import { type CommandIo, ExitCode, guard } from "./errors.ts";
import { describeLimit, limitLines, setBy } from "./limit_lines.ts";
import { CONTROL_SOCKET_OPTION } from "./control_socket_option.ts";
import { systemUsers, type Users } from "./users.ts";

export const SHOW_COMMAND: CommandSpec = {
  name: "toom config show",
  summary:
    "Show what is in force, and from which file and line, option or command each value came.",
  options: [
    {
      name: "user",
      kind: "string",
      value: "USER",
      help: "Only what there is about a user: the limit that holds, and those that it wins over",
    },
    { name: "json", kind: "boolean", help: "Print the daemon's answers as JSON, on one line" },
    CONTROL_SOCKET_OPTION,
  ],
};

/** `toom config` itself: only leads on. */
export const CONFIG_COMMAND: CommandSpec = {
  name: "toom config",
  summary: "Show the configuration of the toom that runs here.",
  usage: "show [--user USER]",
  rest: { name: "show", help: "Has its own --help" },
  options: [],
};

const OptionsSchema = z.strictObject({
  user: z.string().optional(),
  json: z.boolean(),
  "control-socket": readAs(parseSocketPath),
});

/**
 * `toom config …`.
 *
 * @param args The words behind `toom config`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function configCommand(
  args: string[],
  io: CommandIo,
  dependencies: { readonly users?: Users } = {},
): Promise<ExitCode> {
  return await guard(io, async () => {
    const top = parseCommand(CONFIG_COMMAND, args);
    if (top.help) {
      io.out(helpText(CONFIG_COMMAND));
      return ExitCode.done;
    }
    const [name, ...words] = top.rest;
    if (name !== "show") {
      const got = name === undefined ? "" : `, not ${quote(name)}${didYouMean(name, ["show"])}`;
      throw usageError(CONFIG_COMMAND, `expected show${got}`);
    }
    return await show(words, io, dependencies.users);
  });
}

async function show(
  words: readonly string[],
  io: CommandIo,
  given: Users | undefined,
): Promise<ExitCode> {
  const parsed = parseCommand(SHOW_COMMAND, words);
  if (parsed.help) {
    io.out(helpText(SHOW_COMMAND));
    return ExitCode.done;
  }
  const options = checkOptions(SHOW_COMMAND, OptionsSchema, parsed.options);
  const users = given ?? await systemUsers();
  using client = new ControlClient(options["control-socket"]);
  let lines: readonly string[];
  if (options.user === undefined) {
    // What is not in force is told with the configuration.
    const { absent: _, ...limits } = await client.limits();
    const answers = { config: await client.config(), ...limits };
    lines = options.json ? [JSON.stringify(answers)] : await allLines(answers, users);
  } else {
    const uids = userOf(options.user, users);
    const answers = await client.limit(uids);
    const config = await client.config();
    const limits = config.limits.filter((limit) => limit.uids.some((one) => covers(one, uids)));
    const limit = answers?.limit;
    await users.expect?.([uids.uidFirst]);
    if (options.json) lines = [JSON.stringify({ limit: limit ?? null, limits })];
    else if (limit === undefined) lines = [`no limit for ${formatUidRange(uids)}`];
    else lines = [`${describeLimit(limit, users)}, by ${setBy(limit)}`];
    if (!options.json && limits.length > 0) {
      const holds = (one: ConfigAnswer["limits"][number]): string =>
        limit?.origin !== "control" && one === limits[0] ? "holds" : "yields";
      lines = [...lines, "", ...configLimitLines(limits, { title: "", text: holds })];
    }
  }
  for (const line of lines) io.out(line);
  return ExitCode.done;
}

function userOf(text: string, users: Users): UidRange {
  try {
    return parseUser(text, users);
  } catch (error) {
    if (error instanceof FormatError) throw usageError(SHOW_COMMAND, `--user: ${error.message}`);
    throw error;
  }
}

function covers(range: UidRange, uids: UidRange): boolean {
  return range.uidFirst <= uids.uidFirst && uids.uidLast <= range.uidLast;
}

async function allLines(
  { config, limits }: { readonly config: ConfigAnswer } & LimitList,
  users: Users,
): Promise<readonly string[]> {
  const files = config.files.length === 0 ? ["no file"] : config.files;
  return [
    ...files.map((file, index) => `${index === 0 ? "files" : "     "}  ${file}`),
    "",
    ...settingLines(config.settings),
    "",
    ...absentLines(config.absent),
    ...await limitLines(limits, users),
    ...(config.rules.length === 0 ? [] : ["", ...ruleLines(config.rules)]),
  ];
}
