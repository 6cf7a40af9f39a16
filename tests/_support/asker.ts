/**
 * A program of a scratch user that asks before it uses memory (asker.py), driven from a test.
 *
 * @module
 */
import { PYTHON } from "./workload.ts";

const SCRIPT = Deno.readTextFileSync(new URL("./asker.py", import.meta.url));

/** A reply of docs/tmalloc-protocol.md as numbers of bytes; or `closed`. */
export interface AskerAnswer {
  readonly here?: number;
  readonly closed?: boolean;
  readonly errno?: number;
  readonly status: number;
  readonly unlimited: boolean;
  readonly never: boolean;
  /** `bytes` is what the user is charged for: of a query. */
  readonly usage: boolean;
  readonly bytes: number;
  readonly level: number;
  readonly resident: number;
  readonly committed: number;
  readonly hard: number;
  readonly claim: number;
}

export class Asker implements AsyncDisposable {
  private readonly child: Deno.ChildProcess;
  private readonly input: WritableStreamDefaultWriter<Uint8Array>;
  private readonly lines: ReadableStreamDefaultReader<string>;
  private rest = "";
  private closed = false;

  private constructor(uid: number, socketPath: string) {
    this.child = new Deno.Command(PYTHON!, {
      args: ["-S", "-E", "-c", "import os; exec(os.environ['TOOM_ASKER'])", socketPath],
      ...(uid === 0 ? {} : { uid, gid: uid }),
      cwd: "/",
      clearEnv: true,
      env: { TOOM_ASKER: SCRIPT },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.input = this.child.stdin.getWriter();
    this.lines = this.child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Starts one and waits until it is connected. */
  static async start(uid: number, socketPath: string): Promise<Asker> {
    const asker = new Asker(uid, socketPath);
    await asker.answer();
    return asker;
  }

  get pid(): number {
    return this.child.pid;
  }

  get status(): Promise<Deno.CommandStatus> {
    return this.child.status;
  }

  kill(signal: Deno.Signal): void {
    this.child.kill(signal);
  }

  /** Sends a command and does not wait for its answer. */
  async say(...words: (string | number)[]): Promise<void> {
    await this.input.write(new TextEncoder().encode(`${words.join(" ")}\n`));
  }

  /** The next answer. @throws {Error} When it has ended. */
  async answer(): Promise<AskerAnswer> {
    while (!this.rest.includes("\n")) {
      const { value, done } = await this.lines.read();
      if (done) throw new Error(`asker ${this.pid} has ended`);
      this.rest += value;
    }
    const end = this.rest.indexOf("\n");
    const line = this.rest.slice(0, end);
    this.rest = this.rest.slice(end + 1);
    return JSON.parse(line);
  }

  /** Sends a command. @returns Its answer. */
  async ask(...words: (string | number)[]): Promise<AskerAnswer> {
    await this.say(...words);
    return await this.answer();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.input.close().catch(() => {});
    await this.child.status;
    await this.lines.cancel();
  }
}
