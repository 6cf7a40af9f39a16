import { assertEquals } from "@std/assert";
import { Banker } from "../../../pipeline/promises/banker.ts";
import { withSeeds } from "../../_support/random.ts";

interface Claimant {
  readonly need: number;
  readonly held: number;
}

function isSafe(free: number, claimants: readonly Claimant[]): boolean {
  const banker = new Banker();
  for (const { need, held } of claimants) banker.add(need, held);
  return banker.isSafe(free);
}

/** Tries every order. */
function isSafeByBruteForce(free: number, claimants: readonly Claimant[]): boolean {
  if (free < 0) return false;
  if (claimants.length === 0) return true;
  return claimants.some(({ need, held }, index) =>
    need <= free && isSafeByBruteForce(free + held, claimants.toSpliced(index, 1))
  );
}

Deno.test("Banker.isSafe() finds an order exactly when there is one", () => {
  let safe = 0;
  let unsafe = 0;
  withSeeds(3000, (random) => {
    const claimants = Array.from({ length: random.below(7) }, () => ({
      need: random.below(20),
      held: random.below(10),
    }));
    const free = random.between(-1, 12);
    const expected = isSafeByBruteForce(free, claimants);
    if (expected) safe++;
    else unsafe++;
    assertEquals(isSafe(free, claimants), expected, JSON.stringify({ free, claimants }));
  });
  assertEquals(safe > 500 && unsafe > 500, true, "both happen");
});

Deno.test("Banker.isSafe() of the textbook's cases", () => {
  assertEquals(isSafe(0, []), true);
  assertEquals(isSafe(-1, []), false, "more is held than there is");
  // Lent 4, 2 and 3; the second can finish with 1, then the first needs one more than there is.
  const lent = [{ need: 4, held: 4 }, { need: 1, held: 2 }, { need: 5, held: 3 }];
  assertEquals(isSafe(2, lent), true);
  assertEquals(isSafe(1, lent), false);
});

Deno.test("Banker takes any number of claimants, and forgets them", () => {
  const banker = new Banker();
  for (let i = 100; i > 0; i--) banker.add(i, 1);
  assertEquals(banker.isSafe(1), true);
  assertEquals(banker.isSafe(0), false);
  banker.clear();
  assertEquals(banker.isSafe(0), true);
});
