/**
 * What a key of the coordinator's first set of handles means: a kind in the high bits, a number in the
 * low ones.
 *
 * @module
 */
export const KeyKind = {
  /** {@link KEY_WAKE} and the listeners behind it, in their order. */
  special: 0,
  user: 0x2000_0000,
  /** Its number is the pid. */
  process: 0x4000_0000,
} as const;

const KIND_MASK = 0x6000_0000;
export const KEY_NUMBER_MASK = 0x1fff_ffff;

export const KEY_WAKE = 0;
export const KEY_LISTENER = 1;

export function kindOf(key: number): number {
  return key & KIND_MASK;
}

export function numberOf(key: number): number {
  return key & KEY_NUMBER_MASK;
}
