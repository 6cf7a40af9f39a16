/**
 * The command `toom run` with all its options, as its help shows them.
 *
 * @module
 */
import { READERS_MAX } from "../pipeline/memory/layout.ts";
import { DEFAULT_SETTINGS, MACHINE_VICTIMS } from "../pipeline/memory/settings.ts";
import { SOFT_PERCENT_DEFAULT } from "../pipeline/limits/limits.ts";
import { SUBUID_PATH } from "../kernel/users/subuid.ts";
import {
  CONFIG_PATH_DEFAULT,
  COUNT_DEFAULT,
  STATE_DIR_DEFAULT,
  TMALLOC_SOCKET_DEFAULT,
} from "../service/config/defaults.ts";
import type { CommandSpec, OptionSpec } from "./args.ts";
import { CONTROL_SOCKET_OPTION } from "./control_socket_option.ts";
import { PLAN_OPTIONS } from "./plan_options.ts";

export const RUN_COMMAND: CommandSpec = {
  name: "toom run",
  summary: "Watch the limited users' memory and kill the process that takes a user over the limit.",
  options: [
    {
      name: "config",
      kind: "string",
      value: "PATH|none",
      help: `Configuration file; options given here win over it, see toom.conf(5) ` +
        `(default: ${CONFIG_PATH_DEFAULT} where it exists)`,
    },
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
      value: "auto|bpf|raw|text",
      default: "auto",
      help:
        "How events are read: bpf: by programs in the kernel; raw: pages; text: lines; auto: the first of these that works here",
    },
    {
      name: "trigger",
      kind: "string",
      value: "kernel|user",
      default: "kernel",
      help:
        "Who ends a process at the limit: programs in the kernel, with the bpf source, or this process alone",
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
      value: "largest|newest|growing|culprit",
      default: "largest",
      help:
        "Which of the user's processes dies: largest, newest, growing (gained most in the last " +
        "second), culprit (took the page that crossed), or weights as in largest=2,growing=1",
    },
    {
      name: "no-default-rules",
      kind: "boolean",
      help: "Do not avoid session leaders, sshd, tmux and screen servers and systemd --user",
    },
    {
      name: "soft",
      kind: "string",
      value: "PCT|SIZE",
      default: `${SOFT_PERCENT_DEFAULT}%`,
      help: "Soft limit of limits that do not say, in percent of the hard one or as a size",
    },
    {
      name: "brake",
      kind: "string",
      value: "off|growers|all",
      default: "off",
      help:
        "Have the kernel refuse memory above soft to processes that grow, so that nobody need " +
        "die at hard; all: to every process, at all times",
    },
    ...PLAN_OPTIONS,
    {
      name: "interval",
      kind: "string",
      value: "DURATION",
      default: "1s",
      help:
        "Time between two readings of /proc, 60 times as long with bpf: 500ms, 1s, 2m; a bare number is seconds",
    },
    {
      name: "lower-grace",
      kind: "string",
      value: "DURATION",
      default: "60s",
      help: "A user whose limit is lowered below what it has loses nobody for so long",
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
    {
      name: "machine-victim",
      kind: "string",
      value: MACHINE_VICTIMS.join("|"),
      default: DEFAULT_SETTINGS.machineVictim,
      help:
        "Who loses a process when the machine is short: who uses most of its limit, above half " +
        "of it; who is furthest above its soft limit, else as share; who has most memory",
    },
    {
      name: "terminals",
      kind: "string",
      value: "kills+soft|kills|off",
      default: "kills+soft",
      help: "What users are told on their terminals, unless mesg n keeps it from them",
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
      name: "history",
      kind: "string",
      value: "FILE|off",
      help: "Where kills and each user's peaks are kept (default: history.db in --state-dir)",
    },
    {
      name: "record-seconds",
      kind: "string",
      value: "N",
      default: "0",
      help: "Keep the last N seconds in memory, and write them down with each kill, for toom " +
        "replay: in recordings of --state-dir; 0: do not",
    },
    {
      name: "record-files",
      kind: "string",
      value: "N",
      default: "20",
      help: "Files of --record-seconds that are kept, the newest",
    },
    {
      name: "metrics",
      kind: "string",
      value: "[ADDR:]PORT",
      help: "Serve /metrics on this TCP address too, of this machine alone (127.0.0.1) unless " +
        "ADDR says otherwise",
    },
    {
      name: "web",
      kind: "string",
      value: "[ADDR:]PORT|PATH",
      help:
        "Serve the page of toom web: on a port of this machine alone, for who has the link that " +
        "toom web --link prints, or on a Unix socket",
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
    ...["default-rules", "subuids", "no-dry-run", "psi", "arm"].map((name): OptionSpec => ({
      name,
      kind: "boolean",
      hidden: true,
      help: "As it is without a file that says otherwise",
    })),
    {
      name: "debug-faults",
      kind: "boolean",
      hidden: true,
      help: "Let the control socket provoke faults in workers",
    },
  ],
  notes: [
    "SIZE: 64MiB, 4G, 512Ki (1024-based), 25% of memory, whole pages in bytes, or none: no limit.",
    "Options without a value have an opposite that wins over a file: no-dry-run, psi, subuids.",
    "Limits set by toom limit are kept across restarts and win over --limit for the same USER.",
  ],
};
