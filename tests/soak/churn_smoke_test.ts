/** Ten seconds of the churn, without faults: `deno task churn --minutes 30` is the real one. */
import { assert, assertEquals } from "@std/assert";
import { hasFile, needing } from "../_support/real_kernel.ts";
import { E2E_POSSIBLE } from "../_support/workload.ts";

Deno.test({
  ...needing(
    E2E_POSSIBLE && ["/usr/bin/cc", "/usr/bin/unshare"].every(hasFile),
    "root, tracefs with rss_stat, a C compiler and unshare",
    "a churn of scratch users: no wrong kill, none that was needless, nobody over for long",
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
    const { survived, wrong, foreign, needlessSecond, problems, kills } = report;
    const what = JSON.stringify(report);
    assertEquals([survived, wrong, foreign, needlessSecond, problems], [true, 0, 0, 0, []], what);
    assert(kills > 0 && what.includes("longestOverMs"), what);
  },
});
