/** A broken promise inside toom itself: never the user's fault, always a bug. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/**
 * Throws when a promise of docs/INVARIANTS.md, or of a function's own contract, does not hold.
 *
 * @param condition What must be true.
 * @param message What was promised, with the values that break it.
 */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
