/**
 * Programs of other projects that tests use where they are installed.
 *
 * @module
 */
import { assert } from "@std/assert";
import { hasFile } from "./real_kernel.ts";

/** The repository's root, with the slash. */
export const ROOT = new URL("../../", import.meta.url).pathname;

/** The first of these programs that is not installed; undefined: all are. */
export function missingTool(...names: readonly string[]): string | undefined {
  return names.find((name) =>
    !["/usr/bin", "/bin", "/usr/sbin", "/sbin"].some((folder) => hasFile(`${folder}/${name}`))
  );
}

export interface ToolOptions {
  /** Where it runs; the repository's root if not given. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly uid?: number;
}

export interface ToolRun {
  readonly code: number;
  /** What it wrote, standard output first. */
  readonly text: string;
}

export async function runTool(
  program: string,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<ToolRun> {
  const { cwd = ROOT, env = {}, uid } = options;
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    ...(uid === undefined ? {} : { uid, gid: uid }),
  }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** @returns What it wrote. @throws {AssertionError} With what it wrote, when it fails. */
export async function useTool(
  program: string,
  args: readonly string[],
  options?: ToolOptions,
): Promise<string> {
  const { code, text } = await runTool(program, args, options);
  assert(code === 0, `${program} ${args.join(" ")}: exit code ${code}\n${text}`);
  return text;
}

/** A tarball of the sources as they are, with a program in the place of the compiled one. */
export async function packSources(path: string, version: string, program: string): Promise<void> {
  const stage = await Deno.makeTempDir({ prefix: "toom-sources-" });
  try {
    const tree = `${stage}/toom-${version}`;
    await Deno.mkdir(`${tree}/dist`, { recursive: true });
    await useTool("sh", [
      "-c",
      `find . \\( -name .git -o -name dist -o -name build -o -name node_modules \\) -prune -o -type f -print | ` +
      `tar cf - -T - | tar xf - -C '${tree}'`,
    ]);
    await Deno.copyFile(program, `${tree}/dist/toom`);
    await useTool("tar", ["czf", path, "-C", stage, `toom-${version}`]);
  } finally {
    await Deno.remove(stage, { recursive: true });
  }
}
