/**
 * A ring: two lines of words, then the records.
 *
 *   line 0  tail            producer  records published, modulo 2^32
 *           producerParked  producer  1 while it sleeps until `head` moves
 *   line 1  head            consumer  records consumed, modulo 2^32
 *
 * @module
 */
import { LINE_BYTES, LINE_WORDS } from "./line.ts";

export const RingWord = {
  tail: 0,
  producerParked: 1,
  head: LINE_WORDS,
} as const;
export const RING_HEADER_BYTES = 2 * LINE_BYTES;
