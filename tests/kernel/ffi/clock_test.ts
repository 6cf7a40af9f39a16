import { assert } from "@std/assert";
import { MonotonicClock } from "../../../kernel/ffi/clock.ts";
import "../../_support/real_kernel.ts";

Deno.test("MonotonicClock.nowNs() never goes back and keeps the pace of performance.now()", async () => {
  const clock = new MonotonicClock();
  // The reading of one clock lies between two of the other, however long that takes.
  const earliestMs = performance.now();
  const startNs = clock.nowNs();
  const startMs = performance.now();
  let last = startNs;
  for (let round = 0; round < 10_000; round++) {
    const now = clock.nowNs();
    assert(now >= last);
    last = now;
  }
  await new Promise((resolve) => setTimeout(resolve, 30));
  const leastMs = performance.now() - startMs;
  const tookMs = (clock.nowNs() - startNs) / 1e6;
  const mostMs = performance.now() - earliestMs;
  assert(tookMs > leastMs - 1 && tookMs < mostMs + 1, `${leastMs} < ${tookMs} < ${mostMs} ms`);
});

Deno.test("MonotonicClock.nowNs() is the time since the boot, suspension apart", () => {
  const uptimeS = Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]);
  const nowS = new MonotonicClock().nowNs() / 1e9;
  assert(nowS > 0 && nowS <= uptimeS + 1, `${nowS} > ${uptimeS}`);
});
