/** The right process dies, nobody else does, and the log tells. */
import { assert, assertEquals } from "@std/assert";
import { needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, truePages, Workload } from "../_support/workload.ts";

const UID = 60012;
const OTHER_UID = 60013;
const CROWD_UID = 60014;
const CROWD_MIB = 128;
const MIB_PAGES = 256;

for (const source of ["bpf", "raw", "text"]) {
  Deno.test({
    ...needing(E2E_POSSIBLE, E2E_NEEDS, `toom run kills what crosses the line (${source})`),
    fn: async (t) => {
      await using toom = await Toom.start([
        `--limit=${UID}=64MiB`,
        `--limit=${CROWD_UID}=${CROWD_MIB}MiB`,
        `--source=${source}`,
      ]);

      await t.step("1 GiB at full speed dies by SIGKILL", async () => {
        await using hog = new Workload(UID, "hold", 1024);
        assertEquals((await hog.end()).signal, "SIGKILL");
        const kill = await toom.waitFor("kill", (line) => line["pid"] === hog.pid);
        assertEquals(kill["uid"], UID);
        assertEquals(kill["trigger"], source === "bpf" ? "kernel" : "user");
        assertEquals(kill["hardPages"], 64 * MIB_PAGES);
        assertEquals(kill["dryRun"], false);
        assertEquals(kill["comm"], "python3");
        assert(Number(kill["latencyUs"]) > 0, "a latency");
        assert(Number(kill["overshootBytes"]) > 0, "an overshoot");
        const killed = await toom.waitFor("killed", (line) => line["pid"] === hog.pid);
        assert(Number(killed["freedBytes"]) >= 60 * MIB_PAGES * 4096, "freed what it held");
        await toom.waitFor("soft", (line) => line["uid"] === UID);
      });

      await t.step("of 40 MiB and 30 MiB the larger dies", async () => {
        await using larger = await new Workload(UID, "hold", 40).until("held");
        await using smaller = new Workload(UID, "hold", 30);
        assertEquals((await larger.end()).signal, "SIGKILL");
        await smaller.until("held");
        await toom.waitFor("killed", (line) => line["pid"] === larger.pid);
        assert(smaller.alive, "the smaller lives");
        assertEquals(toom.of("kill").filter((line) => line["pid"] === smaller.pid), []);
      });

      await t.step("of 20 processes as many die as needed, one after the other", async () => {
        const before = toom.of("kill").length;
        const workloads: Workload[] = [];
        try {
          for (let i = 0; i < 20; i++) {
            workloads.push(await new Workload(CROWD_UID, "hold-on-go", 4).until("here"));
          }
          const base = truePages(CROWD_UID);
          const each = 4 * MIB_PAGES;
          assert(base < CROWD_MIB * MIB_PAGES, "all fit before they grow");
          for (const workload of workloads) await workload.go();
          const settled = async (): Promise<number> => {
            // Quiet when everybody alive holds what it wanted and the count stands still.
            let alive = -1;
            for (let same = 0; same < 10;) {
              await new Promise((resolve) => setTimeout(resolve, 50));
              const now = workloads.filter((workload) => workload.alive).length;
              same = now === alive ? same + 1 : 0;
              alive = now;
            }
            return alive;
          };
          const alive = await settled();
          const kills = toom.of("kill").slice(before);
          assertEquals(kills.length, 20 - alive, "each that died was killed by toom, once");
          assert(
            truePages(CROWD_UID) <= CROWD_MIB * MIB_PAGES,
            "in the end the user is below its limit",
          );
          // Exactly as many as needed: with one more alive it would have been over.
          const oneMore = (base / 20) + each;
          assert(
            truePages(CROWD_UID) + oneMore > CROWD_MIB * MIB_PAGES,
            `${alive} live with ${truePages(CROWD_UID)} pages, and one more would have fitted`,
          );
        } finally {
          for (const workload of workloads) await workload[Symbol.asyncDispose]();
        }
      });

      await t.step("another user at 1 GiB lives", async () => {
        await using other = await new Workload(OTHER_UID, "hold", 1024).until("held");
        await new Promise((resolve) => setTimeout(resolve, 1200));
        assert(other.alive, "nobody without a limit is touched");
        assertEquals(toom.of("kill").filter((line) => line["uid"] === OTHER_UID), []);
      });

      await t.step("nothing went wrong meanwhile", () => {
        assertEquals(toom.errors, []);
        assertEquals(toom.of("error"), []);
        assertEquals(toom.of("worker-restart"), []);
      });
    },
  });
}

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run --dry-run tells and kills nobody"),
  fn: async () => {
    await using toom = await Toom.start([`--limit=${UID}=32MiB`, "--dry-run"]);
    await using hog = await new Workload(UID, "hold", 48).until("held");
    const kill = await toom.waitFor("kill", (line) => line["pid"] === hog.pid);
    assertEquals(kill["dryRun"], true);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert(hog.alive, "it lives");
    assertEquals(toom.of("killed"), []);
  },
});

for (const victim of ["newest", "growing"]) {
  Deno.test({
    ...needing(E2E_POSSIBLE, E2E_NEEDS, `toom run --victim ${victim} spares the largest`),
    fn: async () => {
      await using toom = await Toom.start([`--limit=${UID}=64MiB`, `--victim=${victim}`]);
      await using larger = await new Workload(UID, "hold", 40).until("held");
      await new Promise((resolve) => setTimeout(resolve, 1200));
      await using later = new Workload(UID, "hold", 30);
      assertEquals((await later.end()).signal, "SIGKILL");
      await toom.waitFor("kill");
      assert(larger.alive, "the larger was there before and did not grow");
      assertEquals(toom.of("kill").map((line) => line["pid"]), [later.pid]);
    },
  });
}
