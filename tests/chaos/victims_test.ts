/** Victims that cannot end: their memory comes back all the same, and nobody dies in their place. */
import { assert, assertEquals } from "@std/assert";
import { hasFile, waitUntil } from "../_support/real_kernel.ts";
import { ScratchProcess } from "../_support/workload.ts";
import { hostile, pass, Scene } from "../hostile/scene.ts";

const FREEZERS = {
  "cgroup v2": { root: "/sys/fs/cgroup/unified", file: "cgroup.freeze", on: "1", off: "0" },
  "cgroup v2 alone": { root: "/sys/fs/cgroup", file: "cgroup.freeze", on: "1", off: "0" },
  "cgroup v1": {
    root: "/sys/fs/cgroup/freezer",
    file: "freezer.state",
    on: "FROZEN",
    off: "THAWED",
  },
} as const;
const GROUP = `toom-chaos-${Deno.pid}`;
/** Longer than a victim counts as dying that gives nothing back. */
const STUCK_MS = 1500;

/** The cgroup of a freezer, made if this machine has it. */
function makeGroup(root: string, file: string): string | undefined {
  const path = `${root}/${GROUP}`;
  try {
    Deno.mkdirSync(path);
  } catch {
    return undefined;
  }
  if (hasFile(`${path}/${file}`)) return path;
  Deno.removeSync(path);
  return undefined;
}

Deno.test({
  ...hostile("victims that cannot end give their memory back"),
  fn: async (t) => {
    const sources = ["programs/memory", "../chaos/programs/silent_fs", "../chaos/programs/waiting"];
    await using scene = await Scene.start(sources);

    await t.step({
      name: "a victim that waits for a file system (FUSE)",
      ignore: !hasFile("/dev/fuse"),
      fn: async () => {
        const folder = `${scene.programs.dir}/silent`;
        await Deno.mkdir(folder);
        await using server = new ScratchProcess(0, scene.programs.path("silent_fs"), [folder], {});
        await server.until("here");
        const before = scene.killed().length;
        await using small = await (await scene.attack("memory", "private", 4)).until("done");
        const waiting = await scene.attack("waiting", `${folder}/x`, 36);
        await server.until("asked");
        assertEquals(await scene.untilKilled(before), waiting.pid);
        await scene.assertEnforced();
        await pass(STUCK_MS);
        assert(hasFile(`/proc/${waiting.pid}/task`), "it has not ended");
        assertEquals(scene.killed().slice(before), [waiting.pid], "nobody dies in its place");
        assert(small.alive);
        // And the limit holds for the others.
        await using hog = await scene.attack("memory", "private", 36);
        assertEquals((await hog.end()).signal, "SIGKILL");
        assert(small.alive);
        await server.close();
        await waiting[Symbol.asyncDispose]();
        await scene.assertUnharmed();
      },
    });

    for (const [name, { root, file, on, off }] of Object.entries(FREEZERS)) {
      const group = makeGroup(root, file);
      await t.step({
        name: `a victim in a frozen cgroup (${name})`,
        ignore: group === undefined,
        fn: async () => {
          const write = (to: string, text: string): Promise<void> =>
            Deno.writeTextFile(`${group}/${to}`, text);
          const before = scene.killed().length;
          await using small = await (await scene.attack("memory", "private", 3)).until("done");
          await using large = await (await scene.attack("memory", "private", 14)).until("done");
          try {
            await write("cgroup.procs", `${large.pid}`);
            await write(file, on);
            await using third = await scene.attack("memory", "private", 9);
            assertEquals(await scene.untilKilled(before), large.pid);
            await scene.assertEnforced();
            await third.until("done");
            await pass(STUCK_MS);
            assertEquals(scene.killed().slice(before), [large.pid], "nobody dies in its place");
            assert(small.alive && third.alive);
          } finally {
            await write(file, off);
          }
          assertEquals((await large.end()).signal, "SIGKILL");
          await scene.assertUnharmed();
        },
      });
      if (group === undefined) continue;
      await waitUntil(() => removed(group), `${group} is removed`);
    }
    assertEquals(await scene.end(), [], "the witness finds no wrong kill");
  },
});

function removed(group: string): boolean {
  try {
    Deno.removeSync(group);
    return true;
  } catch {
    return !hasFile(group);
  }
}
