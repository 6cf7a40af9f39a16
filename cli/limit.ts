/**
 * `toom limit`: limits of a running toom. The original's set_mm_limit and get_mm_limit.
 *
 * @module
 */
import { z } from "zod";
import { LIMIT_PROCESSES_MAX, parseHardBytes, parseSoft } from "../pipeline/limits/limits.ts";
import { BRAKE_MODES, type BrakeMode, type VictimPolicy } from "../pipeline/memory/settings.ts";
import { didYouMean } from "../pipeline/limits/did_you_mean.ts";
import { FormatError, quote } from "../pipeline/limits/units.ts";
import {
  checkOptions,
  type CommandSpec,
  helpText,
  oneOf,
  type OptionSpec,
  parseCommand,
  type ParsedCommand,
  readAs,
  usageError,
  wholeNumber,
} from "./args.ts";
import { absentLines } from "./config_lines.ts";
import { ControlClient } from "./control_client.ts";
import { type CommandIo, ExitCode, guard } from "./errors.ts";
import { LIMIT_PLAN_OPTIONS, LIMIT_PLAN_SHAPE, planRequest } from "./plan_options.ts";
import type { LimitRequest } from "../service/control/control_requests.ts";
import { parseUser } from "../service/config/limit_spec.ts";
import { CONTROL_SOCKET_OPTION } from "./control_socket_option.ts";
import {
  parseLimitMembers,
  parseSocketPath,
  parseVictim,
} from "../service/config/option_values.ts";
import { describeLimit, limitLines, overriddenLines, uidsLabel } from "./limit_lines.ts";
import { systemUsers, type Users } from "./users.ts";

const JSON_OPTION: OptionSpec = {
  name: "json",
  kind: "boolean",
  help: "Print the daemon's answer as JSON, on one line",
};
const USER = {
  name: "USER",
  help: "A user's name, a uid, or a range 1000-59999; uid:N and user:NAME say which is meant",
} as const;

export const SET_COMMAND: CommandSpec = {
  name: "toom limit set",
  summary:
    "Limit a user, now and after restarts. A user above the new limit loses processes, after a grace if it had a higher one.",
  positionals: [USER, { name: "SIZE", help: "64MiB, 4G, 25% of memory; none: no limit" }],
  options: [
    {
      name: "soft",
      kind: "string",
      value: "PCT|SIZE",
      help: "Where victims are chosen ahead, in percent of SIZE (default: as toom run --soft)",
    },
    {
      name: "brake",
      kind: "string",
      value: "off|growers|all",
      help:
        "Which processes are refused memory near the limit (default: as the configuration says, " +
        "or toom run --brake)",
    },
    {
      name: "count",
      kind: "string",
      value: "MEMBERS",
      help: "What counts: file, anon, swap, shmem joined by +, or rss " +
        "(default: as the configuration says, or toom run --count)",
    },
    {
      name: "victim",
      kind: "string",
      value: "POLICY",
      help:
        "Which process dies: largest, newest, growing, culprit, or several with weights as in " +
        "largest=2,growing=1 (default: as the configuration says, or toom run --victim)",
    },
    {
      name: "max-processes",
      kind: "string",
      value: "N",
      help: "The most processes of each user; one that has more counts as over its limit " +
        "(default: as the configuration says, or toom run --max-user-processes)",
    },
    ...LIMIT_PLAN_OPTIONS,
    {
      name: "now",
      kind: "boolean",
      help: "A user above it loses processes at once; else after toom run --lower-grace, if the " +
        "limit was higher before",
    },
    JSON_OPTION,
    CONTROL_SOCKET_OPTION,
  ],
};
export const GET_COMMAND: CommandSpec = {
  name: "toom limit get",
  summary: "Show the limit that holds for a user; exit code 1 when there is none.",
  positionals: [USER],
  options: [JSON_OPTION, CONTROL_SOCKET_OPTION],
};
export const LIST_COMMAND: CommandSpec = {
  name: "toom limit list",
  summary: "Show all limits, those that win first.",
  options: [JSON_OPTION, CONTROL_SOCKET_OPTION],
};
export const DIFF_COMMAND: CommandSpec = {
  name: "toom limit diff",
  summary:
    "Show limits that were set or cleared while running, beside what is configured for them.",
  options: [JSON_OPTION, CONTROL_SOCKET_OPTION],
};
export const CLEAR_COMMAND: CommandSpec = {
  name: "toom limit clear",
  summary: "Free a user, now and after restarts, also of a limit of the command line.",
  positionals: [USER],
  options: [JSON_OPTION, CONTROL_SOCKET_OPTION],
};

export const RESET_COMMAND: CommandSpec = {
  name: "toom limit reset",
  summary: "Forget what was set or cleared while running: files and command line decide again.",
  positionals: [USER],
  options: [JSON_OPTION, CONTROL_SOCKET_OPTION],
};

/** `toom limit` itself: only leads on. */
export const LIMIT_COMMAND: CommandSpec = {
  name: "toom limit",
  summary: "Set, show and clear the limits of the toom that runs here.",
  usage: "set USER SIZE [--soft S] | get USER | list | diff | clear USER | reset USER",
  rest: { name: "set, get, list, diff, clear, reset", help: "Each has its own --help" },
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
  readonly brake: BrakeMode | undefined;
  readonly isAtOnce: boolean;
  readonly victim: VictimPolicy | undefined;
  readonly count: string | undefined;
  readonly maxProcesses: number | undefined;
  readonly plans: Pick<LimitRequest, "plan" | "storm">;
}

interface Subcommand {
  readonly spec: CommandSpec;
  readonly run: (context: Context) => Promise<ExitCode>;
}

const SUBCOMMANDS: Readonly<Record<string, Subcommand>> = {
  set: { spec: SET_COMMAND, run: setLimit },
  get: { spec: GET_COMMAND, run: getLimit },
  list: { spec: LIST_COMMAND, run: listLimits },
  diff: { spec: DIFF_COMMAND, run: diffLimits },
  clear: { spec: CLEAR_COMMAND, run: clearLimit },
  reset: { spec: RESET_COMMAND, run: resetLimit },
};

/** What commands that talk to a running toom depend on; tests bring their own. */
export interface ClientDependencies {
  readonly users?: Users;
}

const OptionsSchema = z.strictObject({
  json: z.boolean(),
  now: z.boolean().optional(),
  soft: readAs((text) => (parseSoft(text), text)).optional(),
  brake: oneOf(BRAKE_MODES).optional(),
  victim: readAs(parseVictim).optional(),
  count: readAs((text) => (parseLimitMembers(text), text)).optional(),
  "max-processes": wholeNumber(1, LIMIT_PROCESSES_MAX).optional(),
  ...LIMIT_PLAN_SHAPE,
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
      const near = name === undefined ? "" : didYouMean(name, Object.keys(SUBCOMMANDS));
      const got = name === undefined ? "" : `, not ${quote(name)}${near}`;
      throw usageError(LIMIT_COMMAND, `expected set, get, list, diff, clear or reset${got}`);
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
  const { json, soft, brake, count, victim, now: isAtOnce = false } = options;
  const { positionals } = parsed;
  const maxProcesses = options["max-processes"];
  const said = { soft, brake, count, victim, maxProcesses, isAtOnce };
  try {
    const plans = planRequest(options);
    return await run({ io, users, client, json, positionals, ...said, plans });
  } catch (error) {
    if (error instanceof FormatError) throw usageError(spec, error.message);
    throw error;
  }
}

async function setLimit(context: Context): Promise<ExitCode> {
  const { io, client, users, soft, brake, count, victim, maxProcesses, isAtOnce, plans } = context;
  const [user, size] = context.positionals;
  const uids = parseUser(user!, users);
  // Only to complain early: the daemon reads it again, with its own idea of the memory.
  parseHardBytes(size!, Deno.systemMemoryInfo().total);
  const answer = await client.setLimit(uids, {
    hard: size!,
    ...(soft === undefined ? {} : { soft }),
    ...(brake === undefined ? {} : { brake }),
    ...(count === undefined ? {} : { count }),
    ...(victim === undefined ? {} : { victim }),
    ...(maxProcesses === undefined ? {} : { maxProcesses }),
    ...plans,
    ...(isAtOnce ? { now: true } : {}),
  });
  await users.expect?.([uids.uidFirst]);
  if (context.json) io.out(JSON.stringify(answer));
  else io.out(`limit set: ${describeLimit(answer.limit, users)}`);
  return keptOrWarned(answer.persisted !== false, io);
}

async function getLimit({ io, client, users, json, positionals }: Context): Promise<ExitCode> {
  const uids = parseUser(positionals[0]!, users);
  const answer = await client.limit(uids);
  await users.expect?.([uids.uidFirst]);
  if (answer === undefined) {
    io.err(`no limit for ${uidsLabel(uids, users)}`);
    return ExitCode.failed;
  }
  io.out(json ? JSON.stringify(answer) : describeLimit(answer.limit, users));
  return ExitCode.done;
}

async function listLimits({ io, client, users, json }: Context): Promise<ExitCode> {
  const answer = await client.limits();
  if (json) {
    io.out(JSON.stringify(answer));
    return ExitCode.done;
  }
  for (const line of await limitLines(answer.limits, users)) io.out(line);
  return ExitCode.done;
}

async function diffLimits({ io, client, users, json }: Context): Promise<ExitCode> {
  const { overridden = [], absent = [] } = await client.limits();
  const limits = absent.filter(({ path }) => path.startsWith("limits."));
  if (json) io.out(JSON.stringify({ overridden, absent: limits }));
  else {
    const differs = overridden.length > 0 || limits.length === 0;
    if (differs) { for (const line of await overriddenLines(overridden, users)) io.out(line); }
    for (const line of absentLines(limits)) io.out(line);
  }
  return ExitCode.done;
}

async function clearLimit({ io, client, users, json, positionals }: Context): Promise<ExitCode> {
  const uids = parseUser(positionals[0]!, users);
  const answer = await client.clearLimit(uids);
  await users.expect?.([uids.uidFirst]);
  if (answer === undefined) {
    io.err(`no limit for exactly ${uidsLabel(uids, users)}, see toom limit list`);
    return ExitCode.failed;
  }
  io.out(json ? JSON.stringify(answer) : `limit cleared: ${uidsLabel(uids, users)}`);
  return keptOrWarned(answer.persisted, io);
}

async function resetLimit({ io, client, users, json, positionals }: Context): Promise<ExitCode> {
  const uids = parseUser(positionals[0]!, users);
  const answer = await client.resetLimit(uids);
  if (answer === undefined) {
    io.err(`nothing was set for exactly ${uidsLabel(uids, users)}, see toom limit diff`);
    return ExitCode.failed;
  }
  io.out(json ? JSON.stringify(answer) : `limit as configured: ${uidsLabel(uids, users)}`);
  return keptOrWarned(answer.persisted, io);
}

function keptOrWarned(persisted: boolean, io: CommandIo): ExitCode {
  if (persisted) return ExitCode.done;
  io.err(
    "in force, but it could not be written down and will not survive a restart, see toom's log",
  );
  return ExitCode.failed;
}
