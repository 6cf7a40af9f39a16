/**
 * Status, explanation, metrics and what a user is told show the same numbers for the same moment, while
 * a hog grows; and of its end, log, history, metrics and status say the same.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { ControlClient } from "../../cli/control_client.ts";
import { askOwn } from "../../cli/me.ts";
import { pageBytes } from "../../kernel/ffi/libc.ts";
import { HistoryReader } from "../../service/history/reader.ts";
import type { KillRecord } from "../../service/history/record.ts";
import { KillRecord as KillRecordSchema } from "../../service/history/record_schema.ts";
import type { Explanation, OwnReport, UserReport } from "../../service/control/control_api.ts";
import { samplesOf } from "../_support/metric_samples.ts";
import { canRunToom, runToomAs } from "../_support/other_user.ts";
import { needing, waitUntil } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, PYTHON, Workload } from "../_support/workload.ts";

const UID = 60611;
const HARD_MIB = 64;
const MIB = 2 ** 20;
/** As the views have them: usage, hard, soft, peak, promised, processes. */
type Numbers = readonly [number, number, number, number, number, number];

function numbersOf(user: UserReport): Numbers {
  const { usagePages, hardPages, softPages, peakPages, promisedPages, processes } = user;
  return [usagePages, hardPages, softPages, peakPages, promisedPages, processes];
}

async function scrape(toom: Toom): Promise<Map<string, number>> {
  using client = Deno.createHttpClient({
    proxy: { transport: "unix", path: toom.socketPath },
  });
  const answer = await fetch("http://localhost/metrics", { client });
  assertEquals(answer.status, 200);
  return samplesOf(await answer.text());
}

/** Numbers of the metrics, in pages. */
function metricNumbers(samples: ReadonlyMap<string, number>): Numbers {
  const of = (name: string): number => samples.get(name) ?? NaN;
  const memory = (type: string): number =>
    of(`toom_user_memory_bytes{uid="${UID}",type="${type}"}`) / pageBytes();
  const limit = (kind: string): number =>
    of(`toom_user_limit_bytes{uid="${UID}",kind="${kind}"}`) / pageBytes();
  return [
    memory("charged"),
    limit("hard"),
    limit("soft"),
    memory("peak"),
    memory("promised"),
    of(`toom_user_processes{uid="${UID}"}`),
  ];
}

/** All views, one after the other, of nearly one moment. */
interface Views {
  readonly before: Numbers;
  readonly explained: Explanation;
  readonly metrics: Numbers;
  readonly after: Numbers;
}

async function look(toom: Toom): Promise<Views> {
  using client = new ControlClient(toom.socketPath);
  const status = async (): Promise<Numbers> => {
    const { users } = await client.status();
    return numbersOf(users.find(({ uid }) => uid === UID)!);
  };
  const before = await status();
  const explained = await client.explain(UID);
  const metrics = metricNumbers(await scrape(toom));
  return { before, explained, metrics, after: await status() };
}

Deno.test({
  ...needing(
    E2E_POSSIBLE,
    E2E_NEEDS,
    "all views show the same numbers while a hog grows, and of its end",
  ),
  fn: async (t) => {
    await using toom = await Toom.start([`--limit=${UID}=${HARD_MIB}MiB`]);
    await using hog = new Workload(UID, "steps", 1);
    await hog.until("here");
    let grown = 0;
    const grow = async (mib: number): Promise<void> => {
      for (let step = 0; step < mib; step++) {
        await hog.go();
        await hog.until(`grown ${++grown}`);
      }
    };

    await t.step("at rest, to the page", async () => {
      for (let round = 0; round < 3; round++) {
        await grow(8);
        let same = false;
        // The books, and what looks have found, come to rest soon after the hog has.
        for (let tries = 0; tries < 20 && !same; tries++) {
          await new Promise((resolve) => setTimeout(resolve, 300));
          const { before, explained, metrics, after } = await look(toom);
          if (before.join() !== after.join()) continue;
          const told = numbersOf(explained.user!);
          assertEquals([told, metrics], [before, before]);
          const listed = explained.processes.reduce(
            (sum, { countedPages }) => sum + countedPages,
            0,
          );
          assertEquals(listed, explained.user!.countedPages, "its processes are all of it");
          assert(before[0] >= grown * MIB / pageBytes(), `${before[0]} pages of ${grown} MiB`);
          same = true;
        }
        assert(same, "the numbers never come to rest");
      }
    });

    await t.step("while it grows, in the order in which they were asked", async () => {
      let isGrowing = true;
      const growing = (async (): Promise<void> => {
        for (let step = 0; step < 12; step++) {
          await grow(1);
          await new Promise((resolve) => setTimeout(resolve, 15));
        }
        isGrowing = false;
      })();
      let looks = 0;
      let moved = 0;
      while (isGrowing) {
        const { before, explained, metrics, after } = await look(toom);
        const usages = [before[0], explained.user!.usagePages, metrics[0], after[0]];
        assertEquals(usages, [...usages].sort((a, b) => a - b), "it only grows");
        looks++;
        if (after[0] > before[0]) moved++;
      }
      await growing;
      assert(looks > 3 && moved > 0, `${looks} looks, ${moved} of them while it grew`);
    });

    await t.step("a user is told the same", async () => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      const script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\n" +
        "s.connect(sys.argv[1])\nwhile True:\n  part = s.recv(65536)\n  if not part: break\n" +
        "  sys.stdout.write(part.decode())";
      const { stdout } = await new Deno.Command(PYTHON!, {
        args: ["-S", "-E", "-c", script, toom.socketPath.replace("control.sock", "me.sock")],
        uid: UID,
        gid: UID,
        cwd: "/",
        clearEnv: true,
      }).output();
      const own = JSON.parse(new TextDecoder().decode(stdout)) as OwnReport;
      assertEquals([own.uid, own.kills], [UID, []]);
      assertEquals(own.user!.hardPages, HARD_MIB * MIB / pageBytes());
      assert(own.user!.usagePages >= grown * MIB / pageBytes());
      const root = await askOwn(toom.socketPath);
      assertEquals([root.uid, root.user], [0, null]);
    });

    await t.step("of the kill, log, receipt, history, metrics and status agree", async () => {
      for (let step = 0; step < HARD_MIB; step++) await hog.go().catch(() => {});
      assertEquals((await hog.end()).signal, "SIGKILL");
      const line = await toom.waitFor("kill", ({ uid }) => uid === UID);
      const end = await toom.waitFor("killed", ({ uid }) => uid === UID);
      const id = line["id"] as string;
      const shown = await toom.command("kills", "show", id, "--json");
      assertEquals([shown.code, shown.err], [0, ""]);
      const kill = KillRecordSchema.parse(JSON.parse(shown.out));
      for (
        const name of [
          "uid",
          "pid",
          "comm",
          "trigger",
          "usagePages",
          "sharedPages",
          "hardPages",
          "overshootBytes",
          "victimPages",
          "latencyUs",
          "sharers",
        ] as const
      ) {
        assertEquals(kill[name], line[name], name);
      }
      assertEquals(kill.pid, hog.pid);
      assertEquals(kill.countedPages, kill.usagePages + kill.sharedPages);
      assertEquals([kill.freedBytes, kill.exitUs], [end["freedBytes"], end["exitUs"]]);
      assertEquals(kill.exitStatus, 9, "the kernel says that it was SIGKILL");
      assertEquals([kill.policy, kill.rule], ["largest", `${UID} by toom run --limit`]);
      assert(kill.victimAnonPages === null || kill.victimAnonPages > 0);
      assert(kill.peakPages >= kill.usagePages);
      assertEquals(kill.softPages, Math.floor(kill.hardPages * 0.9));
      assertEquals(kill.beganUs === null, kill.trigger === "kernel");

      const { users, kills, history } = await toom.status();
      const user = users.find(({ uid }) => uid === UID)!;
      assertEquals([user.kills, kills.total], [1, 1]);
      await new Promise((resolve) => setTimeout(resolve, 300));
      const samples = await scrape(toom);
      const byTrigger = `toom_kills_total{trigger="${kill.trigger}",policy="largest"}`;
      assertEquals(samples.get(byTrigger), 1);
      assertEquals(samples.get(`toom_user_kills_total{uid="${UID}"}`), 1);
      assertEquals(samples.get("toom_kill_overshoot_bytes_sum"), kill.overshootBytes);
      assertEquals(samples.get("toom_freed_bytes_total"), kill.freedBytes);

      // It is written by and by, by a process of its own.
      const path = history!.path!;
      const written = (): KillRecord[] => {
        try {
          using reader = new HistoryReader(path);
          return reader.kills({ limit: 9 });
        } catch {
          return [];
        }
      };
      await waitUntil(() => written()[0]?.exitStatus === 9, "the history has it", 20_000);
      assertEquals(written(), [kill]);
      const list = await toom.command("kills", "--user", String(UID), "--csv");
      assertEquals(list.out.trimEnd().split("\n").length, 2);
      assertMatch(
        (await toom.command("kills", "show", id)).out,
        /ended by SIGKILL, as the kernel says/,
      );
      const explained = await toom.command("explain", String(UID));
      assertMatch(explained.out, /It has no process\./);
    });

    await t.step("the user who lost it is told, without root", async () => {
      if (!canRunToom(UID)) return;
      const { code, out } = await runToomAs(UID, ["me", `--control-socket=${toom.socketPath}`]);
      assertEquals(code, 0);
      assertMatch(out, new RegExp(`toom killed pid ${hog.pid} \\("python3[^"]*"\\), which used 6`));
      assertMatch(out, /What to do/);
    });

    await t.step("the history is whole when toom has stopped, and is read without it", async () => {
      const path = `${toom.stateDir}/history.db`;
      assertEquals((await toom.stop()).code, 0);
      using reader = new HistoryReader(path);
      assertEquals(reader.kills({ limit: 9 }).length, 1);
      const [peak] = reader.peaks({ limit: 9 });
      assert(peak!.uid === UID && peak!.peakBytes > 40 * MIB, JSON.stringify(peak));
    });
  },
});

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "a kill right before toom starts over is in the history"),
  fn: async () => {
    await using toom = await Toom.start([`--limit=${UID}=32MiB`, "--debug-faults"]);
    for (const round of [1, 2]) {
      await using hog = new Workload(UID, "hold", 64);
      assertEquals((await hog.end()).signal, "SIGKILL");
      await toom.waitFor("killed", ({ pid }) => pid === hog.pid);
      // Not written yet: what gathers is written a moment later.
      await toom.fault("killer", "hang");
      await toom.waitFor("restart", ({ restarts }) => restarts === round, 20_000);
      const { out } = await toom.command("me", "--json");
      assertEquals(JSON.parse(out).uid, 0);
    }
    const listed = await toom.command("kills", "--json");
    const pids = toom.of("kill").map(({ pid }) => pid);
    assertEquals(JSON.parse(listed.out).kills.map(({ pid }: KillRecord) => pid), pids);
    assertEquals((await toom.stop()).code, 0);
    using reader = new HistoryReader(`${toom.stateDir}/history.db`);
    const written = reader.kills({ limit: 9 });
    assertEquals(written.map(({ pid }) => pid), pids);
    assertEquals(written.map(({ exitStatus }) => exitStatus), [9, 9]);
  },
});
