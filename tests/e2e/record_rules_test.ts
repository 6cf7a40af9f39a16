/**
 * Kills of a real toom that hang by rules, recorded: decided again as they were, and as other rules
 * would have decided.
 */
import { assert, assertEquals } from "@std/assert";
import { main } from "../../cli/main.ts";
import { runRecording } from "../../cli/run_recording.ts";
import { whyNoBpf } from "../kernel/bpf/support.ts";
import { Actor } from "../_support/actor.ts";
import { needing, waitUntil } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE } from "../_support/workload.ts";

const UID = 60_475;
const LIMIT_MIB = 64;
/** With what python itself takes, some 4 MiB each, the three stay below the limit until one grows. */
const LARGEST_MIB = 26;
const MIDDLE_MIB = 16;
const GROWTH_MIB = 14;
const PROGRAM = new URL("../../mod.ts", import.meta.url).pathname;
const AVOIDED = "my-name";

/** Who is killed when the least of three grows. The largest has a name, and says what it is for. */
async function oneKill(
  toom: Toom,
): Promise<{ readonly victim: number; readonly largest: number; readonly middle: number }> {
  const place = { more: ["--important"] };
  await using largest = await Actor.start(UID, { mib: LARGEST_MIB, name: AVOIDED }, place);
  await using middle = await Actor.start(UID, { mib: MIDDLE_MIB, name: "plain" });
  await using least = await Actor.start(UID, { mib: 1, pauseMs: 20, name: "small" });
  const before = toom.of("kill").length;
  // Rules are looked at, and what has grown within the last second counts as going to grow again.
  await new Promise((resolve) => setTimeout(resolve, 1300));
  await least.grow(GROWTH_MIB);
  await waitUntil(() => toom.of("kill").length > before, "somebody is killed");
  const victim = Number(toom.of("kill").at(-1)!["pid"]);
  await toom.waitFor("killed", ({ pid }) => pid === victim);
  return { victim, largest: largest.pid, middle: middle.pid };
}

for (const source of ["bpf", "raw"] as const) {
  const why = !E2E_POSSIBLE ? E2E_NEEDS : source === "bpf" ? whyNoBpf() : undefined;
  Deno.test({
    ...needing(why === undefined, why ?? "", `kills by rules are decided again, source ${source}`),
    async fn(t): Promise<void> {
      const dir = await Deno.makeTempDir({ prefix: "toom-record-rules-" });
      const write = (name: string, rules: readonly unknown[]): string => {
        const path = `${dir}/${name}.jsonc`;
        const limits = { [UID]: `${LIMIT_MIB}MiB` };
        const text = JSON.stringify({ limits, rules, defaultRules: false, victim: "largest" });
        Deno.writeTextFileSync(path, text, { mode: 0o644 });
        return path;
      };
      const configPath = write("live", [{ command: AVOIDED, effect: "avoid" }]);
      await using toom = await Toom.start([`--config=${configPath}`, `--source=${source}`]);
      try {
        const path = `${dir}/a.toomrec`;
        const recorder = new Deno.Command(Deno.execPath(), {
          args: [
            ...["run", "-A", "--no-check", PROGRAM, "record", path],
            `--control-socket=${toom.socketPath}`,
          ],
          stdout: "piped",
          stderr: "piped",
        }).spawn();
        await waitUntil(() => {
          try {
            return Deno.statSync(path).size > 500;
          } catch {
            return false;
          }
        }, "the recording begins");
        const avoided = await oneKill(toom);
        assertEquals(avoided.victim, avoided.middle);
        write("live", []);
        assertEquals((await toom.command("reload")).code, 0);
        const plain = await oneKill(toom);
        assertEquals(plain.victim, plain.largest);
        write("live", [{ command: "plain", effect: "prefer" }, {
          commandLine: "*--important*",
          effect: "protect",
        }]);
        assertEquals((await toom.command("reload")).code, 0);
        const preferred = await oneKill(toom);
        assertEquals(preferred.victim, preferred.middle);
        recorder.kill("SIGINT");
        const { code, stderr } = await recorder.output();
        assertEquals(code, 0, new TextDecoder().decode(stderr));
        const victims = [avoided.victim, plain.victim, preferred.victim];

        await t.step("with the rules of the time the same are killed", async () => {
          const { replay, damage } = await runRecording(path, () => undefined);
          assertEquals(damage, undefined);
          assertEquals(replay.kills.map(({ uid, pid }) => [uid, pid]), [
            ...victims.map((pid) => [UID, pid]),
          ]);
        });

        /** The first victim of each of the three by a configuration. */
        const killsWith = async (name: string, rules: readonly unknown[]): Promise<number[]> => {
          const out: string[] = [];
          const io = { out: (line: string) => void out.push(line), err: () => {} };
          const args = ["replay", path, `--config=${write(name, rules)}`, "--json"];
          assertEquals(await main(args, io), 0);
          const { kills } = JSON.parse(out[0]!) as { kills: { pid: number }[] };
          const pids = kills.map(({ pid }) => pid);
          return [avoided, plain, preferred].map(({ largest, middle }) =>
            pids.find((pid) => pid === largest || pid === middle) ?? 0
          );
        };

        await t.step("without rules the largest would have been killed", async () => {
          const all = [avoided.largest, plain.largest, preferred.largest];
          assertEquals(await killsWith("none", []), all);
        });

        await t.step("who is protected by its arguments would have lived", async () => {
          const rules = [{ commandLine: "*--important*", effect: "protect" }];
          const all = [avoided.middle, plain.middle, preferred.middle];
          assertEquals(await killsWith("protect", rules), all);
        });
        assert(toom.errors.length === 0, toom.errors.join("; "));
      } finally {
        await Deno.remove(dir, { recursive: true });
      }
    },
  });
}
