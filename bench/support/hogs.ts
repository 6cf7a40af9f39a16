/**
 * Hogs of a scratch user: started as a login does, or by a shell that is traced already.
 *
 * @module
 */
import { hasFile } from "../../tests/_support/real_kernel.ts";

const COUNTER_BYTES = 4096;
const PYTHON = ["/usr/bin/python3", "/usr/local/bin/python3"].find(hasFile);
const COMPILER = ["/usr/bin/cc", "/usr/bin/gcc", "/usr/bin/clang"].find(hasFile);

/** How a hog ended. */
export interface HogEnd {
  readonly pid: number;
  readonly isKilled: boolean;
  /** Anonymous memory that it had when it died. */
  readonly bytes: number;
}

/** The program, where its user can run it. */
export class HogProgram implements Disposable {
  readonly language: "C" | "Python";
  readonly dirPath: string;
  readonly counterPath: string;
  private readonly words: readonly [string, ...string[]];

  /** @throws {Error} When there is neither a C compiler nor Python. */
  constructor(uid: number) {
    this.dirPath = Deno.makeTempDirSync({ prefix: "toom-bench-" });
    Deno.chmodSync(this.dirPath, 0o755);
    this.counterPath = `${this.dirPath}/counter`;
    Deno.writeFileSync(this.counterPath, new Uint8Array(COUNTER_BYTES));
    Deno.chownSync(this.counterPath, uid, uid);
    const program = compile(`${this.dirPath}/hog`);
    if (program !== undefined) {
      this.language = "C";
      this.words = [program];
    } else if (PYTHON !== undefined) {
      this.language = "Python";
      const script = `${this.dirPath}/hog.py`;
      Deno.copyFileSync(new URL("./hog.py", import.meta.url), script);
      Deno.chmodSync(script, 0o644);
      this.words = [PYTHON, "-S", "-E", script];
    } else {
      this[Symbol.dispose]();
      throw new Error("neither a C compiler nor python3 is here");
    }
  }

  command(uid: number, args: readonly string[], options: Deno.CommandOptions): Deno.Command {
    const [program, ...first] = this.words;
    return new Deno.Command(program, {
      ...options,
      args: [...first, ...args],
      uid,
      gid: uid,
      cwd: "/",
      clearEnv: true,
    });
  }

  /** What the hog that ran last had. */
  lastBytes(): number {
    const view = new DataView(Deno.readFileSync(this.counterPath).buffer);
    return Number(view.getBigUint64(0, true)) * 4096 + Number(view.getBigUint64(8, true));
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dirPath, { recursive: true });
  }
}

function compile(path: string): string | undefined {
  if (COMPILER === undefined) return undefined;
  const source = new URL("./hog.c", import.meta.url).pathname;
  const { success } = new Deno.Command(COMPILER, {
    args: ["-O2", "-o", path, source],
    stderr: "null",
  }).outputSync();
  return success ? path : undefined;
}

/** Runs one hog after the other, until each is dead and reaped. */
export interface HogSpawner extends AsyncDisposable {
  run(): Promise<HogEnd>;
}

/** As a login does: root forks, the child becomes the user and loads the program. */
export function freshLogins(program: HogProgram, uid: number, mib: number): HogSpawner {
  return {
    run: async () => {
      const child = program.command(uid, [program.counterPath, String(mib)], {
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
      const { signal } = await child.status;
      return { pid: child.pid, isKilled: signal === "SIGKILL", bytes: program.lastBytes() };
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

/** From a shell of the user that toom has known for a while. */
export function tracedShell(program: HogProgram, uid: number, mib: number): HogSpawner {
  const shell = program.command(uid, ["shell", program.counterPath, String(mib)], {
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const input = shell.stdin.getWriter();
  const output = shell.stdout.pipeThrough(new TextDecoderStream()).getReader();
  return {
    run: async () => {
      await input.write(new TextEncoder().encode("go\n"));
      let line = "";
      while (!line.endsWith("\n")) {
        const { value, done } = await output.read();
        if (done) throw new Error("the shell of the hogs has ended");
        line += value;
      }
      const [pid, signal] = line.trim().split(" ").map(Number) as [number, number];
      return { pid, isKilled: signal === 9, bytes: program.lastBytes() };
    },
    [Symbol.asyncDispose]: async () => {
      await input.close().catch(() => {});
      await output.cancel();
      await shell.status;
    },
  };
}
