/**
 * Starting over with other V8 flags: some count only before the first isolate is made, which is
 * before any code of this program runs.
 *
 * @module
 */
import { execute } from "./exec.ts";
import { readFile } from "../ffi/fd.ts";

/** Deno's own variable; flags are separated by commas. */
const FLAGS_VARIABLE = "DENO_V8_FLAGS";

/**
 * Deno's own variable. Otherwise it reads all modules that could be imported later, of this program and
 * of each worker, and keeps their texts: some 3 MiB. A compiled program has them within.
 */
const LAZY_VARIABLE = "DENO_UNSTABLE_LAZY_DYNAMIC_IMPORTS";

/** What `toom run` wants of V8. A compiled program has them within: `compile` of deno.json. */
export const RUN_FLAGS: readonly string[] = [
  // Otherwise V8 copies its built-in functions to call them by shorter jumps, for which it reads all
  // of them: some 6 MiB of the process, for no gain that could be measured here.
  "--no-short-builtin-calls",
  // Otherwise a collection waits for helper threads, which are ordinary tasks: a worker of real-time
  // priority would wait until the scheduler has time for them, milliseconds on a busy machine. It may wait
  // without sleeping: then whoever holds what the helpers wait for never runs, if the CPU is the same.
  "--single-threaded-gc",
  // MiB. Otherwise the heaps of new objects grow to what a start needs, and stay: another 5 MiB.
  "--max-semi-space-size=1",
  // A function gc() in each isolate, see collectGarbage() in heap.ts: some 10 MiB.
  "--expose-gc",
];

/** The environment with the flags added; undefined when they are there already. */
export function withFlags(
  environment: Readonly<Record<string, string>>,
  flags: readonly string[],
): Record<string, string> | undefined {
  const present = (environment[FLAGS_VARIABLE] ?? "").split(",").filter((flag) => flag !== "");
  const missing = flags.filter((flag) => !present.includes(flag));
  if (missing.length === 0) return undefined;
  return {
    ...environment,
    [FLAGS_VARIABLE]: [...present, ...missing].join(","),
    [LAZY_VARIABLE]: "1",
  };
}

/**
 * Makes sure that V8 runs with the flags: if need be, this process becomes the same program once
 * more, with the same arguments, number and parent. Where that fails, it goes on without. A compiled
 * program does not look at the variable.
 */
export function ensureFlags(flags: readonly string[]): void {
  if (Deno.build.standalone) return;
  const environment = withFlags(Deno.env.toObject(), flags);
  if (environment === undefined) return;
  try {
    const words = new TextDecoder().decode(readFile("/proc/self/cmdline")).split("\0");
    execute(Deno.execPath(), words.slice(0, -1), environment);
  } catch {
    // A few megabytes more, and nothing else.
  }
}
