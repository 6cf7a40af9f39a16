/**
 * Lowered values that say whose they are. The kernel compares whole pages (`rlimit(RLIMIT_DATA) >>
 * PAGE_SHIFT`, may_expand_vm() of mm/vma.c), so the bits below a page are free: they hold the number
 * of the family. A child inherits the value with its mark.
 *
 * Shells set multiples of 1024 bytes (`ulimit -d`), whose low ten bits are 0: no mark is such a value.
 *
 * @module
 */

import { UNLIMITED } from "./brake_kernel.ts";

/** Bits of the smallest page, 4 KiB; larger pages have them free too. */
const MARK_BITS = 12n;
const MARK_MASK = (1n << MARK_BITS) - 1n;
const KIB_MASK = 1023;

/** Numbers of families: 1 to this. */
export const FAMILY_ID_MAX = Number(MARK_MASK);

/** Whether a number may be a family's. */
export function isFamilyId(id: number): boolean {
  return Number.isInteger(id) && id > 0 && id <= FAMILY_ID_MAX && (id & KIB_MASK) !== 0;
}

/** A soft limit of so many pages with the mark of a family, bytes. */
export function markedBytes(pages: number, pageBytes: number, id: number): bigint {
  return BigInt(pages) * BigInt(pageBytes) + BigInt(id);
}

/** Number of the family that a soft limit is marked with; 0: it has no mark. */
export function familyIdOf(softBytes: bigint): number {
  // All bits of it are set, those of a mark too.
  if (softBytes === UNLIMITED) return 0;
  const id = Number(softBytes & MARK_MASK);
  return isFamilyId(id) ? id : 0;
}
