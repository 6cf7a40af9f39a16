/** The TypeScript client against the real daemon. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { TmallocClient, TmallocUnavailableError } from "../../tmalloc/client.ts";
import { Asker } from "../_support/asker.ts";
import { needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE } from "../_support/workload.ts";

const UID = 60035;
const MIB = 1024 * 1024;
const ENOMEM = 12;
const SCRIPT = new URL("../_support/tmalloc_script.ts", import.meta.url).pathname;

function script(toom: Toom, mode: string): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", SCRIPT, String(UID), toom.tmallocPath, mode],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "TmallocClient reserves, waits, claims and gives back"),
  fn: async () => {
    await using toom = await Toom.start([`--limit=${UID}=256MiB`]);
    await using other = await Asker.start(UID, toom.tmallocPath);
    assertEquals((await other.ask("reserve", 140 * MIB)).status, 0);
    const child = script(toom, "blocks");
    await child.stdin.close();
    const text = await new Response(child.stdout).text();
    assertEquals((await child.status).code, 0, text);
    assertEquals(text.trim().split("\n").map((line) => JSON.parse(line)), [
      [32 * MIB, true],
      "never",
      "limit",
      "timeout",
      "claim",
      [10 * MIB, 5 * MIB],
      [true, true, 256 * MIB],
    ]);
    assertEquals(toom.of("kill"), []);
  },
});

Deno.test({
  ...needing(
    E2E_POSSIBLE,
    E2E_NEEDS,
    "promises outlive a daemon that is killed, and its clients ask on",
  ),
  fn: async () => {
    const dir = await Deno.makeTempDir();
    await Deno.chmod(dir, 0o755);
    const tmallocPath = `${dir}/run/tmalloc.sock`; // toom makes the folder
    const options = [`--limit=${UID}=256MiB`, `--tmalloc-socket=${tmallocPath}`];
    const stateDir = `${dir}/state`;
    const first = await Toom.start(options, { stateDir, tmallocPath });
    const child = script(first, "hold");
    try {
      const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      assertEquals((await lines.read()).value, "held\n");
      await first.stop("SIGKILL");
      await using second = await Toom.start(options, { stateDir, tmallocPath });
      await using other = await Asker.start(UID, tmallocPath);
      const { status, committed } = await other.ask("reserve", 160 * MIB);
      assertEquals(status, ENOMEM, "nothing is granted twice");
      assert(committed > 100 * MIB);
      const writer = child.stdin.getWriter();
      await writer.write(new Uint8Array([10]));
      assertEquals((await lines.read()).value, "true\n", "it holds what it held");
      await writer.close();
      await lines.cancel();
      await child.status;
      assertEquals((await other.ask("wait", 160 * MIB, 5000)).status, 0, "until it ends");
      assertEquals(second.of("kill"), []);
    } finally {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
      await first[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    }
  },
});

Deno.test("TmallocClient says that toom cannot be reached, and what is no size", async () => {
  using client = new TmallocClient("/nowhere/tmalloc.sock");
  const error = await assertRejects(() => client.reserve("1MiB"), TmallocUnavailableError);
  assert(error.message.includes("/nowhere/tmalloc.sock"), error.message);
  assert(error.message.includes("is toom running?"), error.message);
  await assertRejects(() => client.reserve("much"), RangeError, "much");
  await assertRejects(() => client.reserve(0), RangeError, "expected a size");
  await assertRejects(() => client.wait(1, { timeoutMs: -1 }), RangeError, "0 to 86400000");
  client.close();
  await assertRejects(() => client.query(), TmallocUnavailableError, "closed");
});
