import { assert, assertEquals } from "@std/assert";
import { attachMemory, createMemory } from "../../../pipeline/memory/memory.ts";
import { Urgency } from "../../../pipeline/limits/urgency.ts";
import { withSeeds } from "../../_support/random.ts";

const CAPACITY = {
  readers: 1,
  ringRecords: 64,
  users: 4,
  processes: 4,
  tasks: 4,
  mms: 4,
  rules: 4,
  pageBytes: 4096,
};

Deno.test("nextPages(): the urgency stays the same up to there, and is another one page on", () => {
  withSeeds(200, (random) => {
    const marginPages = random.between(0, 5000);
    const hardPages = random.between(1, 20_000);
    const urgency = new Urgency(attachMemory(createMemory(CAPACITY)), marginPages);
    urgency.limit(0, hardPages);
    const at = (pages: number): number => {
      urgency.look(0, pages);
      return urgency.byUser[0]!;
    };
    for (let i = 0; i < 20; i++) {
      const pages = random.between(0, hardPages + 10);
      const before = at(pages);
      const nextPages = urgency.nextPages(0);
      if (before === 3) continue;
      assert(nextPages >= pages, `${nextPages} at ${pages}`);
      assertEquals(at(nextPages), before, "up to there");
      assert(at(nextPages + 1) > before, "one page on");
    }
  });
});

Deno.test("nextPages(): who has no limit, or is as near as can be, is not looked at for its growth", () => {
  const urgency = new Urgency(attachMemory(createMemory(CAPACITY)), 100);
  assertEquals(urgency.nextPages(1), 0x7fffffff);
  urgency.limit(1, 1000);
  urgency.look(1, 990);
  assertEquals(urgency.byUser[1], 3);
  assertEquals(urgency.nextPages(1), 0x7fffffff);
});
