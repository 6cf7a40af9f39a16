/**
 * The options of `toom run`: declared, read, checked and frozen before anything starts.
 *
 * @module
 */
import { z } from "zod";
import { Member, READERS_MAX } from "../pipeline/memory/layout.ts";
import {
  formatUidRange,
  type LimitRule,
  parseSoft,
  RULES_MAX,
  sameUids,
  SOFT_PERCENT_DEFAULT,
  type SoftSpec,
} from "../pipeline/limits/limits.ts";
import { SUBUID_PATH } from "../kernel/users/subuid.ts";
import { STREAM_SUFFIX } from "../pipeline/promises/tmalloc_message.ts";
import { FormatError, parseAmountBytes, quote } from "../pipeline/limits/units.ts";
import {
  checkOptions,
  type CommandSpec,
  oneOf,
  type OptionSpec,
  parseCommand,
  readAs,
  usageError,
  wholeNumber,
} from "./args.ts";
import { type LimitHost, parseLimitSpec } from "./limit_spec.ts";

export const CONTROL_SOCKET_DEFAULT = "/run/toom/control.sock";
export const TMALLOC_SOCKET_DEFAULT = "/run/toom/tmalloc.sock";
const COUNT_DEFAULT = "anon+swap+shmem";
export const STATE_DIR_DEFAULT = "/var/lib/toom";
/** Members of `sockaddr_un.sun_path`, less the closing zero. */
const SOCKET_PATH_BYTES_MAX = 107;

/** One user gets this part of all processes, and so many at least. */
const USER_PROCESSES_PART = 4;
const USER_PROCESSES_MIN = 64;

/** What `toom run` was asked to do. Frozen. */
export interface RunOptions {
  /** One for each range; more may be set while running. */
  readonly limits: readonly LimitRule[];
  readonly source: "auto" | "raw" | "text";
  /** 1 to 64. */
  readonly readerCount: number;
  /** Counted members: bit {@link Member}.anon and so on. Never 0. */
  readonly memberMask: number;
  /** Pages that are counted more than once are credited; else usage is the sum over processes. */
  readonly creditsShares: boolean;
  readonly victim: "largest" | "newest" | "growing";
  /** Where the soft limit lies for limits that do not say. */
  readonly softDefault: SoftSpec;
  /** Period of the last-defense trigger, 100 ms to 1 h. */
  readonly intervalMs: number;
  /** The machine-wide floor; 0 = off. */
  readonly minAvailableBytes: number;
  /** Whether the kernel's pressure stall information makes toom act. */
  readonly psi: boolean;
  readonly dryRun: boolean;
  readonly logFormat: "text" | "json";
  /** Kernel ring buffer of each CPU. */
  readonly bufferKib: number;
  /** Sub-buffer of the kernel's ring buffer; `undefined` = as it is. */
  readonly subbufKib: number | undefined;
  readonly controlSocketPath: string;
  /** Where programs ask for memory; undefined: nowhere. */
  readonly tmallocSocketPath: string | undefined;
  readonly stateDirPath: string;
  /** Whose subordinate uids are, subuid(5); undefined: every uid counts for itself. */
  readonly subuidPath: string | undefined;
  readonly processesMax: number;
  readonly usersMax: number;
  /** Processes of one user; one that has more counts as over its limit. */
  readonly userProcessesMax: number;
  /** The CPU of the workers on the event's way; -1 any. */
  readonly pathCpu: number | "auto";
  /** Soft arms the killer; `--no-arm` shows what that is worth. */
  readonly arms: boolean;
  /** Faults may be provoked over the control socket. */
  readonly debugFaults: boolean;
}

/** The option that all clients of the control socket share with `toom run`. */
export const CONTROL_SOCKET_OPTION: OptionSpec = {
  name: "control-socket",
  kind: "string",
  value: "PATH",
  default: CONTROL_SOCKET_DEFAULT,
  help: "Unix socket of the control API",
};

export const RUN_COMMAND: CommandSpec = {
  name: "toom run",
  summary: "Watch the limited users' memory and kill the process that takes a user over the limit.",
  options: [
    {
      name: "limit",
      kind: "collect",
      value: "USER=SIZE[,soft=SIZE|PCT]",
      help:
        "Limit a user (name, uid, or a range 1000-59999: a limit for each; uid:N, user:NAME) to SIZE",
    },
    {
      name: "source",
      kind: "string",
      value: "auto|raw|text",
      default: "auto",
      help: "How events are read: raw pages where that works, or lines of text",
    },
    {
      name: "readers",
      kind: "string",
      value: "N",
      default: "1",
      help: `Reader workers, 1 to ${READERS_MAX}, each for its share of the CPUs`,
    },
    {
      name: "count",
      kind: "string",
      value: "MEMBERS",
      default: COUNT_DEFAULT,
      help:
        "What counts as usage: file, anon, swap, shmem joined by +, or rss = anon+file+shmem; " +
        "with +sum a shared page counts in each process that maps it, else once",
    },
    {
      name: "victim",
      kind: "string",
      value: "largest|newest|growing",
      default: "largest",
      help: "Which of the user's processes dies; growing: gained most in the last second",
    },
    {
      name: "soft",
      kind: "string",
      value: "PCT|SIZE",
      default: `${SOFT_PERCENT_DEFAULT}%`,
      help: "Soft limit of limits that do not say, in percent of the hard one or as a size",
    },
    {
      name: "interval",
      kind: "string",
      value: "DURATION",
      default: "1s",
      help: "Period of the last-defense look at /proc: 500ms, 1s, 2m; a bare number is seconds",
    },
    {
      name: "min-available",
      kind: "string",
      value: "SIZE|PCT",
      default: "0",
      help: "Act when the machine has less memory available than this; 0 = off",
    },
    {
      name: "no-psi",
      kind: "boolean",
      help: "Do not act on the kernel's memory pressure (PSI); it acts below 10% available else",
    },
    { name: "dry-run", kind: "boolean", help: "Decide and log, but kill nothing" },
    {
      name: "log-format",
      kind: "string",
      value: "text|json",
      default: "text",
      help: "One line an event, for people or for programs",
    },
    {
      name: "buffer-kib",
      kind: "string",
      value: "N",
      default: "4096",
      help: "Kernel buffer of each CPU in KiB",
    },
    {
      name: "subbuf-kib",
      kind: "string",
      value: "N",
      help:
        "Pages of the kernel buffer in KiB, a power of two from 4 to 512 (default: as they are)",
    },
    CONTROL_SOCKET_OPTION,
    {
      name: "tmalloc-socket",
      kind: "string",
      value: "PATH|none",
      default: TMALLOC_SOCKET_DEFAULT,
      help: "Unix socket on which programs ask for memory before they use it",
    },
    {
      name: "state-dir",
      kind: "string",
      value: "PATH",
      default: STATE_DIR_DEFAULT,
      help: "Where limits that are set while running are kept",
    },
    {
      name: "no-subuids",
      kind: "boolean",
      help: `Let subordinate uids (${SUBUID_PATH}) count for themselves, not for their owners`,
    },
    {
      name: "max-processes",
      kind: "string",
      value: "N",
      default: "16384",
      help: "Processes that can be watched at one time",
    },
    {
      name: "max-user-processes",
      kind: "string",
      value: "N",
      help: "Processes of one limited user; one that has more counts as over its limit " +
        "(default: a quarter of --max-processes)",
    },
    {
      name: "max-users",
      kind: "string",
      value: "N",
      default: "4096",
      help: "Users that can be watched at one time",
    },
    {
      name: "cpu",
      kind: "string",
      value: "N|any|auto",
      default: "auto",
      help: "CPU of accounting and killer, and of the only reader of raw pages; auto: the last one",
    },
    {
      name: "subuid-file",
      kind: "string",
      value: "PATH",
      default: SUBUID_PATH,
      hidden: true,
      help: "Whose subordinate uids are, for tests",
    },
    {
      name: "no-arm",
      kind: "boolean",
      hidden: true,
      help: "Do not arm at the soft limit, to measure what arming is worth",
    },
    {
      name: "debug-faults",
      kind: "boolean",
      hidden: true,
      help: "Let the control socket provoke faults in workers",
    },
  ],
  notes: [
    "SIZE: 64MiB, 4G, 512Ki (1024-based), 25% of memory, whole pages in bytes, or none: no limit.",
    "Limits set by toom limit are kept across restarts and win over --limit for the same USER.",
  ],
};

/**
 * Reads the words behind `toom run`.
 *
 * @returns `undefined` when help was asked for: print `helpText(RUN_COMMAND)`.
 * @throws {UsageError} One line that says what was expected.
 */
export function parseRunOptions(
  args: readonly string[],
  host: LimitHost,
): RunOptions | undefined {
  const parsed = parseCommand(RUN_COMMAND, args);
  if (parsed.help) return undefined;
  const values = checkOptions(RUN_COMMAND, schemaOf(host), parsed.options);
  return Object.freeze({
    limits: readLimits(values.limit, host, values.soft),
    source: values.source,
    readerCount: values.readers,
    memberMask: values.count.mask,
    creditsShares: !values.count.isSum,
    victim: values.victim,
    softDefault: values.soft,
    intervalMs: values.interval,
    minAvailableBytes: values["min-available"],
    psi: !values["no-psi"],
    dryRun: values["dry-run"],
    logFormat: values["log-format"],
    bufferKib: values["buffer-kib"],
    subbufKib: values["subbuf-kib"],
    controlSocketPath: values["control-socket"],
    tmallocSocketPath: values["tmalloc-socket"],
    stateDirPath: values["state-dir"],
    subuidPath: values["no-subuids"] ? undefined : values["subuid-file"],
    processesMax: values["max-processes"],
    usersMax: values["max-users"],
    userProcessesMax: Math.min(
      values["max-processes"],
      values["max-user-processes"] ??
        Math.max(USER_PROCESSES_MIN, Math.floor(values["max-processes"] / USER_PROCESSES_PART)),
    ),
    pathCpu: values["cpu"],
    arms: !values["no-arm"],
    debugFaults: values["debug-faults"],
  });
}

// The return type is what zod infers, and would only repeat the schema.
// deno-lint-ignore explicit-function-return-type
function schemaOf(host: LimitHost) {
  return z.strictObject({
    limit: z.array(z.string()),
    source: oneOf(["auto", "raw", "text"]),
    readers: wholeNumber(1, READERS_MAX),
    count: readAs(parseCounted),
    victim: oneOf(["largest", "newest", "growing"]),
    soft: readAs(parseSoft),
    interval: readAs((text) => within(text, parseDurationMs(text), 100, 3_600_000)),
    "min-available": readAs((text) =>
      parseAmountBytes(text, host.totalMemoryBytes, host.pageBytes)
    ),
    "no-psi": z.boolean(),
    "dry-run": z.boolean(),
    "log-format": oneOf(["text", "json"]),
    "buffer-kib": wholeNumber(4, 1_048_576),
    "subbuf-kib": readAs(parseSubbufKib).optional(),
    "control-socket": readAs(parseSocketPath),
    "tmalloc-socket": readAs(parseTmallocSocket),
    "state-dir": readAs(parsePath),
    "max-processes": wholeNumber(64, 1_048_576),
    "max-users": wholeNumber(16, 65_536),
    "max-user-processes": wholeNumber(1, 1_048_576).optional(),
    "cpu": readAs(parseCpu),
    "no-subuids": z.boolean(),
    "subuid-file": readAs(parsePath),
    "no-arm": z.boolean(),
    "debug-faults": z.boolean(),
  });
}

function readLimits(
  texts: readonly string[],
  host: LimitHost,
  softDefault: SoftSpec,
): readonly LimitRule[] {
  const limits: LimitRule[] = [];
  for (const text of texts) {
    try {
      const rule = parseLimitSpec(text, host, softDefault);
      if (limits.some((other) => sameUids(other, rule))) {
        throw new FormatError(
          `Cannot read limit ${quote(text)}: expected one limit a user, and uid ${
            formatUidRange(rule)
          } has one already`,
        );
      }
      limits.push(Object.freeze(rule));
    } catch (error) {
      if (error instanceof FormatError) throw usageError(RUN_COMMAND, error.message);
      throw error;
    }
  }
  if (limits.length > RULES_MAX) {
    throw usageError(RUN_COMMAND, `--limit: expected at most ${RULES_MAX} limits, use ranges`);
  }
  return Object.freeze(limits);
}

/**
 * Reads counted members, `anon+swap+shmem` or `rss`.
 *
 * @returns A mask with bit `1 << Member.x` for each.
 * @throws {FormatError}
 */
export function parseMembers(text: string): number {
  let mask = 0;
  for (const name of (text === "rss" ? "anon+file+shmem" : text).split("+")) {
    if (!Object.hasOwn(Member, name)) {
      throw new FormatError(
        `expected rss, or file, anon, swap, shmem joined by + as in anon+swap+shmem, not ${
          quote(text)
        }`,
      );
    }
    mask |= 1 << Member[name as keyof typeof Member];
  }
  return mask;
}

/** What counts as usage. */
export interface Counted {
  /** Bit `1 << Member.x` for each counted member. */
  readonly mask: number;
  /** A page counts in each process that maps it. */
  readonly isSum: boolean;
}

/**
 * Reads `anon+swap+shmem`, `rss`, and with the word `sum` beside them or alone (then of the default
 * members) that shared pages count in each process.
 *
 * @throws {FormatError}
 */
export function parseCounted(text: string): Counted {
  const words = text.split("+");
  const members = words.filter((word) => word !== "sum");
  const isSum = members.length < words.length;
  const isAlone = isSum && members.length === 0;
  const names = isAlone ? COUNT_DEFAULT : members.length === 1 ? members[0]! : members.join("+");
  return { mask: parseMembers(names), isSum };
}

/** Reads the CPU of `--cpu`. @returns -1 for any. @throws {FormatError} */
export function parseCpu(text: string): number | "auto" {
  if (text === "auto") return "auto";
  if (text === "any") return -1;
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw new FormatError(`expected a CPU's number, any, or auto, not ${quote(text)}`);
}

/** Names of the members of a mask, joined by +; {@link parseMembers} reads it back. */
export function memberNames(mask: number): string {
  return Object.entries(Member).filter(([, bit]) => (mask >> bit & 1) !== 0)
    .map(([name]) => name).join("+");
}

const DURATION_UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  "": 1000,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * Reads a duration: `500ms`, `1.5s`, `2m`, `1h`; a bare number is seconds.
 *
 * @returns Milliseconds, rounded.
 * @throws {FormatError}
 */
export function parseDurationMs(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|)$/.exec(text);
  if (match === null) {
    throw new FormatError(`expected a duration such as 500ms, 1s or 2m, not ${quote(text)}`);
  }
  return Math.round(Number(match[1]) * DURATION_UNIT_MS[match[2]!]!);
}

function within(text: string, valueMs: number, leastMs: number, mostMs: number): number {
  if (valueMs >= leastMs && valueMs <= mostMs) return valueMs;
  throw new FormatError(
    `expected ${leastMs}ms to ${mostMs / 3_600_000}h, not ${quote(text)}`,
  );
}

function parseSubbufKib(text: string): number {
  const kib = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (kib >= 4 && kib <= 512 && (kib & (kib - 1)) === 0) return kib;
  throw new FormatError(`expected a power of two from 4 to 512, not ${quote(text)}`);
}

function parsePath(text: string): string {
  if (text !== "" && !text.includes("\0")) return text;
  throw new FormatError(`expected a path, not ${quote(text)}`);
}

/** Reads the path of the socket of tmalloc, which has a neighbour of a longer name. */
function parseTmallocSocket(text: string): string | undefined {
  if (text === "none") return undefined;
  parseSocketPath(text + STREAM_SUFFIX);
  return parseSocketPath(text);
}

/**
 * Reads the path of a Unix socket.
 *
 * @throws {FormatError} When it is empty, or longer than the kernel takes.
 */
export function parseSocketPath(text: string): string {
  if (new TextEncoder().encode(text).length <= SOCKET_PATH_BYTES_MAX) return parsePath(text);
  throw new FormatError(`expected a path of at most ${SOCKET_PATH_BYTES_MAX} bytes for a socket`);
}
