/**
 * Command lines: a command declares its options once, and its help and its errors follow from that.
 *
 * `parseArgs` alone is forgiving where a daemon's command line must not be: it takes `--limit` at
 * the end of the line for an empty text, the last of two values for the only one, and gives
 * unknown options away. So the words are checked one by one first, and what reaches `parseArgs` is
 * always in the form `--name` or `--name=value`. What the values mean is for zod to say.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { z } from "zod";
import { didYouMean } from "../pipeline/limits/did_you_mean.ts";
import { nearestWord } from "../pipeline/limits/nearest_word.ts";
import { FormatError, quote } from "../pipeline/limits/units.ts";
import { readAs } from "../service/config/read_as.ts";
import { UsageError } from "./errors.ts";

export { readAs };

/** An option, without the dashes in its name. */
export interface OptionSpec {
  readonly name: string;
  /** `collect`: may be given more than once. */
  readonly kind: "string" | "boolean" | "collect";
  /** How the help calls the value; not for booleans. */
  readonly value?: string;
  readonly help: string;
  /** Used when the option is not given; read like a value that was. */
  readonly default?: string;
  /** Not in the help. */
  readonly hidden?: boolean;
}

export interface PositionalSpec {
  readonly name: string;
  readonly help: string;
  /** Only the last ones can be. */
  readonly optional?: boolean;
}

export interface CommandSpec {
  /** With the program's, as typed: `toom run`. */
  readonly name: string;
  readonly summary: string;
  /** What follows the name in the help's usage line, when the declaration would not say it well. */
  readonly usage?: string;
  readonly positionals?: readonly PositionalSpec[];
  /**
   * Takes all words from the first that is no option, unread: for `toom exec [--] COMMAND...`.
   * Not together with `positionals`.
   */
  readonly rest?: PositionalSpec;
  readonly options: readonly OptionSpec[];
  /** Lines below the options. */
  readonly notes?: readonly string[];
}

/** Values by option name; an option that was not given and has no default is not there. */
export type OptionValues = Readonly<Record<string, string | boolean | readonly string[]>>;

export interface ParsedCommand {
  /** `--help` or `-h` was among the words: nothing else was checked. */
  readonly help: boolean;
  readonly options: OptionValues;
  /** Names of the options that were given. */
  readonly given: ReadonlySet<string>;
  readonly positionals: readonly string[];
  readonly rest: readonly string[];
}

/** Every command has it. */
const HELP: OptionSpec = { name: "help", kind: "boolean", help: "Show this help" };

/**
 * Splits the words of a command line as the command declares.
 *
 * Options may stand before and behind positionals, as `--name value` or `--name=value`; a value
 * that starts with a dash needs the second form. `--` ends the options.
 *
 * @throws {UsageError} One line: `toom run: unknown option --foo (see toom run --help)`.
 */
export function parseCommand(command: CommandSpec, args: readonly string[]): ParsedCommand {
  const scan = scanWords(command, args);
  if (scan.help) {
    return { help: true, options: {}, given: new Set(), positionals: [], rest: [] };
  }
  if (scan.error !== undefined) throw usageError(command, scan.error);
  checkPositionals(command, scan);
  const parsed: Record<string, unknown> = parseArgs(scan.options, {
    string: namesOf(command, "string", "collect"),
    boolean: namesOf(command, "boolean"),
    collect: namesOf(command, "collect"),
  });
  const options: Record<string, string | boolean | string[]> = {};
  for (const { name, kind, default: fallback } of command.options) {
    // `parseArgs` names every boolean and every collection, given or not.
    if (kind === "boolean") options[name] = scan.given.has(name);
    else if (kind === "collect") options[name] = scan.given.has(name) ? texts(parsed[name]) : [];
    else if (scan.given.has(name)) options[name] = String(parsed[name]);
    else if (fallback !== undefined) options[name] = fallback;
  }
  return {
    help: false,
    options,
    given: scan.given,
    positionals: scan.positionals,
    rest: scan.rest,
  };
}

/** A wrong use of this command, in one line that leads to its help. */
export function usageError(command: CommandSpec, problem: string): UsageError {
  return new UsageError(`${command.name}: ${problem} (see ${command.name} --help)`);
}

function namesOf(command: CommandSpec, ...kinds: OptionSpec["kind"][]): string[] {
  return command.options.filter(({ kind }) => kinds.includes(kind)).map(({ name }) => name);
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [String(value)];
}

interface Scan {
  help: boolean;
  /** The first problem; help is looked for behind it too. */
  error: string | undefined;
  readonly given: Set<string>;
  /** Each as `--name` or `--name=value`. */
  readonly options: string[];
  readonly positionals: string[];
  rest: readonly string[];
}

function scanWords(command: CommandSpec, args: readonly string[]): Scan {
  const scan: Scan = {
    help: false,
    error: undefined,
    given: new Set(),
    options: [],
    positionals: [],
    rest: [],
  };
  for (let index = 0; index < args.length; index++) {
    const word = args[index]!;
    if (word === "--") {
      const behind = args.slice(index + 1);
      if (command.rest !== undefined) scan.rest = behind;
      else scan.positionals.push(...behind);
      break;
    }
    if (word === "--help" || word === "-h") {
      scan.help = true;
      break;
    }
    // "-" alone is a file's name: standard input.
    if (!word.startsWith("-") || word === "-") {
      if (command.rest !== undefined) {
        scan.rest = args.slice(index);
        break;
      }
      scan.positionals.push(word);
      continue;
    }
    index += scanOption(command, scan, word, args[index + 1]);
  }
  return scan;
}

/** @returns How many words more than one the option took. */
function scanOption(
  command: CommandSpec,
  scan: Scan,
  word: string,
  next: string | undefined,
): number {
  const equals = word.indexOf("=");
  const dashed = equals < 0 ? word : word.slice(0, equals);
  const option = command.options.find(({ name }) => `--${name}` === dashed);
  if (option === undefined) {
    const word = dashed.slice(2);
    const known = [...command.options.filter(({ hidden }) => hidden !== true), HELP]
      .map(({ name }) => name)
      // Nobody means the opposite.
      .filter((name) => `no-${name}` !== word && name !== `no-${word}`);
    const near = nearestWord(word, known);
    scan.error ??= `unknown option ${plain(dashed)}` +
      (near === undefined ? "" : `, did you mean --${near}?`);
    return 0;
  }
  if (option.kind !== "collect" && scan.given.has(option.name)) {
    scan.error ??= `${dashed} is given twice`;
  }
  scan.given.add(option.name);
  if (option.kind === "boolean") {
    if (equals >= 0) {
      scan.error ??= `${dashed} takes no value, not ${quote(word.slice(equals + 1))}`;
    }
    scan.options.push(dashed);
    return 0;
  }
  const needed = `${dashed} needs a value: ${dashed} ${option.value ?? "VALUE"}`;
  if (equals >= 0) {
    if (equals === word.length - 1) scan.error ??= needed;
    scan.options.push(word);
    return 0;
  }
  if (next === undefined || (next.startsWith("-") && next !== "-")) {
    // So `--limit --dry-run` says what is missing instead of limiting a user called --dry-run.
    scan.error ??= needed;
    return 0;
  }
  if (next === "") scan.error ??= needed;
  scan.options.push(`${dashed}=${next}`);
  return 1;
}

/** As it is when it is harmless, else in quotes. */
function plain(word: string): string {
  return /^[\w.-]{1,60}$/.test(word) ? word : quote(word);
}

function checkPositionals(command: CommandSpec, scan: Scan): void {
  const declared = command.positionals ?? [];
  const extra = scan.positionals[declared.length];
  if (extra !== undefined) throw usageError(command, `unexpected argument ${quote(extra)}`);
  const missing = declared.find((spec, index) =>
    spec.optional !== true && index >= scan.positionals.length
  );
  if (missing !== undefined) throw usageError(command, `${missing.name} is missing`);
}

/**
 * Gives the values of the options their meaning.
 *
 * @param schema An object with a key for each option, named as the option is.
 * @throws {UsageError} One line: `toom run: --readers: expected …, not "x" (see …)`.
 */
export function checkOptions<Output>(
  command: CommandSpec,
  schema: z.ZodType<Output>,
  values: OptionValues,
): Output {
  const result = schema.safeParse(values);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const name = issue.path[0];
  const where = name === undefined ? "" : `--${String(name)}: `;
  throw usageError(command, `${where}${issue.message}`);
}

/** Of these options at most one may be given. @throws {UsageError} */
export function requireOne(
  command: CommandSpec,
  values: Readonly<Record<string, unknown>>,
  names: readonly string[],
): void {
  const given = names.filter((name) => values[name] === true);
  if (given.length < 2) return;
  const wanted = names.map((name) => `--${name}`).join(", ");
  throw usageError(command, `expected one of ${wanted}, not ${given.length}`);
}

/** A whole number within bounds, both included. */
export function wholeNumber(least: number, most: number): z.ZodType<number, string> {
  return readAs((text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    throw new FormatError(`expected a whole number from ${least} to ${most}, not ${quote(text)}`);
  });
}

/** One of a few words. */
export function oneOf<const Word extends string>(
  words: readonly Word[],
): z.ZodType<Word, string> {
  return readAs((text) => {
    const word = words.find((candidate) => candidate === text);
    if (word !== undefined) return word;
    throw new FormatError(
      `expected ${words.join(", ")}, not ${quote(text)}${didYouMean(text, words)}`,
    );
  });
}

const HELP_COLUMNS = 100;
const HELP_INDENT_MAX = 32;

/** How a command is called: `toom limit set [OPTION]... USER SIZE`. */
export function usageText({ name, usage, options, positionals = [], rest }: CommandSpec): string {
  if (usage !== undefined) return `${name} ${usage}`;
  return [
    name,
    ...(options.some(({ hidden }) => hidden !== true) ? ["[OPTION]..."] : []),
    ...positionals.map((one) => one.optional === true ? `[${one.name}]` : one.name),
    ...(rest === undefined ? [] : ["[--]", `${rest.name}...`]),
  ].join(" ");
}

/** The text that `--help` prints, several lines, without one at the end. */
export function helpText(command: CommandSpec): string {
  const positionals = command.positionals ?? [];
  const lines = [command.summary, "", `Usage: ${usageText(command)}`];
  const described = command.rest === undefined ? positionals : [command.rest];
  if (described.length > 0) {
    lines.push("", ...twoColumns(described.map(({ name, help }) => [name, help])));
  }
  const shown = [...command.options.filter(({ hidden }) => hidden !== true), HELP];
  lines.push(
    "",
    "Options:",
    ...twoColumns(shown.map((option) => [optionHead(option), body(option)])),
  );
  if (command.notes !== undefined) lines.push("", ...command.notes);
  return lines.join("\n");
}

/** An option as a help names it: `--limit USER=SIZE`. */
export function optionHead({ name, kind, value }: OptionSpec): string {
  return kind === "boolean" ? `--${name}` : `--${name} ${value ?? "VALUE"}`;
}

function body({ kind, help, default: fallback }: OptionSpec): string {
  const repeats = kind === "collect" ? " (repeatable)" : "";
  return `${help}${repeats}${fallback === undefined ? "" : ` (default: ${fallback})`}`;
}

function twoColumns(rows: readonly (readonly [string, string])[]): string[] {
  const indent = Math.min(HELP_INDENT_MAX, Math.max(...rows.map(([left]) => left.length + 4)));
  return rows.flatMap(([left, right]) => {
    const lines = wrap(right, HELP_COLUMNS - indent);
    const first = `  ${left}`;
    const above = first.length + 2 > indent ? [first] : [];
    return [
      ...above,
      ...lines.map((line, index) =>
        (index === 0 && above.length === 0 ? first : "").padEnd(indent) + line
      ),
    ];
  });
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines;
}
