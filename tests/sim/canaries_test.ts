import { assert, assertEquals } from "@std/assert";
import { CANARIES } from "./canaries.ts";
import { type Mistake, MISTAKES } from "./options.ts";
import { Sim } from "./sim.ts";
import { optionsOf } from "./variants.ts";

const SEEDS_MAX = 100;

/** The message of the first of the seeds that fails; undefined: none does. */
function firstFailure(mistake: Mistake): string | undefined {
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    try {
      new Sim({ ...optionsOf(CANARIES[mistake].options, seed), mistake }).run();
    } catch (error) {
      return String(error);
    }
  }
  return undefined;
}

for (const mistake of MISTAKES) {
  Deno.test(`canary: ${mistake} is found within ${SEEDS_MAX} seeds`, () => {
    const message = firstFailure(mistake);
    assert(message?.includes(CANARIES[mistake].finds), message ?? "it is not found");
  });
}

Deno.test("each mistake has a canary, and no canary is of another", () => {
  assertEquals(Object.keys(CANARIES).sort(), [...MISTAKES].sort());
});
