/**
 * Records by hand.
 *
 * @module
 */
import { assert } from "@std/assert";
import { CPU_SHIFT, RecordWord } from "../../pipeline/memory/layout.ts";
import type { Codec, Fields } from "../../pipeline/messages/codec.ts";
import type { RecordWriter } from "../../pipeline/messages/record_writer.ts";

/** Some fields of a record; the others are 0. */
export type Values<F extends Fields> = { readonly [Name in keyof F]?: number };

/** Writes a record. */
export function writeRecord<F extends Fields>(
  writer: RecordWriter,
  codec: Codec<F>,
  tsNs: number,
  values: Values<F>,
): void {
  Object.assign(writer.open(codec, tsNs), values);
  writer.close();
}

/** Writes the words of a record as they are: for a kernel that is not there. */
export function writeWords(
  { ring }: RecordWriter,
  tsNs: number,
  kind: number,
  cpu: number,
  words: readonly [tid: number, a: number, b: number, c: number, d: number],
): void {
  const word = ring.claim();
  assert(word >= 0, "the ring is full");
  ring.doubles[word >> 1] = tsNs;
  ring.words[word + RecordWord.kindCpu] = kind | cpu << CPU_SHIFT;
  ring.words.set(words, word + RecordWord.tid);
  ring.advance();
}
