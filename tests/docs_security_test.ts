/** docs/SECURITY.md names only tests that exist. */
import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);
const DOCUMENTS = ["docs/SECURITY.md"];

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** A test file of a document, with the names of tests that stand behind it. */
export function namedTests(text: string): { readonly file: string; readonly names: string[] }[] {
  const plain = text.replace(/\s+/g, " ");
  return [...plain.matchAll(/`(tests\/[\w/]+_test\.ts)`((?:,? "[^"]+")*)/g)].map((match) => ({
    file: match[1]!,
    names: [...match[2]!.matchAll(/"([^"]+)"/g)].map((name) => name[1]!),
  }));
}

/** What is named and is not there. */
function missing(text: string): string[] {
  const problems: string[] = [];
  for (const { file, names } of namedTests(text)) {
    let code: string;
    try {
      code = read(file).replace(/\s+/g, " ");
    } catch {
      problems.push(file);
      continue;
    }
    for (const name of names) if (!code.includes(name)) problems.push(`${file} "${name}"`);
  }
  return problems;
}

Deno.test("each test that a promise, an attack or a fault names exists", () => {
  for (const path of DOCUMENTS) {
    const text = read(path);
    const count = namedTests(text).reduce((sum, { names }) => sum + names.length, 0);
    assert(count >= 5, `${path} names ${count} tests`);
    assertEquals(missing(text), [], path);
  }
});

Deno.test("what a document names and is not there is found", () => {
  // Not a literal, as this file would have it.
  const absent = ["no", "such", "test"].join(" ");
  const text =
    `\`tests/docs_security_test.ts\` "each test that",\n"${absent}"; \`tests/x_test.ts\``;
  assertEquals(missing(text), [`tests/docs_security_test.ts "${absent}"`, "tests/x_test.ts"]);
});

Deno.test("each test of hostility and of faults is named by docs/SECURITY.md", () => {
  const named = namedTests(read("docs/SECURITY.md")).map(({ file }) => file);
  const files = ["hostile", "chaos"].flatMap((folder) =>
    [...Deno.readDirSync(new URL(`tests/${folder}/`, ROOT))].map(({ name }) => name)
      .filter((name) => name.endsWith("_test.ts")).map((name) => `tests/${folder}/${name}`)
  );
  assert(files.length > 6, files.join());
  assertEquals(files.filter((file) => !named.includes(file)), []);
});
