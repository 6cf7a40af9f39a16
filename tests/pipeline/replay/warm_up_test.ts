import { assertEquals } from "@std/assert";
import { Member } from "../../../pipeline/memory/layout.ts";
import { VICTIM_POLICIES } from "../../../pipeline/memory/settings.ts";
import {
  PaperKillKernel,
  REFRESH_KILLS,
  WARM_UP_KILLS,
  warmUp,
} from "../../../pipeline/replay/warm_up.ts";

Deno.test("warmUp() goes the whole way: each rehearsed kill is one", () => {
  for (const policy of VICTIM_POLICIES) {
    for (const kills of [WARM_UP_KILLS, REFRESH_KILLS]) {
      const signalled: number[] = [];
      const kernel = new class extends PaperKillKernel {
        override kill(handle = 0, _pid = 0, signal = 0): number {
          if (signal !== 0) signalled.push(handle);
          return super.kill();
        }
      }();
      let signs = 0;
      const options = { kills, policy, countMask: 1 << Member.anon, kernel };
      assertEquals(warmUp({ ...options, alive: () => signs++ }), kills, policy);
      assertEquals(signs, kills);
      assertEquals(signalled.length, kills, policy);
      assertEquals(new Set(signalled).size, signalled.length, policy);
    }
  }
});
