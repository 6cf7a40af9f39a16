/**
 * The metrics of a machine with many limited users: how long one answer to a scrape takes. 10 000 users
 * are to take less than 50 ms.
 *
 * @module
 */
import { KillCounts } from "../service/metrics/kill_counts.ts";
import { Metrics } from "../service/metrics/metrics.ts";
import { FAKE_STATUS } from "../tests/_support/fake_control.ts";

for (const users of [10, 1000, 10_000]) {
  const report = {
    ...FAKE_STATUS,
    users: Array.from({ length: users }, (_, index) => ({
      ...FAKE_STATUS.users[0]!,
      uid: 60_000 + index,
      user: `user${index}`,
      usagePages: index * 17,
      growthPagesPerSecond: index % 7 / 10,
    })),
  };
  let nowMs = 0;
  const metrics = new Metrics({
    status: () => report,
    kills: new KillCounts(),
    cost: () => ({ cpuSeconds: 1, startSeconds: 1, openFds: 40 }),
    denoVersion: Deno.version.deno,
    nowMs: () => nowMs,
  });
  Deno.bench({
    name: `${users} users`,
    group: "metrics",
    baseline: users === 10,
    fn: () => {
      nowMs += 1000; // An answer of a moment ago would be given again.
      metrics.render("prometheus");
    },
  });
}
