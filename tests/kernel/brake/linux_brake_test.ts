/** Limits of real processes: found, set, given back. */
import { assert, assertEquals } from "@std/assert";
import { openBrakeWorld, tryBrake, undoBrake } from "../../../kernel/brake/brake_world.ts";
import { LinuxBrake } from "../../../kernel/brake/linux_brake.ts";
import {
  BrakeFacts,
  FoundLimits,
  SetResult,
  UNLIMITED,
} from "../../../pipeline/brake/brake_kernel.ts";
import { markedBytes } from "../../../pipeline/brake/marks.ts";
import { hasCapability, isRoot, needing, spawnAs, waitUntil } from "../../_support/real_kernel.ts";

const UID = 60112;
const CAP_SYS_RESOURCE = 24;
const PAGE = 4096;

Deno.test({
  ...needing(
    isRoot(),
    "root",
    "sizes and limits of a process are found, and its soft limit is set",
  ),
  fn: async () => {
    await using process = spawnAs(UID, ["sh", "-c", "ulimit -d 2000000; exec sleep 60"]);
    const brake = new LinuxBrake();
    try {
      const facts = new BrakeFacts();
      const old = new FoundLimits();
      await waitUntil(
        () => brake.readLimits(process.pid, facts) && facts.softBytes === 2_048_000_000n,
        "it has its own limit",
      );
      // In the midst of exec(2) a process has neither data nor touched pages yet.
      await waitUntil(
        () =>
          new TextDecoder().decode(brake.comm(process.pid)) === "sleep" &&
          brake.readSizes(process.pid, facts) && facts.touchedKib > 0 &&
          facts.touchedKib <= facts.dataKib,
        "it sleeps, and has touched some of its data",
      );
      assertEquals([facts.uid, facts.gid, facts.isMixed], [UID, UID, false]);
      assertEquals(facts.startTicks, brake.readStartTicks(process.pid));
      assertEquals(facts.hardBytes, 2_048_000_000n, "ulimit sets both");
      const soft = markedBytes(20_000, PAGE, 77);
      assertEquals(brake.setSoft(process.pid, facts, soft, old), SetResult.done);
      assertEquals([old.softBytes, old.hardBytes], [2_048_000_000n, 2_048_000_000n]);
      assert(brake.readLimits(process.pid, facts));
      assertEquals([facts.softBytes, facts.hardBytes], [soft, 2_048_000_000n]);
    } finally {
      brake.close();
    }
  },
});

Deno.test("a process that is gone is told from one that may not be touched", async () => {
  const brake = new LinuxBrake();
  try {
    const facts = new BrakeFacts();
    const process = spawnAs(Deno.uid()!, ["sleep", "60"]);
    assert(brake.readSizes(process.pid, facts) && brake.readLimits(process.pid, facts));
    await process.end();
    const old = new FoundLimits();
    assertEquals(brake.setSoft(process.pid, facts, 1n << 30n, old), SetResult.gone);
    assert(!brake.readSizes(process.pid, facts));
    assert(!brake.readLimits(process.pid, facts));
    assertEquals(brake.readStartTicks(process.pid), -1);
    assertEquals(brake.comm(process.pid).length, 0);
  } finally {
    brake.close();
  }
});

Deno.test({
  ...needing(isRoot(), "root", "the means are those that this machine has"),
  fn: () => assertEquals(tryBrake(), hasCapability(CAP_SYS_RESOURCE) ? "capability" : "helpers"),
});

Deno.test({
  ...needing(isRoot(), "root", "what a record says is lowered is undone: children too, others not"),
  fn: async () => {
    const dir = await Deno.makeTempDir();
    try {
      const script = "sleep 60 & sleep 60 & wait";
      await using parent = spawnAs(UID, ["sh", "-c", `sleep 0.3; ${script}`]);
      await using stranger = spawnAs(UID, ["sleep", "60"]);
      // Who began in the same tick of 10 ms may be a child, and is taken for one.
      await new Promise((resolve) => setTimeout(resolve, 30));
      const brake = new LinuxBrake();
      const world = openBrakeWorld(dir);
      const facts = new BrakeFacts();
      const old = new FoundLimits();
      const softOf = (pid: number): bigint => brake.readLimits(pid, facts) ? facts.softBytes : -1n;
      try {
        assert(brake.readSizes(parent.pid, facts) && brake.readLimits(parent.pid, facts));
        const { startTicks } = facts;
        const family = {
          id: 33,
          softBytes: UNLIMITED,
          sinceTicks: world.ticks.nowTicks(),
          pid: parent.pid,
          startTicks,
        };
        assert(world.record.begin(family));
        const lowered = markedBytes(50_000, PAGE, 33);
        assertEquals(brake.setSoft(parent.pid, facts, lowered, old), SetResult.done);
        // The same value, of somebody who was there before.
        assert(brake.readSizes(stranger.pid, facts) && brake.readLimits(stranger.pid, facts));
        const own = markedBytes(60_000, PAGE, 33);
        assertEquals(brake.setSoft(stranger.pid, facts, own, old), SetResult.done);
        const childrenOf = (): number[] =>
          Deno.readTextFileSync(`/proc/${parent.pid}/task/${parent.pid}/children`).split(" ")
            .filter((word) => word !== "").map(Number);
        // Its first child was perhaps there before.
        await waitUntil(() => childrenOf().length === 2, "it has its children");
        const children = childrenOf();
        for (const pid of children) assertEquals(softOf(pid), lowered, "inherited");
        world.close();
        assertEquals(await undoBrake(dir, 2000), 0);
        for (const pid of [parent.pid, ...children]) assertEquals(softOf(pid), UNLIMITED);
        assertEquals(softOf(stranger.pid), own, "who was there before has set it itself");
        assertEquals(await undoBrake(dir, 2000), 0);
        for (const pid of children) Deno.kill(pid, "SIGKILL");
      } finally {
        brake.close();
      }
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});
