import { assert } from "@std/assert";
import { GraceOutcome } from "../../pipeline/memory/layout.ts";
import type { SimOptions } from "./options.ts";
import { runOrShrink } from "./shrink.ts";
import { Sim, type SimResult } from "./sim.ts";
import { scriptOf } from "./script.ts";
import { optionsOf, VARIANTS } from "./variants.ts";

/** Seeds of each variant; SEED=n runs one, SCRIPT=FILE what a failure has printed instead. */
const SEEDS = 130;

function seedsToRun(): number[] {
  const given = Deno.env.get("SEED");
  if (given !== undefined) return [Number(given)];
  return Array.from({ length: SEEDS }, (_, index) => index + 1);
}

/** @throws {Error} With a short script, when an invariant does not hold. */
function simulate(options: SimOptions): SimResult {
  const path = Deno.env.get("SCRIPT");
  if (path !== undefined) runOrShrink(options, Deno.readTextFileSync(path));
  try {
    return new Sim(options).run();
  } catch {
    runOrShrink(options);
    throw new Error(`SEED=${options.seed} fails once and not again`);
  }
}

for (const [name, variant] of Object.entries(VARIANTS)) {
  Deno.test(`the invariants hold ${name}`, () => {
    const results = seedsToRun().map((seed) => simulate(optionsOf(variant, seed)));
    if (results.length === 1) return;
    // What the variant is about did happen.
    const has = (what: Exclude<keyof SimResult, "reports">): boolean =>
      results.some((result) => result[what] > 0);
    assert(variant.sweeps === false || (has("kills") && has("sharers")), "nobody was killed");
    if ((variant.machinePages ?? 0) > 0) assert(has("reliefs"), "the machine was never short");
    if (variant.changesSettings === true) assert(has("changes"), "no setting was changed");
    if ((variant.lowerGraceMs ?? 0) > 0) assert(has("graces"), "nobody had a grace");
    if ((variant.planUnit ?? "") !== "") {
      assert(has("asks") && has("lateKills"), "nobody was asked, or nobody had to be killed");
      const outcomes = results.flatMap(({ reports }) =>
        reports.filter(({ name }) => name === "grace").map(({ values }) => values["outcome"])
      );
      assert(outcomes.includes(GraceOutcome.ended), "nobody ended by itself");
    }
    if (variant.tampers === true) {
      const isTold = results.some(({ reports }) => reports.some(({ name }) => name === "tampered"));
      assert(isTold, "nobody has tampered");
    }
    if (variant.loses === true) assert(has("losses"), "nothing was lost");
    if (variant.dies === true) assert(has("deaths"), "nobody threw");
    if (variant.hangs === true) assert(has("startOvers"), "nobody hung");
    if (variant.brakes === true) assert(has("braked") && has("refusals"), "nobody was braked");
    if (variant.asks === true) assert(has("grants"), "nothing was granted");
  });
}

Deno.test("a seed runs the same way twice, and so does its script", () => {
  const options = optionsOf(VARIANTS["with everything at once"]!, 7);
  const run = (sim: Sim): string => {
    const { events, kills, reports } = sim.run(scriptOf(options));
    return JSON.stringify([events, kills, reports.map(({ name, values }) => [name, values])]);
  };
  assert(run(new Sim(options)) === run(new Sim(options)));
});
