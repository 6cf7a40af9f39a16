/** Memory that is held in ways which a counter of resident pages may miss, or sees late. */
import { assert, assertEquals } from "@std/assert";
import { heldPages, hostile, HOSTILE_UID, MIB_PAGES, pass, Scene, SECOND_UID } from "./scene.ts";

const SHM = "/dev/shm/toom-hostile";
/** Below the limit of each of two users. */
const SHARED_MIB = 21;
/** By then what two users share has been measured, on a busy machine too. */
const MEASURED_MS = 4000;

async function removeFile(path: string): Promise<void> {
  await Deno.remove(path).catch(() => {});
}

/** Removes a segment of System V; the kernel keeps it when all who used it have ended. */
async function removeSegment(id: number): Promise<void> {
  await new Deno.Command("/usr/bin/ipcrm", { args: ["-m", `${id}`], stderr: "null" }).output();
}

Deno.test({
  ...hostile("memory that is moved, hidden or shared is held to the limit"),
  fn: async (t) => {
    await using scene = await Scene.start(["programs/memory"]);

    /** An attack that must end in a kill of one of its own. */
    const dies = async (mode: string, ...args: (string | number)[]): Promise<void> => {
      const before = scene.killed().length;
      await using attack = await scene.attack("memory", mode, ...args);
      const victim = await scene.untilKilled(before);
      assert([attack.pid, ...attack.numbers("child")].includes(victim), `${victim} of the attack`);
      await scene.assertEnforced();
      await scene.assertUnharmed();
    };

    await t.step("handed around below the limit: nobody dies", async () => {
      await using attack = await scene.attack("memory", "ping-pong-below");
      await attack.until("done");
      assert(attack.numbers("rounds")[0]! >= 2, "it was handed around");
      assertEquals(scene.killed(), []);
      await scene.assertUnharmed();
    });

    await t.step("handed around above it: somebody dies", () => dies("ping-pong-over"));

    for (const [mode, ...args] of [["memfd"], ["tmpfs", SHM]] as const) {
      await t.step(`${mode}: written it does not count, mapped it does`, async () => {
        const before = scene.killed().length;
        try {
          await using attack = await scene.attack("memory", mode, ...args);
          await attack.until("written");
          await pass(200);
          assertEquals(scene.killed().length, before, "docs/SECURITY.md: what is not seen");
          assert(heldPages(HOSTILE_UID) < 2 * MIB_PAGES);
          await attack.go();
          assertEquals(await scene.untilKilled(before), attack.pid);
          await scene.assertEnforced();
          await scene.assertUnharmed();
        } finally {
          await removeFile(SHM);
        }
      });
    }

    await t.step("a segment of System V", async () => {
      const before = scene.killed().length;
      await using attack = await scene.attack("memory", "sysv");
      try {
        assertEquals(await scene.untilKilled(before), attack.pid);
        await scene.assertEnforced();
        await scene.assertUnharmed();
      } finally {
        await removeSegment(attack.numbers("segment")[0]!);
      }
    });

    await t.step("mapped shared", () => dies("shared"));

    await t.step("locked", () => dies("locked"));
    await t.step("huge pages", async () => {
      await dies("huge");
      const { overshootBytes } = scene.toom.of("kill").at(-1)!;
      assert(Number(overshootBytes) <= 4 * 2 ** 20, `${overshootBytes} bytes over`);
    });
    await t.step("freed lazily and written again, which no fault tells", async () => {
      const before = scene.killed().length;
      await using attack = await scene.attack("memory", "redirtied");
      await attack.until("freed");
      assertEquals(scene.killed().length, before, "what the kernel can take back does not count");
      await attack.go();
      assertEquals(await scene.untilKilled(before), attack.pid);
      await scene.assertEnforced();
      await scene.assertUnharmed();
    });
    await t.step("written by another process (process_vm_writev)", () => dies("written-into"));
    await t.step("copied in by another process (userfaultfd)", () => dies("userfault"));

    await t.step("shared with another user: half of it, and all when that one ends", async () => {
      const before = scene.killed().length;
      await Deno.writeTextFile(SHM, "");
      await Deno.chmod(SHM, 0o666);
      await Deno.truncate(SHM, SHARED_MIB * 2 ** 20);
      try {
        const words = ["memory", "shared-file", SHM, SHARED_MIB] as const;
        await using first = await (await scene.attack(...words)).until("done");
        await using second = await (await scene.attackAs(SECOND_UID, ...words)).until("done");
        // It is measured, as it is above half of its limit, when the sweeper has time.
        await pass(MEASURED_MS);
        await using third = await (await scene.attack("memory", "private", 8)).until("done");
        await pass(500);
        assertEquals([scene.killed().length, scene.killed(SECOND_UID)], [before, []]);
        assert(first.alive && third.alive);
        await second[Symbol.asyncDispose]();
        await scene.untilKilled(before);
        await scene.assertEnforced();
        await scene.assertUnharmed();
      } finally {
        await removeFile(SHM);
      }
    });

    assertEquals(await scene.end(), [], "the witness finds no wrong kill");
  },
});
