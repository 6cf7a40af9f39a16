import { assert } from "@std/assert";
import { MonotonicClock } from "../../kernel/clock.ts";
import "../_support/real_kernel.ts";

Deno.test("MonotonicClock.nowNs() never goes back and keeps the pace of performance.now()", async () => {
  const clock = new MonotonicClock();
  const startNs = clock.nowNs();
  const startMs = performance.now();
  let last = startNs;
  for (let round = 0; round < 10_000; round++) {
    const now = clock.nowNs();
    assert(now >= last);
    last = now;
  }
  await new Promise((resolve) => setTimeout(resolve, 30));
  const differenceMs = (clock.nowNs() - startNs) / 1e6 - (performance.now() - startMs);
  assert(Math.abs(differenceMs) < 5, `${differenceMs} ms`);
});

Deno.test("MonotonicClock.nowNs() is the time since the boot, suspension apart", () => {
  const uptimeS = Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]);
  const nowS = new MonotonicClock().nowNs() / 1e9;
  assert(nowS > 0 && nowS <= uptimeS + 1, `${nowS} > ${uptimeS}`);
});
