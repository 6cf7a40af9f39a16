import { assert, assertEquals } from "@std/assert";
import { ReadingCost } from "../../../pipeline/books/reading_cost.ts";

Deno.test("ReadingCost takes the first reading as work", () => {
  assertEquals(new ReadingCost().of(5e6, 4000), 5e6);
});

Deno.test("ReadingCost does not take time in which a reading waited as work", () => {
  const cost = new ReadingCost();
  cost.of(1e6, 4000);
  assertEquals(cost.of(1.5e6, 4000), 1.5e6, "some take longer than others");
  const waited = cost.of(100e6, 4000);
  assert(waited >= 2e6 && waited < 2.1e6, `${waited}`);
  const larger = cost.of(1000e6, 99_000);
  assert(larger >= 40e6 && larger < 42e6, `${larger}`);
});

Deno.test("ReadingCost follows a machine that becomes slower", () => {
  const cost = new ReadingCost();
  cost.of(1e6, 4000);
  let last = 0;
  for (let i = 0; i < 300; i++) last = cost.of(10e6, 4000);
  assertEquals(last, 10e6);
});
