/** A worker that hangs: toom becomes itself once more, and nothing of before can write any more. */
import { assert, assertEquals } from "@std/assert";
import { ControlClient } from "../../cli/control_client.ts";
import { closeFd } from "../../kernel/ffi/fd.ts";
import { connectSeqpacket } from "../../kernel/sockets/seqpacket.ts";
import { findTracefs } from "../../kernel/trace/tracefs.ts";
import { parseInstanceName } from "../../kernel/trace/instance_name.ts";
import { FIFO_PRIORITY } from "../../workers/priorities.ts";
import { hasFile, needing, threadsOf } from "../_support/real_kernel.ts";
import { STOP_NEEDS, STOPPABLE, stopThread, threadOf } from "../_support/stop_thread.ts";
import { Toom } from "../_support/toom.ts";
import { assertBooksTrue } from "../_support/books_true.ts";
import { E2E_NEEDS, E2E_POSSIBLE, Workload } from "../_support/workload.ts";

const UID = 60024;
const ROLES = ["reader0", "accounting", "killer", "coordinator", "sweeper"];
const LOCK_PATH = "/run/toom.lock";
const POSSIBLE = E2E_POSSIBLE && STOPPABLE;
const NEEDS = `${E2E_NEEDS}, and ${STOP_NEEDS}`;
/** From the last sign of life to enforcement: 1.1 to 1.2 s on a machine that has time. */
const DOWN_MS_MAX = 10_000;
const STOP_MS = 1500;

async function assertEnforced(toom: Toom): Promise<void> {
  await using hog = new Workload(UID, "hold", 512);
  assertEquals((await hog.end()).signal, "SIGKILL");
  await toom.waitFor("kill", (line) => line["pid"] === hog.pid);
}

function instancesOf(pid: number): string[] {
  return [...Deno.readDirSync(`${findTracefs()}/instances`)].map(({ name }) => name)
    .filter((name) => parseInstanceName(name)?.pid === pid);
}

/** Makes it start over, and waits until it has. */
async function startOver(toom: Toom, role = "killer"): Promise<void> {
  const before = toom.of("restart").length;
  const ready = toom.of("ready").length;
  await toom.fault(role, "hang");
  await toom.waitFor("restart", (line) => toom.of("restart").indexOf(line) >= before);
  await toom.waitFor("ready", (line) => toom.of("ready").indexOf(line) >= ready);
}

for (
  const [role, isDeaf] of [...ROLES.map((role) => [role, false] as const), [
    "killer",
    true,
  ]] as const
) {
  const how = isDeaf ? " and its tracer is deaf" : "";
  Deno.test({
    ...needing(
      POSSIBLE,
      NEEDS,
      `toom run starts over when its ${role} stands still for 1.5 s${how}`,
    ),
    fn: async () => {
      await using toom = await Toom.start([`--limit=${UID}=64MiB`]);
      await using neighbour = await new Workload(UID, "hold", 10).until("held");
      await using stranger = await new Workload(UID + 1, "hold", 100).until("held");
      const tid = threadOf(toom.pid, `toom-${role}`);
      const stopped = await stopThread(tid, STOP_MS, isDeaf);
      // A hog meanwhile, of which the one that stands still may know already.
      await using hog = new Workload(UID, "hold", 512);
      assertEquals((await hog.end()).signal, "SIGKILL");
      const line = await toom.waitFor("restart");
      assertEquals(line["role"], role);
      // The kernel begins a program when the last thread of before has been collected.
      const downMsMax = isDeaf ? STOP_MS + DOWN_MS_MAX : DOWN_MS_MAX;
      assert(Number(line["downMs"]) < downMsMax, `down for ${line["downMs"]} ms`);
      assertEquals(await stopped.end, "gone", "the thread is no more, and never goes on");
      assertEquals(hasFile(`/proc/${toom.pid}/task/${tid}`), false);
      assertEquals(toom.of("worker-restart"), []);
      await toom.waitFor("ready", (one) => toom.of("ready").indexOf(one) === 1);
      await assertEnforced(toom);
      await assertBooksTrue(toom, UID);
      assert(neighbour.alive && stranger.alive, "nobody else has died");
      const { restarts, workers, pid } = await toom.status();
      assertEquals([restarts?.total, pid], [1, toom.pid]);
      assert(restarts!.reason!.startsWith(`${role} hung: no heartbeat for`), restarts!.reason!);
      assertEquals(workers.find((one) => one.role === role)!.restarts, 1);
      assertEquals(instancesOf(toom.pid).length, 2);
      const hurried = threadsOf(toom.pid).filter(({ priority }) =>
        priority === FIFO_PRIORITY.startOver
      );
      assertEquals(hurried, [], "the hurry is over");
    },
  });
}

Deno.test({
  ...needing(
    E2E_POSSIBLE,
    E2E_NEEDS,
    "toom run refuses nobody and keeps its lock while it starts over",
  ),
  fn: async () => {
    await using toom = await Toom.start([`--limit=${UID}=64MiB`, "--debug-faults"]);
    const inode = String((await Deno.stat(LOCK_PATH)).ino);
    const refused: unknown[] = [];
    let isOver = false;
    const ask = async (): Promise<number> => {
      let asked = 0;
      for (; !isOver; asked++) {
        try {
          (await Deno.connect({ transport: "unix", path: toom.socketPath })).close();
          const fd = connectSeqpacket(toom.tmallocPath);
          if (fd < 0) refused.push(`tmalloc: errno ${-fd}`);
          else closeFd(fd);
        } catch (error) {
          refused.push(error);
        }
        // Read piece by piece, so a line may be missed when another lock goes meanwhile.
        let isLocked = false;
        for (let reads = 0; reads < 3 && !isLocked; reads++) {
          isLocked = (await Deno.readTextFile("/proc/locks")).includes(`:${inode} 0 EOF`);
        }
        if (!isLocked) refused.push("the lock was free");
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      return asked;
    };
    const status = async (): Promise<number> => {
      let answers = 0;
      for (; !isOver; answers++) {
        using client = new ControlClient(toom.socketPath);
        assertEquals((await client.status()).pid, toom.pid);
      }
      return answers;
    };
    const asking = Promise.all([ask(), status()]);
    // Twice: what was inherited once is handed on.
    await startOver(toom);
    await startOver(toom, "accounting");
    isOver = true;
    const [asked, answers] = await asking;
    assertEquals(refused, []);
    assert(asked > 20 && answers > 5, `${asked} ${answers}`);
    await assertEnforced(toom);
    assertEquals((await toom.stop()).code, 0);
    assertEquals(instancesOf(toom.pid), []);
    assertEquals([hasFile(toom.socketPath), hasFile(toom.tmallocPath)], [false, false]);
  },
});

Deno.test({
  ...needing(
    E2E_POSSIBLE,
    E2E_NEEDS,
    "toom run keeps limits that could not be written when it starts over",
  ),
  fn: async () => {
    await using toom = await Toom.start([`--limit=${UID}=1GiB`, "--debug-faults"]);
    // The new file cannot be made.
    await Deno.mkdir(`${toom.stateDir}/limits.json.new-${toom.pid}/x`, { recursive: true });
    const set = await toom.command("limit", "set", String(UID), "32MiB");
    assertEquals(set.code, 1, "in force, and not to be written down");
    await toom.waitFor("error", (line) => line["where"] === "state");
    const { uptimeSeconds } = await toom.status();
    await startOver(toom);
    await using hog = new Workload(UID, "hold", 60);
    assertEquals((await hog.end()).signal, "SIGKILL");
    const after = await toom.status();
    assert(after.uptimeSeconds > uptimeSeconds, "it is the same toom");
    assertEquals(after.kills.total, 1);
    await startOver(toom);
    assertEquals((await toom.status()).kills.total, 1, "kills are counted on");
  },
});

Deno.test({
  ...needing(
    E2E_POSSIBLE,
    E2E_NEEDS,
    "toom run keeps the grace of who was asked to end when it starts over",
  ),
  fn: async () => {
    await using toom = await Toom.start([
      `--limit=${UID}=64MiB`,
      "--kill-signal=SIGTERM",
      "--kill-grace=8s",
      "--kill-ceiling=1000%",
      "--debug-faults",
    ]);
    await using neighbour = await new Workload(UID, "hold", 10).until("held");
    await using hog = await new Workload(UID, "stubborn", 70).until("here");
    await hog.go();
    await toom.waitFor("kill", (line) => line["pid"] === hog.pid);
    await hog.until("held");
    await startOver(toom);
    await startOver(toom, "accounting");
    assert(hog.alive, "its grace goes on");
    assertEquals((await hog.end()).signal, "SIGKILL");
    const killed = await toom.waitFor("killed", (line) => line["pid"] === hog.pid);
    assertEquals(killed["outcome"], "over");
    assert(Number(killed["exitUs"]) >= 8e6, "counted from the first signal");
    assertEquals(toom.of("kill").length, 1, "it was asked once");
    assertEquals(toom.of("grace").map(({ pid, outcome }) => [pid, outcome]), [[hog.pid, "over"]]);
    assert(neighbour.alive, "the neighbour lives");
    assertEquals(toom.errors, []);
  },
});

Deno.test({
  ...needing(
    E2E_POSSIBLE,
    E2E_NEEDS,
    "toom run keeps the grace of a lowered limit when it starts over",
  ),
  fn: async () => {
    const flags = [`--limit=${UID}=100MiB`, "--lower-grace=1h", "--debug-faults"];
    await using toom = await Toom.start(flags);
    await using user = await new Workload(UID, "hold", 60).until("held");
    assertEquals((await toom.command("limit", "set", String(UID), "32MiB")).code, 0);
    await toom.waitFor("config", (line) => String(line["message"]).includes("in 3600 s"));
    await startOver(toom);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assert(user.alive, "its grace goes on");
    assertEquals(toom.of("kill"), []);
    // The former limit holds meanwhile.
    const { users } = await toom.status();
    assertEquals(users.find(({ uid }) => uid === UID)?.hardPages, 100 * 256);
    const now = await toom.command("limit", "set", String(UID), "32MiB", "--now");
    assertEquals(now.code, 0);
    assertEquals((await user.end()).signal, "SIGKILL");
    assertEquals(toom.errors, []);
  },
});

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run starts over at most about once a second"),
  fn: async () => {
    await using toom = await Toom.start([`--limit=${UID}=64MiB`, "--debug-faults"]);
    const atMs: number[] = [];
    for (let i = 0; i < 4; i++) {
      await startOver(toom);
      atMs.push(Date.parse(String(toom.of("restart").at(-1)!["ts"])));
    }
    for (let i = 1; i < atMs.length; i++) {
      const gapMs = atMs[i]! - atMs[i - 1]!;
      assert(gapMs >= 900, `${gapMs} ms between two`);
    }
    assert(atMs[3]! - atMs[2]! > 3000, "who does so again and again waits longer");
    assertEquals((await toom.status()).restarts?.total, 4);
    await assertEnforced(toom);
  },
});
