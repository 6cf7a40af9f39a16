import { assertEquals } from "@std/assert";
import { Member } from "../../../pipeline/memory/layout.ts";
import { type RollupKib, sharesOf, type StatusKib } from "../../../pipeline/books/smaps_shares.ts";
import { COUNT_MASK } from "../../sim/kernel/tasks.ts";

const NOTHING: RollupKib = {
  anonymousKib: 0,
  pssAnonKib: 0,
  pssFileKib: 0,
  pssShmemKib: 0,
  swapKib: 0,
  swapPssKib: 0,
  lazyFreeKib: 0,
  privateKib: 0,
  sharedKib: 0,
};
const STATUS: StatusKib = { rssFileKib: 0, rssShmemKib: 0, vmSwapKib: 0 };
const CONTEXT = { countMask: COUNT_MASK, pageBytes: 4096 };

function shares(
  rollup: Partial<RollupKib>,
  status: Partial<StatusKib> = {},
  after: Partial<StatusKib> = status,
  countMask = COUNT_MASK,
): ReturnType<typeof sharesOf> {
  const full = { ...NOTHING, ...rollup };
  return sharesOf(full, { ...STATUS, ...status }, { ...STATUS, ...after }, {
    ...CONTEXT,
    countMask,
  });
}

Deno.test("who shares nothing has no credit", () => {
  assertEquals(shares({ anonymousKib: 400, pssAnonKib: 400, privateKib: 400 }), {
    sharedPages: 0,
    creditPages: 0,
    mappedCreditPages: 0,
    shareablePages: 0,
    lazyPages: 0,
  });
});

Deno.test("what nine processes have is a ninth of each one's, and all of it stays if one ends", () => {
  const found = shares({ anonymousKib: 3600, pssAnonKib: 400, privateKib: 0 });
  assertEquals([found.creditPages, found.sharedPages], [800, 900]);
});

Deno.test("shmem, swap, and file only where it counts; of a moving counter the larger value", () => {
  const rollup = { pssShmemKib: 40, swapKib: 80, swapPssKib: 20, pssFileKib: 8, sharedKib: 480 };
  const status = { rssShmemKib: 80, vmSwapKib: 80, rssFileKib: 400 };
  assertEquals(shares(rollup, status).creditPages, 10 + 15);
  assertEquals(shares(rollup, status).shareablePages, 10);
  const withFile = shares(rollup, status, status, COUNT_MASK | 1 << Member.file);
  assertEquals([withFile.creditPages, withFile.shareablePages], [10 + 15 + 98, 12]);
  assertEquals(shares(rollup, status, { ...status, rssShmemKib: 0 }).creditPages, 25);
  // What it mapped since its page tables were walked is shared by nobody, as far as these tell.
  const moving = { ...rollup, sharedKib: 20 };
  const found = shares(moving, status, { ...status, rssShmemKib: 4000 });
  assertEquals([found.creditPages, found.mappedCreditPages], [5 + 15, 5]);
  // Swapped shmem stands in the rollup, and in no counter.
  assertEquals(shares({ swapKib: 800, swapPssKib: 0 }, { vmSwapKib: 40 }).creditPages, 10);
});

Deno.test("lazily freed pages are credited, but not those that may be shared", () => {
  const alone = shares({ anonymousKib: 400, pssAnonKib: 400, lazyFreeKib: 300, privateKib: 400 });
  assertEquals([alone.creditPages, alone.lazyPages, alone.sharedPages], [75, 75, 75]);
  // 100 KiB of credit may be 200 KiB of shared pages, all of them lazily freed.
  const shared = shares({ anonymousKib: 400, pssAnonKib: 300, lazyFreeKib: 300, privateKib: 200 });
  assertEquals([shared.creditPages, shared.lazyPages], [50, 25]);
});

Deno.test("parts of pages are rounded so that nobody is charged too much", () => {
  assertEquals(shares({ anonymousKib: 8, pssAnonKib: 5 }).creditPages, 1);
  assertEquals(shares({ pssShmemKib: 1 }, { rssShmemKib: 4 }).shareablePages, 1);
});
