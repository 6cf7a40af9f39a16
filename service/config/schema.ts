// The return types are what zod infers, and would only repeat the schema.
// deno-lint-ignore-file explicit-function-return-type
/**
 * What may stand in a configuration file: one zod object. From it come the check of a file, the JSON
 * Schema, the reference, the manual page and the example (generated.ts).
 *
 * Every option of `toom run` has its place here; options.ts says which is where.
 *
 * @module
 */
import { z } from "zod";
import { RECORD_FILES_MAX, RECORD_SECONDS_MAX } from "./defaults.ts";
import { READERS_MAX } from "../../pipeline/memory/layout.ts";
import { BRAKE_MODES, MACHINE_VICTIMS } from "../../pipeline/memory/settings.ts";
import { LIMIT_PROCESSES_MAX, parseHardBytes, parseSoft } from "../../pipeline/limits/limits.ts";
import { parseAmountBytes } from "../../pipeline/limits/units.ts";
import { TERMINAL_MODES } from "./terminal_mode.ts";
import { parseMetricsAddress } from "./metrics_address.ts";
import { parseWebAddress } from "./web_address.ts";
import {
  parseCounted,
  parseCpu,
  parseDurationMs,
  parseLimitMembers,
  parsePath,
  parseSocketPath,
  parseTmallocSocket,
  within,
} from "./option_values.ts";
import { readAs } from "./read_as.ts";
import { expecting, flag, object, text, whole, word } from "./schema_parts.ts";
import { planSchema, stormSchema } from "./plan_schema.ts";
import { RULES_HELP, ruleSchema, victimSchema } from "./rules_schema.ts";
import { hookSchema, mailSchema, webhookSchema } from "./notify_schema.ts";

/** What the meaning of sizes depends on. */
export interface SizeHost {
  readonly totalMemoryBytes: number;
  readonly pageBytes: number;
}

/** What one subject is limited to. */
function limitSchema(host: SizeHost) {
  const hard = text(
    (size) => parseHardBytes(size, host.totalMemoryBytes, host.pageBytes),
    'a size such as "4GiB", "25%" of memory, or "none"',
    ["4GiB", "25%", "none"],
    'The most that each of these users may use: a size, a percentage of the memory, or "none". ' +
      "Above it a process of the user is killed.",
  );
  const full = object({
    hard: hard,
    soft: text(
      parseSoft,
      'a percentage of the hard limit such as "80%", or a size',
      ["80%", "3GiB"],
      "Where victims are chosen ahead: a percentage of `hard`, or a size. Left out: `soft` of the " +
        "top level.",
    ).optional(),
    maxProcesses: whole(
      1,
      LIMIT_PROCESSES_MAX,
      "The most processes that each of these users may have; one that has more counts as over " +
        "its limit. Left out: `maxUserProcesses` of the top level.",
    ).optional(),
    brake: word(
      BRAKE_MODES,
      "Which processes of these users are refused memory near the limit. Left out: `brake` of the " +
        "top level.",
    ).optional(),
    plan: planSchema("`plan` of the top level").optional(),
    storm: stormSchema("`storm` of the top level").optional(),
    shared: flag(
      "Of a group: its members have this limit together, instead of each its own. A member that has " +
        "a limit by its own name or uid does not take part.",
    ).optional(),
    count: text(
      parseLimitMembers,
      "rss, or file, anon, swap, shmem joined by +",
      ["anon+file", "rss"],
      "What counts as usage of these users, and is compared with `hard` and `soft`. Left out: " +
        "`count` of the top level.",
    ).optional(),
    victim: victimSchema(
      "Which of these users' processes dies. Left out: `victim` of the top level.",
    ).optional(),
  }, "All that can be said about a subject.");
  return z.union([hard, full], expecting('a size such as "4GiB", or an object with "hard" in it'));
}

const SUBJECTS =
  "Who is limited to what, by subject: a user's name, a uid, a range of uids `1000-59999`, " +
  "`uid:N`, `user:NAME`, `@group` (each member its own limit, or with `shared` one for all " +
  "together; be the group its primary one or not), or `*` (everybody but root). A limit is a size, or an object. Where several hold for " +
  "a user the narrowest wins: a user before a group, a group of fewer members before a larger " +
  "one, a group before a range, a narrower range before a wider one, and `*` last. Root is " +
  "limited by its number only: `0`.";

/** The schema of a file. All of it may be left out. */
export function configSchema(host: SizeHost) {
  return object({
    $schema: z.string(expecting("the address of a JSON Schema"))
      .describe("For editors: the JSON Schema of this file.").optional(),
    limits: z.record(z.string(), limitSchema(host), expecting("an object { subject: limit }"))
      .describe(SUBJECTS).optional(),
    soft: text(
      parseSoft,
      'a percentage such as "90%", or a size',
      ["90%", "1GiB"],
      "Soft limit of limits that do not say: a percentage of the hard one, or a size.",
    ).optional(),
    victim: victimSchema(
      "Which of a user's processes dies: `largest`, `newest`, `growing` (gained most in the last " +
        "second), `culprit` (took the page that crossed the line; programs in the kernel leave that " +
        "to toom), or several with weights.",
    ).optional(),
    rules: z.array(ruleSchema(), expecting("a list [ ]")).describe(RULES_HELP).optional(),
    defaultRules: flag(
      "Whether session leaders, sshd, tmux and screen servers and `systemd --user` are avoided, " +
        "unless a rule says otherwise.",
    ).optional(),
    count: text(
      parseCounted,
      "rss, or file, anon, swap, shmem joined by +",
      ["anon+swap+shmem", "rss", "anon+sum"],
      "What counts as usage: `file`, `anon`, `swap`, `shmem` joined by `+`, or `rss`; with `+sum` " +
        "a page that is shared counts in each process that maps it.",
    ).optional(),
    subuids: flag(
      "Whether subordinate uids (subuid(5)) count for their owners.",
    ).optional(),
    maxUserProcesses: whole(
      1,
      1_048_576,
      "The most processes of a limited user; one that has more counts as over its limit. Left " +
        "out: a quarter of `tables.maxProcesses`.",
    ).optional(),
    interval: text(
      (duration) => within(duration, parseDurationMs(duration), 100, 3_600_000),
      'a duration such as "500ms", "1s" or "2m"',
      ["500ms", "1s", "2m"],
      "Period of the last-defense look at /proc.",
    ).optional(),
    lowerGrace: text(
      (duration) => within(duration, parseDurationMs(duration), 0, 3_600_000),
      'a duration such as "60s", or "0s"',
      ["60s", "10m", "0s"],
      "A user whose limit is lowered below what it has loses nobody for so long; programs that ask " +
        "get no more at once.",
    ).optional(),
    brake: word(
      BRAKE_MODES,
      "Which processes are refused memory above the soft limit, so that nobody need die at the hard " +
        "one: none, those that grow, or all. See docs/BRAKE.md.",
    ).optional(),
    plan: planSchema("the default").optional(),
    storm: stormSchema("the default").optional(),
    notify: object({
      mail: mailSchema().optional(),
      webhook: webhookSchema().optional(),
      terminals: word(
        TERMINAL_MODES,
        "What users are told on their terminals, unless mesg(1) keeps it from them: kills and soft " +
          "limits, kills alone, or nothing.",
      ).optional(),
    }, "Who hears of what happens, besides the log.").optional(),
    hooks: object({
      before: hookSchema(
        "A program that is started beside each kill, as soon as the signal has been sent: the victim " +
          "may not have ended yet.",
        200,
        5000,
      ).optional(),
      after: hookSchema(
        "A program that is run when a victim has ended.",
        10_000,
        600_000,
      ).optional(),
      soft: hookSchema(
        "A program that is run when a user has passed its soft limit.",
        10_000,
        600_000,
      ).optional(),
    }, "Programs that are run when something happens; no kill waits for one. See docs/HOOKS.md.")
      .optional(),
    control: object({
      readGroup: z.string(expecting("the name of a group")).min(1, expecting("the name of a group"))
        .meta({ examples: ["toom"] }).describe(
          "Members of this group may read the control API, on `read.sock` beside the control socket. " +
            "Left out: root alone.",
        ).optional(),
    }, "Who may ask toom, besides root.").optional(),
    dryRun: flag("Decide and log, but kill nothing.").optional(),
    machine: object({
      minAvailable: text(
        (size) => parseAmountBytes(size, host.totalMemoryBytes, host.pageBytes),
        'a size, or a percentage of memory, or "0"',
        ["512MiB", "5%", "0"],
        "Act when the machine has less memory available than this; 0: never.",
      ).optional(),
      psi: flag(
        "Act on the kernel's memory pressure (PSI) while less than a tenth of memory is available.",
      ).optional(),
      victim: word(
        MACHINE_VICTIMS,
        "Who loses a process then: `share`, who uses most of its limit, above half of it; `over-soft`, " +
          "who is furthest above its soft limit, and if nobody is, as `share`; `largest`, who has most " +
          "memory, whatever its limit. Which process, the `victim` of that user says.",
      ).optional(),
    }, "When the machine itself is short of memory.").optional(),
    log: object({
      format: word(["text", "json"], "One line an event, for people or for programs.").optional(),
    }, "What toom writes to its standard output.").optional(),
    sockets: object({
      control: text(
        parseSocketPath,
        "a path",
        ["/run/toom/control.sock"],
        "Unix socket of the control API.",
      ).optional(),
      tmalloc: text(
        (path) => parseTmallocSocket(path) ?? null,
        'a path, or "none"',
        ["/run/toom/tmalloc.sock", "none"],
        "Unix socket on which programs ask for memory before they use it, or `none`.",
      ).optional(),
    }, "Where toom can be asked.").optional(),
    stateDir: text(
      parsePath,
      "a path",
      ["/var/lib/toom"],
      "Folder in which limits are kept that were set while running.",
    ).optional(),
    history: text(
      parsePath,
      'a path, or "off"',
      ["/var/lib/toom/history.db", "off"],
      "File in which kills are kept with their receipts, or `off`. Left out: in `stateDir`.",
    ).optional(),
    recordSeconds: whole(
      0,
      RECORD_SECONDS_MAX,
      "So many seconds are kept in memory, and written down with each kill, for `toom replay`: in " +
        "the folder `recordings` of `stateDir`. 0: not at all.",
    ).optional(),
    recordFiles: whole(
      1,
      RECORD_FILES_MAX,
      "Files of `recordSeconds` that are kept, the newest.",
    ).optional(),
    metrics: text(
      parseMetricsAddress,
      "a port, or an address and a port",
      ["9184", "0.0.0.0:9184"],
      "Where metrics are served for Prometheus, besides the control socket. Left out: nowhere.",
    ).optional(),
    web: text(
      parseWebAddress,
      "a port, a loopback address and a port, or the path of a Unix socket",
      ["984", "127.0.0.1:984", "/run/toom/web.sock"],
      "Where the page is served, by a process of its own: a port of this machine alone, for who has " +
        "the link that `toom web --link` prints, or a Unix socket for root. Left out: nowhere.",
    ).optional(),
    tracing: object({
      source: word(
        ["auto", "bpf", "raw", "text"],
        "How events are read: by programs in the kernel, as raw pages, or as lines of text.",
      ).optional(),
      trigger: word(
        ["kernel", "user"],
        "Who ends a process at the line: programs in the kernel, with the bpf source, or toom alone.",
      ).optional(),
      readers: whole(1, READERS_MAX, "Reader workers, each for its share of the CPUs.").optional(),
      bufferKib: whole(4, 1_048_576, "Kernel buffer of each CPU, KiB.").optional(),
      subbufKib: z.literal(
        [4, 8, 16, 32, 64, 128, 256, 512],
        expecting("a power of two from 4 to 512"),
      )
        .describe("Pages of the kernel buffer, KiB. Left out: as they are.").optional(),
      cpu: z.union(
        [whole(0, 9999, "A CPU."), readAs(parseCpu)],
        expecting("a CPU's number, any, or auto"),
      )
        .describe(
          "CPU of accounting and killer, and of the only reader of raw pages; `auto`: the last one.",
        ).optional(),
      arm: flag("Rank victims at the soft limit; false only to measure what that is worth.")
        .optional(),
    }, "How toom learns of memory, and where it runs.").optional(),
    tables: object({
      maxProcesses: whole(64, 1_048_576, "Processes that can be watched at one time.").optional(),
      maxUsers: whole(16, 65_536, "Users that can be watched at one time.").optional(),
    }, "Sizes of tables in memory.").optional(),
  }, "The configuration of toom.");
}

/** A file as it was read. */
export type ConfigContent = z.output<ReturnType<typeof configSchema>>;
export type ConfigRule = NonNullable<ConfigContent["rules"]>[number];
export type ConfigTextMatch = NonNullable<ConfigRule["command"]>;
/** A limit as it was read: bytes (Infinity: none), or all that was said. */
export type ConfigLimit = NonNullable<ConfigContent["limits"]>[string];

/** The machine that documents are made for: percentages are not worked out in them. */
export const ANY_HOST: SizeHost = { totalMemoryBytes: 2 ** 34, pageBytes: 4096 };
