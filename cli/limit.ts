/**
 * `toom limit`: limits of a running toom. The original's set_mm_limit and get_mm_limit.
 *
 * @module
 */
import { z } from "zod";
import {
  formatUidRange,
  parseHardBytes,
  parseSoft,
  type UidRange,
} from "../pipeline/limits/limits.ts";
import { formatBytes, FormatError, quote } from "../pipeline/limits/units.ts";
import type { LimitReport } from "../service/control/control_api.ts";
import {
  checkOptions,
  type CommandSpec,
  helpText,
  type OptionSpec,
  parseCommand,
  type ParsedCommand,
  readAs,
  usageError,
} from "./args.ts";
import { ControlClient } from "./control_client.ts";
import { type CommandIo, ExitCode, guard } from "./errors.ts";
import { parseUser } from "./limit_spec.ts";
import { CONTROL_SOCKET_OPTION } from "./run_command.ts";
import { parseSocketPath } from "./option_values.ts";
import { tableLines } from "./table.ts";
import { systemUsers, userLabel, type Users } from "./users.ts";

const JSON_OPTION: OptionSpec = {
  name: "json",
  kind: "boolean",
  help: "Print the daemon's answer as JSON, on one line",
};
const USER = {
  name: "USER",
  help: "A user's name, a uid, or a range 1000-59999; uid:N and user:NAME say which is meant",
} as const;

const SET_COMMAND: CommandSpec = {
  name: "toom limit set",
  summary: "Limit a user, now and after restarts. A user above the new limit loses processes.",
  positionals: [USER, { name: "SIZE", help: "64MiB, 4G, 25% of memory; none: no limit" }],
  options: [
    {
      name: "soft",
      kind: "string",
      value: "PCT|SIZE",
      help: "Where victims are chosen ahead, in percent of SIZE (default: as toom run --soft)",
    },
    JSON_OPTION,
    CONTROL_SOCKET_OPTION,
  ],
};
const GET_COMMAND: CommandSpec = {
  name: "toom limit get",
  summary: "Show the limit that holds for a user; exit code 1 when there is none.",
  positionals: [USER],
  options: [JSON_OPTION, CONTROL_SOCKET_OPTION],
};
const LIST_COMMAND: CommandSpec = {
  name: "toom limit list",
  summary: "Show all limits, those that win first.",
  options: [JSON_OPTION, CONTROL_SOCKET_OPTION],
};
const CLEAR_COMMAND: CommandSpec = {
  name: "toom limit clear",
  summary: "Free a user, now and after restarts, also of a limit of the command line.",
  positionals: [USER],
  options: [JSON_OPTION, CONTROL_SOCKET_OPTION],
};

/** `toom limit` itself: only leads on. */
const LIMIT_COMMAND: CommandSpec = {
  name: "toom limit",
  summary: "Set, show and clear the limits of the toom that runs here.",
  usage: "set USER SIZE [--soft S] | get USER | list | clear USER",
  rest: { name: "set, get, list, clear", help: "Each has its own --help" },
  options: [],
};

/** What a subcommand works with. */
interface Context {
  readonly io: CommandIo;
  readonly users: Users;
  readonly client: ControlClient;
  readonly json: boolean;
  readonly positionals: readonly string[];
  readonly soft: string | undefined;
}

interface Subcommand {
  readonly spec: CommandSpec;
  readonly run: (context: Context) => Promise<ExitCode>;
}

const SUBCOMMANDS: Readonly<Record<string, Subcommand>> = {
  set: { spec: SET_COMMAND, run: setLimit },
  get: { spec: GET_COMMAND, run: getLimit },
  list: { spec: LIST_COMMAND, run: listLimits },
  clear: { spec: CLEAR_COMMAND, run: clearLimit },
};

/** What commands that talk to a running toom depend on; tests bring their own. */
export interface ClientDependencies {
  readonly users?: Users;
}

const OptionsSchema = z.strictObject({
  json: z.boolean(),
  soft: readAs((text) => (parseSoft(text), text)).optional(),
  "control-socket": readAs(parseSocketPath),
});

/**
 * `toom limit …`.
 *
 * @param args The words behind `toom limit`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function limitCommand(
  args: string[],
  io: CommandIo,
  dependencies: ClientDependencies = {},
): Promise<ExitCode> {
  return await guard(io, async () => {
    const top = parseCommand(LIMIT_COMMAND, args);
    if (top.help) {
      io.out(helpText(LIMIT_COMMAND));
      return ExitCode.done;
    }
    const [name, ...words] = top.rest;
    const subcommand = name !== undefined && Object.hasOwn(SUBCOMMANDS, name)
      ? SUBCOMMANDS[name]
      : undefined;
    if (subcommand === undefined) {
      const got = name === undefined ? "" : `, not ${quote(name)}`;
      throw usageError(LIMIT_COMMAND, `expected set, get, list or clear${got}`);
    }
    const parsed = parseCommand(subcommand.spec, words);
    if (parsed.help) {
      io.out(helpText(subcommand.spec));
      return ExitCode.done;
    }
    return await runSubcommand(subcommand, parsed, io, dependencies);
  });
}

async function runSubcommand(
  { spec, run }: Subcommand,
  parsed: ParsedCommand,
  io: CommandIo,
  dependencies: ClientDependencies,
): Promise<ExitCode> {
  const options = checkOptions(spec, OptionsSchema, parsed.options);
  const users = dependencies.users ?? await systemUsers();
  using client = new ControlClient(options["control-socket"]);
  const { json, soft } = options;
  const { positionals } = parsed;
  try {
    return await run({ io, users, client, json, positionals, soft });
  } catch (error) {
    if (error instanceof FormatError) throw usageError(spec, error.message);
    throw error;
  }
}

async function setLimit(context: Context): Promise<ExitCode> {
  const { io, client, users, soft } = context;
  const [user, size] = context.positionals;
  const uids = parseUser(user!, users);
  // Only to complain early: the daemon reads it again, with its own idea of the memory.
  parseHardBytes(size!, Deno.systemMemoryInfo().total);
  const answer = await client.setLimit(uids, {
    hard: size!,
    ...(soft === undefined ? {} : { soft }),
  });
  await users.expect?.([uids.uidFirst]);
  if (context.json) io.out(JSON.stringify(answer));
  else io.out(`limit set: ${describe(answer.limit, users)}`);
  return keptOrWarned(answer.persisted !== false, io);
}

async function getLimit({ io, client, users, json, positionals }: Context): Promise<ExitCode> {
  const uids = parseUser(positionals[0]!, users);
  const answer = await client.limit(uids);
  await users.expect?.([uids.uidFirst]);
  if (answer === undefined) {
    io.err(`no limit for ${label(uids, users)}`);
    return ExitCode.failed;
  }
  io.out(json ? JSON.stringify(answer) : describe(answer.limit, users));
  return ExitCode.done;
}

async function listLimits({ io, client, users, json }: Context): Promise<ExitCode> {
  const answer = await client.limits();
  if (json) {
    io.out(JSON.stringify(answer));
    return ExitCode.done;
  }
  if (answer.limits.length === 0) {
    io.out("no limits; set one with toom limit set USER SIZE");
    return ExitCode.done;
  }
  const single = answer.limits.filter(({ uidFirst, uidLast }) => uidFirst === uidLast);
  await users.expect?.(single.map(({ uidFirst }) => uidFirst));
  const lines = tableLines<LimitReport>([
    { title: "USER", text: (limit) => label(limit, users) },
    { title: "UID", text: formatUidRange },
    { title: "HARD", text: ({ hardBytes }) => sizeText(hardBytes), right: true },
    { title: "SOFT", text: ({ softBytes }) => sizeText(softBytes), right: true },
    {
      title: "PAGES",
      text: ({ hardPages }) => hardPages === null ? "-" : String(hardPages),
      right: true,
    },
    { title: "SET BY", text: ({ origin }) => ORIGIN_TEXT[origin] },
  ], answer.limits);
  for (const line of lines) io.out(line);
  return ExitCode.done;
}

async function clearLimit({ io, client, users, json, positionals }: Context): Promise<ExitCode> {
  const uids = parseUser(positionals[0]!, users);
  const answer = await client.clearLimit(uids);
  await users.expect?.([uids.uidFirst]);
  if (answer === undefined) {
    io.err(`no limit for exactly ${label(uids, users)}, see toom limit list`);
    return ExitCode.failed;
  }
  io.out(json ? JSON.stringify(answer) : `limit cleared: ${label(uids, users)}`);
  return keptOrWarned(answer.persisted, io);
}

const ORIGIN_TEXT: Readonly<Record<LimitReport["origin"], string>> = {
  "command-line": "toom run --limit",
  control: "toom limit set",
};

function keptOrWarned(persisted: boolean, io: CommandIo): ExitCode {
  if (persisted) return ExitCode.done;
  io.err(
    "in force, but it could not be written down and will not survive a restart, see toom's log",
  );
  return ExitCode.failed;
}

function label(uids: UidRange, users: Users): string {
  return uids.uidFirst === uids.uidLast
    ? userLabel(uids.uidFirst, users)
    : `each of ${formatUidRange(uids)}`;
}

function describe(limit: LimitReport, users: Users): string {
  const { hardBytes, softBytes } = limit;
  const who = `${label(limit, users)} (uid ${formatUidRange(limit)})`;
  if (hardBytes === null || softBytes === null) return `${who} no limit`;
  return `${who} hard ${formatBytes(hardBytes)} (${limit.hardPages} pages), ` +
    `soft ${formatBytes(softBytes)} (${limit.softPages} pages)`;
}

/** A size for people; that of no limit. */
function sizeText(bytes: number | null): string {
  return bytes === null ? "none" : formatBytes(bytes);
}
