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

/**
 * Runs `toom` as a user, with a cache of Deno's that this user may use. Root fills it before: to
 * translate and look through all modules takes memory that no installed toom takes.
 *
 * @param gid The user's only group.
 */
export async function runToomAs(
  uid: number,
  args: readonly string[],
  gid = uid,
): Promise<ToomRun> {
  const dirPath = await Deno.makeTempDir();
  try {
    await must("cp", ["-r", await npmCachePath(), `${dirPath}/npm`]);
    const run = ["run", "--no-prompt", "--cached-only", "-A", "mod.ts"];
    const env = { DENO_DIR: dirPath, HOME: dirPath, NO_COLOR: "1" };
    await must(Deno.execPath(), [...run, args[0] ?? "--help", "--help"], { env, cwd: ROOT_PATH });
    await must("chown", ["-R", `${uid}:${uid}`, dirPath]);
    const child = new Deno.Command(Deno.execPath(), {
      args: [...run, ...args],
      cwd: ROOT_PATH,
      env,
      uid,
      gid,
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

async function must(
  program: string,
  args: readonly string[],
  options: Deno.CommandOptions = {},
): Promise<string> {
  const command = new Deno.Command(program, { ...options, args: [...args] });
  const { success, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${program} failed: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}
