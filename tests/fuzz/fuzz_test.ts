/** Some thousand damaged inputs for each target; `deno task fuzz` goes on for as long as it is told. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { allTargets, Finding, fuzz } from "./fuzz.ts";

const INPUTS = 1024;
/** They write files. */
const SLOW: Readonly<Record<string, number>> = { state: 128, control: 512 };

Deno.test("every target takes some thousand damaged inputs", async () => {
  const dirPath = await Deno.makeTempDir({ prefix: "toom-fuzz-" });
  const seed = Number(Deno.env.get("SEED") ?? 1);
  try {
    for (const target of allTargets(dirPath)) {
      const most = SLOW[target.name] ?? INPUTS;
      const { inputs } = await fuzz(target, seed, (count) => count >= most);
      assertEquals(inputs, most, target.name);
    }
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
});

Deno.test("a mistake is found, and its seed makes it again", async () => {
  const target = {
    name: "wrong",
    corpus: [new TextEncoder().encode("length=12")],
    take: (bytes: Uint8Array): void => {
      assert(!new TextDecoder().decode(bytes).includes("="), "it has a sign");
    },
  };
  const error = await assertRejects(() => fuzz(target, 1, (count) => count >= 64), Finding);
  const seed = Number(/seed (\d+)/.exec(error.message)![1]);
  const again = await assertRejects(() => fuzz(target, seed, (count) => count >= 1), Finding);
  assertEquals(again.message.split("\n")[0], error.message.split("\n")[0]);
});
