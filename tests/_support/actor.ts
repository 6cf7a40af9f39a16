/**
 * Processes of scratch users with names, programs and places as tests of rules need them (actor.py).
 *
 * @module
 */
import { PYTHON } from "./workload.ts";

const SCRIPT = Deno.readTextFileSync(new URL("./actor.py", import.meta.url));
const RUN_SCRIPT = "import os; exec(os.environ['TOOM_ACTOR'])";

export interface Actions {
  /** Touched at once. */
  readonly mib: number;
  readonly name?: string;
  readonly dir?: string;
  readonly score?: number;
  /** It begins a session. */
  readonly leader?: boolean;
  /** Between two MiB that it touches more. */
  readonly pauseMs?: number;
}

export interface ActorPlace {
  /** Another program than python's own, a copy of it. */
  readonly program?: string;
  /** Behind its arguments. */
  readonly more?: readonly string[];
}

export class Actor implements AsyncDisposable {
  private readonly child: Deno.ChildProcess;
  private readonly input: WritableStreamDefaultWriter<Uint8Array>;
  private readonly reading: Promise<void>;
  private said = "";
  private status: Deno.CommandStatus | undefined;

  private constructor(uid: number, actions: Actions, { program, more = [] }: ActorPlace) {
    this.child = new Deno.Command(program ?? PYTHON!, {
      args: ["-S", "-c", RUN_SCRIPT, JSON.stringify(actions), ...more],
      uid,
      gid: uid,
      cwd: "/",
      clearEnv: true,
      env: { TOOM_ACTOR: SCRIPT, PYTHONHOME: "/usr", LC_ALL: "C.UTF-8" },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.input = this.child.stdin.getWriter();
    this.reading = this.read();
    void this.child.status.then((status) => this.status = status);
  }

  /** Starts one, and waits until it holds what it is to hold. */
  static async start(uid: number, actions: Actions, place: ActorPlace = {}): Promise<Actor> {
    const actor = new Actor(uid, actions, place);
    try {
      await actor.until("held");
      return actor;
    } catch (error) {
      await actor[Symbol.asyncDispose]();
      throw error;
    }
  }

  private async read(): Promise<void> {
    for await (const chunk of this.child.stdout.pipeThrough(new TextDecoderStream())) {
      this.said += chunk;
    }
  }

  private async until(word: string): Promise<void> {
    const deadlineMs = performance.now() + 30_000;
    while (!this.said.includes(word)) {
      if (this.status !== undefined) throw new Error(`actor ended: ${JSON.stringify(this.status)}`);
      if (performance.now() > deadlineMs) throw new Error(`actor never said ${word}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  get pid(): number {
    return this.child.pid;
  }

  get alive(): boolean {
    return this.status === undefined;
  }

  /** Has it touch so much more, and waits until it has, unless it dies. */
  async grow(mib: number): Promise<void> {
    this.said = "";
    await this.input.write(new TextEncoder().encode(`${mib}\n`));
    await this.until("grown").catch((error: unknown) => {
      if (this.alive) throw error;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.input.close().catch(() => {});
    await this.child.status;
    await this.reading;
  }
}
