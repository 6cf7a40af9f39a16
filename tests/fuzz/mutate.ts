/**
 * Damages right input at random.
 *
 * @module
 */
import type { Random } from "../_support/random.ts";

/** No input is longer. */
export const INPUT_BYTES_MAX = 8192;
/** Values at which numbers, lengths and signs go wrong. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff] as const;
const WORDS = [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 4096] as const;
const PIECES = ["\n", "\0", ":", "-", '"', "{", "}", "[", "9".repeat(20), "\r\n", "%", "\u{fffd}"];

/** A damaged copy of one of a corpus, cut to {@link INPUT_BYTES_MAX}. */
export function damaged(random: Random, corpus: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const origin = random.pick(corpus);
  const from = origin.length > INPUT_BYTES_MAX
    ? random.below(origin.length - INPUT_BYTES_MAX) & ~7
    : 0;
  let bytes = Uint8Array.from(origin.subarray(from, from + INPUT_BYTES_MAX));
  for (let left = random.below(8); left > 0; left--) bytes = change(random, bytes, corpus);
  return bytes.length > INPUT_BYTES_MAX ? bytes.slice(0, INPUT_BYTES_MAX) : bytes;
}

function change(
  random: Random,
  bytes: Uint8Array<ArrayBuffer>,
  corpus: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const at = random.below(bytes.length + 1);
  switch (random.below(9)) {
    case 0:
      if (at < bytes.length) bytes[at]! ^= 1 << random.below(8);
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = random.below(256);
      return bytes;
    case 2:
      if (at < bytes.length) bytes[at] = random.pick(EDGES);
      return bytes;
    case 3: {
      const word = at & ~3;
      if (word + 4 > bytes.length) return bytes;
      new DataView(bytes.buffer).setUint32(word, random.pick(WORDS), true);
      return bytes;
    }
    case 4:
      return bytes.slice(0, at);
    case 5:
      return joined(bytes.subarray(0, at), bytes.subarray(at + random.between(1, 40)));
    case 6: {
      const piece = bytes.subarray(at, at + random.between(1, 60));
      return joined(bytes.subarray(0, at), piece, bytes.subarray(at));
    }
    case 7: {
      const other = random.pick(corpus);
      const start = random.below(other.length + 1);
      const piece = other.subarray(start, start + random.between(1, 200));
      return joined(bytes.subarray(0, at), piece, bytes.subarray(at));
    }
    default: {
      const piece = new TextEncoder().encode(random.pick(PIECES));
      return joined(bytes.subarray(0, at), piece, bytes.subarray(at));
    }
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
