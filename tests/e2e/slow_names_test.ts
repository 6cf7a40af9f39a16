/** A directory of users that takes half a minute: it holds up no kill, no line and no answer. */
import { assert, assertEquals } from "@std/assert";
import { hasFile, needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, PYTHON } from "../_support/workload.ts";

/** What slow_nss.c knows. */
const HANGING_UID = 60340;
const SLOW_UID = 60341;
const MIB = 1024 * 1024;
/** Far more than anything here takes, far less than the directory does. */
const PROMPT_MS_MAX = 3000;
const POSSIBLE = E2E_POSSIBLE && ["/usr/bin/cc", "/usr/bin/unshare", "/usr/bin/mount"]
  .every(hasFile) &&
  Deno.build.target.endsWith("gnu");

/** A folder with the module and an nsswitch.conf that names it. */
async function makeDirectory(): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "toom-nss-" });
  const source = new URL("../_support/slow_nss.c", import.meta.url).pathname;
  const { success, stderr } = await new Deno.Command("/usr/bin/cc", {
    args: ["-O1", "-shared", "-fPIC", "-o", `${dir}/libnss_slow.so.2`, source],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  await Deno.writeTextFile(`${dir}/nsswitch.conf`, "passwd: files slow\n");
  return dir;
}

/** Grows without end. @returns How it ended. */
async function grow(uid: number): Promise<Deno.CommandStatus> {
  const script = "import mmap\nwhile True:\n  m = mmap.mmap(-1, 1 << 20)\n" +
    "  m.write(bytes(1 << 20))\n  globals().setdefault('all', []).append(m)";
  const child = new Deno.Command(PYTHON!, {
    args: ["-S", "-E", "-c", script],
    uid,
    gid: uid,
    cwd: "/",
    stdout: "null",
    stderr: "null",
  }).spawn();
  return await child.status;
}

Deno.test({
  ...needing(
    POSSIBLE,
    `${E2E_NEEDS}, glibc, a C compiler, unshare and mount`,
    "a slow directory of users holds up no kill, no line of the log and no answer",
  ),
  fn: async () => {
    const dir = await makeDirectory();
    try {
      // In a mount namespace of its own, nobody else sees the module.
      const mount = `mount --bind ${dir}/nsswitch.conf /etc/nsswitch.conf && exec "$@"`;
      await using toom = await Toom.start([`--limit=60340-60349=32MiB`], {
        wrapper: ["/usr/bin/unshare", "--mount", "--propagation=private", "sh", "-c", mount, "sh"],
        env: { LD_LIBRARY_PATH: dir, SLOW_NSS_ASKED: `${dir}/asked` },
      });
      for (const uid of [HANGING_UID, SLOW_UID, HANGING_UID]) {
        const kills = toom.of("kill").length;
        const startMs = performance.now();
        assertEquals((await grow(uid)).signal, "SIGKILL");
        const isNext = (): boolean => toom.of("kill").length > kills;
        await toom.waitFor("kill", isNext, PROMPT_MS_MAX);
        const kill = toom.of("kill").at(-1)!;
        const tookMs = performance.now() - startMs;
        assert(tookMs < PROMPT_MS_MAX, `growing and dying took ${tookMs} ms`);
        assertEquals([kill["uid"], kill["user"]], [uid, null], "its number, as nobody waits");
        assert((kill["overshootBytes"] as number) < 4 * MIB, JSON.stringify(kill));
        assert((kill["latencyUs"] as number) < PROMPT_MS_MAX * 1000, JSON.stringify(kill));
      }
      assert((await Deno.stat(`${dir}/asked`)).size > 0, "the slow module was asked");
      for (let i = 0; i < 10; i++) {
        const startMs = performance.now();
        await toom.status();
        const tookMs = performance.now() - startMs;
        assert(tookMs < PROMPT_MS_MAX, `an answer took ${tookMs} ms`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      const { users } = await toom.status();
      const names = users.map(({ uid, user }) => [uid, user]);
      assertEquals(names, [[HANGING_UID, null], [SLOW_UID, "slowly"]]);
      assertEquals([toom.of("worker-restart"), toom.of("error")], [[], []]);
      const startMs = performance.now();
      assertEquals((await toom.stop()).success, true);
      assert(performance.now() - startMs < PROMPT_MS_MAX, "nor the end");
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});
