/**
 * A real toom for end-to-end tests: started as root with its own state and socket, its JSON log
 * read line by line, always stopped.
 *
 * @module
 */
import { ControlClient } from "../../cli/control_client.ts";
import type { StatusReport } from "../../service/control/control_api.ts";

/** A line of the log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly event: string };

const PROGRAM = new URL("../../mod.ts", import.meta.url).pathname;
const START_MS_MAX = 60_000;
const POLL_MS = 20;

export interface ToomOptions {
  /** Keeps limits of an earlier toom; a new empty one when left out. */
  readonly stateDir?: string;
  /** The socket that `args` name, of a toom that another follows. */
  readonly tmallocPath?: string;
  /** For Deno, e.g. `--v8-flags=...`. */
  readonly denoArgs?: readonly string[];
  /** A program and its arguments that execute what is behind them. */
  readonly wrapper?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A file that gets each line of the log too, for a program that reads it. */
  readonly logPath?: string;
}

export class Toom implements AsyncDisposable {
  readonly lines: LogLine[] = [];
  /** Lines that are no JSON, and what stood on stderr. */
  readonly errors: string[] = [];
  readonly stateDir: string;
  readonly socketPath: string;
  readonly tmallocPath: string;
  private readonly dir: string;
  private readonly child: Deno.ChildProcess;
  private readonly reading: Promise<unknown>;
  private ended = false;

  private constructor(args: readonly string[], options: ToomOptions) {
    this.dir = Deno.makeTempDirSync({ prefix: "toom-test-" });
    // The folder of the test is everybody's; the one of the sockets, toom has to make so.
    Deno.chmodSync(this.dir, 0o755);
    this.stateDir = options.stateDir ?? `${this.dir}/state`;
    this.socketPath = `${this.dir}/run/control.sock`;
    this.tmallocPath = options.tmallocPath ?? `${this.dir}/run/tmalloc.sock`;
    const [program, ...wrapperArgs] = [...options.wrapper ?? [], Deno.execPath()];
    const umask = Deno.umask(0o077); // As root's may be; inherited.
    this.child = new Deno.Command(program!, {
      env: { ...options.env },
      args: [
        ...wrapperArgs,
        "run",
        "-A",
        "--no-check",
        ...options.denoArgs ?? [],
        PROGRAM,
        "run",
        "--log-format=json",
        `--state-dir=${this.stateDir}`,
        `--control-socket=${this.socketPath}`,
        // Each kill is a line of its own, however many there are.
        ...(args.some((arg) => /^--(?:storm-|config=)/.test(arg)) ? [] : ["--storm-kills=0"]),
        // Not that of the machine.
        ...(args.some((arg) => arg.startsWith("--config=")) ? [] : ["--config=none"]),
        ...(options.tmallocPath === undefined ? [`--tmalloc-socket=${this.tmallocPath}`] : []),
        ...args,
      ],
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    Deno.umask(umask);
    this.reading = Promise.all([
      readLines(this.child.stdout, (line) => {
        if (options.logPath !== undefined) appendLine(options.logPath, line);
        if (line.startsWith("{")) this.lines.push(JSON.parse(line));
        else this.errors.push(line);
      }),
      readLines(this.child.stderr, (line) => this.errors.push(line)),
    ]);
  }

  /** Starts toom, and does not wait for anything. */
  static begin(args: readonly string[], options: ToomOptions = {}): Toom {
    return new Toom(args, options);
  }

  /** Starts toom and waits until it is ready; while another runs on this machine, tries again. */
  static async start(args: readonly string[], options: ToomOptions = {}): Promise<Toom> {
    const deadlineMs = performance.now() + START_MS_MAX;
    for (;;) {
      const toom = new Toom(args, options);
      const ready = await Promise.race([
        toom.waitFor("ready", () => true, START_MS_MAX).then(() => true, () => false),
        toom.child.status.then(() => false),
      ]);
      if (ready) return toom;
      await toom[Symbol.asyncDispose]();
      const why = toom.errors.join("\n");
      if (!why.includes("another toom") || performance.now() > deadlineMs) {
        throw new Error(`toom does not start: ${why}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  get pid(): number {
    return this.child.pid;
  }

  /** Lines of one kind of event. */
  of(event: string): LogLine[] {
    return this.lines.filter((line) => line.event === event);
  }

  /** Waits for a line of the log, those that are there already included. */
  async waitFor(
    event: string,
    matches: (line: LogLine) => boolean = () => true,
    timeoutMs = 10_000,
  ): Promise<LogLine> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const line = this.lines.find((one) => one.event === event && matches(one));
      if (line !== undefined) return line;
      if (this.ended || performance.now() > deadlineMs) {
        const tail = this.lines.slice(-8).map((one) => JSON.stringify(one)).join("\n");
        throw new Error(`no ${event} in the log, which ends:\n${tail}\n${this.errors.join("\n")}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async status(): Promise<StatusReport> {
    using client = new ControlClient(this.socketPath);
    return await client.status();
  }

  /** What toom counts for a user, shared pages in each process, pages. */
  async countedPages(uid: number): Promise<number> {
    const { users } = await this.status();
    return users.find((user) => user.uid === uid)?.countedPages ?? 0;
  }

  /** What toom charges a user for, pages. */
  async usagePages(uid: number): Promise<number> {
    const { users } = await this.status();
    return users.find((user) => user.uid === uid)?.usagePages ?? 0;
  }

  /** Provokes a fault in a worker; needs --debug-faults. */
  async fault(role: string, kind: "throw" | "hang"): Promise<void> {
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path: this.socketPath } });
    const answer = await fetch("http://localhost/v1/debug/fault", {
      client,
      method: "POST",
      body: JSON.stringify({ role, kind }),
    });
    await answer.body?.cancel();
    if (!answer.ok) throw new Error(`no fault in ${role}: ${answer.status}`);
  }

  /** Sends it a signal. */
  signal(signal: Deno.Signal): void {
    this.child.kill(signal);
  }

  /** Runs another toom command against this one. */
  async command(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const output = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", PROGRAM, ...args, `--control-socket=${this.socketPath}`],
    }).output();
    const text = new TextDecoder();
    return { code: output.code, out: text.decode(output.stdout), err: text.decode(output.stderr) };
  }

  /** Ends it with a signal. @returns Its exit status. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<Deno.CommandStatus> {
    if (!this.ended) {
      try {
        this.child.kill(signal);
      } catch {
        // It has ended by itself.
      }
    }
    const status = await this.child.status;
    await this.reading;
    this.ended = true;
    return status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await Deno.remove(this.dir, { recursive: true });
  }
}

function appendLine(path: string, line: string): void {
  Deno.writeTextFileSync(path, `${line}\n`, { append: true });
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  let rest = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line !== "") onLine(line);
  }
  if (rest !== "") onLine(rest);
}
