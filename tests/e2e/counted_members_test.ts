/** Limits that say what counts for their users: set while toom runs, put right, and enforced. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, truePages, Workload } from "../_support/workload.ts";

const UID = 60027;
const OTHER = 60028;

for (const source of ["bpf", "raw"]) {
  Deno.test({
    ...needing(
      E2E_POSSIBLE,
      E2E_NEEDS,
      `what counts is a limit's own, from when it is set (${source})`,
    ),
    fn: async () => {
      await using toom = await Toom.start([
        `--limit=${UID}=96MiB`,
        `--limit=${OTHER}=96MiB`,
        `--source=${source}`,
      ]);
      await using first = await new Workload(UID, "hold", 40).until("held");
      await using second = await new Workload(OTHER, "hold", 40).until("held");
      const set = async (...words: readonly string[]): Promise<void> => {
        const { code, err } = await toom.command("limit", "set", ...words);
        assertEquals(code, 0, err);
      };
      const exact = async (): Promise<void> => {
        const { code, out, err } = await toom.command("doctor", "--audit");
        assertEquals(code, 0, `${out}${err}`);
        assertMatch(out, /the books of 2 users are true\n$/);
      };
      await set(String(UID), "96MiB", "--count", "rss");
      // Programs were made for users who do not differ.
      if (source === "bpf") await toom.waitFor("restart", () => true);
      await exact();
      const explained = await toom.command("explain", String(UID));
      assertMatch(explained.out, /of file\+anon\+shmem in 1 process,/);
      assert(await toom.usagePages(UID) > truePages(UID), "files count");
      // Of shared memory it has none; the other has as much as ever.
      await set(String(UID), "16MiB", "--count", "shmem");
      await exact();
      assert(await toom.usagePages(UID) < 256);
      assert(first.alive);
      // From here on it is over, and its page was never told of since.
      await set(String(UID), "16MiB", "--count", "anon", "--now");
      assertEquals((await first.end(10_000)).signal, "SIGKILL");
      await toom.waitFor("kill", ({ pid }) => pid === first.pid);
      // And one that comes by the limit that is in force, past the line.
      await using hog = new Workload(UID, "hold", 60);
      assertEquals((await hog.end()).signal, "SIGKILL");
      const kill = await toom.waitFor("kill", ({ pid }) => pid === hog.pid);
      if (source === "bpf") assertEquals(kill["trigger"], "kernel");
      assert(second.alive);
      assertEquals(toom.of("kill").length, 2);
      assertEquals(toom.of("error"), []);
    },
  });
}
