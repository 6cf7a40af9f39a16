import { assert } from "@std/assert";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import { probeGrowth } from "../../../kernel/process/growth_probe.ts";

openLibc();

function mappings(): number {
  return Deno.readTextFileSync("/proc/self/maps").split("\n").length;
}

Deno.test("probeGrowth() tells bytes a nanosecond, and keeps nothing", () => {
  probeGrowth();
  const before = mappings();
  let most = 0;
  for (let number = 0; number < 20; number++) most = Math.max(most, probeGrowth());
  // 0: before Linux 5.14. Else between what a page fault each 4 KiB gives and what caches could.
  assert(most === 0 || most > 0.05 && most < 1000, `${most}`);
  assert(mappings() < before + 20, "mappings are left");
});
