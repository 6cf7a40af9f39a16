/**
 * Makes a failing script short: leaves steps out as long as it fails the same way (delta debugging,
 * Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).
 *
 * @module
 */
import { Sim } from "./sim.ts";
import type { SimOptions } from "./options.ts";
import { formatScript, parseScript, scriptOf, type Step } from "./script.ts";

/** Runs of a script that a shrinking may take. */
const RUNS_MAX = 400;

/** How a script fails. */
export interface Failure {
  readonly message: string;
  /** Steps until then, and what each did. */
  readonly script: readonly Step[];
  readonly notes: readonly string[];
}

/** Plays a script. @returns How it fails; undefined: it does not. */
export function failureOf(options: SimOptions, script: readonly Step[]): Failure | undefined {
  const sim = new Sim(options);
  try {
    sim.run(script);
    return undefined;
  } catch (error) {
    const { notes } = sim;
    return { message: String(error), script: script.slice(0, notes.length), notes: [...notes] };
  }
}

/** What kind of failure a message tells of: the rule that is broken; else its beginning, without numbers. */
export function kindOf(message: string): string {
  const rule = /^Error: (I\d+|liveness)/.exec(message)?.[1];
  return rule ?? message.replace(/\d[\d.,]*/g, "#").slice(0, 60);
}

/**
 * Leaves out of a script what is not needed for it to fail in the same way.
 *
 * @param runsMax Runs after which it is short enough.
 */
export function shrink(options: SimOptions, failure: Failure, runsMax = RUNS_MAX): Failure {
  const kind = kindOf(failure.message);
  let best = failure;
  let runs = 0;
  const fails = (script: readonly Step[]): boolean => {
    runs++;
    const other = failureOf(options, script);
    if (other === undefined || kindOf(other.message) !== kind) return false;
    best = other;
    return true;
  };
  for (let parts = 2; runs < runsMax;) {
    const { length } = best.script;
    const size = Math.max(1, Math.ceil(length / parts));
    let isShorter = false;
    for (let at = 0; at < best.script.length && runs < runsMax;) {
      const rest = [...best.script.slice(0, at), ...best.script.slice(at + size)];
      if (fails(rest)) isShorter = true;
      else at += size;
    }
    if (isShorter) parts = Math.max(2, parts - 1);
    else if (size === 1) break;
    else parts = Math.min(length, parts * 2);
  }
  return best;
}

/** A failure as who must mend it wants to read it: what to run, and what happens. */
export function describe(options: SimOptions, failure: Failure): string {
  return [
    failure.message,
    `SEED=${options.seed}, options ${JSON.stringify(options)}`,
    `${failure.script.length} steps; play them again with SCRIPT=FILE:`,
    formatScript(failure.script, failure.notes),
  ].join("\n");
}

/**
 * Runs a seed, or a script instead.
 * @throws {Error} With the shrunk script, when an invariant does not hold.
 */
export function runOrShrink(options: SimOptions, text?: string): void {
  const script = text === undefined ? scriptOf(options) : parseScript(text);
  const failure = failureOf(options, script);
  if (failure !== undefined) throw new Error(describe(options, shrink(options, failure)));
}
