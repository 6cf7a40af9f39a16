/**
 * The content of one file, checked with the schema: what zod found, as problems with their places and
 * with the key that was probably meant.
 *
 * @module
 */
import { z } from "zod";
import { didYouMean } from "../../pipeline/limits/did_you_mean.ts";
import { nearestWord } from "../../pipeline/limits/nearest_word.ts";
import { CONFIG_OPTIONS } from "./options.ts";
import { ANY_HOST, type ConfigContent, configSchema, type SizeHost } from "./schema.ts";
import { type ConfigProblem, pathText } from "./place.ts";
import type { ConfigText, KeyPath } from "./syntax.ts";

export interface CheckedContent {
  /** Of a file with problems only its subjects, so that what is wrong with these is told too. */
  readonly content: ConfigContent;
  readonly problems: readonly ConfigProblem[];
}

/** Checks a file by itself. */
export function checkContent(text: ConfigText, host: SizeHost): CheckedContent {
  const result = configSchema(host).safeParse(text.value);
  if (result.success) return { content: result.data, problems: [] };
  const problems = result.error.issues.flatMap((issue) => problemsOf(text, issue, []));
  const subjects = text.keysOf(["limits"]).map((subject) => [subject, Infinity] as const);
  return { content: { limits: Object.fromEntries(subjects) }, problems };
}

function problemsOf(text: ConfigText, issue: z.core.$ZodIssue, above: KeyPath): ConfigProblem[] {
  const path = [...above, ...issue.path];
  if (issue.code === "invalid_union") {
    // The branch that the value is of the kind of; what is wrong in the others does not matter.
    const branch = issue.errors.find((issues) => !issues.some(isOtherKind));
    if (branch !== undefined) return branch.flatMap((one) => problemsOf(text, one, path));
  }
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      ...text.placeOfKey([...path, key]),
      path: pathText([...path, key]),
      message: unknownKey(path, key),
    }));
  }
  const given = text.valueAt(path);
  const known = issue.code === "invalid_value" && typeof given === "string"
    ? didYouMean(given, issue.values.map(String))
    : "";
  return [{ ...text.placeOf(path), path: pathText(path), message: `${issue.message}${known}` }];
}

function isOtherKind(issue: z.core.$ZodIssue): boolean {
  return issue.code === "invalid_type" && issue.path.length === 0;
}

function unknownKey(path: KeyPath, key: string): string {
  const known = keysAt(path);
  const expected = `expected one of ${known.join(", ")}`;
  const near = didYouMean(key, known);
  if (near !== "") return `${expected}${near}`;
  const elsewhere = pathOf(key);
  return elsewhere === undefined ? expected : `${expected}, did you mean "${elsewhere}"?`;
}

/** The path of a setting by the last part of its path, or by its option of `toom run`. */
function pathOf(key: string): string | undefined {
  const byName = new Map<string, string>();
  for (const { path, option } of CONFIG_OPTIONS) {
    byName.set(path.split(".").at(-1)!, path);
    if (option === undefined) continue;
    byName.set(option, path);
    byName.set(option.replace(/^no-/, ""), path);
  }
  byName.set("limit", "limits");
  const name = nearestWord(key, byName.keys());
  return name === undefined ? undefined : byName.get(name);
}

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly anyOf?: readonly SchemaNode[];
  readonly items?: SchemaNode;
}

/** Keys that may stand in the object at a path. */
function keysAt(path: KeyPath): readonly string[] {
  let node = z.toJSONSchema(configSchema(ANY_HOST), { io: "input" }) as SchemaNode;
  for (const key of path) {
    const more: SchemaNode | boolean | undefined = node.additionalProperties;
    const next = node.properties?.[String(key)] ?? (typeof more === "object" ? more : undefined) ??
      node.items;
    if (next === undefined) return [];
    node = next.anyOf?.find(({ properties }) => properties !== undefined) ?? next;
  }
  return Object.keys(node.properties ?? {}).filter((key) => key !== "$schema");
}
