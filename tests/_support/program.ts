/**
 * Runs toom as a program, and waits while another one holds the machine's only lock.
 *
 * @module
 */

/** A program and the words before the command: `deno run -A mod.ts`, or the compiled one. */
export interface Program {
  readonly path: string;
  readonly args: readonly string[];
  /** What the environment is; left out: this one. */
  readonly env?: Record<string, string>;
  readonly cwd?: string;
}

export interface ProgramOutput {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const LOCK_MS_MAX = 60_000;
const RETRY_MS = 300;

/** toom as the Deno of the tests runs it. */
export const SOURCE_PROGRAM: Program = {
  path: Deno.execPath(),
  args: ["run", "-A", "--no-check", new URL("../../mod.ts", import.meta.url).href],
};

/** The command that runs a program with more words. */
export function commandOf(
  program: Program,
  words: readonly string[],
  options: Deno.CommandOptions = {},
): Deno.Command {
  const { path, args, env, cwd } = program;
  return new Deno.Command(path, {
    args: [...args, ...words],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...(env === undefined ? { env: { NO_COLOR: "1" } } : { clearEnv: true, env }),
    ...(cwd === undefined ? {} : { cwd }),
    ...options,
  });
}

/** Runs it to its end. */
export async function runProgram(
  program: Program,
  words: readonly string[],
  options: Deno.CommandOptions = {},
): Promise<ProgramOutput> {
  const { code, stdout, stderr } = await commandOf(program, words, options).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

/** Does something that another toom on this machine may refuse, for up to a minute. */
export async function whenAlone<Result extends { readonly code: number; readonly err: string }>(
  attempt: () => Promise<Result>,
): Promise<Result> {
  const deadlineMs = performance.now() + LOCK_MS_MAX;
  for (;;) {
    const result = await attempt();
    const refused = result.code === 3 && result.err.startsWith("another toom");
    if (!refused || performance.now() > deadlineMs) return result;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** What a demo that went well prints. */
export const DEMO_OUTPUT = new RegExp([
  "^toom watches: uid \\d+ may use 64\\.0 MiB, others are free",
  " {2}neighbour  pid \\d+ of uid \\d+  uses \\S+ MiB",
  " {2}hog        pid (?<hog>\\d+) of uid \\d+  uses \\S+ MiB, takes up to 1\\.0 GiB at full speed",
  " {2}other hog  pid \\d+ of uid \\d+  uses 25\\d\\.\\d MiB, has no limit",
  "toom killed pid \\k<hog> \\(hog\\) \\d+ µs after the page that passed the limit",
  " {2}uid \\d+ used \\S+ MiB then, \\S+ \\w+ too much, and \\S+ MiB at most",
  " {2}the victim used \\S+ MiB; it was gone and \\S+ MiB free \\S+ ms later",
  " {2}neighbour  lives, uses \\S+ MiB",
  " {2}other hog  lives, uses 25\\d\\.\\d MiB",
  "the hog died, and nothing else did; all is cleaned up after \\S+ s\n$",
].join("\n"));

/** What a demo prints that cannot trace. */
export const REPLAY_OUTPUT = new RegExp([
  "^toom demo: only root can trace and kill others' processes \\(try sudo\\); so this is .*",
  " {2}recorded without toom: .*",
  " {2}\\d+\\.\\d{6} s  uid 60100 uses 57\\.9 MiB of 64\\.0 MiB: over the soft limit, .*",
  " {2}\\d+\\.\\d{6} s  uid 60100 uses 65\\.9 MiB of 64\\.0 MiB: .* toom kills pid \\d+, the hog",
  "so with a limit of 64\\.0 MiB the hog dies, and nothing else does\n$",
].join("\n"));
