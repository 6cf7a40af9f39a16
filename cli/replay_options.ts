/**
 * The options of `toom replay`: declared, read and checked.
 *
 * @module
 */
import { z } from "zod";
import { LimitRules, parseSoft, SOFT_PERCENT_DEFAULT, UID_MAX } from "../pipeline/limits/limits.ts";
import { FormatError, quote } from "../pipeline/limits/units.ts";
import { type CommandSpec, readAs, usageError, wholeNumber } from "./args.ts";
import { parseLimitSpec, type UserResolver } from "../service/config/limit_spec.ts";
import { parseMembers, parseVictim } from "../service/config/option_values.ts";

const PAGE_BYTES_MIN = 4096;
const PAGE_BYTES_MAX = 1024 * 1024;
/** The smallest that could hold an event; the largest that the kernel makes is 512 KiB. */
export const SUBBUF_BYTES_MIN = 64;
export const SUBBUF_BYTES_MAX = 1024 * 1024;

export const REPLAY_COMMAND: CommandSpec = {
  name: "toom replay",
  summary:
    "Run a recording or a capture through limits and a policy: what would have happened? No root.",
  usage: "FILE|- [OPTION]...  or  --raw CPU0.raw,CPU1.raw --formats DIR [OPTION]...",
  positionals: [{
    name: "FILE",
    help:
      "What toom record has made; or lines of trace_pipe, trace, trace-cmd report or perf script, " +
      "perhaps .gz or .zst; - is stdin",
    optional: true,
  }],
  options: [
    {
      name: "raw",
      kind: "string",
      value: "FILE,FILE...",
      help: "Pages of per_cpu/cpuN/trace_pipe_raw, one file a CPU; N from the name, else by place",
    },
    {
      name: "formats",
      kind: "string",
      value: "DIR",
      help: "The kernel's description of those pages: header_page.txt, rss_stat.format.txt, ...",
    },
    {
      name: "subbuf",
      kind: "string",
      value: "BYTES",
      help: "Bytes of a page of the ring buffer (default: what header_page.txt says)",
    },
    {
      name: "limit",
      kind: "collect",
      value: "USER=SIZE[,soft=SIZE|PCT]",
      help: "Limit a user (name, uid, or a range 1000-59999; uid:N, user:NAME) to SIZE",
    },
    {
      name: "soft",
      kind: "string",
      value: "PCT|SIZE",
      default: `${SOFT_PERCENT_DEFAULT}%`,
      help: "Soft limit of limits that do not say, in percent of the hard one or as a size",
    },
    {
      name: "count",
      kind: "string",
      value: "MEMBERS",
      default: "anon+swap+shmem",
      help: "What counts as usage: file, anon, swap, shmem joined by +, or rss = anon+file+shmem",
    },
    {
      name: "victim",
      kind: "string",
      value: "largest|newest|growing|culprit",
      default: "largest",
      help: "Which of the user's processes dies, as of toom run",
    },
    {
      name: "policy",
      kind: "string",
      value: "largest|newest|growing|culprit",
      help: "As --victim",
    },
    {
      name: "config",
      kind: "string",
      value: "FILE",
      help:
        "Of a recording: limits, rules, victim and count of a configuration in place of its own",
    },
    {
      name: "compare",
      kind: "boolean",
      help: "Of a recording: who died when, then and now, and usage with the limits as a chart",
    },
    {
      name: "svg",
      kind: "string",
      value: "FILE",
      help: "Of a recording: write that chart as SVG",
    },
    {
      name: "assume-uid",
      kind: "string",
      value: "UID",
      help: "The user of processes whose user the capture does not tell (it tells of none)",
    },
    {
      name: "page-bytes",
      kind: "string",
      value: "BYTES",
      default: String(PAGE_BYTES_MIN),
      help: "Page size of the machine that made the capture",
    },
    { name: "json", kind: "boolean", help: "Print the summary as JSON, on one line" },
    {
      name: "dump",
      kind: "boolean",
      help: "Print each rss_stat event and each loss as JSON, one a line; the summary needs --json",
    },
  ],
  notes: [
    "SIZE: 64MiB, 4G, 512Ki (1024-based), 25% of this machine's memory, whole pages in bytes, none.",
    "A process that would have been killed goes on in the file; its pages count as being freed.",
    "A recording is replayed as it was decided, unless one of --limit, --soft, --count, --victim,",
    "--policy and --config is given: then these are in place of its own, for the users they name.",
  ],
};

export const ReplayOptionsSchema = z.strictObject({
  raw: readAs(parsePaths).optional(),
  formats: z.string().optional(),
  subbuf: readAs(parseSubbufBytes).optional(),
  limit: z.array(z.string()),
  soft: readAs(parseSoft),
  count: readAs(parseMembers),
  victim: readAs(parseVictim),
  policy: readAs(parseVictim).optional(),
  config: z.string().optional(),
  compare: z.boolean(),
  svg: z.string().optional(),
  "assume-uid": wholeNumber(0, UID_MAX).optional(),
  "page-bytes": readAs(parsePageBytes),
  json: z.boolean(),
  dump: z.boolean(),
});
export type ReplayOptions = z.infer<typeof ReplayOptionsSchema>;

function parsePaths(text: string): readonly string[] {
  const paths = text.split(",");
  if (paths.every((path) => path !== "")) return paths;
  throw new FormatError(`expected files joined by commas, not ${quote(text)}`);
}

function parsePageBytes(text: string): number {
  const bytes = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (bytes >= PAGE_BYTES_MIN && bytes <= PAGE_BYTES_MAX && (bytes & (bytes - 1)) === 0) {
    return bytes;
  }
  throw new FormatError(
    `expected a power of two from ${PAGE_BYTES_MIN} to ${PAGE_BYTES_MAX}, not ${quote(text)}`,
  );
}

function parseSubbufBytes(text: string): number {
  const bytes = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (bytes >= SUBBUF_BYTES_MIN && bytes <= SUBBUF_BYTES_MAX && bytes % 4 === 0) return bytes;
  throw new FormatError(
    `expected a multiple of 4 from ${SUBBUF_BYTES_MIN} to ${SUBBUF_BYTES_MAX}, not ${quote(text)}`,
  );
}

export interface TextCapture {
  readonly kind: "text";
  /** `-`: standard input. */
  readonly path: string;
}

export interface RawCapture {
  readonly kind: "raw";
  readonly paths: readonly string[];
  readonly formatsPath: string;
  readonly subbufBytes: number | undefined;
}

export function captureOf(
  path: string | undefined,
  options: ReplayOptions,
): TextCapture | RawCapture {
  const { raw, formats, subbuf } = options;
  if (raw === undefined) {
    const rawOnly = formats !== undefined ? "--formats" : subbuf !== undefined ? "--subbuf" : "";
    if (rawOnly !== "") throw usageError(REPLAY_COMMAND, `${rawOnly} is for --raw only`);
    if (path === undefined) {
      throw usageError(REPLAY_COMMAND, "expected a FILE, - for stdin, or --raw FILE,...");
    }
    return { kind: "text", path };
  }
  if (path !== undefined) {
    throw usageError(REPLAY_COMMAND, `expected FILE or --raw, not both: ${quote(path)}`);
  }
  if (formats === undefined) throw usageError(REPLAY_COMMAND, "--raw needs --formats DIR");
  return { kind: "raw", paths: raw, formatsPath: formats, subbufBytes: subbuf };
}

export function readLimits(options: ReplayOptions, users: UserResolver): LimitRules {
  const limits = new LimitRules();
  for (const text of options.limit) {
    const host = {
      uidOf: (name: string) => users.uidOf(name),
      names: () => users.names?.() ?? [],
      pageBytes: options["page-bytes"],
      // Asked for only where it counts: it takes a permission of its own.
      totalMemoryBytes: /=[^,]*%/.test(text) ? Deno.systemMemoryInfo().total : 0,
    };
    try {
      const rule = parseLimitSpec(text, host, options.soft);
      if (
        limits.list().some(({ uidFirst, uidLast }) =>
          uidFirst === rule.uidFirst && uidLast === rule.uidLast
        )
      ) {
        throw new FormatError(`--limit: expected one limit a user, not another ${quote(text)}`);
      }
      limits.set(rule);
    } catch (error) {
      if (error instanceof FormatError) throw usageError(REPLAY_COMMAND, error.message);
      throw error;
    }
  }
  return limits;
}
