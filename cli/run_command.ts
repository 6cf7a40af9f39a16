/**
 * The command `toom run` with all its options, as its help shows them.
 *
 * @module
 */
import { READERS_MAX } from "../pipeline/memory/layout.ts";
import { SOFT_PERCENT_DEFAULT } from "../pipeline/limits/limits.ts";
import { SUBUID_PATH } from "../kernel/users/subuid.ts";
import { type CommandSpec, type OptionSpec } from "./args.ts";

export const CONTROL_SOCKET_DEFAULT = "/run/toom/control.sock";
export const TMALLOC_SOCKET_DEFAULT = "/run/toom/tmalloc.sock";
export const COUNT_DEFAULT = "anon+swap+shmem";
export const STATE_DIR_DEFAULT = "/var/lib/toom";

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
      value: "auto|bpf|raw|text",
      default: "auto",
      help:
        "How events are read: raw pages where that works, or lines of text; bpf: by programs in the kernel",
    },
    {
      name: "trigger",
      kind: "string",
      value: "kernel|user",
      default: "kernel",
      help:
        "Who ends a process at the line: programs in the kernel, with the bpf source, or this process alone",
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
