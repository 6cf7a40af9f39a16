/** toom-exec and the real daemon: what runtimes are told, what cannot ask, and a storm of forks. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { hasFile, needing } from "../_support/real_kernel.ts";
import {
  type ProgramEnd,
  runAs,
  TMALLOC_BUILDABLE,
  TMALLOC_NEEDS,
  TmallocBuild,
} from "../_support/tmalloc_build.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE } from "../_support/workload.ts";

const EXEC_UID = 60342;
const STORM_UID = 60343;
const SORT_UID = 60344;
const STORM_SEED = Number(Deno.env.get("SEED") ?? Date.now() % 100_000);
const POSSIBLE = E2E_POSSIBLE && TMALLOC_BUILDABLE;
const NEEDS = `${E2E_NEEDS}, ${TMALLOC_NEEDS}`;
const SETPRIV = "/usr/bin/setpriv";

/** Whether a program can be built with AddressSanitizer here, and its path. */
async function buildWithAsan(dir: string): Promise<string | undefined> {
  const source = `${dir}/asan.c`;
  await Deno.writeTextFile(
    source,
    '#include <stdio.h>\n#include <stdlib.h>\nint main(void) { free(malloc(9)); puts("done"); }\n',
  );
  const { success } = await new Deno.Command("cc", {
    args: ["-fsanitize=address", "-o", `${dir}/asan`, source],
    stderr: "null",
  }).output();
  return success ? `${dir}/asan` : undefined;
}

Deno.test({
  ...needing(POSSIBLE, NEEDS, "toom-exec: runtimes keep to the limit by themselves"),
  fn: async (t) => {
    await using build = await TmallocBuild.make();
    await using toom = await Toom.start([
      `--limit=${EXEC_UID}=256MiB`,
      `--limit=${SORT_UID}=48MiB`,
    ]);
    const work = await Deno.makeTempDir();
    await Deno.chmod(work, 0o777);
    const execAs = (uid: number, ...args: string[]): Promise<ProgramEnd> =>
      runAs(
        uid,
        `${build.dir}/toom-exec`,
        [`--tmalloc-socket=${toom.tmallocPath}`, ...args],
        { TMPDIR: work, LC_ALL: "C" },
        work,
      );
    const exec = (...args: string[]): Promise<ProgramEnd> => execAs(EXEC_UID, ...args);
    try {
      await t.step("all of them are told", async () => {
        const { out } = await exec(
          "sh",
          "-c",
          'env; echo "rss $(grep resident /proc/self/limits)"',
        );
        for (
          const told of [
            "JAVA_TOOL_OPTIONS=-XX:MaxRAM=268435456",
            "NODE_OPTIONS=--max-old-space-size=192",
            "GOMEMLIMIT=241591905",
            "MEM_LIMIT=268435456",
          ]
        ) assert(out.split("\n").includes(told), `${told}: ${out}`);
        assertMatch(out, /^rss Max resident set +134217728 /m);
        assert(!(await exec("--no-hints", "env")).out.includes("MaxRAM"));
      });

      const java = ["/usr/bin/java"].find(hasFile);
      await t.step({
        name: java === undefined ? "java [needs java]" : "java without -Xmx starts",
        ignore: java === undefined,
        fn: async () => {
          const told = await exec(java!, "-version");
          assertEquals(told.code, 0, told.err);
          assertMatch(told.err, /^openjdk version/m);
          const { code, err } = await exec("--no-hints", java!, "-version");
          const memory = Deno.systemMemoryInfo().total;
          if (memory < 20 * 2 ** 30) return; // A sixty-fourth of it fits under the limit.
          assert(code !== 0);
          assertMatch(err, /^tmalloc: a mapping of \d+ MiB was refused: .*256 MiB.*java -Xmx/m);
        },
      });

      await t.step("two sorts in a pipeline sort more than the limit", async () => {
        const lines = Array.from({ length: 1_500_000 }, (_, index) => (index * 7919) % 1_500_007);
        await Deno.writeTextFile(`${work}/lines`, `${lines.join("\n")}\n`.repeat(5));
        assert((await Deno.stat(`${work}/lines`)).size > 49 * 2 ** 20);
        const { code, out, err } = await execAs(
          SORT_UID,
          "sh",
          "-c",
          "sort -n lines | sort -nr | head -n 1; sort -n lines | wc -l",
        );
        assertEquals([code, err, out], [0, "", "1500006\n7500000\n"]);
      });

      await t.step("none of them was killed", () => assertEquals(toom.of("kill"), []));
    } finally {
      await Deno.remove(work, { recursive: true });
    }
  },
});

Deno.test({
  ...needing(
    POSSIBLE && hasFile(SETPRIV),
    `${NEEDS}, setpriv`,
    "toom-exec: a program built with ASan runs, started by it or by what it started",
  ),
  fn: async () => {
    await using build = await TmallocBuild.make();
    const asan = await buildWithAsan(build.dir);
    if (asan === undefined) return; // This compiler has no sanitizers.
    await using toom = await Toom.start([`--limit=${EXEC_UID}=64MiB`]);
    const socket = `--tmalloc-socket=${toom.tmallocPath}`;
    const launcher = `${build.dir}/toom-exec`;
    const direct = await runAs(EXEC_UID, launcher, [socket, asan], {});
    assertEquals([direct.code, direct.out], [0, "done\n"], direct.err);
    assertEquals(
      direct.err,
      `toom exec: ${asan} was built with AddressSanitizer: it will not ask\n`,
    );
    const user = [`--reuid=${EXEC_UID}`, `--regid=${EXEC_UID}`, "--clear-groups"];
    const wrapped = await runAs(0, launcher, [socket, SETPRIV, ...user, asan], {});
    assertEquals([wrapped.code, wrapped.out], [0, "done\n"], wrapped.err);
    assertEquals(
      wrapped.err,
      `tmalloc: ${asan} was built with AddressSanitizer: it will not ask\n`,
    );
    for (const args of [[asan], [SETPRIV, ...user, asan]]) {
      const refused = await runAs(0, launcher, [socket, "--fallback=fail", ...args], {});
      assert(refused.code !== 0 && refused.out === "", JSON.stringify(refused));
      assertMatch(refused.err, /was built with AddressSanitizer: it cannot ask, so it is not run/);
    }
    assertEquals(toom.of("kill"), []);
  },
});

Deno.test({
  ...needing(POSSIBLE, NEEDS, "threads that start processes in every way leave no promise behind"),
  fn: async () => {
    await using build = await TmallocBuild.make();
    const storm = await build.testProgram("storm");
    await using toom = await Toom.start([`--limit=${STORM_UID}=256MiB`]);
    const socket = `--tmalloc-socket=${toom.tmallocPath}`;
    const { code, out, err } = await runAs(STORM_UID, `${build.dir}/toom-exec`, [
      socket,
      storm,
      "4",
      `${STORM_SEED}`,
    ], {});
    const what = `SEED=${STORM_SEED}: ${out} ${err}`;
    assertEquals(code, 0, what);
    const deadlineMs = performance.now() + 5000;
    for (;;) {
      const { users, tmalloc } = await toom.status();
      const user = users.find(({ uid }) => uid === STORM_UID)!;
      const left = [user.usagePages, user.promisedPages, tmalloc.processes, tmalloc.waiting];
      if (left.every((count) => count === 0)) break;
      assert(performance.now() < deadlineMs, `${what}: left ${left}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assertEquals(toom.of("kill"), [], what);
  },
});
