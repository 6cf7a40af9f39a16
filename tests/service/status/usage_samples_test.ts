import { assertEquals } from "@std/assert";
import { UserState } from "../../../pipeline/memory/layout.ts";
import { attachMemory, createMemory } from "../../../pipeline/memory/memory.ts";
import { SAMPLES_MAX, UsageSamples } from "../../../service/status/usage_samples.ts";
import { SMALL } from "../../_support/desk.ts";
import { TableWord } from "../../../pipeline/memory/layout.ts";

function scene(): { samples: UsageSamples; set: (pages: number, generation?: number) => void } {
  const memory = attachMemory(createMemory(SMALL));
  const { users } = memory;
  new Int32Array(memory.buffer, memory.plan.users, 32)[TableWord.highWater] = 1;
  users.uid[0] = 60001;
  users.hardPages[0] = 1000;
  users.state[0] = UserState.ok;
  const set = (pages: number, generation = 1): void => {
    users.usagePages[0] = pages;
    users.generation[0] = generation;
  };
  return { samples: new UsageSamples(memory), set };
}

Deno.test("UsageSamples tell growth over half a second at least, and keep the last ones", () => {
  const { samples, set } = scene();
  set(100);
  assertEquals(samples.growthPagesPerSecond(0, 100, 1e9), 0, "never looked at");
  samples.take(1e9);
  assertEquals(samples.growthPagesPerSecond(0, 150, 1.2e9), 0, "too short a time");
  assertEquals(samples.growthPagesPerSecond(0, 150, 1.5e9), 100);
  set(300);
  const taken: number[][] = [];
  samples.take(2e9, (uid, pages) => taken.push([uid, pages]));
  assertEquals(taken, [[60001, 300]]);
  assertEquals(samples.growthPagesPerSecond(0, 300, 2.1e9), 181.8, "since the look before");
  assertEquals(samples.growthPagesPerSecond(0, 200, 2.5e9), -200, "it shrinks");
  assertEquals(samples.of(0), [{ atNs: 2e9, usagePages: 300 }, { atNs: 1e9, usagePages: 100 }]);
});

Deno.test("UsageSamples keep a few looks, and forget who had the slot before", () => {
  const { samples, set } = scene();
  for (let second = 1; second <= 20; second++) {
    set(second);
    samples.take(second * 1e9);
  }
  assertEquals(samples.of(0).map(({ usagePages }) => usagePages), [20, 19, 18, 17, 16, 15, 14, 13]);
  assertEquals(samples.of(0).length, SAMPLES_MAX);
  set(7, 2);
  assertEquals([samples.of(0), samples.growthPagesPerSecond(0, 7, 22e9)], [[], 0]);
  samples.take(23e9);
  assertEquals(samples.of(0), [{ atNs: 23e9, usagePages: 7 }]);
});
