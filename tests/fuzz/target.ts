/**
 * What is fuzzed.
 *
 * @module
 */

export interface FuzzTarget {
  readonly name: string;
  /** Right input, which is damaged. */
  readonly corpus: readonly Uint8Array[];
  /** Throws, or rejects, when the input shows a mistake of the code. */
  readonly take: (bytes: Uint8Array<ArrayBuffer>) => void | Promise<void>;
}

/** Bytes as text, as files are read. */
export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Does something that may fail in one way, and in no other. */
export function only(kind: new (...args: never[]) => Error, action: () => unknown): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof kind)) throw error;
  }
}
