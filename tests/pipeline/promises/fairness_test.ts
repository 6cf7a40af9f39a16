import { assertEquals } from "@std/assert";
import { Fairness, Share, SHARE_NS_MAX, WINDOW_NS } from "../../../pipeline/promises/fairness.ts";

Deno.test("Fairness lets who is alone have all of the time", () => {
  const fairness = new Fairness();
  const share = new Share();
  for (let ns = 0; ns < 5 * WINDOW_NS; ns += 1e6) {
    assertEquals(fairness.spent(share, ns, 1e6), 0);
  }
});

Deno.test("Fairness has who takes too much pause until the next window, while there are others", () => {
  const fairness = new Fairness();
  const greedy = new Share();
  const modest = new Share();
  assertEquals(fairness.spent(modest, 0, 1e3), 0);
  assertEquals(fairness.spent(greedy, 1e6, SHARE_NS_MAX), 0);
  assertEquals(fairness.spent(greedy, 2e6, 1), WINDOW_NS);
  assertEquals(fairness.spent(modest, 3e6, 1e3), 0);
  assertEquals(fairness.spent(greedy, WINDOW_NS, SHARE_NS_MAX), 0, "a new window");
  assertEquals(fairness.spent(greedy, WINDOW_NS + 1, 1), 2 * WINDOW_NS, "the other was here");
  assertEquals(fairness.spent(greedy, 2 * WINDOW_NS, WINDOW_NS), 0, "and has gone");
});
