/**
 * toom against what else there is, on this machine: results.json, RESULTS.md and plots/.
 *
 *     deno task bench:system [--quick] [--only NAME]... [--out DIR]
 *
 * Needs root, tracefs and a C compiler; says so and succeeds where one is missing. Rivals that are
 * not installed are left out. The machine should have nothing else to do.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { parseArgs } from "@std/cli/parse-args";
import { hasTracefs } from "../../tests/_support/real_kernel.ts";
import { AllocationBench } from "./allocation.ts";
import { runBreakdown } from "./breakdown.ts";
import { KillsBench, SCENARIOS } from "./kills.ts";
import { describeMachine } from "./machine.ts";
import { FULL, type Plan, QUICK, TINY } from "./plan.ts";
import { draw, plotsOf } from "./plots.ts";
import { report } from "./report.ts";
import {
  EXPERIMENT_NAMES,
  type ExperimentName,
  type ExperimentResults,
  type Outcome,
  readResults,
  type Results,
} from "./results.ts";
import { runRest } from "./rest.ts";
import { runScale } from "./scale.ts";
import { runSteady } from "./steady.ts";
import { removeDeadBenchInstances } from "./subject.ts";
import { runTmalloc, tmallocProblem } from "./tmalloc.ts";
import { NEEDS_COMPILER, Toolbox } from "./toolbox.ts";

const USAGE = `deno task bench:system [--quick] [--only NAME]... [--out DIR]

  --quick      less than 5 minutes instead of some 40
  --only NAME  one experiment, may be given again; the others keep the results that they have:
               ${EXPERIMENT_NAMES.join(", ")}
  --scenario NAME  of the experiment kills only this one, may be given again; the others are kept:
               ${SCENARIOS.map(({ name }) => name).join(", ")}
  --out DIR    where results.json, RESULTS.md and plots/ go (default: bench/)`;

interface Wish {
  readonly scenarios: readonly string[];
  readonly before: Results | undefined;
}

type Runner<Name extends ExperimentName> = (
  toolbox: Toolbox,
  plan: Plan,
  tell: (what: string) => void,
  wish: Wish,
) => Promise<ExperimentResults[Name] | string>;

/** Each says why not, or its result. */
const RUNNERS: { readonly [Name in ExperimentName]: Runner<Name> } = {
  allocation: async (toolbox, plan) => await new AllocationBench(toolbox, plan).run(),
  kills: async (toolbox, plan, tell, { scenarios, before }) =>
    await new KillsBench(toolbox, plan).run(tell, scenarios, before?.experiments.kills?.result),
  breakdown: async (toolbox, plan) => await runBreakdown(toolbox, plan),
  scale: async (toolbox, plan, tell) => await runScale(toolbox, plan, tell),
  rest: async (toolbox, plan, tell) => await runRest(toolbox, plan, tell),
  steady: async (toolbox, plan) => await runSteady(toolbox, plan),
  tmalloc: async (toolbox, plan) => tmallocProblem() ?? await runTmalloc(toolbox, plan),
};

async function runOne(
  name: ExperimentName,
  toolbox: Toolbox,
  plan: Plan,
  wish: Wish,
): Promise<Outcome<ExperimentResults[ExperimentName]>> {
  const date = new Date().toISOString();
  const startMs = performance.now();
  const said = await RUNNERS[name](toolbox, plan, (what) => console.log(`  ${what}`), wish);
  const seconds = Math.round((performance.now() - startMs) / 100) / 10;
  const outcome = { date, mode: plan.mode, seconds };
  return typeof said === "string" ? { ...outcome, skipped: said } : { ...outcome, result: said };
}

/** @returns The experiments that are asked for; a text that says what is wrong with the question. */
function chosen(
  only: readonly string[],
  scenarios: readonly string[],
): readonly ExperimentName[] | string {
  const unknown = scenarios.find((name) => !SCENARIOS.some((one) => one.name === name));
  if (unknown !== undefined) {
    const known = SCENARIOS.map(({ name }) => name).join(", ");
    return `--scenario: expected one of ${known}, not "${unknown}"`;
  }
  const wrong = only.find((name) => !EXPERIMENT_NAMES.includes(name as ExperimentName));
  if (wrong !== undefined) {
    return `--only: expected one of ${EXPERIMENT_NAMES.join(", ")}, not "${wrong}"`;
  }
  return only.length === 0 ? EXPERIMENT_NAMES : only as readonly ExperimentName[];
}

/** Writes results.json, RESULTS.md and plots/. */
export async function writeReport(results: Results, dirPath: string): Promise<void> {
  await Deno.mkdir(`${dirPath}/plots`, { recursive: true });
  await Deno.writeTextFile(`${dirPath}/results.json`, `${JSON.stringify(results, null, 1)}\n`);
  const plots = plotsOf(results);
  const svgs = await draw(plots);
  for (const [i, { name }] of plots.entries()) {
    await Deno.writeTextFile(`${dirPath}/plots/${name}.svg`, svgs[i]!);
  }
  const text = report(results, plots.map(({ name }) => name));
  await Deno.writeTextFile(`${dirPath}/RESULTS.md`, text);
}

async function main(args: string[]): Promise<number> {
  const options = parseArgs(args, {
    boolean: ["quick", "tiny", "help"],
    string: ["only", "scenario", "out"],
    collect: ["only", "scenario"],
    default: { out: new URL("..", import.meta.url).pathname.replace(/\/$/, "") },
  });
  const scenarios = options.scenario as string[];
  const names = chosen(options.only as string[], scenarios);
  if (options.help || options._.length > 0 || typeof names === "string") {
    (options.help ? console.log : console.error)(typeof names === "string" ? names : USAGE);
    return options.help ? 0 : 2;
  }
  if (!hasTracefs()) {
    console.log("bench:system: skipped: needs root, and a tracefs with kmem:rss_stat");
    return 0;
  }
  if (!Toolbox.possible) {
    console.log(`bench:system: skipped: ${NEEDS_COMPILER}`);
    return 0;
  }
  const plan = options.tiny ? TINY : options.quick ? QUICK : FULL;
  const machine = describeMachine();
  const before = await readResults(`${options.out}/results.json`, machine);
  const experiments: Record<string, unknown> = { ...before?.experiments };
  removeDeadBenchInstances();
  using toolbox = new Toolbox();
  let failed = 0;
  for (const name of names) {
    console.log(`${name} (${plan.mode})`);
    try {
      const outcome = await runOne(name, toolbox, plan, { scenarios, before });
      experiments[name] = outcome;
      const { seconds, skipped } = outcome;
      console.log(skipped === undefined ? `  ${seconds} s` : `  skipped: ${skipped}`);
    } catch (error) {
      // The others are worth having.
      failed++;
      console.error(`  failed: ${error instanceof Error ? error.message : error}`);
    }
    await writeReport({ machine, experiments }, options.out);
  }
  console.log(`written: ${options.out}/RESULTS.md, results.json, plots/`);
  return failed > 0 ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
