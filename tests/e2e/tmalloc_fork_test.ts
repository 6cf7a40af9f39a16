/** Forks of real programs that ask, at more than half of their limit. */
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
import { E2E_NEEDS, E2E_POSSIBLE, PYTHON } from "../_support/workload.ts";

const UID = 60342;
const LIMIT_MIB = 256;
const PAGES_PER_MIB = 256;

/** 160 MiB, all of it touched. */
const LARGE = "import os, sys, threading, time\nlarge = bytearray(160 << 20)\n" +
  "for at in range(0, len(large), 4096): large[at] = 1\n";
const FORK_AND_EXEC = `${LARGE}
for round in range(5):
  pid = os.fork()
  if pid == 0: os.execv("/bin/true", ["true"])
  assert os.waitpid(pid, 0)[1] == 0
print("started")`;
const FORK_AND_FAIL = `${LARGE}
pid = os.fork()
if pid == 0:
  try: os.execv("/no/such/program", ["no"])
  except FileNotFoundError: os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))`;
const SYSTEM = `${LARGE}print(os.system("exit 0"))`;
const REFUSED = `${LARGE}
try: os.fork()
except OSError as error: print("refused", error.errno)
pid = os.posix_spawn("/bin/true", ["true"], {})
print(os.waitpid(pid, 0)[1])`;
/** Children that live on, and need some memory of their own. */
const FAMILY = `${LARGE}
children = []
for i in range(4):
  pid = os.fork()
  if pid == 0:
    mine = [bytearray(1 << 20) for _ in range(5)]
    time.sleep(0.5)
    os._exit(0 if sum(large[::1 << 20]) == 160 else 1)
  children.append(pid)
print([os.waitpid(pid, 0)[1] for pid in children])`;
/** Forks by many threads at a time. */
const THREADS = `${LARGE}
failed = []
def start():
  for round in range(20):
    pid = os.fork()
    if pid == 0: os.execv("/bin/true", ["true"])
    if os.waitpid(pid, 0)[1] != 0: failed.append(round)
threads = [threading.Thread(target=start) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(failed)`;

/** What is promised to the user when nothing of it is left; or later, when that takes too long. */
async function promisedInTheEnd(toom: Toom): Promise<number[]> {
  const deadlineMs = performance.now() + 3000;
  for (;;) {
    const { users, tmalloc } = await toom.status();
    const { usagePages, promisedPages } = users.find(({ uid }) => uid === UID)!;
    const left = [usagePages, promisedPages, tmalloc.processes];
    if (left.every((count) => count === 0) || performance.now() > deadlineMs) return left;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

Deno.test({
  ...needing(
    E2E_POSSIBLE && TMALLOC_BUILDABLE,
    `${E2E_NEEDS}, ${TMALLOC_NEEDS}`,
    "programs above half of their limit start others, and have children",
  ),
  fn: async (t) => {
    await using build = await TmallocBuild.make();
    await using toom = await Toom.start([`--limit=${UID}=${LIMIT_MIB}MiB`]);
    const run = (
      program: string,
      args: readonly string[],
      env: Record<string, string> = {},
    ): Promise<ProgramEnd> =>
      runAs(UID, program, args, {
        LD_PRELOAD: `${build.dir}/libtmalloc-preload.so`,
        TMALLOC_SOCKET: toom.tmallocPath,
        ...env,
      });
    const python = async (script: string, env: Record<string, string> = {}): Promise<string> => {
      const { code, out, err } = await run(PYTHON!, ["-S", "-E", "-c", script], env);
      assertEquals([code, err], [0, ""], out);
      return out.trim();
    };

    await t.step("python3 forks and executes, five times", async () => {
      assertEquals(await python(FORK_AND_EXEC), "started");
    });
    await t.step("a child whose exec fails ends by itself", async () => {
      assertEquals(await python(FORK_AND_FAIL), "7");
    });
    await t.step("system() works", async () => {
      assertEquals(await python(SYSTEM), "0");
    });
    await t.step("four threads fork at once", async () => {
      assertEquals(await python(THREADS), "[]");
    });
    await t.step("children that stay share what they inherited", async () => {
      assertEquals(await python(FAMILY), "[0, 0, 0, 0]");
    });
    const perl = ["/usr/bin/perl"].find(hasFile);
    await t.step({
      name: perl === undefined ? "perl's system() [needs perl]" : "perl's system() works",
      ignore: perl === undefined,
      fn: async () => {
        // Of a constant, perl would make 160 MiB at compile time, and another 160 for $x.
        const script = 'my $n = 160 << 20; my $x = "x" x $n; print system("/bin/true"), "\\n"';
        const { code, out, err } = await run(perl!, ["-e", script]);
        assertEquals([code, out], [0, "0\n"], err);
      },
    });
    const node = ["/usr/local/bin/node", "/usr/bin/node"].find(hasFile);
    await t.step({
      name: node === undefined ? "node's child_process [needs node]" : "node's child_process works",
      ignore: node === undefined,
      fn: async () => {
        const script = 'const b = Buffer.alloc(130 << 20, 1); require("child_process")' +
          '.execFileSync("/bin/true"); console.log("spawned", b.length)';
        const { code, out, err } = await run(node!, ["-e", script]);
        assertEquals(code, 0, err);
        assertMatch(out, /^spawned /);
      },
    });
    await t.step("TMALLOC_FORK=strict refuses what may not be copied", async () => {
      assertEquals(await python(REFUSED, { TMALLOC_FORK: "strict" }), "refused 12\n0");
    });
    await t.step("nobody was killed, and nothing is promised in the end", async () => {
      assertEquals([toom.of("kill"), toom.of("error")], [[], []]);
      assertEquals(await promisedInTheEnd(toom), [0, 0, 0]);
    });
    await t.step("children that write to all that they inherited are the killer's", async () => {
      const bomb = `${LARGE}
for i in range(6):
  if os.fork() == 0:
    for at in range(0, len(large), 4096): large[at] = 2
    break
time.sleep(20)`;
      const running = run(PYTHON!, ["-S", "-E", "-c", bomb]);
      try {
        await toom.waitFor("kill", ({ uid }) => uid === UID, 10_000);
        await new Promise((resolve) => setTimeout(resolve, 2000));
        const heldPages = await heldBy(UID);
        assert(heldPages <= LIMIT_MIB * PAGES_PER_MIB, `${heldPages} pages are truly held`);
      } finally {
        await endAll(UID);
        await running;
      }
      assertEquals(await promisedInTheEnd(toom), [0, 0, 0]);
    });
  },
});

/** Pids of a user. */
async function pidsOf(uid: number): Promise<number[]> {
  const pids: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const status = await Deno.readTextFile(`/proc/${name}/status`).catch(() => "");
    if (new RegExp(`^Uid:\t${uid}\t`, "m").test(status)) pids.push(Number(name));
  }
  return pids;
}

/** Ends what is left of a scratch user. */
async function endAll(uid: number): Promise<void> {
  for (const pid of await pidsOf(uid)) {
    try {
      Deno.kill(pid, "SIGKILL");
    } catch {
      // It has ended.
    }
  }
}

/** Pages that a user's processes truly hold: what they share counts once. proc_pid_smaps(5) */
async function heldBy(uid: number): Promise<number> {
  let kib = 0;
  for (const pid of await pidsOf(uid)) {
    const rollup = await Deno.readTextFile(`/proc/${pid}/smaps_rollup`).catch(() => "");
    for (const [, size] of rollup.matchAll(/^(?:Pss_Anon|Pss_Shmem|SwapPss): +(\d+) kB/gm)) {
      kib += Number(size);
    }
  }
  return Math.round(kib / 4);
}
