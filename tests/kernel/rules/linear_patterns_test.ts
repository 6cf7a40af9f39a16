/** Globs and patterns: what they match, and that no text makes them slow. */
import { assert, assertEquals } from "@std/assert";
import {
  type GlobKind,
  globPattern,
  isGlob,
  loadPatterns,
} from "../../../kernel/rules/linear_patterns.ts";
import { TEXT_BYTES_MAX } from "../../../pipeline/rules/victim_rule.ts";

const { compile } = await loadPatterns();

async function matches(glob: string, kind: GlobKind, text: string): Promise<boolean> {
  return compile((await globPattern(glob, kind))!)(text);
}

Deno.test("globs match whole texts; in paths a star ends at a slash", async () => {
  const rows: [string, GlobKind, string, boolean][] = [
    ["/usr/bin/python*", "path", "/usr/bin/python3.13", true],
    ["/usr/bin/*", "path", "/usr/bin/a/b", false],
    ["/usr/**", "path", "/usr/bin/a/b", true],
    ["/**/b", "path", "/usr/bin/a/b", true],
    ["/home/*/x", "path", "/home/.hidden/x", true],
    ["/home/*/x", "path", "/home/a/b/x", false],
    ["my-*", "text", "my-name/x", true],
    ["my-*", "text", "not my-name", false],
    ["*jupyter*", "text", "python3 /usr/bin/jupyter-lab", true],
    ["py?hon[0-9]", "text", "python3", true],
    ["{a,b}c", "text", "bc", true],
    ["@(a|b)c", "text", "ac", true],
    ["a.c", "text", "abc", false],
    ["a\\*c", "text", "a*c", true],
    ["a*", "text", "a\nb\u001b[2J", true],
    ["*", "path", "x\ny", true],
  ];
  for (const [glob, kind, text, expected] of rows) {
    assertEquals(await matches(glob, kind, text), expected, `${glob} of ${JSON.stringify(text)}`);
  }
});

Deno.test("a glob that says what must not match is refused", async () => {
  for (const glob of ["!(a)", "a!(b)", "!a"]) {
    assertEquals(await globPattern(glob, "text"), undefined, glob);
  }
});

Deno.test("what means nothing in a glob is no glob, so that nothing is loaded for it", () => {
  assert(!isGlob("/usr/bin/a b.c$^"));
  for (const glob of ["a*", "a?", "[a]", "{a}", "(a)", "a|b", "!a", "a\\b", "@a", "+a"]) {
    assert(isGlob(glob), glob);
  }
});

Deno.test("a point matches any character, a line break too, and an end is the end of the text", () => {
  assert(compile("^a.b$")("a\nb"));
  assert(!compile("^a$")("a\nb"));
});

Deno.test("no text makes a pattern slow, not one that makes others take years", async () => {
  const texts = [
    "a".repeat(TEXT_BYTES_MAX - 1) + "!",
    "ab".repeat(TEXT_BYTES_MAX / 2),
    "\n".repeat(TEXT_BYTES_MAX),
    "a/".repeat(TEXT_BYTES_MAX / 2),
    "\ufffd\u001b[".repeat(1000),
  ];
  const hostile = [
    "(a+)+$",
    "(a|aa)+$",
    "(a*)*b",
    "(.*a){20}$",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    (await globPattern("*a*a*a*a*a*a*a*b", "text"))!,
    (await globPattern("/**/a/**/a/**/a/**/b", "path"))!,
    (await globPattern("*(a|*(a|b))c", "text"))!,
  ];
  for (const pattern of hostile) {
    const test = compile(pattern);
    for (const text of texts) {
      const beganMs = performance.now();
      test(text);
      // Some milliseconds; one that backtracks takes longer than the universe is old.
      assert(performance.now() - beganMs < 5000, `${pattern} of ${text.slice(0, 9)}`);
    }
  }
});
