import { assertEquals } from "@std/assert";
import { rehearseLines, rehearsePages } from "../../../kernel/trace/rehearsal.ts";
import { captureFormats, PAGE_BYTES } from "../../_support/captures.ts";

Deno.test("rehearsed pages hold what real ones hold, and all of it is read", () => {
  // 48 events of memory a page; every 8th has 4 of life besides (the captures know no oomVictim),
  // every 8th 3 more of memory; two in 32 tell of a loss.
  const reads = 32;
  const expected = reads * 48 + 4 * 4 + 4 * 3 + 2;
  assertEquals(rehearsePages(captureFormats(), 1, reads), expected);
  assertEquals(rehearsePages(captureFormats(), 3, reads), expected);
});

Deno.test("rehearsed lines hold what real ones hold, and all of it is read", () => {
  assertEquals(rehearseLines(PAGE_BYTES, 1), 64);
  assertEquals(rehearseLines(PAGE_BYTES, 3000), 3000 * 64, "cut anywhere");
});
