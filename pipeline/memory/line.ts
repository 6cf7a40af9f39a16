/**
 * The unit by which words of different writers are kept apart.
 *
 * @module
 */

/** Distance between words of different writers: two cache lines, for the adjacent-line prefetcher. */
export const LINE_BYTES = 128;
export const LINE_WORDS = LINE_BYTES / 4;
