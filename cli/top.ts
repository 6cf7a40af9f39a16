/**
 * `toom top`: users against their limits, their processes, and kills, live.
 *
 * @module
 */
import { z } from "zod";
import type { StatusReport } from "../service/control/control_api.ts";
import {
  checkOptions,
  type CommandSpec,
  helpText,
  parseCommand,
  readAs,
  usageError,
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
import { parseSocketPath } from "../service/config/option_values.ts";
import { CONTROL_SOCKET_OPTION } from "./control_socket_option.ts";
import { keyHelp, recordingKeyHelp } from "./top/keys.ts";
import { FleetState } from "./top/fleet.ts";
import { drawFleet } from "./top/fleet_view.ts";
import { FleetClient, parsePrometheusUrl } from "./top/prometheus.ts";
import { Session } from "./top/session.ts";
import { type Told, TopState } from "./top/state.ts";
import { drawTop } from "./top/view.ts";

export const TOP_COMMAND: CommandSpec = {
  name: "toom top",
  summary: "Show users against their limits, their processes, and kills, live.",
  options: [
    CONTROL_SOCKET_OPTION,
    {
      name: "prometheus",
      kind: "string",
      value: "URL",
      help: "Show users over all machines that this Prometheus server scrapes",
    },
    {
      name: "record",
      kind: "string",
      value: "FILE",
      help: "Show the moments of a recording of toom record; no toom need run",
    },
  ],
  notes: [
    "Keys:",
    ...keyHelp().map((line) => `  ${line}`),
    "",
    "And with --record:",
    ...recordingKeyHelp().map((line) => `  ${line}`),
  ],
};

const OptionsSchema = z.strictObject({
  "control-socket": readAs(parseSocketPath),
  prometheus: readAs(parsePrometheusUrl).optional(),
  record: z.string().optional(),
});

/** What is shown is of one of these. */
const ORIGINS = ["record", "prometheus", "control-socket"] as const;

/**
 * `toom top`.
 *
 * @param args The words behind `toom top`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function topCommand(args: string[], io: CommandIo): Promise<ExitCode> {
  return await guard(io, async () => {
    const parsed = parseCommand(TOP_COMMAND, args);
    if (parsed.help) {
      io.out(helpText(TOP_COMMAND));
      return ExitCode.done;
    }
    const [one, other] = ORIGINS.filter((name) => parsed.given.has(name));
    if (one !== undefined && other !== undefined) {
      const problem = `--${one} and --${other} exclude one another: a screen shows one of them`;
      throw usageError(TOP_COMMAND, problem);
    }
    const options = checkOptions(TOP_COMMAND, OptionsSchema, parsed.options);
    if (options.record !== undefined) {
      const { showRecording } = await import("./top_recording.ts");
      return await showRecording(options.record, io);
    }
    if (!Deno.stdout.isTerminal() || !Deno.stdin.isTerminal()) {
      throw new UnsupportedError(
        "toom top needs a terminal",
        "toom status shows the same once, and toom status --json to programs",
      );
    }
    if (options.prometheus === undefined) await showMachine(options["control-socket"]);
    else await showFleet(options.prometheus);
    return ExitCode.done;
  });
}

async function showFleet(url: URL): Promise<void> {
  const client = new FleetClient(url);
  const state = new FleetState();
  try {
    state.told = await client.users();
  } catch (error) {
    throw new FailedError(errorLine(error), { cause: error });
  }
  const ask = async (): Promise<void> => {
    try {
      state.told = await client.users();
      state.problem = undefined;
      state.keepCursor();
    } catch (error) {
      state.problem = errorLine(error);
    }
  };
  const draw = (columns: number, rows: number) => drawFleet(state, url.host, columns, rows);
  await new Session({ state, ask, draw }).run();
}

async function showMachine(socketPath: string): Promise<void> {
  using client = new ControlClient(socketPath);
  const machine = new MachineView(client);
  // Whoever may not ask, or asks nobody, gets the line that says so, not a screen.
  machine.tell(await client.status());
  await new Session(machine).run();
}

class MachineView {
  readonly state = new TopState();
  private readonly client: ControlClient;
  private cpu: { ms: number; atMs: number } | undefined;

  constructor(client: ControlClient) {
    this.client = client;
  }

  /** What was asked for before anything is shown. */
  tell(status: StatusReport): void {
    this.state.told = this.toldOf(status, [], undefined);
  }

  readonly draw = (columns: number, rows: number) => drawTop(this.state, columns, rows);

  readonly ask = async (): Promise<void> => {
    const { client, state } = this;
    try {
      const status = await client.status();
      const { kills } = await client.kills();
      const { userUid } = state;
      const explanation = userUid === undefined ? undefined : await client.explain(userUid);
      state.told = this.toldOf(status, kills, explanation);
      state.problem = undefined;
      state.keepCursor();
    } catch (error) {
      state.problem = errorLine(error);
    }
  };

  private toldOf(
    status: StatusReport,
    kills: Told["kills"],
    explanation: Told["explanation"],
  ): Told {
    const ms = status.workers.reduce((sum, { cpuMs }) => sum + cpuMs, 0);
    const atMs = performance.now();
    const before = this.cpu;
    this.cpu = { ms, atMs };
    const cpuShare = before === undefined || atMs - before.atMs < 100
      ? undefined
      : Math.max(0, ms - before.ms) / (atMs - before.atMs);
    return { status, kills, explanation, cpuShare };
  }
}
