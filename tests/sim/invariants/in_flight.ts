/**
 * What accounting cannot know of yet: changes whose events are in the kernel's buffers, overwritten
 * there and not told of, or in a ring.
 *
 * @module
 */
import type { FakeKernel } from "../kernel/fake_kernel.ts";
import type { ReaderRole } from "../roles/reader.ts";

/** Time of the oldest event that accounting has not taken; Infinity: it has all. */
export function oldestInFlightNs(kernel: FakeKernel, readers: Iterable<ReaderRole>): number {
  let oldestNs = kernel.tracing.oldestNs();
  for (const reader of readers) oldestNs = Math.min(oldestNs, reader.oldestNs());
  return oldestNs;
}

/** Counted pages of a user that accounting cannot know of yet, at most. */
export function inFlightPages(kernel: FakeKernel, uid: number, oldestNs: number): number {
  let sum = 0;
  const { changes } = kernel;
  for (let i = changes.length - 1; i >= 0; i--) {
    const { tsNs, uids, pages } = changes[i]!;
    if (tsNs < oldestNs) break;
    if (uids.has(uid)) sum += pages;
  }
  return sum;
}
