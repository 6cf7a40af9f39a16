/** While everybody is far from every limit pages cost nothing, and each user is known all the same. */
import { assert, assertEquals } from "@std/assert";
import { needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, truePages, Workload } from "../_support/workload.ts";
import { whyNoBpf } from "../kernel/bpf/support.ts";

const UID = 60_420;
const FAR_MS_MAX = 10_000;
const LOOK_MS_MAX = 3000;
const PAGES_HELD = 8 * 256;
const why = E2E_POSSIBLE ? whyNoBpf() : E2E_NEEDS;

async function until(isSo: () => Promise<boolean>, msMax: number, what: string): Promise<void> {
  const untilMs = performance.now() + msMax;
  while (!await isSo()) {
    assert(performance.now() < untilMs, what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

Deno.test({
  ...needing(why === undefined, why ?? "", "toom run books pages only while somebody is near"),
  async fn(t): Promise<void> {
    await using toom = await Toom.start([`--limit=${UID}=1TiB`, "--source=bpf"]);
    const near = async (): Promise<boolean> => (await toom.status()).near!.isNear;
    await using held = await new Workload(UID, "hold", 8).until("held");

    await t.step("with everybody far, no program runs at a page", async () => {
      await until(async () => !await near(), FAR_MS_MAX, "nobody is near");
      const before = (await toom.status()).events.total;
      await using busy = await new Workload(UID, "hold", 100).until("held");
      const { events, near: after } = await toom.status();
      assertEquals(after!.isNear, false);
      // A look records what has changed of each process, at most each member of it.
      assert(events.total - before < 1000, `${events.total - before} events`);
      assert(busy.alive);
    });

    await t.step("looks find what each user has", async () => {
      await until(
        async () => await toom.countedPages(UID) === truePages(UID),
        LOOK_MS_MAX,
        "what is counted is what /proc says",
      );
      const { looks, lookMs } = (await toom.status()).near!;
      assert(looks > 0 && lookMs >= 0);
    });

    await t.step("a lower limit brings its user near, and whom is over dies at once", async () => {
      const set = await toom.command("limit", "set", String(UID), "64MiB", "--now");
      assertEquals(set.code, 0, set.err);
      await until(near, LOOK_MS_MAX, "somebody is near");
      await using hog = new Workload(UID, "hold", 512);
      assertEquals((await hog.end()).signal, "SIGKILL");
      const kill = await toom.waitFor("kill", ({ pid }) => pid === hog.pid);
      assertEquals(kill["trigger"], "kernel");
      assert(Number(kill["overshootBytes"]) <= 16 * 4096, `${kill["overshootBytes"]} bytes over`);
      assert(held.alive, "it was enough");
      assert(await toom.usagePages(UID) >= PAGES_HELD);
    });

    await t.step("a higher one lets it be far again", async () => {
      const set = await toom.command("limit", "set", String(UID), "1TiB");
      assertEquals(set.code, 0, set.err);
      await until(async () => !await near(), FAR_MS_MAX, "nobody is near");
    });

    await t.step({
      name: "who grows from far is killed at its limit all the same",
      ignore: Deno.systemMemoryInfo().available < 12 * 2 ** 30,
      async fn(): Promise<void> {
        const set = await toom.command("limit", "set", String(UID), "8GiB");
        assertEquals(set.code, 0, set.err);
        await until(async () => !await near(), FAR_MS_MAX, "8 GiB are far enough");
        await using hog = new Workload(UID, "hold", 9000);
        assertEquals((await hog.end()).signal, "SIGKILL");
        const kill = await toom.waitFor("kill", ({ pid }) => pid === hog.pid);
        assert(
          Number(kill["overshootBytes"]) <= 1024 * 4096,
          `${kill["overshootBytes"]} bytes over`,
        );
      },
    });
    assertEquals(toom.errors, []);
  },
});
