/**
 * `toom top`: users against their limits, their processes, and kills, live.
 *
 * @module
 */
import { z } from "zod";
import type { StatusReport } from "../service/control/control_api.ts";
import { checkOptions, type CommandSpec, helpText, parseCommand, readAs } from "./args.ts";
import { ControlClient } from "./control_client.ts";
import { type CommandIo, errorLine, ExitCode, guard, UnsupportedError } from "./errors.ts";
import { parseSocketPath } from "../service/config/option_values.ts";
import { CONTROL_SOCKET_OPTION } from "./control_socket_option.ts";
import { keyHelp } from "./top/keys.ts";
import type { Screen } from "./top/screen.ts";
import { type Told, TopState } from "./top/state.ts";
import { Terminal } from "./top/terminal.ts";
import { drawTop } from "./top/view.ts";

export const TOP_COMMAND: CommandSpec = {
  name: "toom top",
  summary: "Show users against their limits, their processes, and kills, live.",
  options: [CONTROL_SOCKET_OPTION],
  notes: ["Keys:", ...keyHelp().map((line) => `  ${line}`)],
};

const OptionsSchema = z.strictObject({ "control-socket": readAs(parseSocketPath) });

/** Signals that end it; the terminal is put back first. */
const ENDS = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"] as const;

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
    const options = checkOptions(TOP_COMMAND, OptionsSchema, parsed.options);
    if (!Deno.stdout.isTerminal() || !Deno.stdin.isTerminal()) {
      throw new UnsupportedError(
        "toom top needs a terminal",
        "toom status shows the same once, and toom status --json to programs",
      );
    }
    using client = new ControlClient(options["control-socket"]);
    // Whoever may not ask, or asks nobody, gets the line that says so, not a screen.
    const first = await client.status();
    await new Top(client, first).run();
    return ExitCode.done;
  });
}

class Top {
  private readonly client: ControlClient;
  private readonly terminal = new Terminal();
  private readonly state = new TopState();
  private readonly hasColor = (Deno.env.get("NO_COLOR") ?? "") === "";
  private shown: Screen | undefined;
  private readonly firstStatus: StatusReport;
  private cpu: { ms: number; atMs: number } | undefined;
  private wake: () => void = () => {};

  constructor(client: ControlClient, firstStatus: StatusReport) {
    this.client = client;
    this.firstStatus = firstStatus;
  }

  async run(): Promise<void> {
    const { state } = this;
    const end = (): void => {
      state.isOver = true;
      this.wake();
    };
    const resize = (): void => {
      this.shown = undefined;
      this.draw();
    };
    for (const signal of ENDS) Deno.addSignalListener(signal, end);
    Deno.addSignalListener("SIGWINCH", resize);
    state.told = this.toldOf(this.firstStatus, [], undefined);
    state.cursorUid = state.users[0]?.uid;
    let keys: ReadableStreamDefaultReader<Uint8Array> | undefined;
    try {
      this.terminal.enter();
      keys = Deno.stdin.readable.getReader();
      void this.readKeys(keys, end);
      while (!state.isOver) {
        if (!state.isPaused) await this.ask();
        this.draw();
        if (!state.isOver) await this.pause(state.refreshMs);
      }
    } finally {
      this.terminal.leave();
      for (const signal of ENDS) Deno.removeSignalListener(signal, end);
      Deno.removeSignalListener("SIGWINCH", resize);
      void keys?.cancel().catch(() => {});
    }
  }

  private async readKeys(
    keys: ReadableStreamDefaultReader<Uint8Array>,
    end: () => void,
  ): Promise<void> {
    const decoder = new TextDecoder();
    try {
      for (;;) {
        const { value, done } = await keys.read();
        if (done) break;
        const userBefore = this.state.userUid;
        this.state.input(decoder.decode(value, { stream: true }));
        this.draw();
        // Its processes are wanted now; so is the end.
        if (this.state.isOver || this.state.userUid !== userBefore) this.wake();
      }
    } catch {
      // The keyboard has gone.
    }
    end();
  }

  private async ask(): Promise<void> {
    const { client, state } = this;
    try {
      const status = await client.status();
      const { kills } = await client.kills();
      const { userUid } = state;
      const explanation = userUid === undefined ? undefined : await client.explain(userUid);
      state.told = this.toldOf(status, kills, explanation);
      state.problem = undefined;
      if (!state.users.some(({ uid }) => uid === state.cursorUid)) {
        state.cursorUid = state.users[0]?.uid;
      }
    } catch (error) {
      state.problem = errorLine(error);
    }
  }

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

  private draw(): void {
    if (this.state.isOver) return;
    const { columns, rows } = this.terminal.size();
    const screen = drawTop(this.state, columns, rows);
    const change = screen.difference(this.shown, this.hasColor);
    this.shown = screen;
    if (change === "") return;
    try {
      this.terminal.write(change);
    } catch {
      this.state.isOver = true;
      this.wake();
    }
  }

  private async pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.wake = () => {};
  }
}
