/**
 * Ten seconds of the churn, without faults: `deno task churn --minutes 30` is the real one. Whether a
 * user was over its limit at a kill is not asserted here: the witness samples, and falls behind on
 * CPUs that other tests load. Whom a kill hit, and whether it was the second, does not depend on that.
 */
import { assert, assertEquals } from "@std/assert";
import { hasFile, needing } from "../_support/real_kernel.ts";
import { E2E_POSSIBLE } from "../_support/workload.ts";

Deno.test({
  ...needing(
    E2E_POSSIBLE && ["/usr/bin/cc", "/usr/bin/unshare"].every(hasFile),
    "root, tracefs with rss_stat, a C compiler and unshare",
    "a churn of scratch users: no kill hits another user, a well-behaved one, or a second in vain",
  ),
  fn: async () => {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        new URL("./churn.ts", import.meta.url).pathname,
        "--minutes=0.17",
        "--no-faults",
        `--seed=${Deno.env.get("SEED") ?? 7}`,
      ],
    }).output();
    const text = new TextDecoder().decode(stdout);
    assert(text.startsWith("{"), `${text}${new TextDecoder().decode(stderr)}`);
    const { status: _, ...report } = JSON.parse(text);
    const { survived, foreign, needlessSecond, problems, kills, findings } = report;
    const innocent = findings.filter(({ kind }: { kind: string }) => kind !== "not-over");
    const what = JSON.stringify(report);
    assertEquals(
      [survived, foreign, needlessSecond, problems, innocent],
      [true, 0, 0, [], []],
      what,
    );
    assert(kills > 0, what);
  },
});
