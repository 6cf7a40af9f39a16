/**
 * The toom that the churn and the soak judge. Uses none of toom's modules.
 *
 * @module
 */
import { FIRST_UID, HARD_BYTES, LIMITED_LAST_UID } from "./crowd.ts";
import { sleep } from "./wait.ts";

const MIB = 2 ** 20;
const START_MS_MAX = 60_000;
const STOP_MS_MAX = 10_000;
const ANSWER_MS_MAX = 10_000;

/** How it is started. */
export interface JudgedOptions {
  /** Folder of toom's sources. */
  readonly checkout: string;
  /** Whether workers fail on request, and buffers are so small that events are lost. */
  readonly faults: boolean;
  readonly toomArgs: readonly string[];
}

function logLength(path: string): number {
  try {
    return Deno.readTextFileSync(path).length;
  } catch {
    return 0;
  }
}

/** Its log goes to a file, which the witness reads too. */
export class Judged {
  readonly logPath: string;
  private readonly socketPath: string;
  private readonly words: readonly string[];
  private child: Deno.ChildProcess;
  private ended = false;
  /** Where its log begins. */
  private logStart = 0;

  /** @param dir For its sockets, its state and its log. */
  constructor(dir: string, { checkout, faults, toomArgs }: JudgedOptions) {
    this.logPath = `${dir}/log`;
    this.socketPath = `${dir}/control.sock`;
    this.words = [
      Deno.execPath(),
      "run",
      "-A",
      "--no-check",
      `${checkout}/mod.ts`,
      "run",
      "--log-format=json",
      "--config=none",
      `--limit=${FIRST_UID}-${LIMITED_LAST_UID}=${HARD_BYTES / MIB}MiB`,
      // Each kill is a line of its own, which the witness reads.
      "--storm-kills=0",
      `--control-socket=${this.socketPath}`,
      `--tmalloc-socket=${dir}/tmalloc.sock`,
      `--state-dir=${dir}/state`,
      ...(faults ? ["--debug-faults", "--buffer-kib=64"] : []),
      ...toomArgs,
    ];
    this.child = this.spawn();
  }

  private spawn(): Deno.ChildProcess {
    this.logStart = logLength(this.logPath);
    const child = new Deno.Command("sh", {
      args: ["-c", 'log=$1; shift; exec "$@" >>"$log" 2>&1', "sh", this.logPath, ...this.words],
      stdin: "null",
    }).spawn();
    this.ended = false;
    void child.status.then(() => this.ended = true);
    return child;
  }

  get pid(): number {
    return this.child.pid;
  }

  get hasEnded(): boolean {
    return this.ended;
  }

  /** @returns All that it and its predecessors have logged. */
  async log(): Promise<string> {
    return await Deno.readTextFile(this.logPath).catch(() => "");
  }

  /** @returns How many lines of the log are of this event. */
  async lines(event: string): Promise<number> {
    return (await this.log()).split(`"event":"${event}"`).length - 1;
  }

  async untilReady(): Promise<void> {
    const deadlineMs = performance.now() + START_MS_MAX;
    while (!(await this.log()).includes('"event":"ready"', this.logStart)) {
      if (this.ended || performance.now() > deadlineMs) {
        throw new Error(`toom does not start: ${(await this.log()).slice(this.logStart)}`);
      }
      await sleep(50);
    }
  }

  /** A GET of the control API, or with a body a POST. @returns Its JSON. */
  async ask(path: string, body?: unknown): Promise<unknown> {
    return JSON.parse(await this.askText(path, body));
  }

  /** @returns The answer as it is. */
  async askText(path: string, body?: unknown): Promise<string> {
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path: this.socketPath } });
    const response = await fetch(`http://localhost${path}`, {
      client,
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return text;
  }

  /** A command of toom's to this daemon. */
  async command(...words: string[]): Promise<{ code: number; out: string }> {
    const end = this.words.indexOf("run", 2);
    const { code, stdout, stderr } = await new Deno.Command(this.words[0]!, {
      args: [...this.words.slice(1, end), ...words, `--control-socket=${this.socketPath}`],
      stdin: "null",
    }).output();
    return { code, out: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
  }

  /** Reads the configuration again, as `systemctl reload` has it do. */
  reload(): void {
    this.child.kill("SIGHUP");
  }

  /** @returns Whether it was there until now. */
  async stop(): Promise<boolean> {
    const wasThere = !this.ended;
    if (wasThere) this.child.kill("SIGTERM");
    const ended = await Promise.race([this.child.status, sleep(STOP_MS_MAX)]);
    if (ended === undefined) this.child.kill("SIGKILL");
    await this.child.status;
    return wasThere;
  }

  /** Stops it, and starts it again upon the same state. */
  async restart(): Promise<void> {
    if (!await this.stop()) throw new Error("toom has ended by itself");
    this.child = this.spawn();
    await this.untilReady();
  }
}
