import { assertEquals } from "@std/assert";
import { Resources } from "../../../service/lifecycle/resources.ts";

Deno.test("Resources closes all, the newest first, once, whatever fails", () => {
  const closed: number[] = [];
  const errors: unknown[] = [];
  const resources = new Resources();
  for (const number of [1, 2, 3]) {
    resources.add(() => {
      closed.push(number);
      if (number === 2) throw new Error("two");
    });
  }
  resources.close((error) => errors.push((error as Error).message));
  assertEquals([closed, errors], [[3, 2, 1], ["two"]]);
  resources.close();
  assertEquals(closed, [3, 2, 1]);
});
