/**
 * Sizes and words as people write and read them. Pages inside toom, bytes at its edges.
 *
 * @module
 */
import { nearestWord } from "./nearest_word.ts";

/**
 * A text that could not be read. The message says what was expected and quotes the text, so that
 * the caller only has to put in front what it was reading: `--min-available: ${message}`.
 */
export class FormatError extends Error {
  override readonly name = "FormatError";
}

// Control characters, line separators, and what turns the direction of the text around: all that
// can make one line look like two, or like another line.
// deno-lint-ignore no-control-regex
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Escapes what JSON leaves as it is but a terminal would not: the result is one harmless line. */
export function escapeJsonLine(json: string): string {
  return json.replace(UNSAFE, escapeCharacter);
}

/**
 * Shows a text that nobody has checked: in quotes, on one line, without control characters.
 *
 * @param text Anything.
 * @param charactersMax Longer texts are cut, and end in "…".
 */
export function quote(text: string, charactersMax = 80): string {
  const shown = text.length > charactersMax ? `${text.slice(0, charactersMax)}…` : text;
  return escapeJsonLine(JSON.stringify(shown));
}

const UNIT_BYTES: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  ki: 2 ** 10,
  kib: 2 ** 10,
  m: 2 ** 20,
  mi: 2 ** 20,
  mib: 2 ** 20,
  g: 2 ** 30,
  gi: 2 ** 30,
  gib: 2 ** 30,
  t: 2 ** 40,
  ti: 2 ** 40,
  tib: 2 ** 40,
};

/** As they are shown to who has written another. */
const SIZE_UNITS = ["KiB", "MiB", "GiB", "TiB", "B"];

/**
 * The text with the unit that was perhaps meant, to stand behind a message: `, did you mean "1GiB"?`.
 * Empty when the text is no number with a word behind it, or no unit is near.
 */
export function unitMeant(text: string, units: readonly string[]): string {
  const [, amount, word] = /^\s*(\d{1,16}(?:\.\d{1,16})?)\s*([a-z]{1,12})\s*$/i.exec(text) ?? [];
  if (amount === undefined || word === undefined) return "";
  const lower = word.toLowerCase().replace(/^milli/, "ms");
  const begun = units.filter((unit) => unit !== "" && lower.startsWith(unit.toLowerCase()))
    .sort((a, b) => b.length - a.length);
  // Whoever writes a longer word knows its first letter: megs, gibibytes.
  const meant = begun[0] ?? nearestWord(lower, units) ??
    units.find((unit) => unit.charAt(0).toLowerCase() === lower.charAt(0));
  return meant === undefined ? "" : `, did you mean ${quote(amount + meant)}?`;
}

const NUMBER_AND_UNIT = /^(\d{1,16}(?:\.\d{1,16})?)\s*([a-z]{0,3}|%)$/;

const DECIMAL_COMMA = /^(\d{1,16}),(\d{1,16}\s*[a-z%]{0,4})$/i;

/**
 * Reads a size: `64MiB`, `4G`, `512K`, `1.5G`, `25%` (of the memory), or a bare number of bytes.
 *
 * The letters count in 1024s, whichever their case: K = Ki = KiB, and so on for M, G and T. `KB`,
 * `MB`, `GB` and `TB` are refused, since half of the world means 1000 by them.
 *
 * @param text What the user wrote.
 * @param totalBytes Memory of the machine, in bytes: what 100 % is.
 * @returns Whole bytes, rounded down; 0 or more.
 * @throws {FormatError} When the text is not a size, or more bytes than can be counted exactly.
 */
export function parseSizeBytes(text: string, totalBytes: number): number {
  const match = NUMBER_AND_UNIT.exec(text.trim().toLowerCase());
  const amount = Number(match?.[1]);
  const unit = match?.[2] ?? "";
  if (match !== null && /^[kmgt]b$/.test(unit)) {
    const letter = unit.charAt(0).toUpperCase();
    throw new FormatError(
      `expected ${match[1]}${letter}iB (1024-based) instead of the ambiguous ${quote(text)}`,
    );
  }
  if (match !== null && unit === "%") {
    if (amount > 100) {
      throw new FormatError(`expected at most 100% of memory, not ${quote(text)}`);
    }
    return Math.floor(totalBytes * amount / 100);
  }
  const unitBytes = Object.hasOwn(UNIT_BYTES, unit) ? UNIT_BYTES[unit] : undefined;
  if (match === null || unitBytes === undefined) {
    const comma = DECIMAL_COMMA.exec(text.trim());
    if (comma !== null) {
      throw new FormatError(
        `expected a point instead of the comma, ${comma[1]}.${comma[2]}, not ${quote(text)}`,
      );
    }
    throw new FormatError(
      `expected a size such as 64MiB, 4G, 512K, 25% (of memory) or a number of bytes, not ${
        quote(text)
      }${unitMeant(text, SIZE_UNITS)}`,
    );
  }
  const bytes = Math.floor(amount * unitBytes);
  if (bytes > Number.MAX_SAFE_INTEGER) {
    throw new FormatError(`expected a size below 8192 TiB, not ${quote(text)}`);
  }
  return bytes;
}

/** The smallest page of any machine that Linux runs on; all others are multiples of it. */
const PAGE_BYTES_MIN = 4096;
/** No program runs in less: who wrote a smaller bare number meant another unit. */
const BARE_BYTES_MIN = 2 ** 20;

/**
 * Reads a size that somebody will be held to. As {@link parseSizeBytes}, but a bare number must be
 * one that can be meant in bytes: 0, or whole pages and at least 1 MiB. People who come from Slurm
 * or `ulimit -v` write megabytes or kilobytes without a unit. `4096B` says that bytes are meant.
 *
 * @throws {FormatError} As {@link parseSizeBytes}; and for such a number, with what was perhaps meant.
 */
export function parseAmountBytes(
  text: string,
  totalBytes: number,
  pageBytes: number = PAGE_BYTES_MIN,
): number {
  const bytes = parseSizeBytes(text, totalBytes);
  const bare = text.trim();
  if (!/^[\d.]+$/.test(bare) || bytes === 0) return bytes;
  if (bytes < BARE_BYTES_MIN) {
    throw new FormatError(
      `expected a size with a unit such as ${bare}MiB or ${bare}KiB (${bare}B if bytes are ` +
        `meant), not ${quote(text)}`,
    );
  }
  if (bytes % pageBytes !== 0) {
    throw new FormatError(
      `expected a size with a unit, or bytes in whole pages of ${pageBytes} (${bare}B to have ` +
        `them rounded down), not ${quote(text)}`,
    );
  }
  return bytes;
}

/**
 * Whole pages in a number of bytes, rounded down: a limit never allows more than what was asked.
 *
 * @param bytes 0 or more.
 * @param pageBytes Bytes of a page.
 */
export function bytesToPages(bytes: number, pageBytes: number): number {
  return Math.floor(bytes / pageBytes);
}

const UNIT_NAMES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/**
 * Bytes for people: `512 B`, `64.0 MiB`, `-1.5 GiB`. One decimal, so not for arithmetic. Not
 * @std/fmt's `format`, because pipeline/ has no packages, and its `64 MiB` beside `64.1 MiB` does not line
 * up in a table.
 *
 * @param bytes Any finite number.
 */
export function formatBytes(bytes: number): string {
  let value = Math.abs(bytes);
  let unit = 0;
  // 1023.95 would be shown as 1024.0.
  while (value >= (unit === 0 ? 1024 : 1023.95) && unit < UNIT_NAMES.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 ? String(Math.round(value)) : value.toFixed(1);
  return `${bytes < 0 ? "-" : ""}${digits} ${UNIT_NAMES[unit]}`;
}
