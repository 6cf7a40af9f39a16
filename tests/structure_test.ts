import { assert, assertEquals, assertThrows } from "@std/assert";
import { countFolders, folderOf, layersOf } from "../docs/structure.ts";

Deno.test("countFolders() counts files, lines and imports of other folders", () => {
  const counts = countFolders([
    { path: "a/one.ts", text: 'import { x } from "./two.ts";\nimport "../b/c/three.ts";\n' },
    { path: "a/two.ts", text: 'new Worker(new URL("../b/four.ts", import.meta.url));\n' },
    { path: "b/four.ts", text: 'import { VERSION } from "../version.ts";\n\n\n' },
  ]);
  assertEquals(counts, [
    { folder: "a", files: 2, lines: 3, longest: 2, imports: 2, imported: ["b", "b/c"] },
    { folder: "b", files: 1, lines: 3, longest: 3, imports: 0, imported: [] },
  ]);
  assertEquals(["a/b/c.ts", "mod.ts"].map(folderOf), ["a/b", ""]);
});

Deno.test("layersOf() puts a folder behind all that it imports", () => {
  const imports = new Map([
    ["top", new Set(["middle", "low"])],
    ["middle", new Set(["low", "not/of/the/program"])],
    ["low", new Set<string>()],
    ["alone", new Set<string>()],
  ]);
  assertEquals(layersOf(imports), [["alone", "low"], ["middle"], ["top"]]);
});

Deno.test("layersOf() names a circle", () => {
  const imports = new Map([["a", new Set(["b"])], ["b", new Set(["c"])], ["c", new Set(["b"])]]);
  const error = assertThrows(() => layersOf(imports), Error);
  assert(error.message.endsWith("b imports c imports b"), error.message);
});

Deno.test("deno.json names no package for tests alone: a compiled program has all of them within", async () => {
  const root = new URL("../", import.meta.url);
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  const packageOf = (target: string): string => /^npm:([^/]+)/.exec(target)?.[1] ?? target;
  const unused = new Set(Object.values(imports as Record<string, string>).map(packageOf));
  const listed = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "mod.ts"],
    cwd: root,
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(listed.stdout)) as {
    modules: readonly { specifier: string }[];
  };
  for (const { specifier } of modules) unused.delete(packageOf(specifier.replace("npm:/", "npm:")));
  assertEquals([...unused], []);
});
