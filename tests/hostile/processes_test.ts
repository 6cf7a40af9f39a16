/** Processes that are many, that share, that cannot end, or that end at the wrong moment. */
import { assert, assertEquals } from "@std/assert";
import { hostile, HOSTILE_UID, pass, processesOf, Scene, SOURCES } from "./scene.ts";

for (const source of SOURCES) {
  Deno.test({
    ...hostile(`processes that dodge, hide and crowd are held to the limit (${source})`),
    fn: async (t) => {
      await using scene = await Scene.start(["programs/processes"], `--source=${source}`);
      const { toom } = scene;

      /** An attack that must end in a kill of one of its own. */
      const dies = async (mode: string): Promise<number> => {
        const before = scene.killed().length;
        await using attack = await scene.attack("processes", mode);
        const victim = await scene.untilKilled(before);
        await scene.assertEnforced();
        await scene.assertUnharmed();
        const own = [attack.pid, ...attack.numbers("child")];
        assert(mode === "vfork-chain" || own.includes(victim), `${victim} is of ${own}`);
        return victim;
      };

      await t.step("six children copy slowly what they inherited", async () => {
        await dies("copying-family");
      });
      await t.step("a line of descendants, each a copy of the one before", async () => {
        await dies("copying-line");
      });
      await t.step("64 threads on all CPUs", async () => {
        const before = scene.killed().length;
        await dies("threads");
        await scene.excuse(before);
        const { overshootBytes, trigger } = toom.of("kill").at(-1)!;
        // Programs in the kernel stop them within the fault.
        if (trigger === "kernel") {
          assert(Number(overshootBytes) < 2 ** 20, `${overshootBytes} over`);
        }
      });
      await t.step("seven that wait in vfork on one memory", async () => {
        await dies("vfork-chain");
        await pass(100);
        assertEquals(processesOf(HOSTILE_UID), [], "all of them have ended");
      });

      await t.step("a victim that its tracer holds at its end: its memory comes back", async () => {
        const before = scene.killed().length;
        await using attack = await scene.attack("processes", "held-at-exit");
        await attack.until("held");
        assertEquals(await scene.untilKilled(before), attack.numbers("child")[0]);
        await scene.assertEnforced();
        await pass(1500);
        assertEquals(scene.killed().length, before + 1, "nobody else dies for it");
        assert(attack.alive);
        await scene.assertUnharmed();
      });

      await t.step("a bomb of processes within their limit", async () => {
        const before = scene.killed().length;
        await using bomb = await scene.attack("processes", "bomb");
        await scene.untilKilled(before);
        await bomb.until("done");
        await scene.assertEnforced();
        await pass(500);
        await scene.assertUnharmed();
      });

      await t.step("processes that end at the moment of their kill", async () => {
        const before = scene.killed().length;
        await using attack = await scene.attack("processes", "brief");
        await attack.until("done");
        await scene.excuse(before);
        assert(attack.alive, "who only waits for them lives");
        assertEquals(toom.of("error"), []);
        await scene.assertUnharmed();
      });

      await t.step(
        "volunteers die first, and who refuses to be killed dies all the same",
        async () => {
          const before = scene.killed().length;
          await using attack = await scene.attack("processes", "volunteers");
          await scene.untilKilled(before);
          assertEquals((await attack.end()).signal, "SIGKILL");
          await toom.waitFor("kill", ({ pid }) => pid === attack.pid);
          await scene.assertEnforced();
          await scene.assertUnharmed();
        },
      );

      await t.step("names that look like records, and break lines", async () => {
        const before = scene.killed().length;
        await using attack = await scene.attack("processes", "forged-names");
        await attack.until("done");
        assertEquals(scene.killed().slice(before), attack.numbers("child"));
        // Each line of the log was JSON: else it would be among the errors.
        await scene.assertUnharmed();
      });

      assertEquals(await scene.end(), [], "the witness finds no wrong kill");
    },
  });
}
