/**
 * The books against /proc: whatever a user's processes do, when all is quiet toom's count is the
 * kernel's, and zero when all have gone.
 */
import { assertEquals } from "@std/assert";
import { needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, truePages, Workload } from "../_support/workload.ts";

const UID = 60011;
/** The sweep would mend what the events got wrong; these tests are about the events. */
const NO_SWEEPS = ["--interval=1h"];

/** Waits until toom's count is that of /proc; a count that differs for seconds is wrong. */
async function assertBooksTrue(toom: Toom, uid: number, what: string): Promise<number> {
  let counted = 0;
  let truth = 0;
  for (let tries = 0; tries < 40; tries++) {
    truth = truePages(uid);
    counted = await toom.countedPages(uid);
    if (counted === truth && truePages(uid) === truth) return truth;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assertEquals(counted, truth, `${what}: toom counts ${counted} pages, /proc says ${truth}`);
  return truth;
}

for (const source of ["bpf", "raw", "text"]) {
  Deno.test({
    ...needing(E2E_POSSIBLE, E2E_NEEDS, `usage equals /proc in every way to live (${source})`),
    fn: async (t) => {
      await using before = await new Workload(UID, "hold", 3).until("held");
      await using toom = await Toom.start([
        `--limit=${UID}=1GiB`,
        `--source=${source}`,
        ...NO_SWEEPS,
      ]);

      await t.step("a process from before toom", async () => {
        const pages = await assertBooksTrue(toom, UID, "before");
        assertEquals(pages > 768, true);
        await before.close();
        assertEquals(await assertBooksTrue(toom, UID, "before, gone"), 0);
      });

      // Born by root: found at its exec, and traced with its children from then on.
      const cases: [string, (string | number)[], string, boolean][] = [
        ["a login", ["hold", 5], "held", false],
        ["a fork storm of 200", ["storm", 200], "done", true],
        ["an exec chain", ["exec-chain", 5], "held", false],
        ["64 threads", ["threads", 64], "held", false],
        ["vfork and exec", ["vfork", 20], "held", false],
        ["huge pages", ["hold", 16, "huge"], "held", false],
        ["shared memory", ["hold", 4, "shared"], "held", false],
        ["copy on write", ["fork-hold", 8], "held", false],
      ];
      for (const [name, [mode, ...args], word, wantsGo] of cases) {
        await t.step(name, async () => {
          await using workload = new Workload(UID, String(mode), ...args);
          if (wantsGo) await (await workload.until("here")).go();
          await workload.until(word);
          assertEquals(await assertBooksTrue(toom, UID, name) > 100, true, name);
          await workload.close();
          assertEquals(await assertBooksTrue(toom, UID, `${name}, gone`), 0);
        });
      }

      await t.step("setuid without exec", async () => {
        await using workload = await new Workload(0, "setuid", UID, 5).until("here");
        assertEquals(await toom.usagePages(UID), 0);
        await (await workload.go()).until("held");
        assertEquals(await assertBooksTrue(toom, UID, "setuid") > 5 * 256, true);
        await workload.close();
        assertEquals(await assertBooksTrue(toom, UID, "setuid, gone"), 0);
      });

      await t.step("fork, setuid, exec by root", async () => {
        await using workload = await new Workload(0, "login", UID, 5).until("here");
        await (await workload.go()).until("held");
        assertEquals(await assertBooksTrue(toom, UID, "login") > 5 * 256, true);
        await workload.close();
        assertEquals(await assertBooksTrue(toom, UID, "login, gone"), 0);
      });

      await t.step("logins and their children that are gone before they are traced", async () => {
        for (let round = 0; round < 8; round++) {
          const logins = [1, 2, 3].map(() => new Workload(UID, "fork-hold", 4));
          await Promise.all(logins.map((login) => login.until("held")));
          await Promise.all(logins.map((login) => login.close()));
        }
        assertEquals(await assertBooksTrue(toom, UID, "all gone"), 0);
      });

      await t.step("all of it without drift, loss or malformed input", async () => {
        const { events } = await toom.status();
        assertEquals(
          { lost: events.lost, malformed: events.malformed, drift: events.driftPages },
          { lost: 0, malformed: 0, drift: 0 },
        );
        assertEquals(toom.errors, []);
      });
    },
  });
}
