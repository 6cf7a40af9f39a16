/**
 * What the fake kernel's processes have in truth: what the books are compared with.
 *
 * @module
 */
import type { FakeKernel } from "./fake_kernel.ts";
import { countedPages, type FakeMm, type FakePage } from "./tasks.ts";

/** Counted pages of mms. */
export function pagesOf(mms: Iterable<FakeMm>, mask: number): number {
  let sum = 0;
  for (const mm of mms) sum += countedPages(mm, mask);
  return sum;
}

/** The mms that a user's living processes run on. */
export function mmsOf(kernel: FakeKernel, uid: number): Set<FakeMm> {
  const mms = new Set<FakeMm>();
  for (const process of kernel.processes.values()) {
    if (process.uid === uid && process.state === "alive") mms.add(process.mm);
  }
  return mms;
}

/** Counted pages of a user. */
export function usagePages(kernel: FakeKernel, uid: number): number {
  return pagesOf(mmsOf(kernel, uid), kernel.countMaskOf(uid));
}

/** As {@link usagePages}, but what several mms have counts once: the sum of their parts of it. */
export function chargedPages(kernel: FakeKernel, uid: number): number {
  const countMask = kernel.countMaskOf(uid);
  let sum = 0;
  for (const { held } of mmsOf(kernel, uid)) {
    held.forEach((pages, member) => {
      if ((countMask >> member) & 1) { for (const { refs } of pages) sum += 1 / refs; }
    });
  }
  return sum;
}

/** Pages that a user's mms hold but for some of them, each page once. */
export function heldPages(
  kernel: FakeKernel,
  uid: number,
  without: ReadonlySet<FakeMm> = new Set(),
): number {
  const countMask = kernel.countMaskOf(uid);
  const pages = new Set<FakePage>();
  for (const mm of mmsOf(kernel, uid)) {
    if (without.has(mm)) continue;
    mm.held.forEach((held, member) => {
      if ((countMask >> member) & 1) { for (const page of held) pages.add(page); }
    });
  }
  return pages.size;
}
