/**
 * Texts of lines as bytes, compared in place.
 *
 * @module
 */

const ZERO = 0x30;
const INT32_MAX = 0x7fffffff;

export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

export function byteSet(of: RegExp): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => of.test(String.fromCharCode(byte)) ? 1 : 0);
}

export function isDigit(byte: number): boolean {
  return byte >= ZERO && byte < ZERO + 10;
}

/** Whether the literal begins at `at`; past the end of a line it meets the newline. */
export function startsWith(bytes: Uint8Array, at: number, literal: Uint8Array): boolean {
  for (let i = 0; i < literal.length; i++) if (bytes[at + i] !== literal[i]) return false;
  return true;
}

/** Whether the literal ends before `end`. */
export function endsWith(bytes: Uint8Array, end: number, literal: Uint8Array): boolean {
  for (let i = literal.length; i-- > 0;) {
    if (bytes[--end] !== literal[i]) return false;
  }
  return true;
}

/** As an int32: the nearest that there is. */
export function saturate(value: number): number {
  return value > INT32_MAX ? INT32_MAX : value < -INT32_MAX - 1 ? -INT32_MAX - 1 : value | 0;
}
