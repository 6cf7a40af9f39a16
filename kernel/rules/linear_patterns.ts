/**
 * Tests of patterns and globs whose time grows with the text and not faster (RE2), whatever stands in
 * either. The packages are loaded when the first pattern comes: without, they take no memory.
 *
 * @module
 */
import type { Patterns, TextTest } from "../../pipeline/rules/matcher.ts";

/** Loads what compiles patterns. */
export async function loadPatterns(): Promise<Patterns> {
  const { RE2JS } = await import("re2js");
  return {
    compile(pattern: string): TextTest {
      // A name may hold line breaks: a point is any character, or these would keep a rule off.
      const compiled = RE2JS.compile(pattern, RE2JS.DOTALL);
      return (text) => compiled.test(text);
    },
  };
}

/** What a glob is for: in a path `*` ends at a slash, in a text it does not. */
export type GlobKind = "path" | "text";

/** Characters that mean something in a glob. */
const GLOB = /[*?[\]{}()!+@|\\]/;

/** Whether a text is a glob, and not only itself. */
export function isGlob(text: string): boolean {
  return GLOB.test(text);
}

/**
 * What picomatch looks ahead for, so that a shell does not find `.` and `..`, and no empty names: that
 * means nothing here, and RE2 cannot look ahead.
 */
const LOOKS_AHEAD = ["(?!(?:^|\\/)\\.{1,2}(?:\\/|$))", "(?!\\.{1,2}(?:\\/|$))", "(?=.)"];

/**
 * The pattern of a glob, for the whole of a text.
 * @returns undefined: it says what is not to match, `!(a)` or `!a`.
 */
export async function globPattern(glob: string, kind: GlobKind): Promise<string | undefined> {
  const { default: picomatch } = await import("picomatch");
  let pattern = picomatch.makeRe(glob, { dot: true, bash: kind === "text" }).source;
  for (const look of LOOKS_AHEAD) pattern = pattern.replaceAll(look, "");
  return pattern.includes("(?!") || pattern.includes("(?=") ? undefined : pattern;
}
