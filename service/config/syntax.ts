/**
 * The text of one file: JSON with comments and trailing commas, each of its parts with its place.
 *
 * @module
 */
import {
  findNodeAtLocation,
  getNodeValue,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
} from "jsonc-parser";
import { type ConfigProblem, Lines, type Place } from "./place.ts";
import { quote } from "../../pipeline/limits/units.ts";

/** A path as zod gives it. */
export type KeyPath = readonly PropertyKey[];

/** A file whose syntax is right. */
export class ConfigText {
  readonly file: string;
  readonly root: Node;
  private readonly lines: Lines;

  constructor(file: string, root: Node, lines: Lines) {
    this.file = file;
    this.root = root;
    this.lines = lines;
  }

  get value(): unknown {
    return getNodeValue(this.root);
  }

  /** Where a value stands, or the nearest thing around it. */
  placeOf(path: KeyPath): Place {
    for (let length = path.length; length > 0; length--) {
      const node = this.nodeAt(path.slice(0, length));
      if (node !== undefined) return this.lines.placeOf(node.offset);
    }
    return this.lines.placeOf(this.root.offset);
  }

  /** Where the key of a value stands. */
  placeOfKey(path: KeyPath): Place {
    const node = this.nodeAt(path);
    const key = node?.parent?.type === "property" ? node.parent : node;
    return key === undefined ? this.placeOf(path) : this.lines.placeOf(key.offset);
  }

  /** The value at a path as it is written; undefined when there is none. */
  valueAt(path: KeyPath): unknown {
    const node = this.nodeAt(path);
    return node && getNodeValue(node);
  }

  /** Keys of an object, in the order in which they are written. */
  keysOf(path: KeyPath): readonly string[] {
    const node = this.nodeAt(path);
    if (node?.type !== "object") return [];
    return (node.children ?? []).map(({ children }) => String(children?.[0]?.value));
  }

  private nodeAt(path: KeyPath): Node | undefined {
    return findNodeAtLocation(
      this.root,
      path.map((key) => typeof key === "number" ? key : String(key)),
    );
  }
}

/** Reads a text. @returns Problems, when its syntax is not right: all of them. */
export function parseConfigText(
  file: string,
  text: string,
): ConfigText | readonly ConfigProblem[] {
  const lines = new Lines(file, text);
  const errors: ParseError[] = [];
  let root: Node | undefined;
  let isTooDeep = false;
  try {
    root = parseTree(text, errors, { allowTrailingComma: true });
    if (root !== undefined && errors.length === 0) getNodeValue(root);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    isTooDeep = true;
  }
  if (isTooDeep) {
    return [{ file, line: 1, column: 1, path: "", message: "expected fewer braces in each other" }];
  }
  if (root === undefined || errors.length > 0) return syntaxProblems(text, lines, errors);
  const twice = [...duplicates(root, "", lines)];
  return twice.length > 0 ? twice : new ConfigText(file, root, lines);
}

/** What the parser missed, in words; of several in one line the first, as the others follow from it. */
function syntaxProblems(
  text: string,
  lines: Lines,
  errors: readonly ParseError[],
): readonly ConfigProblem[] {
  const problems = new Map<number, ConfigProblem>();
  for (const { error, offset, length } of errors) {
    const place = lines.placeOf(offset);
    if (problems.has(place.line)) continue;
    const found = text.slice(offset, offset + Math.max(1, length));
    const got = found.trim() === "" ? "the end of the file" : quote(found, 40);
    const message = `expected ${
      EXPECTED[printParseErrorCode(error)] ?? "JSON with comments"
    }, not ${got}`;
    problems.set(place.line, { ...place, path: "", message });
  }
  if (problems.size === 0) {
    const place = lines.placeOf(text.length);
    return [{ ...place, path: "", message: "expected an object { }, and there is none" }];
  }
  return [...problems.values()];
}

/** By the parser's names of its errors. */
const EXPECTED: Readonly<Record<string, string>> = {
  InvalidSymbol: "a value (texts stand in double quotes)",
  InvalidNumberFormat: "a number such as 12",
  PropertyNameExpected: "a key in double quotes",
  ValueExpected: "a value",
  ColonExpected: "a colon between key and value",
  CommaExpected: "a comma between two keys",
  CloseBraceExpected: "a closing brace }",
  CloseBracketExpected: "a closing bracket ]",
  EndOfFileExpected: "the end of the file behind the closing brace",
  InvalidCommentToken: "a comment // or /* */",
  UnexpectedEndOfComment: "the end */ of a comment",
  UnexpectedEndOfString: "the closing quote of a text in the same line",
  UnexpectedEndOfNumber: "digits behind the point of a number",
  InvalidUnicode: "four hexadecimal digits behind \\u",
  InvalidEscapeCharacter: 'one of \\" \\\\ \\/ \\b \\f \\n \\r \\t \\u behind a backslash',
  InvalidCharacter: "no control characters in a text",
};

/** Keys that stand twice in one object: JSON would take the last one, and nobody means that. */
function* duplicates(node: Node, path: string, lines: Lines): Generator<ConfigProblem> {
  if (node.type !== "object") {
    for (const child of node.children ?? []) yield* duplicates(child, path, lines);
    return;
  }
  const seen = new Map<string, number>();
  for (const property of node.children ?? []) {
    const [key, value] = property.children ?? [];
    if (key === undefined) continue;
    const name = String(key.value);
    const inner = path === "" ? name : `${path}.${name}`;
    const first = seen.get(name);
    if (first === undefined) seen.set(name, lines.placeOf(key.offset).line);
    else {
      const message = `expected each key once, and it stands in line ${first} too`;
      yield { ...lines.placeOf(key.offset), path: inner, message };
    }
    if (value !== undefined) yield* duplicates(value, inner, lines);
  }
}
