/**
 * Kills of a real toom, recorded and decided again: kill for kill. TOOM_RECORDED_RUNS says how many runs;
 * 3 where it is not set.
 */
import { assert, assertEquals } from "@std/assert";
import { main } from "../../cli/main.ts";
import { LimitRules } from "../../pipeline/limits/limits.ts";
import { runRecording } from "../../cli/run_recording.ts";
import { needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, Workload } from "../_support/workload.ts";
import { whyNoBpf } from "../kernel/bpf/support.ts";

const RUNS = Number(Deno.env.get("TOOM_RECORDED_RUNS") ?? 3);
const UIDS = [60_470, 60_471, 60_472];
const PROGRAM = new URL("../../mod.ts", import.meta.url).pathname;

/** A recording under way. */
async function record(toom: Toom, path: string): Promise<() => Promise<string>> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      PROGRAM,
      "record",
      path,
      `--control-socket=${toom.socketPath}`,
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const end = async (): Promise<string> => {
    child.kill("SIGINT");
    const { code, stdout, stderr } = await child.output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout).trim();
  };
  for (let tries = 0; await Deno.stat(path).then(({ size }) => size < 500, () => true); tries++) {
    if (tries > 500) throw new Error(`no recording of it begins: ${await end()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return end;
}

/** Hogs of several users; each run another mix. @returns How many were killed. */
async function someKills(run: number): Promise<number> {
  await using _held = await new Workload(UIDS[run % 3]!, "hold", 5 + run % 20).until("held");
  const hogs = Array.from(
    { length: 1 + run % 3 },
    (_, index) => new Workload(UIDS[(run + index) % 3]!, "hold", 150 + 20 * index),
  );
  const ends = await Promise.all(hogs.map((hog) => hog.end()));
  for (const hog of hogs) await hog[Symbol.asyncDispose]();
  return ends.filter(({ signal }) => signal === "SIGKILL").length;
}

/**
 * What a kill is compared by: whose and who. How many pages were in use is read by another worker when it
 * gets there, live and in a replay, some pages later or earlier; it is only known to be past the limit.
 */
function told(kill: Record<string, unknown>): string {
  const { uid, pid, usagePages, hardPages } = kill;
  assert(Number(usagePages) > Number(hardPages), JSON.stringify(kill));
  return [uid, pid].join();
}

for (const source of ["bpf", "raw"] as const) {
  const why = !E2E_POSSIBLE ? E2E_NEEDS : source === "bpf" ? whyNoBpf() : undefined;
  Deno.test({
    ...needing(why === undefined, why ?? "", `recorded kills are decided again, source ${source}`),
    async fn(t): Promise<void> {
      const dir = await Deno.makeTempDir({ prefix: "toom-record-" });
      await using toom = await Toom.start([
        ...UIDS.map((uid, index) => `--limit=${uid}=${48 + 16 * index}MiB`),
        `--source=${source}`,
        `--victim=${source === "bpf" ? "largest" : "newest"}`,
      ]);
      let kills = 0;
      try {
        for (let run = 0; run < RUNS; run++) {
          const path = `${dir}/${run}.toomrec`;
          const end = await record(toom, path);
          const before = toom.of("kill").length;
          const died = await someKills(run);
          const isToldOf = (event: string): boolean => toom.of(event).length >= before + died;
          await toom.waitFor("killed", () => isToldOf("kill") && isToldOf("killed"));
          const line = await end();
          assert(line.includes("(none lost)"), line);
          const live = toom.of("kill").slice(before).map((kill) => told(kill));
          const { replay, damage } = await runRecording(path, () => undefined);
          assertEquals(damage, undefined);
          assert(replay.tail !== undefined);
          const again = replay.kills.map((kill) => told({ ...kill }));
          assertEquals(again, live, `run ${run}: ${path}`);
          assertEquals(replay.recordedKills.length, live.length);
          kills += live.length;
        }
        assert(kills >= RUNS, `${kills} kills`);

        await t.step("with a limit that is high enough nobody would have been killed", async () => {
          const { replay } = await runRecording(
            `${dir}/0.toomrec`,
            () => Promise.resolve({ limits: () => new LimitRules() }),
          );
          assertEquals(replay.kills, []);
          assert(replay.recordedKills.length > 0);
        });

        await t.step(
          "the command shows the kills, and compares them with what would be",
          async () => {
            const lines: string[] = [];
            const io = { out: (text: string) => void lines.push(text), err: () => {} };
            const svg = `${dir}/chart.svg`;
            const args = ["replay", `${dir}/0.toomrec`, "--compare", `--svg=${svg}`];
            assertEquals(await main(args, io), 0);
            assert(lines.some((line) => line.includes("each as recorded")), lines.join("\n"));
            assert(lines.some((line) => line.startsWith(`uid ${UIDS[0]}`)));
            assert((await Deno.readTextFile(svg)).includes("killed in the replay"));
          },
        );
        assertEquals(toom.errors, []);
      } finally {
        await Deno.remove(dir, { recursive: true });
      }
    },
  });
}
