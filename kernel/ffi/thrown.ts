/**
 * What was thrown: mostly an Error, but anything can be.
 *
 * @module
 */

/** What a thrown value says. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
