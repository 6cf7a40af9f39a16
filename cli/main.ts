/**
 * The program: finds the command and runs it.
 *
 * @module
 */
import { didYouMean } from "../pipeline/limits/did_you_mean.ts";
import { quote } from "../pipeline/limits/units.ts";
import { VERSION } from "../version.ts";
import { type CommandIo, ExitCode } from "./errors.ts";

type Command = (args: string[], io: CommandIo) => Promise<ExitCode>;

interface CommandEntry {
  readonly summary: string;
  /** Loaded when called, so that no command pays for the others. */
  readonly load: () => Promise<Command>;
  readonly hidden?: boolean;
}

const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  run: {
    summary: "Watch the limited users and kill what takes one over its limit",
    load: async () => (await import("./run.ts")).runCommand,
  },
  limit: {
    summary: "Set, get, list, compare or clear limits while toom runs",
    load: async () => (await import("./limit.ts")).limitCommand,
  },
  reload: {
    summary: "Have the configuration read again",
    load: async () => (await import("./reload.ts")).reloadCommand,
  },
  config: {
    summary: "Show what is in force, and who said so",
    load: async () => (await import("./config.ts")).configCommand,
  },
  "check-config": {
    summary: "Check a configuration file",
    load: async () => (await import("./check_config.ts")).checkConfigCommand,
  },
  status: {
    summary: "Show users, kills, events and workers",
    load: async () => (await import("./status.ts")).statusCommand,
  },
  top: {
    summary: "Show users against their limits, their processes, and kills, live",
    load: async () => (await import("./top.ts")).topCommand,
  },
  web: {
    summary: "Serve the same to browsers of this machine",
    load: async () => (await import("./web.ts")).webCommand,
  },
  explain: {
    summary: "Tell why nobody of a user is killed, or who would be",
    load: async () => (await import("./explain.ts")).explainCommand,
  },
  me: {
    summary: "Show what you use yourself, and what was killed of you",
    load: async () => (await import("./me.ts")).meCommand,
  },
  kills: {
    summary: "List kills, show the receipt of one, and users' peaks",
    load: async () => (await import("./kills.ts")).killsCommand,
  },
  exec: {
    summary: "Run a program that asks before it uses memory",
    load: async () => (await import("./exec.ts")).execCommand,
  },
  record: {
    summary: "Record what toom sees and decides, to replay it",
    load: async () => (await import("./record.ts")).recordCommand,
  },
  replay: {
    summary: "Run a recording or a capture through a policy: what would have happened",
    load: async () => (await import("./replay.ts")).replayCommand,
  },
  api: {
    summary: "Print the control API as an OpenAPI document",
    load: async () => (await import("./api.ts")).apiCommand,
  },
  doctor: {
    summary: "Check everything that toom needs of this machine",
    load: async () => (await import("./doctor.ts")).doctorCommand,
  },
  demo: {
    summary: "See toom kill the right process",
    load: async () => (await import("./demo.ts")).demoCommand,
  },
  "history-writer": {
    summary: "Writes what toom run tells it",
    load: async () => (await import("./history_writer.ts")).historyWriterCommand,
    hidden: true,
  },
  "demo-process": {
    summary: "A process of the demo",
    load: async () => (await import("./demo_process.ts")).demoProcessCommand,
    hidden: true,
  },
};

function helpLines(): string[] {
  const names = Object.keys(COMMANDS).filter((name) => COMMANDS[name]!.hidden !== true);
  const width = Math.max(...names.map((name) => name.length));
  return [
    "toom: an out-of-memory killer that works per user",
    "",
    "Usage: toom COMMAND [OPTION]...",
    "",
    "Commands:",
    ...names.map((name) => `  ${name.padEnd(width)}  ${COMMANDS[name]!.summary}`),
    "",
    "toom COMMAND --help tells about a command, toom --version the version.",
  ];
}

/**
 * Runs toom.
 *
 * @param args The words behind the program's name.
 * @returns The exit code: 0 done, 1 failed, 2 wrong usage, 3 not possible here.
 */
export async function main(args: readonly string[], io: CommandIo): Promise<ExitCode> {
  const [name, ...rest] = args;
  if (name === "--version" || name === "-V") {
    io.out(`toom ${VERSION}`);
    return ExitCode.done;
  }
  if (name === "--help" || name === "-h" || name === "help") {
    for (const line of helpLines()) io.out(line);
    return ExitCode.done;
  }
  if (name === undefined) {
    io.err("toom: no command given, expected one of those that toom --help lists");
    return ExitCode.usage;
  }
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name]! : undefined;
  if (entry === undefined) {
    const known = Object.keys(COMMANDS).filter((one) => COMMANDS[one]!.hidden !== true);
    io.err(`toom: unknown command ${quote(name)}${didYouMean(name, known)} (see toom --help)`);
    return ExitCode.usage;
  }
  const command = await entry.load();
  return await command(rest, io);
}
