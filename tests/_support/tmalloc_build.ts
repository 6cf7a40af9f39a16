/**
 * The C side of tmalloc, built for the tests into a folder that everybody can read.
 *
 * @module
 */
import { hasFile } from "./real_kernel.ts";

const SOURCE = new URL("../../tmalloc/", import.meta.url).pathname;

/** Whether it can be built here, and what that needs. */
export const TMALLOC_BUILDABLE = ["/usr/bin/make", "/usr/bin/cc"].every(hasFile);
export const TMALLOC_NEEDS = "make and a C compiler";

/** Programs and libraries, built; remove the folder when done. */
export class TmallocBuild implements AsyncDisposable {
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async make(): Promise<TmallocBuild> {
    const build = new TmallocBuild(await Deno.makeTempDir({ prefix: "tmalloc-" }));
    await Deno.chmod(build.dir, 0o755);
    await run("make", ["-s", "-C", SOURCE]);
    for (const name of ["benchmark", "libtmalloc-preload.so", "toom-exec"]) {
      await Deno.copyFile(`${SOURCE}build/${name}`, `${build.dir}/${name}`);
      await Deno.chmod(`${build.dir}/${name}`, 0o755);
    }
    return build;
  }

  /** Compiles a program of the tests against the library. @returns Its path. */
  async compile(sourceName: string): Promise<string> {
    const path = `${this.dir}/${sourceName.replace(/\.c$/, "")}`;
    const source = new URL(`./${sourceName}`, import.meta.url).pathname;
    const library = `${SOURCE}build/libtmalloc.a`;
    await run("cc", ["-O2", "-g", "-pthread", `-I${SOURCE}`, "-o", path, source, library]);
    await Deno.chmod(path, 0o755);
    return path;
  }

  /** Builds a program of tmalloc's own tests. @returns Its path. */
  async testProgram(name: string): Promise<string> {
    const path = `${this.dir}/${name}`;
    await run("make", ["-s", "-C", SOURCE, `build/tests/${name}`]);
    await Deno.copyFile(`${SOURCE}build/tests/${name}`, path);
    await Deno.chmod(path, 0o755);
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

async function run(program: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(`${program} failed: ${new TextDecoder().decode(stderr)}`);
}

/** How a program of a scratch user ended. */
export interface ProgramEnd {
  readonly pid: number;
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly out: string;
  readonly err: string;
}

/** A program of a scratch user that runs. */
export interface RunningProgram {
  readonly end: Promise<ProgramEnd>;
  /** Asks it to end (SIGTERM); nothing when it has. */
  readonly stop: () => void;
}

/** Starts a program as a scratch user, with an environment of its own. */
export function startAs(
  uid: number,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  cwd = "/",
): RunningProgram {
  const child = new Deno.Command(program, {
    args: [...args],
    uid,
    gid: uid,
    cwd,
    clearEnv: true,
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const { pid } = child;
  let hasEnded = false;
  const end = child.output().then(({ code, signal, stdout, stderr }) => {
    hasEnded = true;
    const text = new TextDecoder();
    return { pid, code, signal, out: text.decode(stdout), err: text.decode(stderr) };
  });
  const stop = () => {
    if (!hasEnded) child.kill("SIGTERM");
  };
  return { end, stop };
}

/** Starts one and waits for its end. */
export function runAs(...program: Parameters<typeof startAs>): Promise<ProgramEnd> {
  return startAs(...program).end;
}
