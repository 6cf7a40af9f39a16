/** Who changes its uid, protects itself or comes by another's number gains nothing by it. */
import { assert, assertEquals } from "@std/assert";
import { hasCapability, hasFile, waitUntil } from "../_support/real_kernel.ts";
import { ScratchProcess, Workload } from "../_support/workload.ts";
import {
  HARD_MIB,
  heldPages,
  hostile,
  HOSTILE_UID,
  IS_CHAOS,
  MIB_PAGES,
  NEIGHBOUR_UID,
  pass,
  Scene,
  SECOND_UID,
} from "./scene.ts";

const SETCAP = ["/usr/sbin/setcap", "/sbin/setcap"].find(hasFile);
/** include/uapi/linux/capability.h */
const CAP_SYS_RESOURCE = 24;
/** Kills that are tried while another takes the victim's number. */
const SUCCESSIONS = IS_CHAOS ? 300 : 6;

/** A copy of a program that belongs to a user, with more rights by its file. */
async function withRights(
  scene: Scene,
  name: string,
  rights: { readonly uid?: number; readonly capability?: string },
): Promise<void> {
  const path = scene.programs.path(name);
  await Deno.copyFile(scene.programs.path("identity"), path);
  if (rights.uid !== undefined) {
    await Deno.chown(path, rights.uid, rights.uid);
    await Deno.chmod(path, 0o4755);
  }
  if (rights.capability !== undefined) {
    const args = [`${rights.capability}+ep`, path];
    assert((await new Deno.Command(SETCAP!, { args }).output()).success, args.join(" "));
  }
}

Deno.test({
  ...hostile("who changes its uid or protects itself gains nothing by it"),
  fn: async (t) => {
    await using scene = await Scene.start(["programs/identity"]);
    const { toom } = scene;

    await t.step("a set-user-ID program that changes between two limited users", async () => {
      await withRights(scene, "flip", { uid: SECOND_UID });
      await using attack = await scene.attack("flip", "flip");
      assertEquals((await attack.end()).signal, "SIGKILL");
      const kill = await toom.waitFor("kill", ({ pid }) => pid === attack.pid);
      assert([HOSTILE_UID, SECOND_UID].includes(Number(kill["uid"])));
      await scene.assertEnforced();
      await scene.assertEnforced(SECOND_UID);
      await scene.assertUnharmed();
    });

    await t.step({
      name: "CAP_SETUID by its file: what it has goes with it, to the limit of the other",
      ignore: SETCAP === undefined,
      fn: async () => {
        await withRights(scene, "become", { capability: "cap_setuid" });
        await using attack = await scene.attack("become", "become", SECOND_UID);
        await attack.until("changed");
        await waitUntil(() => heldPages(SECOND_UID) > 10 * MIB_PAGES, "it is the other's now");
        for (let tries = 0; tries < 60; tries++) {
          if (await toom.usagePages(SECOND_UID) > 10 * MIB_PAGES) break;
          await pass(50);
        }
        assert(await toom.usagePages(SECOND_UID) > 10 * MIB_PAGES, "and charged to it");
        assert(await toom.usagePages(HOSTILE_UID) < 10 * MIB_PAGES, "no more to the first");
        await attack.go();
        assertEquals((await attack.end()).signal, "SIGKILL");
        const kill = await toom.waitFor("kill", ({ pid }) => pid === attack.pid);
        assertEquals(kill["uid"], SECOND_UID);
        await scene.assertUnharmed();
      },
    });

    await t.step({
      name: "CAP_SYS_RESOURCE by its file: it is protected, told, and nobody dies for it",
      // Nobody can have what the machine's root lacks.
      ignore: SETCAP === undefined || !hasCapability(CAP_SYS_RESOURCE),
      fn: async () => {
        await withRights(scene, "protect", { capability: "cap_sys_resource" });
        const before = scene.killed().length;
        await using attack = await scene.attack("protect", "protect");
        await attack.until("done");
        const told = await toom.waitFor(
          "error",
          (line) => String(line["message"]).includes(`pid ${attack.pid}`),
        );
        assert(String(told["message"]).includes("protected"), String(told["message"]));
        await pass(500);
        assertEquals(scene.killed().length, before, "docs/SECURITY.md: what is not promised");
        assert(heldPages(HOSTILE_UID) > HARD_MIB * MIB_PAGES);
        await scene.assertUnharmed();
      },
    });

    await t.step("root and pid 1 of namespaces of its own", async () => {
      const before = scene.killed().length;
      await using attack = await scene.attack("identity", "contained");
      assertEquals(await scene.untilKilled(before), attack.numbers("child")[0]);
      await attack.until("done");
      assertEquals(attack.numbers("ended"), [9]);
      await scene.assertEnforced();
      await scene.assertUnharmed();
    });

    assertEquals(await scene.end(), [], "the witness finds no wrong kill");
  },
});

Deno.test({
  ...hostile("who comes by the number of a process that is being killed lives"),
  fn: async () => {
    // clone3(2) gives out a number of choice: that of each victim, as soon as it is free.
    await using scene = await Scene.start(["programs/identity"], "--trigger=user");
    for (let i = 0; i < SUCCESSIONS; i++) {
      await using hog = await new Workload(HOSTILE_UID, "hold-on-go", 36).until("here");
      const path = scene.programs.path("identity");
      await using successor = new ScratchProcess(
        0,
        path,
        ["succeed", `${hog.pid}`, `${i % 2 === 0 ? NEIGHBOUR_UID : HOSTILE_UID}`],
        {},
      );
      await successor.until("here");
      await hog.go();
      // Every other one ends of itself, when it may have been chosen already.
      if (i % 3 === 2) {
        await pass(20 + i);
        Deno.kill(hog.pid, "SIGTERM");
      }
      await hog.end();
      await successor.until("done");
      assertEquals(successor.numbers("successor"), [hog.pid]);
      await pass(30);
      assert(hasFile(`/proc/${hog.pid}/exe`) && !isZombie(hog.pid), "the successor lives");
    }
    const kills = scene.killed();
    assertEquals(kills.length, new Set(kills).size, "no number is killed twice");
    await scene.assertUnharmed();
    // The witness reads of a kill when its number may be the successor's.
    const findings = await scene.end();
    assertEquals(findings.filter(({ kind }) => kind !== "another-users"), []);
  },
});

function isZombie(pid: number): boolean {
  return /^State:\t[ZX]/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
}
