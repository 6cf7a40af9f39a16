/** kill -9 at random moments, again and again, under load: limits hold, and nothing is left. */
import { assert, assertEquals } from "@std/assert";
import { parseInstanceName } from "../../kernel/trace/instance_name.ts";
import { findTracefs } from "../../kernel/trace/tracefs.ts";
import { Random } from "../_support/random.ts";
import { Toom } from "../_support/toom.ts";
import { Workload } from "../_support/workload.ts";
import { assertEnforced, CHAOS_UID, slow } from "./chaos.ts";

/** How often; from the first moment of the start to the midst of a kill. */
const KILLS = Number(Deno.env.get("TOOM_KILLS") ?? 200);
const LIVES_MS_MAX = 900;
const OTHER_UID = CHAOS_UID + 1;
/** So that a hog that crosses is larger than those that stand beside it. */
const LIMIT = `--limit=${CHAOS_UID}=64MiB`;

function instances(): string[] {
  return [...Deno.readDirSync(`${findTracefs()}/instances`)].map(({ name }) => name);
}

Deno.test({
  ...slow(`a daemon that is killed at random moments, ${KILLS} times, under load`),
  fn: async () => {
    const seed = Number(Deno.env.get("SEED") ?? 1);
    const random = new Random(seed);
    const stateDir = await Deno.makeTempDir({ prefix: "toom-chaos-" });
    const owned = new Set<number>();
    await using stranger = await new Workload(CHAOS_UID + 2, "hold", 40).until("held");
    await using small = await new Workload(CHAOS_UID, "hold", 4).until("held");
    await using busy = await new Workload(CHAOS_UID, "churn", 4).until("here");
    let isOver = false;
    let isLimitSet = false;
    // Hogs all the time, whether anybody watches or not; they end by themselves.
    const hogs = (async (): Promise<number> => {
      let count = 0;
      for (; !isOver; count++) {
        await using hog = new Workload(OTHER_UID, "hold", 48);
        await Promise.race([
          hog.end().catch(() => undefined),
          new Promise((resolve) => setTimeout(resolve, 400)),
        ]);
      }
      return count;
    })();
    try {
      for (let i = 0; i < KILLS; i++) {
        const starting = Toom.begin([LIMIT, `--limit=${OTHER_UID}=24MiB`], { stateDir });
        owned.add(starting.pid);
        // A third of them while it starts.
        if (!random.oneIn(3)) {
          await starting.waitFor("ready", () => true, 60_000);
          if (!isLimitSet) {
            assertEquals((await starting.command("limit", "set", "70001", "1GiB")).code, 0);
            isLimitSet = true;
          }
        }
        await new Promise((resolve) => setTimeout(resolve, random.below(LIVES_MS_MAX)));
        await starting.stop("SIGKILL");
        await starting[Symbol.asyncDispose]();
        assert(
          small.alive && busy.alive && stranger.alive,
          `nobody else dies (SEED=${seed}, ${i})`,
        );
      }
      await using last = await Toom.start([LIMIT, `--limit=${OTHER_UID}=24MiB`], {
        stateDir,
      });
      const left = instances().filter((name) => owned.has(parseInstanceName(name)?.pid ?? -1));
      assertEquals(left, [], "what the killed left in the kernel is removed");
      assertEquals((await last.command("limit", "get", "70001")).code, 0, "limits have survived");
      await assertEnforced(last);
      assert(small.alive && busy.alive && stranger.alive);
    } finally {
      isOver = true;
      assert(await hogs > 0);
      await Deno.remove(stateDir, { recursive: true });
    }
  },
});
