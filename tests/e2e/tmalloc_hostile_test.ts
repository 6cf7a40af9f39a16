/** Who means no good to the coordinator gets nowhere, and nobody else notices much. */
import { assert, assertEquals } from "@std/assert";
import { Asker } from "../_support/asker.ts";
import { needing, waitUntil } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, PYTHON } from "../_support/workload.ts";

const UID = 60033;
const HOSTILE_UID = 60034;
const MIB = 1024 * 1024;
const SECONDS = 1.5;
const SCRIPT = Deno.readTextFileSync(new URL("../_support/hostile.py", import.meta.url));

/** A hostile process; ended with the block. */
class Hostile implements AsyncDisposable {
  private readonly child: Deno.ChildProcess;
  private readonly output: Promise<string>;

  constructor(socketPath: string, mode: string) {
    this.child = new Deno.Command("/bin/sh", {
      args: [
        "-c",
        `ulimit -n 15000; exec ${PYTHON} -S -E -c "import os; exec(os.environ['TOOM_HOSTILE'])" ` +
        `${socketPath} ${mode} ${SECONDS}`,
      ],
      uid: HOSTILE_UID,
      gid: HOSTILE_UID,
      cwd: "/",
      clearEnv: true,
      env: { TOOM_HOSTILE: SCRIPT },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.output = new Response(this.child.stdout).text();
  }

  kill(signal: Deno.Signal): void {
    this.child.kill(signal);
  }

  /** Lets it end. @returns How much it got done. */
  async end(): Promise<number> {
    await this.child.stdin.close();
    return Number(/done (\d+)/.exec(await this.output)?.[1]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.child.stdin.close().catch(() => {});
    await this.child.status;
    await this.output;
  }
}

/** Asks for some time. @returns Round trips, milliseconds. */
async function quietRounds(asker: Asker, forMs: number): Promise<number[]> {
  const rounds: number[] = [];
  const endMs = performance.now() + forMs;
  while (performance.now() < endMs) {
    const startMs = performance.now();
    const granted = await asker.ask("reserve", MIB);
    assertEquals(granted.status, 0);
    assertEquals((await asker.ask("release", MIB)).level, granted.level - MIB);
    rounds.push((performance.now() - startMs) / 2);
  }
  return rounds.sort((a, b) => a - b);
}

function descriptorsOf(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run serves everybody else while one user attacks"),
  fn: async (t) => {
    await using toom = await Toom.start([`--limit=${UID}=64MiB`, `--limit=${HOSTILE_UID}=256MiB`]);
    await using asker = await Asker.start(UID, toom.tmallocPath);
    const quiet = await quietRounds(asker, 500);
    const median = (sorted: number[]): number => sorted[sorted.length >> 1]!;
    const before = descriptorsOf(toom.pid);
    for (const mode of ["connect", "garbage", "half", "mute", "flood", "descriptors"]) {
      await t.step(mode, async () => {
        await using hostile = new Hostile(toom.tmallocPath, mode);
        const rounds = await quietRounds(asker, SECONDS * 1000);
        const ratio = median(rounds) / median(quiet);
        assert(await hostile.end() > 100, "it did what it could");
        assert(rounds.at(-1)! < 2000, `the slowest took ${rounds.at(-1)} ms`);
        // deno-lint-ignore no-console
        console.log(
          `    ${mode}: median ${ratio.toFixed(2)} times that of quiet, ` +
            `${rounds.length} round trips`,
        );
      });
    }

    await t.step("stopped", async () => {
      await using hostile = new Hostile(toom.tmallocPath, "flood");
      await new Promise((resolve) => setTimeout(resolve, 400));
      hostile.kill("SIGSTOP");
      assert((await quietRounds(asker, 300)).length > 10);
    });

    await t.step("a forged sender is not believed", async () => {
      // The message has no place for a pid, and the kernel lets nobody but root send another's.
      await using other = await Asker.start(HOSTILE_UID, toom.tmallocPath);
      const held = await asker.ask("reserve", 10 * MIB);
      await other.ask("release", 10 * MIB);
      assertEquals((await asker.ask("query")).level, held.level);
      assertEquals((await other.ask("forge", asker.pid, UID)).errno, 1, "EPERM");
      assertEquals((await other.ask("query")).hard, 256 * MIB, "its own limit");
      await asker.ask("release", 10 * MIB);
    });

    await t.step("nothing is left, and all is counted", async () => {
      await waitUntil(() => descriptorsOf(toom.pid) <= before + 1, "all descriptors are closed");
      const { tmalloc, workers } = await toom.status();
      assertEquals([tmalloc.connections, tmalloc.processes, tmalloc.waiting], [1, 1, 0]);
      assert(tmalloc.refusedConnections > 100, "too many connections");
      const { brokenConnections } = tmalloc;
      for (const reason of ["short", "oversized", "version", "does-not-read"]) {
        assert(brokenConnections[reason]! > 0, `${reason}: ${JSON.stringify(brokenConnections)}`);
      }
      assertEquals(workers.filter(({ restarts }) => restarts > 0), []);
      assertEquals(toom.of("kill"), []);
      assertEquals(toom.of("error"), []);
      assertEquals(toom.errors, []);
    });
  },
});
