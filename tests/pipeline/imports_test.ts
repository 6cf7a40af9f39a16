import { assert, assertEquals } from "@std/assert";
import {
  circleOf,
  folderImports,
  importsOf,
  PROGRAM_FOLDERS,
  type Source,
  sourcesIn as allSourcesIn,
} from "../../docs/structure.ts";

const ROOT = new URL("../../", import.meta.url);
const LINES_MAX = 730;

/** What each folder may import (docs/ARCHITECTURE.md): one way only. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  pipeline: ["pipeline"],
  kernel: ["kernel", "pipeline"],
  workers: ["workers", "kernel", "pipeline"],
  service: ["service", "workers", "kernel", "pipeline"],
  tmalloc: ["tmalloc", "pipeline"],
  // mod.ts is started by commands as a program of its own, never imported.
  cli: ["cli", "service", "workers", "kernel", "pipeline", "tmalloc", "mod.ts"],
};
/** Files at the root that all may import. */
const ROOT_FILES = ["version.ts"];
/** The world outside, of which the pipeline must not know. */
const IMPURE = [
  /\bDeno\./,
  /\bperformance\b/,
  /\bDate\b/,
  /\bMath\.random\b/,
  /\bsetTimeout\b/,
  /\bconsole\./,
];

const sourcesIn = (folder: string): Source[] => allSourcesIn(ROOT, folder);

/** The code without its comments and strings. */
function codeOf(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/(^|\s)\/\/.*$/gm, "$1")
    .replace(/"(?:[^"\\\n]|\\.)*"/g, '""');
}

for (const [folder, allowed] of Object.entries(MAY_IMPORT)) {
  Deno.test(`${folder}/ imports only ${allowed.join(", ")}`, () => {
    const wrong: string[] = [];
    for (const source of sourcesIn(folder)) {
      for (const target of importsOf(source)) {
        const top = target.split("/")[0]!;
        if (!allowed.includes(top) && !ROOT_FILES.includes(top)) {
          wrong.push(`${source.path} imports ${target}`);
        }
      }
    }
    assertEquals(wrong, []);
  });
}

Deno.test("pipeline/ is pure: no Deno, no clock, no randomness, no package", () => {
  const sources = sourcesIn("pipeline");
  assert(sources.length > 10);
  const wrong: string[] = [];
  for (const { path, text } of sources) {
    const code = codeOf(text);
    for (const impure of IMPURE) if (impure.test(code)) wrong.push(`${path}: ${impure}`);
    for (const match of text.matchAll(/\bfrom\s*"([^".][^"]*)"/g)) {
      wrong.push(`${path}: ${match[1]}`);
    }
  }
  assertEquals(wrong, []);
});

Deno.test("no folder imports, by whatever way, one that imports it", () => {
  const imports = folderImports(PROGRAM_FOLDERS.flatMap(sourcesIn));
  assert(imports.size > 15, [...imports.keys()].join());
  assertEquals(circleOf(imports), []);
});

Deno.test("a circle of folders is found", () => {
  const imports = new Map([
    ["a", new Set(["b"])],
    ["b", new Set(["c"])],
    ["c", new Set(["d", "b"])],
  ]);
  assertEquals(circleOf(imports), ["b", "c", "b"]);
});

Deno.test("what the tidy checks look for, they find", () => {
  const source = { path: "pipeline/a.ts", text: 'import { x } from "../kernel/b.ts"; // Date' };
  assertEquals(importsOf(source), ["kernel/b.ts"]);
  assertEquals(
    importsOf({ path: "cli/a.ts", text: 'new URL("../workers/w.ts", import.meta.url)' }),
    [
      "workers/w.ts",
    ],
  );
  assert(!IMPURE.some((impure) => impure.test(codeOf(source.text))));
  assert(IMPURE.some((impure) => impure.test(codeOf("const now = Date.now();"))));
});

Deno.test("nobody imports cli/ but mod.ts", () => {
  for (const folder of ["pipeline", "kernel", "workers", "service", "tmalloc"]) {
    for (const source of sourcesIn(folder)) {
      for (const target of importsOf(source)) assert(!target.startsWith("cli/"), source.path);
    }
  }
});

Deno.test(`no module has more than ${LINES_MAX} lines`, () => {
  const long = ["pipeline", "kernel", "workers", "service", "cli", "tmalloc"].flatMap(sourcesIn)
    .map(({ path, text }) => ({ path, lines: text.split("\n").length }))
    .filter(({ lines }) => lines > LINES_MAX);
  assertEquals(long, []);
});
