/** Real programs that ask: the benchmark, a storm of random ones, and some that know nothing of it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { hasFile, needing } from "../_support/real_kernel.ts";
import {
  type ProgramEnd,
  runAs,
  startAs,
  TMALLOC_BUILDABLE,
  TMALLOC_NEEDS,
  TmallocBuild,
} from "../_support/tmalloc_build.ts";
import type { TmallocReport, UserReport } from "../../service/control/control_api.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, PYTHON } from "../_support/workload.ts";

const BENCHMARK_UID = 60010;
const STORM_UID = 60036;
const EXEC_UID = 60037;
const STORM_MIB = 96;
const STORM_SECONDS = Number(Deno.env.get("TOOM_STORM_SECONDS") ?? 8);
const STORM_SEED = Number(Deno.env.get("SEED") ?? Date.now() % 100_000);
const POSSIBLE = E2E_POSSIBLE && TMALLOC_BUILDABLE;
const NEEDS = `${E2E_NEEDS}, ${TMALLOC_NEEDS}`;

/** A user's numbers when nothing of it is left; or as they are, when that takes too long. */
async function whenGone(
  toom: Toom,
  uid: number,
): Promise<{ readonly user: UserReport; readonly tmalloc: TmallocReport }> {
  const deadlineMs = performance.now() + 3000;
  for (;;) {
    const { users, tmalloc } = await toom.status();
    const user = users.find((one) => one.uid === uid)!;
    const isGone = user.usagePages === 0 && user.promisedPages === 0 && tmalloc.processes === 0;
    if (isGone || performance.now() > deadlineMs) return { user, tmalloc };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Waits until so many requests were granted. */
async function whenGranted(toom: Toom, count: number): Promise<void> {
  const deadlineMs = performance.now() + 60_000;
  for (;;) {
    const { tmalloc } = await toom.status();
    if (tmalloc.granted >= count) return;
    assert(performance.now() < deadlineMs, `only ${tmalloc.granted} requests were granted`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function count(text: string, line: RegExp): number {
  return text.split("\n").filter((one) => line.test(one)).length;
}

for (const source of ["bpf", "raw", "text"]) {
  Deno.test({
    ...needing(
      POSSIBLE,
      NEEDS,
      `tmalloc benchmark: who asks sees NULL, who does not is killed (${source})`,
    ),
    fn: async () => {
      await using build = await TmallocBuild.make();
      await using toom = await Toom.start([
        `--limit=${BENCHMARK_UID}=16MiB`,
        `--source=${source}`,
      ]);
      const benchmark = (
        processes: number,
        bytes: number,
        env: Record<string, string> = {},
      ): Promise<ProgramEnd> => {
        const args = [`${processes}`, `${bytes}`, "1"];
        return runAs(BENCHMARK_UID, `${build.dir}/benchmark`, args, {
          TMALLOC_SOCKET: toom.tmallocPath,
          ...env,
        });
      };
      // Several times: how near they come to the limit depends on who is refused first.
      for (const processes of [4, 8, 4, 8]) {
        const { code, out } = await benchmark(processes, 1e9);
        assertEquals(code, 0, out);
        assertMatch(out, new RegExp(`^process=${processes} mem=1000000000 epoch=1\n`));
        assertEquals(count(out, /^malloc \/ tmalloc returns NULL on \d+$/), processes, out);
        assertEquals(count(out, /^child process exit$/), processes, out);
      }
      await toom.waitFor("denied", (line) => line["uid"] === BENCHMARK_UID);
      const { user } = await whenGone(toom, BENCHMARK_UID);
      assertEquals(toom.of("kill"), []);
      assert(user.peakPages <= 4096, `never more than the limit: ${user.peakPages}`);
      assert(user.peakPages > 3000, `and near it: ${user.peakPages}`);
      assertEquals([user.usagePages, user.promisedPages], [0, 0]);

      const killed = await benchmark(4, 4e9, { BENCHMARK_MALLOC: "1" });
      assertEquals(killed.code, 1, killed.out);
      assert(count(killed.out, /^child process killed by signal 9$/) > 0, killed.out);
      assert(toom.of("kill").length > 0);
    },
  });
}

Deno.test({
  ...needing(
    POSSIBLE,
    NEEDS,
    "hundreds of programs that ask never pass the limit, and none is killed",
  ),
  fn: async () => {
    await using build = await TmallocBuild.make();
    const storm = await build.compile("tmalloc_storm.c");
    await using toom = await Toom.start([`--limit=${STORM_UID}=${STORM_MIB}MiB`]);
    const args = [`${STORM_SECONDS}`, "24", `${STORM_SEED}`];
    const { code, out, err } = await runAs(STORM_UID, storm, args, {
      TMALLOC_SOCKET: toom.tmallocPath,
      TMALLOC_FALLBACK: "fail",
    });
    const what = `SEED=${STORM_SEED}: ${out} ${err}`;
    assertEquals(code, 0, what);
    const told = JSON.parse(out);
    assert(told.spawned > 100 && told.killed > 5 && told.crashed > 0, what);
    assertEquals(told.foreign, 0, what);
    assertEquals(toom.of("kill"), [], what);
    assertEquals(toom.of("worker-restart"), []);
    const { user, tmalloc } = await whenGone(toom, STORM_UID);
    const left = [user.usagePages, user.promisedPages, tmalloc.processes, tmalloc.waiting];
    assertEquals(left, [0, 0, 0, 0], `nothing is promised in the end: ${what}`);
    assert(user.peakPages <= STORM_MIB * 256, `${what}: peak ${user.peakPages}`);
    assert(user.peakPages > STORM_MIB * 160, `the limit is near: ${user.peakPages}`);
    assert(tmalloc.denied > 100, `and felt: ${tmalloc.denied}`);
  },
});

Deno.test({
  ...needing(
    POSSIBLE,
    NEEDS,
    "a daemon killed under load comes back, and nothing is granted twice",
  ),
  fn: async () => {
    await using build = await TmallocBuild.make();
    const storm = await build.compile("tmalloc_storm.c");
    const dir = await Deno.makeTempDir();
    await Deno.chmod(dir, 0o755);
    const tmallocPath = `${dir}/run/tmalloc.sock`; // toom makes the folder
    const args = [`--limit=${STORM_UID}=${STORM_MIB}MiB`, `--tmalloc-socket=${tmallocPath}`];
    const options = { tmallocPath, stateDir: `${dir}/state` };
    let toom = await Toom.start(args, options);
    // The storm lasts until every daemon had its share of it, however long their starts take.
    const running = startAs(STORM_UID, storm, ["600", "16", `${STORM_SEED}`], {
      TMALLOC_SOCKET: tmallocPath,
      TMALLOC_FALLBACK: "fail",
    });
    try {
      for (let daemon = 0; daemon < 4; daemon++) {
        if (daemon > 0) {
          await toom.stop("SIGKILL");
          await toom[Symbol.asyncDispose]();
          toom = await Toom.start(args, options);
        }
        await whenGranted(toom, 1000);
        const { users } = await toom.status();
        const { peakPages } = users.find(({ uid }) => uid === STORM_UID)!;
        assert(peakPages <= STORM_MIB * 256, `SEED=${STORM_SEED}: peak ${peakPages}`);
        assertEquals(toom.of("kill"), [], `SEED=${STORM_SEED}`);
      }
      running.stop();
      const { code, out, err } = await running.end;
      const what = `SEED=${STORM_SEED}: ${out} ${err}`;
      assertEquals(code, 0, what);
      assertEquals(JSON.parse(out).foreign, 0, what);
      const { user, tmalloc } = await whenGone(toom, STORM_UID);
      const left = [user.usagePages, user.promisedPages, tmalloc.processes, tmalloc.waiting];
      assertEquals(left, [0, 0, 0, 0], `nothing is promised in the end: ${what}`);
      assertEquals(toom.of("kill"), [], what);
      assert(user.peakPages <= STORM_MIB * 256, `${what}: peak ${user.peakPages}`);
    } finally {
      running.stop();
      await running.end;
      await toom[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    }
  },
});

Deno.test({
  ...needing(POSSIBLE, NEEDS, "toom exec: programs that know nothing of it are told, not killed"),
  fn: async (t) => {
    await using build = await TmallocBuild.make();
    await using toom = await Toom.start([`--limit=${EXEC_UID}=64MiB`]);
    const work = await Deno.makeTempDir();
    await Deno.chmod(work, 0o777);
    // What `toom exec` itself runs first is Deno, whose start needs more than some limits.
    const exec = (program: string, ...args: string[]): Promise<ProgramEnd> =>
      runAs(EXEC_UID, program, args, {
        LD_PRELOAD: `${build.dir}/libtmalloc-preload.so`,
        TMALLOC_SOCKET: toom.tmallocPath,
        TMPDIR: work,
        LC_ALL: "C",
      }, work);
    try {
      await t.step("python3 catches its MemoryError", async () => {
        const grow = "blocks = []\ntry:\n  while True: blocks.append(bytearray(100000))\n" +
          "except MemoryError:\n  count = len(blocks)\n  del blocks\n  print('caught', count)";
        const { code, out, err } = await exec(PYTHON!, "-S", "-E", "-c", grow);
        assertEquals([code, err], [0, ""]);
        const [, blocks] = /^caught (\d+)$/m.exec(out) ?? [];
        assert(Number(blocks) > 300 && Number(blocks) < 700, out);
        const small = grow.replace("bytearray(100000)", "str(len(blocks)) * 3");
        assertMatch((await exec(PYTHON!, "-S", "-E", "-c", small)).out, /^caught \d{5,7}$/m);
        assertEquals(toom.of("kill"), []);
        const unasked = await runAs(EXEC_UID, PYTHON!, ["-S", "-E", "-c", grow], {});
        assertEquals(unasked.signal, "SIGKILL", "without it, it is killed");
      });
      // The victim may be gone before its kill is told of.
      await toom.waitFor("kill");
      const kills = toom.of("kill").length;

      await t.step("sort sorts a file that is larger than the limit", async () => {
        const lines = Array.from({ length: 1_500_000 }, (_, index) => (index * 7919) % 1_500_007);
        await Deno.writeTextFile(`${work}/lines`, lines.join("\n").repeat(7));
        assert((await Deno.stat(`${work}/lines`)).size > 68 * 2 ** 20);
        const { code, err } = await exec(
          "/usr/bin/sort",
          "-n",
          "-o",
          `${work}/sorted`,
          `${work}/lines`,
        );
        assertEquals([code, err], [0, ""]);
        const check = await exec("/usr/bin/sort", "-n", "-c", `${work}/sorted`);
        assertEquals(check.code, 0, check.err);
      });

      await t.step(
        "cc compiles below the limit, and fails by its own message above it",
        async () => {
          await Deno.writeTextFile(`${work}/small.c`, "int main(void) { return 0; }\n");
          const small = await exec("/usr/bin/cc", "-o", `${work}/small`, `${work}/small.c`);
          assertEquals([small.code, small.err], [0, ""]);
          const body = Array.from(
            { length: 40_000 },
            (_, i) => `x += x * ${i} + (x >> ${i % 31});\n`,
          );
          await Deno.writeTextFile(
            `${work}/large.c`,
            `int f(int x) {\n${body.join("")}return x;\n}\n`,
          );
          const large = await exec(
            "/usr/bin/cc",
            "-O2",
            "-c",
            "-o",
            `${work}/large.o`,
            `${work}/large.c`,
          );
          assert(large.code !== 0 && large.signal === null);
          assertMatch(large.err, /memory/i);
        },
      );

      const node = ["/usr/local/bin/node", "/usr/bin/node"].find(hasFile);
      await t.step({
        name: node === undefined ? "node runs [needs node]" : "node runs, and ends by its own word",
        ignore: node === undefined,
        fn: async () => {
          const hello = await exec(node!, "-p", "'hello'");
          assertEquals([hello.code, hello.out], [0, "hello\n"], hello.err);
          const grow = await exec(
            node!,
            "-e",
            "const a = []; for (;;) a.push(Buffer.alloc(1 << 20, 1))",
          );
          assert(grow.code !== 0 && grow.signal !== "SIGKILL", JSON.stringify(grow.signal));
        },
      });

      await t.step("a program that reserves a terabyte runs", async () => {
        const reserve = "import mmap, ctypes\nlibc = ctypes.CDLL(None)\n" +
          "libc.mmap.restype = ctypes.c_void_p\n" +
          "at = libc.mmap(None, ctypes.c_size_t(1 << 40), 0, 0x4022, -1, ctypes.c_long(0))\n" +
          "print('reserved', at != 2**64 - 1)";
        assertMatch((await exec(PYTHON!, "-E", "-c", reserve)).out, /^reserved True$/m);
      });

      await t.step("none of them was killed", () => {
        assertEquals(toom.of("kill").length, kills);
        assertEquals(toom.of("error"), []);
      });
    } finally {
      await Deno.remove(work, { recursive: true });
    }
  },
});
