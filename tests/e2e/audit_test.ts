/** toom doctor --audit: the books of a toom at work are true, and each difference has its reason. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, Workload } from "../_support/workload.ts";
import { SOURCES } from "../hostile/scene.ts";

const UID = 60026;

for (const source of SOURCES) {
  Deno.test({
    ...needing(E2E_POSSIBLE, E2E_NEEDS, `toom doctor --audit finds the books true (${source})`),
    fn: async () => {
      await using toom = await Toom.start([`--limit=${UID}=96MiB`, `--source=${source}`]);
      await using family = await new Workload(UID, "family", 40, 4).until("forked");
      await using crowd = await new Workload(UID, "crowd", 3, 2).until("here");
      // They would outlive it, and hold its output open.
      await using sharers = new AsyncDisposableStack();
      for (const pid of crowd.numbers("sharer")) sharers.defer(() => Deno.kill(pid, "SIGKILL"));
      await using shared = await new Workload(UID, "hold", 5, "shared").until("held");
      await using churn = await new Workload(UID, "churn", 2).until("here");
      const { code, out, err } = await toom.command("doctor", "--audit", `${UID}`);
      assertEquals(code, 0, `${out}${err}`);
      assertMatch(out, new RegExp(`^uid ${UID}: \\d+ processes, \\d+ of them as in the books; `));
      assertMatch(out, /the books of 1 users are true\n$/);
      const all = await toom.command("doctor", "--audit", "--json");
      const { ok, users } = JSON.parse(all.out);
      assertEquals([ok, users.length], [true, 1]);
      assert(family.alive && crowd.alive && shared.alive && churn.alive);
    },
  });
}
