/** A user asks what its own limit, usage and headroom are, without root. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Asker, type AskerAnswer } from "../_support/asker.ts";
import { canRunToom, runToomAs } from "../_support/other_user.ts";
import { needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, truePages, Workload } from "../_support/workload.ts";

const UID = 60345;
const OTHER_UID = 60346;
const FREE_UID = 60347;
const MIB = 1024 * 1024;
const NEAR_BYTES = MIB;

function near(actualBytes: number, expectedBytes: number, what: string): void {
  const mayGoBack = Math.abs(actualBytes - expectedBytes) <= NEAR_BYTES;
  assert(mayGoBack, `${what}: ${actualBytes}, not some ${expectedBytes} bytes`);
}

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "a user is told its own limit, usage and headroom"),
  fn: async (t) => {
    await using toom = await Toom.start([`--limit=${UID}=96MiB`, `--limit=${OTHER_UID}=64MiB`]);
    const usageBytes = (uid: number): number => truePages(uid) * 4096;
    const ask = async (uid: number): Promise<AskerAnswer> => {
      await using asker = await Asker.start(uid, toom.tmallocPath);
      return await asker.ask("query");
    };

    await t.step("with processes that never asked, and by one that never did", async () => {
      await using first = new Workload(UID, "hold", 20);
      await using second = new Workload(UID, "hold", 15);
      await using other = new Workload(OTHER_UID, "hold", 30);
      for (const one of [first, second, other]) await one.until("held");
      await using asker = await Asker.start(UID, toom.tmallocPath);
      const answer = await asker.ask("query");
      assertEquals([answer.status, answer.usage, answer.unlimited], [0, true, false]);
      assertEquals([answer.hard, answer.level], [96 * MIB, 0]);
      near(answer.bytes, usageBytes(UID), "usage");
      near(answer.committed, usageBytes(UID), "committed");
      assert(answer.resident > 0, "and its own");
      await using stranger = await Asker.start(OTHER_UID, toom.tmallocPath);
      const others = await stranger.ask("query");
      assertEquals(others.hard, 64 * MIB);
      near(others.bytes, usageBytes(OTHER_UID), "nobody gets another's numbers");

      const granted = await asker.ask("reserve", 10 * MIB);
      const { bytes, committed } = await asker.ask("query");
      assertEquals(granted.status, 0);
      near(bytes, usageBytes(UID), "what is promised is not used yet");
      near(committed, usageBytes(UID) + 10 * MIB, "but it cannot be had by others");
    });

    await t.step("at once after a login, and of a user with nothing else", async () => {
      const { bytes, committed, hard } = await ask(UID);
      assertEquals(hard, 96 * MIB);
      // The interpreter that asks.
      assert(bytes > MIB && bytes < 16 * MIB && committed >= bytes, `${bytes} and ${committed}`);
    });

    await t.step("what a user without a limit uses nobody counts", async () => {
      await using _hog = await new Workload(FREE_UID, "hold", 20).until("held");
      const { status, usage, unlimited, bytes, committed } = await ask(FREE_UID);
      assertEquals([status, usage, unlimited, bytes, committed], [0, false, true, 0, 0]);
    });

    await t.step({
      name: canRunToom(UID) ? "by toom status" : "by toom status [needs a toom that users can run]",
      ignore: !canRunToom(UID),
      fn: async () => {
        await using _hog = await new Workload(UID, "hold", 20).until("held");
        for (const words of [["status"], ["limit", "get", `${UID}`]]) {
          const args = [...words, `--control-socket=${toom.socketPath}`];
          const { code, out, err } = await runToomAs(UID, args);
          assertEquals([code, out], [3, ""], err);
          assertMatch(
            err,
            /^.*permission denied: only root may control toom, try sudo; you use [\d.]+ MiB of 96\.0 MiB, [\d.]+ MiB can still be had\n$/,
          );
        }
      },
    });

    assertEquals(toom.of("kill"), []);
  },
});
