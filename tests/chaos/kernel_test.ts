/** Others watch the same events, and /proc hides things. */
import { assert, assertEquals } from "@std/assert";
import { findTracefs } from "../../kernel/trace/tracefs.ts";
import { whyNoBpf } from "../kernel/bpf/support.ts";
import { hasFile } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { Workload } from "../_support/workload.ts";
import { assertEnforced, CHAOS_LIMIT, CHAOS_UID, slow } from "./chaos.ts";

const UNSHARE = "/usr/bin/unshare";
Deno.test({
  ...slow("others trace the same events meanwhile"),
  fn: async () => {
    const instance = `${findTracefs()}/instances/chaos-${Deno.pid}`;
    await Deno.mkdir(instance);
    try {
      for (const event of ["kmem/rss_stat", "sched/sched_process_exec", "task/task_newtask"]) {
        await Deno.writeTextFile(`${instance}/events/${event}/enable`, "1");
      }
      for (const source of ["bpf", "raw"]) {
        if (source === "bpf" && whyNoBpf() !== undefined) continue;
        await using toom = await Toom.start([CHAOS_LIMIT, `--source=${source}`]);
        for (let i = 0; i < 3; i++) await assertEnforced(toom);
        assertEquals([toom.errors, toom.of("tampered"), toom.of("lost")], [[], [], []]);
      }
    } finally {
      await Deno.writeTextFile(`${instance}/events/enable`, "0");
      await Deno.remove(instance);
    }
  },
});

Deno.test({
  ...slow(
    "/proc hides processes from other users (hidepid)",
    hasFile(UNSHARE) ? undefined : "unshare",
  ),
  fn: async () => {
    const script = 'mount -t proc -o hidepid=invisible proc /proc && exec "$@"';
    const wrapper = [UNSHARE, "-m", "--propagation", "private", "/bin/sh", "-c", script, "sh"];
    await using before = await new Workload(CHAOS_UID, "hold", 6).until("held");
    for (const source of ["auto", "raw"]) {
      await using toom = await Toom.start([CHAOS_LIMIT, `--source=${source}`], { wrapper });
      await assertEnforced(toom);
      assert(before.alive);
      assert(await toom.usagePages(CHAOS_UID) > 5 * 256, "who was there before is counted");
      assertEquals(toom.errors, []);
    }
  },
});
