/** How processes are killed: plans with a grace, units, and storms; who is left alive. */
import { assert, assertEquals } from "@std/assert";
import { ProcReader } from "../../kernel/proc/proc.ts";
import { unifiedMount } from "../../kernel/kill/unit_kernel.ts";
import { ProcStatus, STATE_DEAD, STATE_ZOMBIE } from "../../pipeline/ports.ts";
import { needing, waitUntil } from "../_support/real_kernel.ts";
import { type LogLine, Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, Workload } from "../_support/workload.ts";

const STUBBORN_UID = 60150;
const SAVER_UID = 60151;
const CEILING_UID = 60152;
const GROUP_UID = 60153;
const SESSION_UID = 60154;
const SCOPE_UID = 60155;
const PARENT_UID = 60156;
const STORM_UID = 60157;
const STORM_SESSION_UID = 60158;
const FOREIGN_UID = 60159;
const STORM_KILLS = 3;

const CONFIG = `{
  "limits": {
    "${STUBBORN_UID}": { "hard": "64MiB", "plan": { "signal": "SIGTERM", "grace": "1s", "ceiling": "300%" } },
    "${SAVER_UID}": { "hard": "64MiB", "plan": { "signal": "TERM", "grace": "20s", "ceiling": "300%" } },
    "${CEILING_UID}": { "hard": "64MiB", "plan": { "signal": "SIGTERM", "grace": "1h", "ceiling": "150%" } },
    "${GROUP_UID}": { "hard": "64MiB", "plan": { "unit": "group" } },
    "${SESSION_UID}": { "hard": "64MiB", "plan": { "unit": "session" } },
    "${SCOPE_UID}": { "hard": "64MiB", "plan": { "unit": "scope" } },
    "${PARENT_UID}": { "hard": "64MiB", "storm": { "kills": ${STORM_KILLS}, "seconds": 60, "then": "parent" } },
    "${STORM_UID}": { "hard": "64MiB", "storm": { "kills": ${STORM_KILLS}, "seconds": 2, "then": "off" } },
    "${STORM_SESSION_UID}": {
      "hard": "64MiB",
      "storm": { "kills": ${STORM_KILLS}, "seconds": 60, "then": "session" }
    }
  },
  "machine": { "psi": false }
}`;

function isAlive(pid: number): boolean {
  const status = new ProcStatus();
  if (!new ProcReader().readStatus(pid, status)) return false;
  return status.state !== STATE_ZOMBIE && status.state !== STATE_DEAD;
}

async function pass(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

function of(toom: Toom, event: string, uid: number): LogLine[] {
  return toom.of(event).filter((line) => line["uid"] === uid);
}

async function start(...args: string[]): Promise<{ toom: Toom; path: string }> {
  const path = await Deno.makeTempFile({ prefix: "toom-plans-", suffix: ".jsonc" });
  await Deno.writeTextFile(path, CONFIG);
  return { toom: await Toom.start([`--config=${path}`, ...args]), path };
}

async function killsOf(toom: Toom, uid: number): Promise<number> {
  const { users } = await toom.status();
  return users.find((user) => user.uid === uid)?.kills ?? 0;
}

/** A process group or session of two users: who of it goes, and who stays. */
async function unitGoes(toom: Toom, kind: "group" | "session", uid: number): Promise<void> {
  await using unit = await new Workload(0, "unit", kind, uid, FOREIGN_UID, 100).until("here");
  await using neighbour = await new Workload(uid, "hold", 2).until("held");
  const [mate] = unit.numbers("mate");
  const [foreign] = unit.numbers("foreign");
  const [apart] = unit.numbers("apart");
  await pass(500);
  await unit.go();
  const kill = await toom.waitFor("kill", (line) => line["uid"] === uid);
  await toom.waitFor("killed", (line) => line["pid"] === kill["pid"]);
  await waitUntil(() => !isAlive(mate!), "its mate has ended");
  assertEquals([kill["pid"]], unit.numbers("hog"));
  assertEquals([kill["unit"], kill["unitProcesses"]], [kind, 1]);
  await pass(300);
  assert(isAlive(foreign!), "the other user's process lives");
  assert(isAlive(apart!), "who is not in it lives");
  assert(unit.alive, "root's process lives");
  assert(neighbour.alive, "the neighbour lives");
  assertEquals(of(toom, "kill", uid).length, 1);
}

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run kills as plans say"),
  fn: async (t) => {
    const { toom, path } = await start();
    await using _toom = toom;

    await t.step("a program that ignores SIGTERM is killed when its grace is over", async () => {
      await using neighbour = await new Workload(STUBBORN_UID, "hold", 10).until("held");
      await using hog = await new Workload(STUBBORN_UID, "stubborn", 70).until("here");
      await hog.go();
      const kill = await toom.waitFor("kill", (line) => line["uid"] === STUBBORN_UID);
      assertEquals([kill["pid"], kill["signal"], kill["graceMs"]], [hog.pid, "SIGTERM", 1000]);
      await hog.until("held");
      assert(hog.alive, "it goes on within its grace");
      assertEquals((await hog.end()).signal, "SIGKILL");
      const killed = await toom.waitFor("killed", (line) => line["pid"] === hog.pid);
      assertEquals(killed["outcome"], "over");
      assert(Number(killed["exitUs"]) >= 1e6, "no sooner than after a second");
      assertEquals(of(toom, "grace", STUBBORN_UID).map(({ outcome }) => outcome), ["over"]);
      assert(neighbour.alive, "the neighbour lives");
      assertEquals(of(toom, "kill", STUBBORN_UID).length, 1);
    });

    await t.step("a program that saves and exits on SIGTERM is not sent SIGKILL", async () => {
      await using neighbour = await new Workload(SAVER_UID, "hold", 10).until("held");
      await using hog = await new Workload(SAVER_UID, "saver", 70).until("here");
      await hog.go();
      const status = await hog.end();
      assertEquals([status.signal, status.code], [null, 3]);
      await hog.until("saved");
      assertEquals(hog.numbers("saving"), [15]);
      const killed = await toom.waitFor("killed", (line) => line["pid"] === hog.pid);
      assertEquals([killed["outcome"], killed["exitStatus"]], ["ended", 3 << 8]);
      assert(neighbour.alive, "the neighbour lives");
    });

    await t.step("above the ceiling SIGKILL comes within the grace", async () => {
      await using neighbour = await new Workload(CEILING_UID, "hold", 2).until("held");
      await using other = await new Workload(CEILING_UID, "hold-on-go", 30).until("here");
      await using hog = await new Workload(CEILING_UID, "stubborn", 70).until("here");
      await hog.go();
      await hog.until("held");
      await toom.waitFor("kill", (line) => line["pid"] === hog.pid);
      await pass(500);
      assert(hog.alive, "it has an hour");
      await other.go();
      assertEquals((await hog.end()).signal, "SIGKILL");
      const killed = await toom.waitFor("killed", (line) => line["pid"] === hog.pid);
      assertEquals(killed["outcome"], "ceiling");
      await other.until("held");
      assert(neighbour.alive, "the neighbour lives");
    });

    await t.step("a process group goes, of its user", async () => {
      await unitGoes(toom, "group", GROUP_UID);
    });

    await t.step("a session goes, of its user", async () => {
      await unitGoes(toom, "session", SESSION_UID);
    });

    await scopes(t, toom);

    await t.step("nothing went wrong meanwhile", () => {
      assertEquals(toom.errors, []);
      assertEquals(toom.of("error"), []);
      const uids = toom.of("kill").map((line) => Number(line["uid"]));
      assert(!uids.includes(FOREIGN_UID));
    });
    await Deno.remove(path);
  },
});

/** A cgroup of its own; undefined where none can be made. */
function makeScope(): string | undefined {
  try {
    const mount = unifiedMount(Deno.readTextFileSync("/proc/self/mountinfo"));
    if (mount === undefined) return undefined;
    const path = `${mount}/toom-test-${Deno.pid}`;
    Deno.mkdirSync(path);
    return path;
  } catch {
    return undefined;
  }
}

async function scopes(t: Deno.TestContext, toom: Toom): Promise<void> {
  const scope = makeScope();
  for (const isShared of [false, true]) {
    await t.step({
      name: isShared
        ? "of a cgroup in which somebody else is too, only its user's processes go"
        : "a cgroup goes",
      ignore: scope === undefined,
      fn: async () => {
        const enter = ({ pid }: Workload): void =>
          Deno.writeTextFileSync(`${scope}/cgroup.procs`, String(pid));
        const before = of(toom, "kill", SCOPE_UID).length;
        await using neighbour = await new Workload(SCOPE_UID, "hold", 2).until("held");
        await using mate = await new Workload(SCOPE_UID, "hold", 2).until("held");
        await using foreign = await new Workload(FOREIGN_UID, "hold", 2).until("held");
        await using hog = await new Workload(SCOPE_UID, "hold-on-go", 100).until("here");
        for (const one of [mate, hog, ...(isShared ? [foreign] : [])]) enter(one);
        await pass(500);
        await hog.go();
        assertEquals((await hog.end()).signal, "SIGKILL");
        assertEquals((await mate.end()).signal, "SIGKILL");
        const kill = await toom.waitFor("kill", (line) => line["pid"] === hog.pid);
        assertEquals([kill["unit"], kill["unitProcesses"]], ["scope", 1]);
        await pass(300);
        assert(neighbour.alive, "who is not in it lives");
        assert(foreign.alive, "the other user's process lives");
        assertEquals(of(toom, "kill", SCOPE_UID).length, before + 1);
      },
    });
  }
  if (scope !== undefined) {
    await waitUntil(() => {
      try {
        Deno.removeSync(scope);
        return true;
      } catch {
        return false;
      }
    }, "the cgroup is removed");
  }
}

for (const trigger of ["kernel", "user"]) {
  Deno.test({
    ...needing(
      E2E_POSSIBLE,
      E2E_NEEDS,
      `a storm is told of in two lines, with --trigger=${trigger}`,
    ),
    fn: async (t) => {
      const { toom, path } = await start(`--trigger=${trigger}`);
      await using _toom = toom;

      await t.step("its parent goes, as configured", async () => {
        await using neighbour = await new Workload(PARENT_UID, "hold", 2).until("held");
        await using shell = await new Workload(PARENT_UID, "respawn", 200).until("here");
        await shell.go();
        assertEquals((await shell.end()).signal, "SIGKILL");
        const storm = await toom.waitFor("storm", (line) => line["uid"] === PARENT_UID);
        assertEquals([storm["state"], storm["then"]], ["begins", "parent"]);
        await pass(1000);
        assert(neighbour.alive, "the neighbour lives");
        assertEquals(of(toom, "kill", PARENT_UID).length, STORM_KILLS + 1);
        assert(!of(toom, "kill", PARENT_UID).some(({ pid }) => pid === shell.pid));
      });

      await t.step("its session goes, as configured", async () => {
        await using neighbour = await new Workload(STORM_SESSION_UID, "hold", 2).until("held");
        await using shell = await new Workload(STORM_SESSION_UID, "respawn", 200, "session")
          .until("here");
        await shell.go();
        assertEquals((await shell.end()).signal, "SIGKILL");
        await pass(500);
        assert(neighbour.alive, "the neighbour, of another session, lives");
      });

      await t.step(
        "nobody else goes, as configured, and the limit holds all the while",
        async () => {
          await using neighbour = await new Workload(STORM_UID, "hold", 2).until("held");
          {
            await using shell = await new Workload(STORM_UID, "respawn", 200).until("here");
            await shell.go();
            while (await killsOf(toom, STORM_UID) < 10) await pass(50);
            assert(shell.alive, "the shell lives");
          }
          const end = await toom.waitFor(
            "storm",
            (line) => line["uid"] === STORM_UID && line["state"] === "ends",
          );
          assert(Number(end["kills"]) >= 10, `${end["kills"]} kills`);
          assertEquals(of(toom, "kill", STORM_UID).length, STORM_KILLS + 1, "lines of the log");
          assertEquals(of(toom, "killed", STORM_UID).length <= STORM_KILLS + 1, true);
          assert(neighbour.alive, "the neighbour lives");
        },
      );

      await t.step("nothing went wrong meanwhile", () => {
        assertEquals(toom.errors, []);
        assertEquals(toom.of("error"), []);
      });
      await Deno.remove(path);
    },
  });
}
