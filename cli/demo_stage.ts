/**
 * Processes of the demo: started, spoken to by lines, ended whatever happens.
 *
 * @module
 */
import { TextLineStream } from "@std/streams/text-line-stream";
import { FailedError } from "./errors.ts";
import { selfCommand } from "./self_command.ts";

/** Starting a program may take long on a busy machine; hanging is worse than being slow. */
const PATIENCE_MS = 30_000;
/** toom itself takes less than a second to end. */
const GRACE_MS = 5000;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Another toom, started by this one. */
export class Actor {
  readonly pid: number;
  readonly status: Promise<Deno.CommandStatus>;
  private readonly child: Deno.ChildProcess;
  private readonly stage: Stage;
  private readonly stdin: WritableStreamDefaultWriter<Uint8Array>;
  private readonly lines: ReadableStreamDefaultReader<string>;
  private readonly stderr: Promise<string>;

  constructor(stage: Stage, words: readonly string[]) {
    const { program, args } = selfCommand(words);
    this.stage = stage;
    this.child = new Deno.Command(program, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      env: { NO_COLOR: "1" },
    }).spawn();
    this.pid = this.child.pid;
    this.status = this.child.status;
    this.stdin = this.child.stdin.getWriter();
    this.lines = this.child.stdout
      .pipeThrough(new TextDecoderStream())
      .pipeThrough<string>(new TextLineStream())
      .getReader();
    this.stderr = new Response(this.child.stderr).text();
  }

  /** Its next line; undefined when it has ended. */
  async line(what: string): Promise<string | undefined> {
    return (await this.stage.within(this.lines.read(), what)).value;
  }

  /** Sends it a line. That it is dead is for whoever waits for the answer to find out. */
  async say(line: string): Promise<void> {
    try {
      await this.stdin.write(new TextEncoder().encode(`${line}\n`));
    } catch {
      // A closed pipe.
    }
  }

  /** The last line that it complained with; only of one that has ended. */
  async complaint(): Promise<string> {
    return (await this.stderr).trimEnd().split("\n").at(-1) ?? "";
  }

  /** Ends it if it lives, and waits for its end. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const timer = setTimeout(() => this.signal("SIGKILL"), GRACE_MS);
    this.signal(signal);
    await this.status;
    clearTimeout(timer);
    await this.stdin.close().catch(() => {});
    await this.lines.cancel().catch(() => {});
    await this.stderr.catch(() => "");
  }

  private signal(signal: Deno.Signal): void {
    try {
      this.child.kill(signal);
    } catch {
      // It has ended already.
    }
  }
}

/**
 * Where the demo plays: a directory of its own, and its processes. {@link close} it at the end; a
 * signal makes all waiting fail, so that the end comes at once.
 */
export class Stage {
  readonly dirPath: string;
  private readonly endings: (() => Promise<void>)[] = [];
  private readonly interrupted = Promise.withResolvers<never>();
  private readonly listeners: (readonly [Deno.Signal, () => void])[];

  constructor() {
    this.dirPath = Deno.makeTempDirSync({ prefix: "toom-demo-" });
    this.interrupted.promise.catch(() => {});
    this.listeners = SIGNALS.map((signal) => [
      signal,
      () =>
        this.interrupted.reject(
          new FailedError(`toom demo: ended by ${signal}, and with it all that it had started`),
        ),
    ]);
    for (const [signal, listener] of this.listeners) Deno.addSignalListener(signal, listener);
  }

  /** Starts toom with these words. */
  start(words: readonly string[], endWith: "SIGTERM" | "SIGKILL"): Actor {
    const actor = new Actor(this, words);
    this.endings.push(() => actor.end(endWith));
    return actor;
  }

  /** Waits, but not for ever. @throws {FailedError} Too late, or a signal came. */
  async within<Value>(promise: Promise<Value>, what: string): Promise<Value> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<never>((_, reject) => {
      const reason = `toom demo: waited ${PATIENCE_MS / 1000} s in vain for ${what}`;
      timer = setTimeout(() => reject(new FailedError(reason)), PATIENCE_MS);
    });
    try {
      return await Promise.race([promise, timeout, this.interrupted.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async sleep(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const slept = new Promise<void>((resolve) => timer = setTimeout(resolve, ms));
    await this.within(slept, "the clock").finally(() => clearTimeout(timer));
  }

  /** Ends all processes, the last one first, and removes the directory. */
  async close(): Promise<void> {
    for (const end of this.endings.reverse()) await end();
    await Deno.remove(this.dirPath, { recursive: true });
    for (const [signal, listener] of this.listeners) Deno.removeSignalListener(signal, listener);
  }
}
