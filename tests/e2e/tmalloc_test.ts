/** Programs that ask, over the real socket, against the real kernel. */
import { assert, assertEquals } from "@std/assert";
import { Asker } from "../_support/asker.ts";
import { needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE } from "../_support/workload.ts";

const UID = 60030;
const CLAIM_UID = 60031;
const FREE_UID = 60032;
const MIB = 1024 * 1024;
const ENOMEM = 12;
const ETIMEDOUT = 110;
const EDQUOT = 122;

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run answers programs that ask for memory"),
  fn: async (t) => {
    await using toom = await Toom.start([
      `--limit=${UID}=64MiB`,
      `--limit=${CLAIM_UID}=100MiB`,
      "--debug-faults",
    ]);
    const start = (uid: number): Promise<Asker> => Asker.start(uid, toom.tmallocPath);

    await t.step("grants what fits, refuses what does not, and logs it", async () => {
      await using asker = await start(UID);
      const first = await asker.ask("reserve", 10 * MIB);
      assertEquals([first.status, first.bytes, first.hard], [0, 10 * MIB, 64 * MIB]);
      assert(first.level > 10 * MIB, "what it had before counts too");
      const second = await asker.ask("reserve", 60 * MIB);
      assertEquals([second.status, second.never, second.bytes], [ENOMEM, true, 0]);
      assertEquals(second.level, first.level);
      const denied = await toom.waitFor("denied", (line) => line["pid"] === asker.pid);
      assertEquals([denied["requestPages"], denied["reason"]], [60 * 256, "limit"]);
      const part = await asker.ask("reserve", 60 * MIB, MIB);
      assertEquals([part.status, part.committed], [0, 64 * MIB]);
      assertEquals((await asker.ask("release", part.bytes)).level, first.level);
    });

    await t.step("what is touched within the promise is not counted twice", async () => {
      await using asker = await start(UID);
      const before = await asker.ask("reserve", 30 * MIB);
      await asker.ask("touch", 30 * MIB);
      const after = await asker.ask("query");
      assertEquals(after.level, before.level);
      assert(after.committed - before.committed < MIB, "no more than the interpreter's own");
      assert(after.resident > 30 * MIB, "the events have told");
      await asker.ask("drop");
      await asker.ask("release", 30 * MIB);
      assertEquals((await asker.ask("reserve", 40 * MIB)).status, 0);
    });

    await t.step("exit, exec and kill give everything back", async () => {
      for (const end of ["exit", "exec", "kill"]) {
        await using asker = await start(UID);
        assertEquals((await asker.ask("reserve", 50 * MIB)).status, 0, end);
        await using other = await start(UID);
        assertEquals((await other.ask("reserve", 20 * MIB)).status, ENOMEM, end);
        if (end === "exit") await asker.say("exit", 0);
        else if (end === "kill") asker.kill("SIGKILL");
        else await asker.say("exec");
        assertEquals((await other.ask("wait", 20 * MIB, 5000)).status, 0, end);
      }
    });

    await t.step("a child starts with nothing promised, and fork asks for room", async () => {
      await using asker = await start(UID);
      await asker.ask("reserve", 20 * MIB);
      await asker.ask("touch", 20 * MIB);
      assertEquals((await asker.ask("fork")).status, 0);
      await asker.ask("child");
      const child = await asker.ask("query");
      assertEquals(child.level, 0);
      assertEquals((await asker.ask("declare", child.resident)).status, 0);
      assertEquals((await asker.ask("fork")).status, ENOMEM, "a third would not fit");
    });

    await t.step("a wait is answered when memory comes back, or at its deadline", async () => {
      await using holder = await start(UID);
      await holder.ask("reserve", 40 * MIB);
      await holder.ask("touch", 40 * MIB);
      await using waiter = await start(UID);
      const late = await waiter.ask("wait", 30 * MIB, 50);
      assertEquals([late.status, late.never], [ETIMEDOUT, false]);
      await waiter.say("wait", 30 * MIB, 20_000);
      await holder.ask("drop");
      await holder.ask("release", 40 * MIB);
      assertEquals((await waiter.answer()).status, 0);
      const never = await waiter.ask("wait", 65 * MIB, 60_000);
      assertEquals([never.status, never.never], [ENOMEM, true]);
    });

    await t.step("claims of 70 % each, 30 % held each: one waits, then both finish", async () => {
      await using first = await start(CLAIM_UID);
      await using second = await start(CLAIM_UID);
      for (const asker of [first, second]) {
        assertEquals((await asker.ask("reserve", MIB)).status, 0);
        assertEquals((await asker.ask("claim", 70 * MIB)).status, 0);
        const { level } = await asker.ask("query");
        assertEquals((await asker.ask("reserve", 30 * MIB - level)).status, 0);
        await asker.ask("touch", 15 * MIB);
      }
      const beyond = await first.ask("reserve", 41 * MIB);
      assertEquals(beyond.status, EDQUOT);
      assertEquals((await second.ask("reserve", 10 * MIB)).status, 0, "still safe");
      const unsafe = await first.ask("reserve", 10.5 * MIB);
      assertEquals([unsafe.status, unsafe.never], [ENOMEM, false]);
      await toom.waitFor("denied", (line) => line["reason"] === "claims");
      await first.say("wait", 40 * MIB, 30_000);
      assertEquals((await second.ask("reserve", 30 * MIB)).status, 0);
      await second.say("exit", 0);
      assertEquals((await first.answer()).status, 0);
    });

    await t.step("who has no limit is always granted", async () => {
      await using asker = await start(FREE_UID);
      const answer = await asker.ask("reserve", 2 ** 45);
      assertEquals([answer.status, answer.unlimited], [0, true]);
    });

    await t.step(
      "a coordinator that throws is replaced, one that hangs has toom start over; none forgets",
      async () => {
        for (const kind of ["throw", "hang"] as const) {
          await using asker = await start(UID);
          assertEquals((await asker.ask("reserve", 50 * MIB)).status, 0);
          const told = kind === "throw" ? "worker-restart" : "restart";
          const restarts = toom.of(told).length;
          await toom.fault("coordinator", kind);
          await toom.waitFor(told, () => toom.of(told).length > restarts);
          assertEquals((await asker.ask("query")).closed, true, "its connection ended");
          await asker.ask("reconnect");
          const after = await asker.ask("query");
          assert(after.level > 50 * MIB, "still promised");
          await using other = await start(UID);
          assertEquals((await other.ask("reserve", 20 * MIB)).status, ENOMEM);
        }
      },
    );

    await t.step("nobody was killed, and nothing went wrong", () => {
      assertEquals(toom.of("kill"), []);
      assertEquals(toom.of("error"), []);
      assertEquals(toom.errors, []);
    });
  },
});
