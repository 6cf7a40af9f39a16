/** What guided fuzzing rests upon: places are counted, and what is saved is read again. */
import { assert, assertEquals } from "@std/assert";
import { savedCorpus } from "./corpus.ts";
import { allTargets } from "./fuzz.ts";
import { Places } from "./instrument.ts";

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

Deno.test("guided fuzzing counts what inputs reach, in a copy that does what the targets do", async () => {
  // As deno.json says: the lock does not name what only this needs.
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      "--no-lock",
      new URL("./guided.ts", import.meta.url).pathname,
      "--seconds=3",
      "--seed=1",
      "--target=words",
    ],
  }).output();
  const out = new TextDecoder().decode(stdout);
  assertEquals(code, 0, `${out}${new TextDecoder().decode(stderr)}`);
  const [, inputs, kept, first, then] = /^words +(\d+) inputs, (\d+) kept; .* (\d+) by .* (\d+)$/m
    .exec(out)!.map(Number);
  assert(inputs! > 0 && kept! > 0 && first! > 10 && then! >= first!, out);
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
