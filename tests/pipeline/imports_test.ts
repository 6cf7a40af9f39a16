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
/** A longer file says why in its head. */
const LINES_MAX = 450;
/** Ends of the names of files that people write as code. */
const CODE_ENDS = [".ts", ".js", ".c", ".h", ".py", ".sh"];
/** Not written by hand, or not of this repository. */
const NOT_CODE = ["fixtures", "node_modules", "vendor", "dist", "build", ".git"];

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

/** Files of code and tests in a folder and the folders in it. */
function codeFilesIn(folder: string): Source[] {
  const files: Source[] = [];
  for (const { name, isDirectory, isFile } of Deno.readDirSync(new URL(folder, ROOT))) {
    if (NOT_CODE.includes(name)) continue;
    const path = `${folder}${name}`;
    if (isDirectory) files.push(...codeFilesIn(`${path}/`));
    else if (isFile && CODE_ENDS.some((end) => name.endsWith(end))) {
      files.push({ path, text: Deno.readTextFileSync(new URL(path, ROOT)) });
    }
  }
  return files;
}

/** The comment that a file begins with, without line breaks and stars; "" when it has none. */
function headOf(text: string): string {
  const comment = /^(?:#!.*\n)?\s*(\/\*[^]*?\*\/|"""[^]*?"""|(?:#.*\n)+)/.exec(text)?.[1] ?? "";
  return comment.replace(/\n[ \t]*[*#]?/g, " ").replace(/\s+/g, " ");
}

function isTooLong({ text }: Source): boolean {
  if (text.trimEnd().split("\n").length <= LINES_MAX) return false;
  const reason = `Longer than ${LINES_MAX} lines, because \\w`;
  return !new RegExp(reason).test(headOf(text));
}

Deno.test(`a file of more than ${LINES_MAX} lines says why in its head`, () => {
  const files = codeFilesIn("./");
  for (const end of [".ts", ".c", ".py"]) {
    assert(files.some(({ path }) => path.endsWith(end)), `no file ends with ${end}`);
  }
  assertEquals(files.filter(isTooLong).map(({ path }) => path), []);
});

Deno.test("a reason counts in the comment at the beginning, and only for who needs one", () => {
  const reason = "Longer than 450 lines,\n * because it is one table.";
  const lines = (count: number): string => "x;\n".repeat(count);
  const tooLong = (text: string): boolean => isTooLong({ path: "a.ts", text });
  assert(!tooLong(lines(450)));
  assert(tooLong(lines(451)));
  assert(!tooLong(`/**\n * A table. ${reason}\n */\n${lines(450)}`));
  assert(!tooLong(`#!/bin/sh\n# A table. ${reason.replace(" *", "#")}\n${lines(450)}`));
  assert(!tooLong(`"""A table. ${reason.replace("* ", "")}"""\n${lines(450)}`));
  assert(tooLong(`/** A table. Longer than 450 lines. */\n${lines(450)}`));
  assert(tooLong(`/** A table. */\n${lines(450)}/* ${reason} */\n`));
});
