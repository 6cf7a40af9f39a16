/** What goes wrong without a sound must be mended, told, or cleaned up. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { findTracefs } from "../../kernel/trace/tracefs.ts";
import { parseInstanceName } from "../../kernel/trace/instance_name.ts";
import { hasFile, needing } from "../_support/real_kernel.ts";
import { STOP_NEEDS, STOPPABLE, stopThread, threadOf } from "../_support/stop_thread.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, PYTHON, Workload } from "../_support/workload.ts";

const UID = 60025;
const PROGRAM = new URL("../../mod.ts", import.meta.url).pathname;
const RULES_MAX = 1024;

function namesIn(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name);
}

Deno.test({
  ...needing(
    E2E_POSSIBLE && STOPPABLE,
    `${E2E_NEEDS}, and ${STOP_NEEDS}`,
    "toom run reads /proc when the kernel loses changes of user",
  ),
  fn: async () => {
    await using toom = await Toom.start([`--limit=${UID}=64MiB`, "--interval=1h"]);
    await using hog = await new Workload(0, "setuid", UID, 256).until("here");
    const sweeper = await stopThread(threadOf(toom.pid, "toom-sweeper"), 400);
    // More than the socket holds; the hog's own change comes when it is full.
    const storm = "import os\nfor i in range(5000): os.setresuid(-1, i % 2 * 60077, -1)";
    assertEquals((await new Deno.Command(PYTHON!, { args: ["-c", storm] }).output()).code, 0);
    await hog.go();
    assertEquals(await sweeper.end, "released");
    assertEquals((await hog.end()).signal, "SIGKILL");
    await toom.waitFor("kill", (line) => line["pid"] === hog.pid);
    await toom.waitFor("shed", (line) => line["kind"] === "user-changes");
    assert((await toom.status()).shed!.userChanges > 0);
    const { out } = await toom.command("status");
    assertMatch(out, /^shed +0 reports, 0 orders, 0 log lines, [1-9]\d* changes of user$/m);
  },
});

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run does not say that it set a limit which it refused"),
  fn: async () => {
    const limits = Array.from({ length: RULES_MAX }, (_, i) => `--limit=${70_000 + i}=1GiB`);
    await using toom = await Toom.start(limits);
    // Else the line would be one of a flood.
    await new Promise((resolve) => setTimeout(resolve, 1200));
    const set = await toom.command("limit", "set", String(UID), "64MiB");
    assertEquals(set.code, 1);
    assertMatch(set.err, /there are 1024 rules already/);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assertEquals(toom.of("limit").filter((line) => line["uidFirst"] === UID), []);
    // One that is there already can be changed.
    assertEquals((await toom.command("limit", "set", "70000", "2GiB")).code, 0);
    await toom.waitFor("limit", (line) => line["origin"] === "control");
  },
});

Deno.test({
  ...needing(
    E2E_POSSIBLE && hasFile("/usr/bin/prlimit"),
    `${E2E_NEEDS}, and prlimit`,
    "toom run leaves nothing behind wherever its start fails",
  ),
  fn: async () => {
    const dir = await Deno.makeTempDir({ prefix: "toom-test-" });
    const problems = new Set<string>();
    // With ever more descriptors it comes ever further.
    for (let files = 24; files < 120; files += 3) {
      const child = new Deno.Command("prlimit", {
        args: [
          `--nofile=${files}:${files}`,
          ...[Deno.execPath(), "run", "-A", "--no-check", PROGRAM, "run", `--limit=${UID}=1GiB`],
          ...[`--state-dir=${dir}/state`, `--control-socket=${dir}/control.sock`],
          `--tmalloc-socket=${dir}/tmalloc.sock`,
        ],
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const { pid } = child;
      const timer = setTimeout(() => child.kill("SIGTERM"), 3000);
      const { code, stderr } = await child.output();
      clearTimeout(timer);
      const why = new TextDecoder().decode(stderr).trim();
      const left = namesIn(`${findTracefs()}/instances`)
        .filter((name) => parseInstanceName(name)?.pid === pid);
      if (why.includes("panicked")) {
        // The runtime itself: nobody can clean up, as after kill -9.
        for (const name of left) await Deno.remove(`${findTracefs()}/instances/${name}`);
        break;
      }
      const sockets = namesIn(dir).filter((name) => name.includes(".sock"));
      assertEquals([left, sockets], [[], []], `${files} descriptors: ${why}`);
      if (code === 0) break;
      problems.add(why.replace(/\d+/g, "N"));
    }
    assert(problems.size > 3, `it failed in few places: ${[...problems].join("\n")}`);
    await Deno.remove(dir, { recursive: true });
  },
});
