/** What guided fuzzing rests upon: places are counted, and what is saved is read again. */
import { assert, assertEquals } from "@std/assert";
import { savedCorpus } from "./corpus.ts";
import { allTargets } from "./fuzz.ts";
import { instrument, Places } from "./instrument.ts";

Deno.test("Places tells which places have run since it forgot, by powers of two", () => {
  const places = new Places(8);
  for (const place of [3, 5, 3, 3, 3]) places.hit(place);
  const found: [number, number][] = [];
  const note = (place: number, power: number): void => void found.push([place, power]);
  places.forEach(note);
  assertEquals(found, [[3, 2], [5, 0]]);
  places.forget();
  places.hit(5);
  found.length = 0;
  places.forEach(note);
  assertEquals(found, [[5, 0]]);
});

Deno.test("an instrumented copy of the targets counts what they run, and does what they do", async () => {
  const dirPath = await Deno.makeTempDir({ prefix: "toom-fuzz-" });
  try {
    const { entry, places } = await instrument(`${dirPath}/copy`);
    const copy = await import(entry) as typeof import("./fuzz.ts");
    const targets = copy.allTargets(dirPath);
    assertEquals(targets.map(({ name }) => name), allTargets(dirPath).map(({ name }) => name));
    for (const { name, corpus, take } of targets) {
      places.forget();
      await take(Uint8Array.from(corpus[0]!));
      let count = 0;
      places.forEach(() => count++);
      assert(count > 1, `${name}: nothing was counted`);
    }
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
});

Deno.test("what has been saved is right input to its target, and there is little of it", async () => {
  const dirPath = await Deno.makeTempDir({ prefix: "toom-fuzz-" });
  try {
    for (const { name, take } of allTargets(dirPath)) {
      const saved = savedCorpus(name);
      const bytes = saved.reduce((sum, { length }) => sum + length, 0);
      assert(saved.length <= 64 && bytes <= 16_384, `${name}: ${saved.length}, ${bytes} bytes`);
      for (const input of saved) await take(input);
    }
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
});
