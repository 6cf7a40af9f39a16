import { assert, assertEquals } from "@std/assert";
import { allowedCpus } from "../../kernel/process/affinity.ts";
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
      assertEquals([thread?.priority, thread?.policy], [priority, SCHED_FIFO], name);
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

for (const option of ["--source=raw", "--source=text", "--readers=2"]) {
  Deno.test({
    ...needing(
      hasTracefs() && allowedCpus().length > 1,
      "root, tracefs, and two CPUs",
      `accounting and killer share the last CPU, with a reader that has little to do (${option})`,
    ),
    fn: async () => {
      await using toom = await Toom.start(["--limit=60031=1GiB", option]);
      const last = `${allowedCpus().at(-1)}`;
      const onLast = threadsOf(toom.pid)
        .filter(({ cpus }) => cpus === last).map(({ name }) => name).sort();
      const reader = option === "--source=raw" ? ["toom-reader0"] : [];
      assertEquals(onLast, ["toom-accounting", "toom-killer", ...reader]);
    },
  });
}
