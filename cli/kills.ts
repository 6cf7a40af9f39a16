/**
 * `toom kills`: what was killed, and why.
 *
 * @module
 */
import { z } from "zod";
import { FormatError, quote } from "../pipeline/limits/units.ts";
import { csvLines } from "../service/fields/csv.ts";
import type { Fields, RowOf } from "../service/fields/field.ts";
import { KILL_FIELDS, PEAK_FIELDS } from "../service/fields/kill_fields.ts";
import { HISTORY_FILE_NAME } from "../service/history/file_name.ts";
import { HistoryReader } from "../service/history/reader.ts";
import type { KillRecord } from "../service/history/record.ts";
import {
  checkOptions,
  type CommandSpec,
  helpText,
  parseCommand,
  type ParsedCommand,
  readAs,
  requireOne,
  usageError,
  wholeNumber,
} from "./args.ts";
import { ControlClient } from "./control_client.ts";
import {
  type CommandIo,
  errorLine,
  ExitCode,
  FailedError,
  guard,
  UnsupportedError,
} from "./errors.ts";
import { columnsOf } from "./field_columns.ts";
import type { ClientDependencies } from "./limit.ts";
import { parseUser } from "../service/config/limit_spec.ts";
import { parsePath, parseSocketPath } from "../service/config/option_values.ts";
import { receiptLines } from "./receipt_text.ts";
import { STATE_DIR_DEFAULT } from "../service/config/defaults.ts";
import { CONTROL_SOCKET_OPTION } from "./control_socket_option.ts";
import { tableLines } from "./table.ts";
import { systemUsers, type Users } from "./users.ts";

const ROWS_DEFAULT = "1000";
const ROWS_MAX = 1_000_000;

export const KILLS_COMMAND: CommandSpec = {
  name: "toom kills",
  summary: "List what toom has killed, the newest last; with show, the receipt of one kill.",
  usage: "[OPTION]... | show ID [OPTION]...",
  positionals: [
    { name: "show", help: "Show one kill instead of the list", optional: true },
    { name: "ID", help: "Of the list, or of the log: all of it or its beginning", optional: true },
  ],
  options: [
    { name: "user", kind: "string", value: "USER", help: "Only of this user: a name or a uid" },
    {
      name: "since",
      kind: "string",
      value: "TIME",
      help: "Only what is not older: 30m, 12h, 2d, 4w, or a date such as 2026-11-27",
    },
    {
      name: "rows",
      kind: "string",
      value: "N",
      default: ROWS_DEFAULT,
      help: "The newest so many",
    },
    { name: "peaks", kind: "boolean", help: "Instead: the most that users have used, by hour" },
    { name: "json", kind: "boolean", help: "Print JSON, on one line" },
    { name: "csv", kind: "boolean", help: "Print CSV, RFC 4180" },
    {
      name: "history",
      kind: "string",
      value: "FILE",
      help: "The file to read (default: that of the toom that runs here, else " +
        `${STATE_DIR_DEFAULT}/${HISTORY_FILE_NAME})`,
    },
    CONTROL_SOCKET_OPTION,
  ],
};

const OptionsSchema = z.strictObject({
  user: z.string().optional(),
  since: z.string().optional(),
  rows: wholeNumber(1, ROWS_MAX),
  peaks: z.boolean(),
  json: z.boolean(),
  csv: z.boolean(),
  history: readAs(parsePath).optional(),
  "control-socket": readAs(parseSocketPath),
});
type Options = z.infer<typeof OptionsSchema>;

/** Where kills are to be had. */
interface Sources {
  /** undefined: there is no file. */
  readonly path: string | undefined;
  /** Of the daemon, which may not have written them yet. */
  readonly recent: readonly KillRecord[];
}

/**
 * `toom kills`.
 *
 * @param args The words behind `toom kills`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function killsCommand(
  args: string[],
  io: CommandIo,
  { users }: ClientDependencies = {},
): Promise<ExitCode> {
  return await guard(io, async () => {
    const parsed = parseCommand(KILLS_COMMAND, args);
    if (parsed.help) {
      io.out(helpText(KILLS_COMMAND));
      return ExitCode.done;
    }
    const options = checkOptions(KILLS_COMMAND, OptionsSchema, parsed.options);
    requireOne(KILLS_COMMAND, options, ["json", "csv"]);
    const id = idOf(parsed);
    const known = options.user === undefined ? undefined : users ?? await systemUsers();
    const uid = known === undefined ? undefined : uidOf(options.user!, known);
    const sinceMs = options.since === undefined ? undefined : readSince(options.since, Date.now());
    const sources = await findSources(options);
    const query = { uid, sinceMs, limit: options.rows };
    if (id !== undefined) return showKill(io, options, sources, id);
    if (options.peaks) {
      const rows = fromFile(sources, (reader) => reader.peaks(query)).map((peak) => ({
        hour: new Date(peak.hourMs).toISOString(),
        uid: peak.uid,
        peakBytes: peak.peakBytes,
      }));
      list(io, options, PEAK_FIELDS, "peaks", rows);
      return ExitCode.done;
    }
    const kills = merge(
      fromFile(sources, (reader) => reader.kills(query)),
      sources.recent.filter((kill) =>
        (uid === undefined || kill.uid === uid) &&
        (sinceMs === undefined || Date.parse(kill.at) >= sinceMs)
      ),
    ).slice(-options.rows);
    list(io, options, KILL_FIELDS, "kills", kills, kills.at(-1)?.pageBytes);
    return ExitCode.done;
  });
}

function idOf({ positionals: [word, id] }: ParsedCommand): string | undefined {
  if (word === undefined) return undefined;
  if (word !== "show") throw usageError(KILLS_COMMAND, `expected show, not ${quote(word)}`);
  if (id === undefined) throw usageError(KILLS_COMMAND, "ID is missing");
  return id;
}

function uidOf(text: string, users: Users): number {
  let problem = "expected one user, not a range";
  try {
    const { uidFirst, uidLast } = parseUser(text, users);
    if (uidFirst === uidLast) return uidFirst;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    problem = error.message;
  }
  throw usageError(KILLS_COMMAND, `--user: ${problem}`);
}

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Reads a time ago, or a date. @returns Milliseconds since 1970. @throws {UsageError} */
export function readSince(text: string, nowMs: number): number {
  const ago = /^(\d{1,6}(?:\.\d{1,3})?)([smhdw])$/.exec(text);
  if (ago !== null) return nowMs - Number(ago[1]) * UNIT_MS[ago[2]!]!;
  const date = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : NaN;
  if (!Number.isNaN(date)) return date;
  throw usageError(
    KILLS_COMMAND,
    `--since: expected a time such as 30m, 12h, 2d, or a date such as 2026-11-27, not ${
      quote(text)
    }`,
  );
}

async function findSources(options: Options): Promise<Sources> {
  if (options.history !== undefined) return { path: options.history, recent: [] };
  try {
    using client = new ControlClient(options["control-socket"]);
    const { historyPath, kills } = await client.kills();
    return { path: historyPath ?? undefined, recent: kills };
  } catch (error) {
    if (error instanceof UnsupportedError) throw error; // Not root: the file is root's too.
    const path = `${STATE_DIR_DEFAULT}/${HISTORY_FILE_NAME}`;
    if (isThere(path)) return { path, recent: [] };
    throw error;
  }
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** The file that the daemon names is not there before the first kill is written. */
function fromFile<Row>({ path }: Sources, read: (reader: HistoryReader) => Row[]): Row[] {
  if (path === undefined) return [];
  if (!isThere(path)) return [];
  try {
    using reader = new HistoryReader(path);
    return read(reader);
  } catch (error) {
    throw new FailedError(`Cannot read ${path}: ${errorLine(error)}`, { cause: error });
  }
}

/** By id; what the daemon knows is newer than what it has written. */
function merge(written: readonly KillRecord[], recent: readonly KillRecord[]): KillRecord[] {
  const byId = new Map(written.map((kill) => [kill.id, kill]));
  for (const kill of recent) byId.set(kill.id, kill);
  return [...byId.values()].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

function showKill(io: CommandIo, options: Options, sources: Sources, id: string): ExitCode {
  if (options.history !== undefined && !isThere(options.history)) {
    throw new FailedError(`Cannot read ${options.history}: there is no such file`);
  }
  const known = sources.recent.filter((one) => one.id === id || one.id.startsWith(id));
  const kill = (known.length === 1 ? known[0] : known.find((one) => one.id === id)) ??
    fromFile(sources, (reader) => [reader.kill(id)])[0];
  if (kill === undefined) throw new FailedError(`no kill ${quote(id)}, see toom kills`);
  if (options.json) io.out(JSON.stringify(kill));
  else if (options.csv) { for (const line of csvLines(KILL_FIELDS, [kill])) io.out(line); }
  else for (const line of receiptLines(kill)) io.out(line);
  return ExitCode.done;
}

function list<F extends Fields>(
  io: CommandIo,
  options: Options,
  fields: F,
  name: string,
  rows: readonly RowOf<F>[],
  pageBytes = 1,
): void {
  if (options.history !== undefined && !isThere(options.history)) {
    throw new FailedError(`Cannot read ${options.history}: there is no such file`);
  }
  if (options.json) io.out(JSON.stringify({ [name]: rows }));
  else if (options.csv) { for (const line of csvLines(fields, rows)) io.out(line); }
  else if (rows.length === 0) io.out(`no ${name}`);
  else for (const line of tableLines(columnsOf(fields, pageBytes), rows)) io.out(line);
}
