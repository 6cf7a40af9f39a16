/** Whatever of bpf(2) the kernel refuses, and when, whom is over dies, and the log says what is missing. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { whyNoBpf } from "../kernel/bpf/support.ts";
import { needing } from "../_support/real_kernel.ts";
import { BpfCommand, BpfRefusals, REFUSABLE, REFUSE_NEEDS } from "../_support/refuse_bpf.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, Workload } from "../_support/workload.ts";

const UID = 60_430;
const OTHER_UID = 60_431;
const EMFILE = 24;
const EPERM = 1;
const WAIT_MS_MAX = 15_000;
const why = !E2E_POSSIBLE ? E2E_NEEDS : REFUSABLE ? whyNoBpf() : REFUSE_NEEDS;

async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  const untilMs = performance.now() + WAIT_MS_MAX;
  while (!await isSo()) {
    assert(performance.now() < untilMs, what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A process that goes for 512 MiB is killed, and what it had beside it is not. */
async function assertEnforced(toom: Toom, trigger?: string): Promise<void> {
  await using held = await new Workload(UID, "hold", 8).until("held");
  await using hog = new Workload(UID, "hold", 512);
  assertEquals((await hog.end()).signal, "SIGKILL");
  const kill = await toom.waitFor("kill", ({ pid }) => pid === hog.pid);
  if (trigger !== undefined) assertEquals(kill["trigger"], trigger);
  assert(held.alive, "its end was not needed");
}

Deno.test({
  ...needing(why === undefined, why ?? "", "toom run where the kernel refuses its programs"),
  async fn(t): Promise<void> {
    using refusals = new BpfRefusals();
    const { wrapper } = refusals;
    const calls = Object.entries(BpfCommand);
    for (const [name, command] of calls) {
      await t.step(`at the start, ${name}: pages are read from tracefs, and told why`, async () => {
        refusals.refuse(command, EPERM);
        await using toom = await Toom.start([`--limit=${UID}=64MiB`], { wrapper });
        const told = toom.of("config").map(({ message }) => String(message)).join("\n");
        assertMatch(told, /uses the raw source, not bpf: .*(EPERM|CAP_BPF)/);
        await assertEnforced(toom);
        assertEquals(toom.errors, []);
        refusals.allow();
      });
    }

    await t.step("while it runs", async (t) => {
      await using toom = await Toom.start([`--limit=${UID}=1TiB`, `--limit=${OTHER_UID}=1TiB`], {
        wrapper,
      });
      const near = async (): Promise<boolean> => (await toom.status()).near!.isNear;
      const limit = async (size: string): Promise<void> => {
        const { code, err } = await toom.command("limit", "set", String(UID), size, "--now");
        assertEquals(code, 0, err);
      };
      const far = async (): Promise<void> => {
        await limit("1TiB");
        await until(async () => !await near(), "nobody is near");
      };

      await t.step("to attach what books pages: all are looked at instead", async () => {
        await until(async () => !await near(), "nobody is near");
        refusals.refuse(BpfCommand.tracepointOpen, EMFILE);
        await limit("64MiB");
        await assertEnforced(toom, "user");
        const { refusals: refused, isNear } = (await toom.status()).near!;
        assert(refused > 0);
        assertEquals(isNear, false);
        const told = await toom.waitFor("error");
        assertMatch(
          String(told["message"]),
          /refuses .*toom_rss_stat.*: users are looked at instead/,
        );
        refusals.allow();
        await until(near, "it is tried again");
        await assertEnforced(toom, "kernel");
      });

      await t.step("to look at all of them: pages are booked instead", async () => {
        await far();
        await using _held = await new Workload(OTHER_UID, "hold", 8).until("held");
        refusals.refuse(BpfCommand.iteratorCreate, EMFILE);
        // Neither looks nor seeds: /proc is what is left.
        await limit("64MiB");
        await assertEnforced(toom);
        await using _other = await new Workload(OTHER_UID, "hold", 300).until("held");
        await until(
          async () => await toom.usagePages(OTHER_UID) > 300 * 256,
          "what the other has is known",
        );
        refusals.allow();
        await until(near, "it is tried again");
        await assertEnforced(toom, "kernel");
        await far();
      });

      await t.step("to look at all of them while pages are booked", async () => {
        await limit("64MiB");
        await until(near, "somebody is near");
        refusals.refuse(BpfCommand.iteratorCreate, EMFILE);
        await assertEnforced(toom);
        // One that begins now, and one that is over by a limit alone.
        await using over = await new Workload(UID, "hold", 40).until("held");
        await limit("16MiB");
        assertEquals((await over.end()).signal, "SIGKILL");
        refusals.allow();
      });
      assertEquals(toom.errors, []);
    });

    await t.step("to be told who is dying: nobody goes in vain", async () => {
      await using toom = await Toom.start([`--limit=${UID}=64MiB`, "--trigger=user"], { wrapper });
      refusals.refuse(BpfCommand.programRun, EPERM);
      await assertEnforced(toom, "user");
      const told = await toom.waitFor("error");
      assertMatch(String(told["message"]), /refuses .*toom_dying.*: its programs end nobody/);
      assertEquals(toom.of("kill").length, 1);
      refusals.allow();
    });
  },
});
