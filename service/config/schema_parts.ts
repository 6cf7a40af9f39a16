// The return types are what zod infers, and would only repeat the schema.
// deno-lint-ignore-file explicit-function-return-type
/**
 * What the schema of a configuration is made of: leaves and objects with their one error and description.
 *
 * @module
 */
import { z } from "zod";
import { quote } from "../../pipeline/limits/units.ts";
import { readAs } from "./read_as.ts";

/** A value as a file has it, on one line. */
export function shown(value: unknown): string {
  if (typeof value === "string") return quote(value);
  return quote(JSON.stringify(value) ?? String(value)).replace(/^"|"$/g, "").replaceAll('\\"', '"');
}

/** The one error of a leaf. */
export function expecting(expected: string): { error: (issue: { input?: unknown }) => string } {
  return {
    error: ({ input }) =>
      `expected ${expected}, ${input === undefined ? "and there is none" : `not ${shown(input)}`}`,
  };
}

/** A text, and what is read from it. @param examples Of it, for documents. */
export function text<Value>(
  read: (text: string) => Value,
  expected: string,
  examples: readonly string[],
  description: string,
) {
  const schema = z.string(expecting(`${expected}, in quotes`)).meta({ examples: [...examples] });
  return readAs(read, schema).describe(description);
}

export function whole(least: number, most: number, description: string) {
  const error = expecting(`a whole number from ${least} to ${most}`);
  return z.number(error).int(error).min(least, error).max(most, error).describe(description);
}

export function flag(description: string) {
  return z.boolean(expecting("true or false")).describe(description);
}

export function word<const Word extends string>(words: readonly Word[], description: string) {
  return z.enum(words, expecting(words.join(", "))).describe(description);
}

export function object<Shape extends z.ZodRawShape>(shape: Shape, description: string) {
  return z.strictObject(shape, expecting("an object { }")).describe(description);
}
