/** CPUs that others have, and times in which toom does not run: it goes on where it was. */
import { assert, assertEquals } from "@std/assert";
import { assertBooksTrue } from "../_support/books_true.ts";
import { hasFile, mayBeRealTime, spawnAs } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { Workload } from "../_support/workload.ts";
import { assertEnforced, CHAOS_LIMIT, CHAOS_UID, slow } from "./chaos.ts";

const STOPPED_MS = 3000;
const LOAD_CPU_SECONDS = 5;
/**
 * The kernel ends each after some time on a CPU: where nobody else gets one, nobody else can. It must not
 * be a program that waits for the time, which gets no CPU either.
 */
const SPIN = [
  "/usr/bin/prlimit",
  `--cpu=${LOAD_CPU_SECONDS}:${LOAD_CPU_SECONDS}`,
  ...["/bin/sh", "-c", "while :; do :; done"],
];
const CPUS = navigator.hardwareConcurrency;
const CHRT = "/usr/bin/chrt";

for (
  const [name, command] of [
    ["nice -20", ["/usr/bin/nice", "-n", "-20", ...SPIN]],
    ["SCHED_FIFO 1", [CHRT, "-f", "1", ...SPIN]],
  ] as const
) {
  Deno.test({
    ...slow(
      `all CPUs loaded at ${name}: kills go on`,
      mayBeRealTime() && [CHRT, SPIN[0]!].every(hasFile)
        ? name.includes("FIFO") && Deno.env.get("TOOM_CHAOS") !== "all"
          ? "TOOM_CHAOS=all, as nobody else on the machine gets a CPU for seconds"
          : undefined
        : "real-time priority, chrt and prlimit",
    ),
    fn: async () => {
      await using toom = await Toom.start([CHAOS_LIMIT]);
      await using load = new AsyncDisposableStack();
      for (let i = 0; i < CPUS + 1; i++) load.use(spawnAs(0, command));
      for (let i = 0; i < 3; i++) await assertEnforced(toom);
      assertEquals(toom.of("worker-restart"), []);
      await load.disposeAsync();
      await assertEnforced(toom);
      await assertBooksTrue(toom, CHAOS_UID);
    },
  });
}

Deno.test({
  ...slow("toom is stopped for seconds (SIGSTOP): it catches up, and kills nobody for the past"),
  fn: async () => {
    await using toom = await Toom.start([CHAOS_LIMIT]);
    await using small = await new Workload(CHAOS_UID, "hold", 4).until("held");
    await assertEnforced(toom);
    toom.signal("SIGSTOP");
    // One that comes and goes meanwhile, one that is above the limit afterwards.
    await using gone = new Workload(CHAOS_UID, "hold", 10);
    await gone.until("held");
    await gone.close();
    await using hog = new Workload(CHAOS_UID, "hold", 64);
    await new Promise((resolve) => setTimeout(resolve, STOPPED_MS));
    toom.signal("SIGCONT");
    assertEquals((await hog.end()).signal, "SIGKILL");
    await assertBooksTrue(toom, CHAOS_UID);
    assert(small.alive, "who was below all the time lives");
    const kills = toom.of("kill").map(({ pid }) => pid);
    assert(!kills.includes(gone.pid) && !kills.includes(small.pid));
    await assertEnforced(toom);
    assertEquals(toom.errors, []);
  },
});
