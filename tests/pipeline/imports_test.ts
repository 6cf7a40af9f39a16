import { assert, assertEquals } from "@std/assert";

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

interface Source {
  /** Path from the root. */
  readonly path: string;
  readonly text: string;
}

function sourcesIn(folder: string): Source[] {
  const sources: Source[] = [];
  let entries: Iterable<Deno.DirEntry>;
  try {
    entries = [...Deno.readDirSync(new URL(`${folder}/`, ROOT))];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  for (const entry of entries) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) sources.push(...sourcesIn(path));
    else if (entry.name.endsWith(".ts")) {
      sources.push({ path, text: Deno.readTextFileSync(new URL(path, ROOT)) });
    }
  }
  return sources;
}

/** Paths from the root of what a source imports from this repository. */
function importsOf({ path, text }: Source): string[] {
  const specifiers = [
    ...text.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*|new URL\(\s*)"(\.{1,2}\/[^"]+)"/g),
  ].map((match) => match[1]!);
  return specifiers.map((specifier) =>
    new URL(specifier, new URL(path, ROOT)).href.slice(ROOT.href.length)
  );
}

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

const roomOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));

/** A circle of folders in which each imports the next; empty when there is none. */
function circleOf(imports: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const done = new Set<string>();
  const visit = (room: string, way: readonly string[]): string[] => {
    if (way.includes(room)) return [...way.slice(way.indexOf(room)), room];
    if (done.has(room)) return [];
    for (const next of imports.get(room) ?? []) {
      const circle = visit(next, [...way, room]);
      if (circle.length > 0) return circle;
    }
    done.add(room);
    return [];
  };
  for (const room of imports.keys()) {
    const circle = visit(room, []);
    if (circle.length > 0) return circle;
  }
  return [];
}

/** Which folder imports which others. */
function roomImports(folders: readonly string[]): Map<string, Set<string>> {
  const imports = new Map<string, Set<string>>();
  for (const source of folders.flatMap(sourcesIn)) {
    const room = roomOf(source.path);
    const others = imports.get(room) ?? new Set();
    imports.set(room, others);
    for (const target of importsOf(source)) if (roomOf(target) !== room) others.add(roomOf(target));
  }
  return imports;
}

Deno.test("no folder imports, by whatever way, one that imports it", () => {
  const imports = roomImports(["pipeline", "kernel", "workers", "service", "cli"]);
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
