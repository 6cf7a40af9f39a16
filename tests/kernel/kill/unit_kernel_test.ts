/** Who belongs together on the real kernel: parents, process groups, sessions, cgroups. */
import { assert, assertEquals } from "@std/assert";
import { LinuxUnitKernel, scopeOf, unifiedMount } from "../../../kernel/kill/unit_kernel.ts";
import { Sharer } from "../../../pipeline/kill/unit_kernel.ts";
import { accountUidOf } from "../../../pipeline/limits/shared_groups.ts";
import { Unit } from "../../../pipeline/memory/kill_plan.ts";
import { isRoot, needing, spawnAs, waitUntil } from "../../_support/real_kernel.ts";

const UID = 60032;

Deno.test("scopeOf() takes the cgroup of v2, else systemd's of v1, and never the root", () => {
  const unified = "0::/user.slice/user-1000.slice/session-3.scope\n";
  assertEquals(scopeOf(unified), {
    isUnified: true,
    path: "/user.slice/user-1000.slice/session-3.scope",
  });
  assertEquals(scopeOf(`9:name=systemd:/a\n4:memory:/b\n${unified}`)?.isUnified, true);
  assertEquals(scopeOf("9:name=systemd:/a\n4:memory:/b\n0::/\n"), { isUnified: false, path: "/a" });
  assertEquals(scopeOf("4:memory:/b\n0::/\n"), undefined);
  assertEquals(scopeOf("0::/../other\n"), undefined, "outside of the namespace");
  assertEquals(scopeOf("0::/gone (deleted)\n"), undefined);
  assertEquals(scopeOf("0::/a:b\n")?.path, "/a:b");
  assertEquals(scopeOf(""), undefined);
});

Deno.test("unifiedMount() finds where cgroup v2 is mounted as a whole", () => {
  const line = (root: string, place: string, type: string): string =>
    `35 23 0:30 ${root} ${place} rw,nosuid shared:9 - ${type} x rw\n`;
  assertEquals(unifiedMount(line("/", "/sys/fs/cgroup", "cgroup2")), "/sys/fs/cgroup");
  assertEquals(
    unifiedMount(line("/", "/sys/fs/cgroup/cpu", "cgroup") + line("/", "/u", "cgroup2")),
    "/u",
  );
  assertEquals(unifiedMount(line("/sub", "/sys/fs/cgroup", "cgroup2")), undefined);
  assertEquals(unifiedMount(""), undefined);
});

Deno.test("parents, groups and sessions are as the kernel has them", async () => {
  const units = new LinuxUnitKernel();
  const child = new Deno.Command("setsid", { args: ["sleep", "60"] }).spawn();
  try {
    await waitUntil(() => units.unitOf(child.pid, Unit.session) === child.pid, "it has a session");
    assertEquals(units.parentOf(child.pid), Deno.pid);
    assertEquals(units.unitOf(child.pid, Unit.group), child.pid);
    assert(units.isIn(child.pid, Unit.session, child.pid));
    assert(!units.isIn(Deno.pid, Unit.session, child.pid));
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
  assertEquals(units.parentOf(child.pid), 0, "it is gone");
  assertEquals(units.unitOf(child.pid, Unit.session), 0);
  assertEquals(units.unitOf(child.pid, Unit.scope), 0);
  assertEquals(units.isIn(child.pid, Unit.group, child.pid), false);
});

Deno.test("who shares an account is told by the real uid, and of whom nobody does, without a look", () => {
  const units = new LinuxUnitKernel();
  const account = accountUidOf(100);
  assertEquals(units.sharerOf(Deno.pid, account | 0), Deno.uid());
  assertEquals(units.sharerOf(Deno.pid, account), Deno.uid());
  assertEquals(units.sharerOf(0x3fffffff, account), Sharer.unknown, "no such process");
  assertEquals(units.sharerOf(0x3fffffff, UID), Sharer.none);
});

/** A new cgroup of v2; undefined where none can be made. */
function makeScope(): string | undefined {
  try {
    const mount = unifiedMount(Deno.readTextFileSync("/proc/self/mountinfo"));
    if (mount === undefined) return undefined;
    const path = `${mount}/toom-unit-test-${Deno.pid}`;
    Deno.mkdirSync(`${path}/below`, { recursive: true });
    Deno.statSync(`${path}/cgroup.kill`);
    return path;
  } catch {
    return undefined;
  }
}

const SCOPE = isRoot() ? makeScope() : undefined;

Deno.test({
  ...needing(
    SCOPE !== undefined,
    "root, and a cgroup v2 that can be written",
    "a cgroup is ended with those below it, if all in it may go",
  ),
  fn: async () => {
    const units = new LinuxUnitKernel();
    await using one = spawnAs(UID, ["sleep", "60"]);
    await using below = spawnAs(UID, ["sleep", "60"]);
    await using outside = spawnAs(UID, ["sleep", "60"]);
    try {
      await Deno.writeTextFile(`${SCOPE}/cgroup.procs`, String(one.pid));
      await Deno.writeTextFile(`${SCOPE}/below/cgroup.procs`, String(below.pid));
      const key = units.unitOf(one.pid, Unit.scope);
      assert(key > 0);
      assert(units.isIn(below.pid, Unit.scope, key));
      assert(!units.isIn(outside.pid, Unit.scope, key));
      assert(!units.isIn(one.pid, Unit.scope, units.unitOf(below.pid, Unit.scope)), "it is above");
      const asked: number[] = [];
      const mayKill = (may: boolean) => (pid: number): boolean => {
        asked.push(pid);
        return may;
      };
      assertEquals(units.killScope(key, mayKill(false)), false);
      assertEquals(asked, [one.pid], "the first one must stay");
      assertEquals(units.killScope(key, (pid) => pid !== below.pid), false);
      asked.length = 0;
      assertEquals(units.killScope(key, mayKill(true)), true);
      assertEquals(asked, [one.pid, below.pid]);
      assertEquals((await one.child.status).signal, "SIGKILL");
      assertEquals((await below.child.status).signal, "SIGKILL");
    } finally {
      for (const path of [`${SCOPE}/below`, SCOPE!]) {
        await waitUntil(() => isRemoved(path), "the cgroup is removed");
      }
    }
  },
});

function isRemoved(path: string): boolean {
  try {
    Deno.removeSync(path);
    return true;
  } catch {
    return false;
  }
}
