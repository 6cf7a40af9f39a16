/**
 * Damaged input for every parser, for some time:
 *
 *     deno task fuzz [--seconds 60] [--target NAME] [--seed N] [--inputs N]
 *
 * Each target gets the same time, and prints how many inputs it took. A finding prints its seed, the
 * target and the input, and ends with code 1; `--target T --seed N --inputs 1` makes it again.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { cpuUsage } from "node:process";
import { parseArgs } from "@std/cli/parse-args";
import { Random } from "../_support/random.ts";
import { savedCorpus } from "./corpus.ts";
import { damaged } from "./mutate.ts";
import { serviceTargets } from "./service_targets.ts";
import type { FuzzTarget } from "./target.ts";
import { traceTargets } from "./trace_targets.ts";

/** Inputs between two looks at the clock. */
const BATCH = 64;
/** CPU time that no input of some kilobytes may take. */
const INPUT_MS_MAX = 2000;

export interface FuzzResult {
  readonly target: string;
  readonly inputs: number;
  readonly slowestMs: number;
}

/** An input that shows a mistake. */
export class Finding extends Error {
  override readonly name = "Finding";
}

/** All targets; what guided fuzzing has saved belongs to their corpora. */
export function allTargets(dirPath: string): FuzzTarget[] {
  return [...traceTargets(), ...serviceTargets(dirPath)].map((target) => ({
    ...target,
    corpus: [...target.corpus, ...savedCorpus(target.name)],
  }));
}

/**
 * Gives a target damaged inputs, one a seed.
 *
 * @param isOver Asked now and then.
 * @throws {Finding}
 */
export async function fuzz(
  { name, corpus, take }: FuzzTarget,
  firstSeed: number,
  isOver: (inputs: number) => boolean,
): Promise<FuzzResult> {
  let inputs = 0;
  let slowestMs = 0;
  for (let seed = firstSeed; inputs % BATCH !== 0 || !isOver(inputs); seed++) {
    const bytes = damaged(new Random(seed), corpus);
    const given = bytes.slice();
    const startMs = cpuMs();
    try {
      const done = take(bytes);
      if (done !== undefined) await done;
    } catch (cause) {
      throw finding(name, seed, given, cause);
    }
    const tookMs = cpuMs() - startMs;
    if (tookMs > INPUT_MS_MAX) throw finding(name, seed, given, `it took ${tookMs} ms`);
    slowestMs = Math.max(slowestMs, tookMs);
    inputs++;
  }
  return { target: name, inputs, slowestMs };
}

/** Not of the clock: others may have the CPU. */
function cpuMs(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1000;
}

function finding(name: string, seed: number, bytes: Uint8Array, cause: unknown): Finding {
  const why = cause instanceof Error ? cause.stack ?? cause.message : String(cause);
  const shown = `${bytes.subarray(0, 512).toHex()}${bytes.length > 512 ? "..." : ""}`;
  return new Finding(
    `target ${name}, seed ${seed}, ${bytes.length} bytes ${shown}\n${why}`,
    { cause },
  );
}

async function main(args: string[]): Promise<number> {
  const options = parseArgs(args, {
    string: ["seconds", "target", "seed", "inputs"],
    default: { seconds: "60", seed: `${Date.now() % 1e9}` },
    unknown: (word: string): never => {
      throw new Error(`fuzz: unknown ${word}; see the head of tests/fuzz/fuzz.ts`);
    },
  });
  const dirPath = await Deno.makeTempDir({ prefix: "toom-fuzz-" });
  try {
    const all = allTargets(dirPath);
    const targets = all.filter(({ name }) => (options.target ?? name) === name);
    if (targets.length === 0) {
      throw new Error(`fuzz: expected one of ${all.map(({ name }) => name).join()}`);
    }
    const shareMs = Number(options.seconds) * 1000 / targets.length;
    const inputsMax = Number(options.inputs ?? Infinity);
    let total = 0;
    for (const target of targets) {
      const endMs = performance.now() + shareMs;
      const isOver = (inputs: number): boolean =>
        inputs >= inputsMax || inputs > 0 && performance.now() > endMs;
      const { inputs, slowestMs } = await fuzz(target, Number(options.seed), isOver);
      total += inputs;
      console.log(`${target.name.padEnd(10)} ${inputs} inputs, slowest ${slowestMs.toFixed(1)} ms`);
    }
    console.log(`${total} inputs, none shows a mistake; seeds from ${options.seed}`);
    return 0;
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return error instanceof Finding ? 1 : 2;
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
