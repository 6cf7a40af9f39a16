/**
 * The C programs of the benchmarks, compiled into a temporary folder, and how they are run.
 *
 * @module
 */
import { hasFile } from "../../tests/_support/real_kernel.ts";

const COMPILER = ["/usr/bin/cc", "/usr/bin/gcc", "/usr/bin/clang"].find(hasFile);
export const PROGRAMS = ["touch", "stage", "rival", "load", "trips"] as const;
export type ProgramName = (typeof PROGRAMS)[number];

/** A user that nobody is: of the measured processes. */
export const BENCH_UID = 60_480;
/** Another, for a limit that is not theirs. */
export const OTHER_UID = 60_481;

export const NEEDS_COMPILER = "needs a C compiler (cc, gcc or clang)";

export class Toolbox implements Disposable {
  readonly dirPath: string;

  /** @throws {Error} When there is no compiler, or it refuses. */
  constructor() {
    if (COMPILER === undefined) throw new Error(NEEDS_COMPILER);
    this.dirPath = Deno.makeTempDirSync({ prefix: "toom-bench-" });
    Deno.chmodSync(this.dirPath, 0o755);
    for (const name of PROGRAMS) {
      try {
        this.compile(name, []);
      } catch (error) {
        this[Symbol.dispose]();
        throw error;
      }
    }
  }

  /**
   * Compiles a program of the folder c.
   *
   * @param more What the compiler is told beside its source, such as libraries.
   * @returns Its path.
   * @throws {Error} When the compiler refuses.
   */
  compile(name: string, more: readonly string[]): string {
    const source = new URL(`./c/${name}.c`, import.meta.url).pathname;
    const path = `${this.dirPath}/${name}`;
    const args = ["-O2", "-o", path, source, ...more];
    const { success, stderr } = new Deno.Command(COMPILER!, { args }).outputSync();
    if (success) return path;
    throw new Error(`${name}.c does not compile: ${new TextDecoder().decode(stderr)}`);
  }

  static get possible(): boolean {
    return COMPILER !== undefined;
  }

  path(name: ProgramName): string {
    return `${this.dirPath}/${name}`;
  }

  /** @param uid Whose process it is; 0: root's. */
  run(name: ProgramName, args: readonly (string | number)[], uid = 0): Program {
    return new Program(this.path(name), args.map(String), { uid });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dirPath, { recursive: true });
  }
}

export interface ProgramOptions {
  /** Whose process it is; 0: root's. */
  readonly uid: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Nobody listens to it: what it says must not fill a pipe and stop it. */
  readonly silent?: boolean;
}

/** A process that says lines and is told lines. Ended when disposed of. */
export class Program implements AsyncDisposable {
  private readonly child: Deno.ChildProcess;
  private readonly input: WritableStreamDefaultWriter<Uint8Array>;
  private readonly lines: ReadableStreamDefaultReader<string> | undefined;
  private readonly status: Promise<Deno.CommandStatus>;
  private buffered: string[] = [];
  private rest = "";

  constructor(path: string, args: readonly string[], options: ProgramOptions) {
    const { uid, env = {}, silent = false } = options;
    this.child = new Deno.Command(path, {
      args: [...args],
      ...(uid === 0 ? {} : { uid, gid: uid }),
      cwd: "/",
      clearEnv: true,
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...env },
      stdin: "piped",
      stdout: silent ? "null" : "piped",
      stderr: "null",
    }).spawn();
    this.status = this.child.status;
    this.input = this.child.stdin.getWriter();
    this.lines = silent
      ? undefined
      : this.child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  get pid(): number {
    return this.child.pid;
  }

  async say(line: string): Promise<void> {
    await this.input.write(new TextEncoder().encode(`${line}\n`));
  }

  /** @throws {Error} At the end of its output. */
  async line(): Promise<string> {
    while (this.buffered.length === 0) {
      const { value, done } = await this.lines?.read() ?? { value: undefined, done: true };
      if (done) throw new Error(`a program of the benchmark has ended (${this.child.pid})`);
      const parts = (this.rest + value).split("\n");
      this.rest = parts.pop()!;
      this.buffered = parts;
    }
    return this.buffered.shift()!;
  }

  /** Waits for a word on a line of its own. @returns The lines before it. */
  async until(word: string): Promise<string[]> {
    const before: string[] = [];
    for (;;) {
      const line = await this.line();
      if (line === word) return before;
      before.push(line);
    }
  }

  kill(signal: Deno.Signal): void {
    try {
      this.child.kill(signal);
    } catch {
      // It has ended.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("SIGKILL");
    await this.input.close().catch(() => {});
    await this.lines?.cancel().catch(() => {});
    await this.status;
  }
}

export async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
