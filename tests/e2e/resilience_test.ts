/** Losses, dead predecessors, dying workers, limits that change: toom goes on enforcing. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { findTracefs } from "../../kernel/trace/tracefs.ts";
import { parseInstanceName } from "../../kernel/trace/instance_name.ts";
import { hasFile, needing } from "../_support/real_kernel.ts";
import { STOP_NEEDS, STOPPABLE, stopThread, threadOf } from "../_support/stop_thread.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, truePages, Workload } from "../_support/workload.ts";

const UID = 60021;
const LOCK_PATH = "/run/toom.lock";

/** Names of the instances of a toom. */
function instancesOf(pid: number): string[] {
  return [...Deno.readDirSync(`${findTracefs()}/instances`)].map(({ name }) => name)
    .filter((name) => parseInstanceName(name)?.pid === pid);
}

/** A hog of the user must die. */
async function assertEnforced(toom: Toom): Promise<void> {
  await using hog = new Workload(UID, "hold", 512);
  assertEquals((await hog.end()).signal, "SIGKILL");
  await toom.waitFor("kill", (line) => line["pid"] === hog.pid);
}

Deno.test({
  ...needing(
    E2E_POSSIBLE && STOPPABLE,
    `${E2E_NEEDS}, and ${STOP_NEEDS}`,
    "toom run survives lost events and mends its books",
  ),
  fn: async () => {
    // The smallest buffer, and a reader that stands still while the events come.
    await using toom = await Toom.start([
      `--limit=${UID}=1GiB`,
      "--buffer-kib=16",
      "--interval=1h",
      "--source=raw",
    ]);
    // On one CPU, so in one buffer.
    await using first = await new Workload(UID, "hold-on-go", 20, "pinned").until("here");
    await using second = await new Workload(UID, "hold-on-go", 20, "pinned").until("here");
    // Not so long that it would be taken for one that hangs.
    const reader = await stopThread(threadOf(toom.pid, "toom-reader0"), 300);
    // The second's events push out the first's, of which no later event tells.
    await (await first.go()).until("held");
    await (await second.go()).until("held");
    assertEquals(await reader.end, "released");
    await toom.waitFor("lost");
    await toom.waitFor("degraded");
    await toom.waitFor("recovered");
    await assertBooksTrue(toom);
    assert(await toom.countedPages(UID) > 40 * 256, "the books have what no event told");
    const { events, degraded } = await toom.status();
    assert(events.lost > 0, "losses are counted");
    assert(events.driftPages > 0, "and what they cost");
    assertEquals(degraded, false);
    assertEquals(toom.of("restart"), []);
    assert(toom.of("drift").some((line) => line["uid"] === UID), "the log says by how much");
  },
});

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run enforces while it loses events"),
  fn: async () => {
    await using toom = await Toom.start([
      `--limit=${UID}=64MiB`,
      "--buffer-kib=16",
      "--source=raw",
    ]);
    await using churn = await new Workload(UID, "churn", 8).until("here");
    for (let i = 0; i < 3; i++) await assertEnforced(toom);
    assert(churn.alive, "who stays below lives");
  },
});

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run removes what a killed toom left behind"),
  fn: async () => {
    const stateDir = await Deno.makeTempDir();
    const first = await Toom.start([`--limit=${UID}=64MiB`], { stateDir });
    const firstInstances = instancesOf(first.pid);
    assertEquals(firstInstances.length, 2);
    assertEquals((await first.stop("SIGKILL")).signal, "SIGKILL");
    assertEquals(instancesOf(first.pid).length, 2, "kill -9 leaves them");
    {
      await using second = await Toom.start([`--limit=${UID}=64MiB`], { stateDir });
      assertEquals(instancesOf(first.pid), [], "the next start removes them");
      for (const name of firstInstances) {
        await second.waitFor("config", (line) => String(line["message"]).includes(name));
      }
      await assertEnforced(second);
    }
    await first[Symbol.asyncDispose]();
    await Deno.remove(stateDir, { recursive: true });
  },
});

Deno.test({
  ...needing(
    E2E_POSSIBLE,
    E2E_NEEDS,
    "toom run refuses to be the second, and cleans up at its end",
  ),
  fn: async () => {
    const toom = await Toom.start([`--limit=${UID}=64MiB`]);
    const second = await toom.command("run", `--state-dir=${toom.stateDir}`);
    assertEquals(second.code, 3);
    assertMatch(second.err, /^another toom runs on this machine \(pid \d+\): .*\n$/);
    const startMs = performance.now();
    const status = await toom.stop("SIGINT");
    assert(
      performance.now() - startMs < 15_000,
      "ends within a second, on a machine that has time",
    );
    assertEquals(status.code, 0);
    assertEquals(toom.lines.at(-1)!["reason"], "SIGINT");
    assertEquals(instancesOf(toom.pid), []);
    await toom[Symbol.asyncDispose]();
  },
});

Deno.test({
  ...needing(
    E2E_POSSIBLE && hasFile("/usr/bin/flock"),
    `${E2E_NEEDS}, and flock`,
    "toom run starts although a user holds a lock on the lock file of an older toom",
  ),
  fn: async () => {
    // As toom 0.1 left it.
    await Deno.remove(LOCK_PATH).catch(() => {});
    await Deno.writeTextFile(LOCK_PATH, "1\n");
    await Deno.chmod(LOCK_PATH, 0o644);
    const user = new Deno.Command("/usr/bin/flock", {
      // Without a fork: what it would leave is a process of the user of the tests that follow.
      args: ["-F", "-s", LOCK_PATH, "sh", "-c", "echo locked; exec sleep 60"],
      uid: UID,
      gid: UID,
      cwd: "/",
      stdout: "piped",
    }).spawn();
    const reader = user.stdout.getReader();
    await reader.read();
    {
      await using toom = await Toom.start([`--limit=${UID + 5}=64MiB`]);
      await toom.waitFor(
        "config",
        (line) => /toom\.lock: its mode was 0644/.test(String(line["message"])),
      );
      const { mode, uid } = await Deno.stat(LOCK_PATH);
      assertEquals([mode! & 0o7777, uid], [0o600, 0]);
      const second = await toom.command("run", `--state-dir=${toom.stateDir}`);
      assertMatch(second.err, /^another toom runs on this machine/);
    }
    const denied = await new Deno.Command("/usr/bin/flock", {
      args: ["-s", "-n", LOCK_PATH, "true"],
      uid: UID,
      gid: UID,
      cwd: "/",
    }).output();
    assertMatch(new TextDecoder().decode(denied.stderr), /denied/);
    user.kill("SIGKILL");
    await reader.cancel();
    await user.status;
  },
});

const ROLES = ["reader0", "accounting", "killer", "coordinator", "sweeper"];

/**
 * The user's books must become what /proc says. Of what is counted, some pages may be credited until the
 * next measuring: those that were mapped while a process was read.
 */
async function assertBooksTrue(toom: Toom): Promise<void> {
  let counted = 0;
  for (let tries = 0; tries < 300 && counted !== truePages(UID); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    counted = await toom.countedPages(UID);
  }
  const { users } = await toom.status();
  const row = users.find(({ uid }) => uid === UID)!;
  assertEquals(counted, truePages(UID), `the books are true again: ${JSON.stringify(row)}`);
  const { usagePages, countedPages, sharedPages } = row;
  assertEquals(usagePages, countedPages - sharedPages);
  assert(sharedPages < 256, `credited: ${JSON.stringify(row)}`);
}

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run replaces a worker that throws, and enforces on"),
  fn: async (t) => {
    await using toom = await Toom.start([`--limit=${UID}=64MiB`, "--debug-faults"]);
    for (const role of ROLES) {
      await t.step(role, async () => {
        await using neighbour = await new Workload(UID, "hold", 10).until("held");
        await toom.fault(role, "throw");
        const line = await toom.waitFor("worker-restart", (one) => one["role"] === role);
        // 20 to 60 ms on a machine that has time; only a hang is for a test to find.
        assert(Number(line["downMs"]) < 5000, `down for ${line["downMs"]} ms`);
        await assertEnforced(toom);
        assert(neighbour.alive, "the neighbour lives");
        await assertBooksTrue(toom);
      });
    }
    const { workers, restarts } = await toom.status();
    for (const { role, state, restarts } of workers) {
      assertEquals([role, state, restarts], [role, "running", 1]);
    }
    assertEquals(restarts, { total: 0, reason: null });
  },
});

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom limit takes effect at once and survives a restart"),
  fn: async () => {
    const stateDir = await Deno.makeTempDir();
    await using above = await new Workload(UID, "hold", 60).until("held");
    const first = await Toom.start([], { stateDir });
    const set = await first.command("limit", "set", String(UID), "32MiB");
    assertEquals(set.code, 0, set.err);
    assertEquals((await above.end()).signal, "SIGKILL", "who was above already dies");
    const limit = await first.waitFor("limit");
    assertEquals([limit["uidFirst"], limit["hardBytes"]], [UID, 32 << 20]);
    await first.stop();
    await first[Symbol.asyncDispose]();

    await using second = await Toom.start([], { stateDir });
    const got = await second.command("limit", "get", String(UID), "--json");
    assertEquals(
      JSON.parse(got.out)["hardBytes"] ?? JSON.parse(got.out)["limit"]?.hardBytes,
      32 << 20,
    );
    await using hog = new Workload(UID, "hold", 60);
    assertEquals((await hog.end()).signal, "SIGKILL", "the limit has survived");

    assertEquals((await second.command("limit", "clear", String(UID))).code, 0);
    await using free = await new Workload(UID, "hold", 60).until("held");
    await new Promise((resolve) => setTimeout(resolve, 1200));
    assert(free.alive, "and is gone when it is cleared");
    await Deno.remove(stateDir, { recursive: true });
  },
});

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run takes from the fattest when the machine is short"),
  fn: async () => {
    const toomArgs = [`--limit=${UID}=100MiB`, `--limit=${UID + 1}=32MiB`];
    await using fat = await new Workload(UID, "hold", 60).until("held");
    await using slim = await new Workload(UID + 1, "hold", 20).until("held");
    // More than any machine has available: from the first sweep on it is short.
    await using toom = await Toom.start([...toomArgs, "--min-available=100%", "--interval=10s"]);
    const kill = await toom.waitFor("kill");
    assertEquals([kill["trigger"], kill["pid"]], ["last-defense", fat.pid]);
    assertEquals((await fat.end()).signal, "SIGKILL");
    await toom.waitFor("trigger", (line) => line["trigger"] === "last-defense");
    assert(slim.alive, "one at a time");
  },
});
