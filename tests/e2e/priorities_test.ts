import { assert, assertEquals } from "@std/assert";
import { FIFO_PRIORITY } from "../../workers/priorities.ts";
import { hasTracefs, mayBeRealTime, needing, threadsOf } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";

const SCHED_FIFO = 1;

Deno.test({
  ...needing(
    hasTracefs() && mayBeRealTime(),
    "root, tracefs, and real-time priority",
    "nobody on the way to a kill waits for an ordinary task",
  ),
  fn: async () => {
    await using toom = await Toom.start(["--limit=60031=1GiB"]);
    const threads = threadsOf(toom.pid);
    for (
      const [name, priority] of [
        ["toom-reader0", FIFO_PRIORITY.reader],
        ["toom-accounting", FIFO_PRIORITY.accounting],
        ["toom-killer", FIFO_PRIORITY.killer],
      ] as const
    ) {
      const thread = threads.find((one) => one.name === name);
      assertEquals(thread, { name, priority, policy: SCHED_FIFO });
    }
    const compilers = threads.filter(({ name }) => name.startsWith("V8"));
    assert(compilers.length > 0, `V8 has threads: ${threads.map(({ name }) => name)}`);
    for (const { name, priority, policy } of compilers) {
      assertEquals([name, policy, priority], [name, SCHED_FIFO, FIFO_PRIORITY.compiler]);
    }
    const others = threads.filter(({ name }) => name === "deno");
    assert(others.length > 0 && others.every(({ policy }) => policy !== SCHED_FIFO), "the rest");
  },
});
