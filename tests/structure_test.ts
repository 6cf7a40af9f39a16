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
