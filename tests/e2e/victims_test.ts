/** Who dies when there is a choice, and who never dies in vain. */
import { assert, assertEquals } from "@std/assert";
import { ProcReader } from "../../kernel/proc/proc.ts";
import { ProcStatus, STATE_DEAD, STATE_ZOMBIE } from "../../pipeline/ports.ts";
import { hasCapability, needing, waitUntil } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, Workload } from "../_support/workload.ts";

const CROWD_UID = 60140;
const PROTECTED_UID = 60141;
const STORE_UID = 60142;
const LEADERLESS_UID = 60143;
const NEAR_UID = 60144;
const FAR_UID = 60145;
const SHARERS = 50;
/** include/uapi/linux/capability.h */
const CAP_SYS_RESOURCE = 24;

function isAlive(pid: number): boolean {
  const status = new ProcStatus();
  if (!new ProcReader().readStatus(pid, status)) return false;
  return status.state !== STATE_ZOMBIE && status.state !== STATE_DEAD;
}

async function pass(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run chooses its victims"),
  fn: async (t) => {
    await using toom = await Toom.start([
      `--limit=${CROWD_UID}=64MiB`,
      `--limit=${STORE_UID}=100MiB`,
      `--limit=${LEADERLESS_UID}=64MiB`,
      "--no-psi",
    ]);
    const kills = (uid: number): number[] =>
      toom.of("kill").filter((line) => line["uid"] === uid).map((line) => Number(line["pid"]));

    await t.step(`${SHARERS} processes that share one mm die by one kill`, async () => {
      await using crowd = await new Workload(CROWD_UID, "crowd", SHARERS, 512).until("here");
      const sharers = crowd.numbers("sharer");
      try {
        assertEquals(sharers.length, SHARERS);
        // A neighbour that is none of them.
        await using neighbour = await new Workload(CROWD_UID, "hold", 8).until("held");
        await crowd.go();
        assertEquals((await crowd.end()).signal, "SIGKILL");
        await toom.waitFor("killed", (line) => line["uid"] === CROWD_UID);
        await waitUntil(() => !sharers.some(isAlive), "all sharers have ended");
        await pass(300);
        assertEquals(kills(CROWD_UID), [crowd.pid]);
        assertEquals(toom.of("kill").at(-1)?.["sharers"], SHARERS);
        assert(neighbour.alive, "who shares nothing lives");
      } finally {
        for (const pid of sharers) if (isAlive(pid)) Deno.kill(pid, "SIGKILL");
      }
    });

    await t.step("a snapshot child that has volunteered dies, its store lives", async () => {
      await using store = await new Workload(STORE_UID, "store", 40, 40).until("here");
      const [child] = store.numbers("child");
      await pass(300);
      await store.go();
      await store.until("held");
      await toom.waitFor("killed", (line) => line["pid"] === child);
      assert(store.alive, "the store lives");
      assertEquals(kills(STORE_UID), [child]);
    });

    await t.step("a process whose first thread has ended is not gone", async () => {
      await using hog = new Workload(LEADERLESS_UID, "leaderless", 512);
      assertEquals((await hog.end()).signal, "SIGKILL");
      await toom.waitFor("killed", (line) => line["pid"] === hog.pid);
      assertEquals(kills(LEADERLESS_UID), [hog.pid]);
    });

    await t.step("nothing went wrong meanwhile", () => {
      assertEquals(toom.errors, []);
      assertEquals(toom.of("worker-restart"), []);
    });
  },
});

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run relieves the machine by whom that helps"),
  fn: async () => {
    await using near = await new Workload(NEAR_UID, "hold", 40).until("held");
    await using second = await new Workload(NEAR_UID, "hold", 8).until("held");
    await using far = await new Workload(FAR_UID, "hold", 30).until("held");
    // No machine has all of its memory available.
    await using toom = await Toom.start([
      `--limit=${NEAR_UID}=80MiB`,
      `--limit=${FAR_UID}=100MiB`,
      "--min-available=100%",
      "--interval=200ms",
      "--no-psi",
    ]);
    assertEquals((await near.end()).signal, "SIGKILL");
    const kill = await toom.waitFor("kill");
    assertEquals([kill["pid"], kill["trigger"]], [near.pid, "last-defense"]);
    const told = await toom.waitFor(
      "trigger",
      (line) => String(line["reason"]).includes("nothing is done"),
    );
    assertEquals(told["trigger"], "last-defense");
    await pass(1500);
    assert(second.alive && far.alive, "who is below half of its limit, or small, lives");
    assertEquals(toom.of("kill").length, 1);
    const said = toom.of("trigger").filter((line) => String(line["reason"]).includes("nothing"));
    assertEquals(said.length, 1, "it is told once");
  },
});

Deno.test({
  ...needing(
    E2E_POSSIBLE,
    E2E_NEEDS,
    "toom run relieves the machine by its rule, and the user's policy chooses the process",
  ),
  fn: async () => {
    const path = await Deno.makeTempFile({ prefix: "toom-victims-", suffix: ".jsonc" });
    const write = (machine: string): Promise<void> =>
      Deno.writeTextFile(
        path,
        `{ "limits": { "${NEAR_UID}": "80MiB" }, "interval": "200ms", "machine": ${machine} }`,
      );
    await write('{ "psi": false }');
    await using near = await new Workload(NEAR_UID, "hold", 60).until("held");
    await using older = await new Workload(FAR_UID, "hold", 100).until("held");
    await using newer = await new Workload(FAR_UID, "hold", 30).until("held");
    await using toom = await Toom.start([`--config=${path}`]);
    const set = await toom.command("limit", "set", String(FAR_UID), "2GiB", "--victim", "newest");
    assertEquals(set.code, 0);
    // No machine has all of its memory available.
    await write('{ "psi": false, "minAvailable": "100%", "victim": "largest" }');
    assertEquals((await toom.command("reload")).code, 0);
    assertEquals((await newer.end()).signal, "SIGKILL");
    assertEquals((await older.end()).signal, "SIGKILL");
    assertEquals((await near.end()).signal, "SIGKILL");
    await toom.waitFor("kill", (line) => line["pid"] === near.pid);
    assertEquals(
      toom.of("kill").map((line) => [line["pid"], line["trigger"]]),
      [newer, older, near].map(({ pid }) => [pid, "last-defense"]),
      "who has most, the newest of it first",
    );
    await Deno.remove(path);
  },
});

Deno.test({
  ...needing(
    E2E_POSSIBLE && hasCapability(CAP_SYS_RESOURCE),
    `${E2E_NEEDS}, and CAP_SYS_RESOURCE to protect a process`,
    "toom run kills nobody beside a hog that is protected, and names it",
  ),
  fn: async () => {
    await using toom = await Toom.start([`--limit=${PROTECTED_UID}=64MiB`, "--no-psi"]);
    await using hog = await new Workload(PROTECTED_UID, "hold-on-go", 200).until("here");
    await using small = new AsyncDisposableStack();
    const others: Workload[] = [];
    for (let i = 0; i < 3; i++) {
      others.push(small.use(await new Workload(PROTECTED_UID, "hold", 5).until("held")));
    }
    await Deno.writeTextFile(`/proc/${hog.pid}/oom_score_adj`, "-1000");
    await hog.go();
    await hog.until("held");
    await pass(1500);
    assert(hog.alive && others.every((other) => other.alive), "all of them live");
    assertEquals(toom.of("kill").map((line) => line["pid"]), []);
    const told = toom.of("error").filter((line) => String(line["message"]).includes("protected"));
    assertEquals(told.length, 1, JSON.stringify(told));
    assert(String(told[0]!["message"]).includes(`pid ${hog.pid}`), JSON.stringify(told));
    // Protected no more, it goes; and nobody with it.
    await Deno.writeTextFile(`/proc/${hog.pid}/oom_score_adj`, "0");
    assertEquals((await hog.end()).signal, "SIGKILL");
    assert(others.every((other) => other.alive));
    assertEquals(toom.of("kill").map((line) => line["pid"]), [hog.pid]);
  },
});
