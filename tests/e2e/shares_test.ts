/**
 * Shared memory counts once: families that fork, processes that map the same memory, and what is
 * lazily freed, against the kernel's own division of pages (PSS).
 */
import { assert, assertEquals } from "@std/assert";
import { needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, Workload } from "../_support/workload.ts";

const UID = 60160;
const NEIGHBOUR_UID = 60161;
const PAGES_PER_MIB = 256;

/** Waits until what a user is charged for lies between two numbers of MiB. */
async function chargedWithin(toom: Toom, leastMib: number, mostMib: number): Promise<void> {
  let mib = 0;
  for (let tries = 0; tries < 100; tries++) {
    mib = await toom.usagePages(UID) / PAGES_PER_MIB;
    if (mib >= leastMib && mib <= mostMib) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert(false, `${mib} MiB are charged, not ${leastMib} to ${mostMib}`);
}

function kills(toom: Toom): unknown[] {
  return toom.of("kill").map((line) => line["pid"]);
}

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run counts shared memory once"),
  fn: async (t) => {
    await using neighbour = await new Workload(NEIGHBOUR_UID, "hold", 10).until("held");
    await using toom = await Toom.start([`--limit=${UID}=200MiB`, `--limit=${NEIGHBOUR_UID}=1GiB`]);

    await t.step("a family of 100 MiB with 8 children lives, at 100 MiB", async () => {
      await using family = await new Workload(UID, "family", 100, 8).until("forked");
      await chargedWithin(toom, 100, 125);
      assert(await toom.countedPages(UID) > 900 * PAGES_PER_MIB);
      assertEquals([kills(toom), family.alive], [[], true]);
    });

    await t.step("a family that was there when its limit came lives too", async () => {
      await toom.command("limit", "clear", String(UID));
      await using family = await new Workload(UID, "family", 100, 8).until("forked");
      await toom.command("limit", "set", String(UID), "200MiB");
      await chargedWithin(toom, 100, 125);
      assertEquals([kills(toom), family.alive], [[], true]);
    });

    await t.step("a child that copies what it inherited dies, the others live", async () => {
      await using family = await new Workload(UID, "family", 150, 4, "copy").until("forked");
      const [copier] = family.numbers("child");
      await family.go();
      const kill = await toom.waitFor("kill", (line) => line["uid"] === UID);
      assertEquals(kill["pid"], copier);
      assert((kill["usagePages"] as number) > 200 * PAGES_PER_MIB);
      await chargedWithin(toom, 150, 180);
      assertEquals([kills(toom).length, family.alive], [1, true]);
    });

    await t.step("8 processes that map the same 40 MiB count as 40", async () => {
      await using crowd = await new Workload(UID, "map-shared", 40, 8).until("mapped");
      await chargedWithin(toom, 40, 80);
      assertEquals([kills(toom).length, crowd.alive], [1, true]);
    });

    await t.step("lazily freed pages do not count", async () => {
      await using freed = await new Workload(UID, "lazy-free", 24, 12).until("freed");
      assertEquals([kills(toom).length, freed.alive], [1, true]);
      await chargedWithin(toom, 0, 120);
    });

    await t.step("what measuring took is told", async () => {
      const { measuring } = await toom.status();
      assert(measuring!.users > 0 && measuring!.ms > 0, JSON.stringify(measuring));
    });

    await t.step("nothing went wrong meanwhile", () => {
      assert(neighbour.alive);
      assertEquals(toom.errors, []);
      assertEquals(toom.of("worker-restart"), []);
    });
  },
});

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run --count sum counts shared memory in each process"),
  fn: async () => {
    await using toom = await Toom.start([`--limit=${UID}=200MiB`, "--count=sum"]);
    await using family = new Workload(UID, "family", 100, 8);
    await toom.waitFor("kill", (line) => line["uid"] === UID);
    await family.close();
  },
});

for (const args of [[], ["--trigger=user"], ["--source=raw"]]) {
  const name = `each hog of shared memory dies at the limit, whoever did before (${args.join()})`;
  Deno.test({
    ...needing(E2E_POSSIBLE, E2E_NEEDS, name),
    fn: async () => {
      await using toom = await Toom.start([`--limit=${UID}=48MiB`, ...args]);
      await using _shell = await new Workload(UID, "hold", 1).until("held");
      for (let hogs = 1; hogs <= 4; hogs++) {
        await using hog = new Workload(UID, "hold", 256, "shared");
        await toom.waitFor("kill", () => toom.of("kill").length === hogs);
        const kill = toom.of("kill").at(-1)!;
        assertEquals(kill["pid"], hog.pid);
        assert((kill["overshootBytes"] as number) < 4 * 2 ** 20, JSON.stringify(kill));
      }
    },
  });
}
