/**
 * Results of all experiments, as they are kept in results.json. Each carries its own date and mode,
 * as one may be run anew without the others.
 *
 * @module
 */
import type { AllocationResult } from "./allocation.ts";
import type { BreakdownResult } from "./breakdown.ts";
import type { KillsResult } from "./kills.ts";
import type { Machine } from "./machine.ts";
import type { Plan } from "./plan.ts";
import type { RestResult } from "./rest.ts";
import type { ScaleResult } from "./scale.ts";
import type { SteadyResult } from "./steady.ts";
import type { TmallocResult } from "./tmalloc.ts";

export interface ExperimentResults {
  readonly allocation: AllocationResult;
  readonly kills: KillsResult;
  readonly breakdown: BreakdownResult;
  readonly scale: ScaleResult;
  readonly rest: RestResult;
  readonly steady: SteadyResult;
  readonly tmalloc: TmallocResult;
}

export type ExperimentName = keyof ExperimentResults;

export const EXPERIMENT_NAMES: readonly ExperimentName[] = [
  "allocation",
  "kills",
  "breakdown",
  "scale",
  "rest",
  "steady",
  "tmalloc",
];

/** An experiment that was made, or why it was not. */
export interface Outcome<Result> {
  /** ISO 8601, when it began. */
  readonly date: string;
  readonly mode: Plan["mode"];
  readonly seconds: number;
  readonly result?: Result;
  readonly skipped?: string;
}

export interface Results {
  readonly machine: Machine;
  readonly experiments: { readonly [Name in ExperimentName]?: Outcome<ExperimentResults[Name]> };
}

/** Results that are there already; undefined when there are none, or of another machine. */
export async function readResults(path: string, machine: Machine): Promise<Results | undefined> {
  let results: Results;
  try {
    results = JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return undefined;
    throw error;
  }
  const same = results.machine.cpu === machine.cpu && results.machine.kernel === machine.kernel;
  return same ? results : undefined;
}
