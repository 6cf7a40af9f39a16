/**
 * toom run as somebody who is not root.
 *
 * @module
 */

const ROOT_PATH = new URL("../../", import.meta.url).pathname;

/** Whether a user can read the checkout and run this Deno. Needs root to find out. */
export function canRunToom(uid: number): boolean {
  const test = (...args: string[]): boolean => {
    try {
      return new Deno.Command("test", { args, uid, gid: uid, cwd: "/" }).outputSync().success;
    } catch {
      return false;
    }
  };
  return test("-r", `${ROOT_PATH}mod.ts`) && test("-x", Deno.execPath());
}

/** A program's end, with what it printed. */
export interface ToomRun {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `toom` as a user, with a copy of the cache of packages that this user may use. */
export async function runToomAs(
  uid: number,
  args: readonly string[],
): Promise<ToomRun> {
  const dirPath = await Deno.makeTempDir();
  try {
    await must("cp", ["-r", await npmCachePath(), `${dirPath}/npm`]);
    await must("chown", ["-R", `${uid}:${uid}`, dirPath]);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--cached-only", "-A", "mod.ts", ...args],
      cwd: ROOT_PATH,
      env: { DENO_DIR: dirPath, HOME: dirPath, NO_COLOR: "1" },
      uid,
      gid: uid,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
    const { code, stdout, stderr } = await child.output();
    const decoder = new TextDecoder();
    return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
}

async function npmCachePath(): Promise<string> {
  const { npmCache } = JSON.parse(await must(Deno.execPath(), ["info", "--json"]));
  // It names the folder of the registry, or that above, depending on the version.
  return String(npmCache).replace(/\/npm\/.*$/, "/npm");
}

async function must(program: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${program} failed: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}
