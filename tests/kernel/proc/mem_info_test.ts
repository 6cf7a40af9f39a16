/** /proc/meminfo. */
import { assert, assertEquals } from "@std/assert";
import { readMemInfo } from "../../../kernel/proc/mem_info.ts";
// Opens libc before the test, which must not be blamed for it.
import "../../_support/real_kernel.ts";

Deno.test("readMemInfo() is in bytes", () => {
  const { totalBytes, availableBytes } = readMemInfo();
  assert(totalBytes >= availableBytes && availableBytes > 1 << 20);
  assertEquals(totalBytes % 1024, 0);
});
