/**
 * Texts of /proc as bytes: words, numbers, fields and lines, without making strings of them.
 *
 * @module
 */

const NEWLINE = 10;
const SPACE = 32;
const MINUS = 45;
const DIGIT_0 = 48;
const DIGIT_9 = 57;
const CLOSING_PARENTHESIS = 41;

/** Bytes of a text that is ASCII. */
export const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

export function startsWith(bytes: Uint8Array, at: number, key: Uint8Array): boolean {
  for (let index = 0; index < key.length; index++) {
    if (bytes[at + index] !== key[index]) return false;
  }
  return true;
}

export function isDigit(byte: number): boolean {
  return byte >= DIGIT_0 && byte <= DIGIT_9;
}

/** Position of the first byte from `at` on that is no blank. */
export function skipBlanks(bytes: Uint8Array, at: number): number {
  while (bytes[at] === SPACE || bytes[at] === 9) at++;
  return at;
}

/** The decimal number at `at`, after blanks; a sign is understood. No digits: 0. */
export function numberAt(bytes: Uint8Array, at: number): number {
  at = skipBlanks(bytes, at);
  const negative = bytes[at] === MINUS;
  if (negative) at++;
  let value = 0;
  for (let digit = bytes[at]!; digit >= DIGIT_0 && digit <= DIGIT_9; digit = bytes[++at]!) {
    value = value * 10 + (digit - DIGIT_0);
  }
  return negative ? -value : value;
}

/** Position after the number or word at `at`, blanks before it included. */
export function skipWord(bytes: Uint8Array, at: number): number {
  at = skipBlanks(bytes, at);
  while (bytes[at] !== SPACE && bytes[at] !== 9 && bytes[at] !== NEWLINE && at < bytes.length) at++;
  return at;
}

export function nextLine(bytes: Uint8Array, line: number, length: number): number {
  const newline = bytes.indexOf(NEWLINE, line);
  return newline === -1 ? length : newline + 1;
}

/**
 * A field of /proc/PID/stat by the number of the manual page, 4 and up. The name in field 2 may hold
 * anything, parentheses and blanks included, so fields are counted from the last parenthesis.
 */
export function statField(bytes: Uint8Array, length: number, field: number): number {
  let at = bytes.lastIndexOf(CLOSING_PARENTHESIS, length - 1) + 1;
  for (let skipped = 3; skipped < field; skipped++) at = skipWord(bytes, at);
  return numberAt(bytes, at);
}

/** Text of bytes: printable ASCII as it is, backslashes doubled, all else as `\n`, `\t` or `\xNN`. */
export function printable(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    if (byte === 0x5c) text += "\\\\";
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else if (byte === NEWLINE) text += "\\n";
    else if (byte === 9) text += "\\t";
    else text += `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return text;
}
