/** The brake on the real kernel: who is refused memory, who is not, and that nothing stays lowered. */
import { assert, assertEquals } from "@std/assert";
import {
  BrakeProcess,
  buildBrakeProgram,
  CAN_COMPILE,
  dataLimits,
  loweredOf,
  pidsOf,
} from "../_support/brake_stage.ts";
import { Asker } from "../_support/asker.ts";
import { needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, PYTHON } from "../_support/workload.ts";

const UID = 60120;
const HARD_MIB = 64;
const HARD_KIB = HARD_MIB * 1024;
const POSSIBLE = E2E_POSSIBLE && CAN_COMPILE;
const NEEDS = `${E2E_NEEDS}, a C compiler`;
const PYTHON_PROGRAM = `
import sys
print("here", flush=True)
sys.stdin.readline()
held = []
try:
    while True: held.append(bytearray(1 << 20))
except MemoryError:
    print("refused", len(held) << 10, flush=True)
sys.stdin.readline()
held.clear()
print("freed", flush=True)
sys.stdin.readline()
`;

async function eventually(isSo: () => boolean, what: () => string, ms = 5000): Promise<void> {
  const deadlineMs = performance.now() + ms;
  while (!isSo()) {
    if (performance.now() > deadlineMs) throw new Error(what());
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function givenBack(uid = UID): Promise<void> {
  await eventually(() => loweredOf(uid).length === 0, () => `lowered: ${loweredOf(uid)}`);
}

/** Runs with the program, which is removed afterwards. */
async function withProgram(run: (path: string) => Promise<void>): Promise<void> {
  const { dir, path } = await buildBrakeProgram();
  try {
    await run(path);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

for (const source of ["bpf", "raw"]) {
  Deno.test({
    ...needing(POSSIBLE, NEEDS, `--brake growers: those that check go on, nobody dies (${source})`),
    fn: () =>
      withProgram(async (path) => {
        await using toom = await Toom.start([
          `--limit=${UID}=${HARD_MIB}MiB`,
          `--source=${source}`,
          "--brake=growers",
        ]);
        assertEquals(toom.of("ready")[0]!["brake"], "growers");
        const commands = [[path, "checks", "1024"], [PYTHON!, "-S", "-E", "-c", PYTHON_PROGRAM]];
        for (const command of commands) {
          await using program = new BrakeProcess(UID, command);
          await program.until("here");
          await program.go();
          const heldKib = await program.until("refused");
          assert(heldKib < HARD_KIB, `it had ${heldKib} KiB when it was refused`);
          assert(heldKib > HARD_KIB * 0.7, `it had only ${heldKib} KiB when it was refused`);
          const refused = await toom.waitFor("refused", (line) => line["pid"] === program.pid);
          assertEquals([refused["uid"], refused["hardPages"]], [UID, HARD_KIB / 4]);
          assert(Number(refused["leftBytes"]) > 0 && Number(refused["usagePages"]) > 0);
          assert(Number(refused["dataLimitBytes"]) > 0);
          assertEquals(dataLimits(program.pid)![1], "unlimited", "the hard limit is untouched");
          await program.go();
          await program.until("freed");
          await givenBack();
        }
        assertEquals(toom.of("kill"), []);
        // It is counted ten times a second.
        const braked = async (): Promise<number> => (await toom.status()).brake!.braked;
        for (let tries = 0; tries < 50 && await braked() > 0; tries++) {
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        const { brake, users } = await toom.status();
        assertEquals([brake!.refused, brake!.braked, brake!.left], [2, 0, 0]);
        assertEquals(users.find(({ uid }) => uid === UID)!.refusals, 2);
        assertEquals(toom.errors, []);
        assertEquals(toom.of("error"), []);
      }),
  });
}

Deno.test({
  ...needing(POSSIBLE, NEEDS, "two growers share what is left, and six small ones notice nothing"),
  fn: () =>
    withProgram(async (path) => {
      await using stack = new AsyncDisposableStack();
      const toom = stack.use(
        await Toom.start([`--limit=${UID}=${HARD_MIB}MiB`, "--brake=growers"]),
      );
      const start = (...args: string[]): BrakeProcess =>
        stack.use(new BrakeProcess(UID, [path, ...args]));
      const small = Array.from({ length: 6 }, () => start("small"));
      const growers = [start("checks", "256"), start("checks", "256")];
      for (const one of [...small, ...growers]) await one.until("here");
      for (const one of growers) await one.go();
      const held = [await growers[0]!.until("refused"), await growers[1]!.until("refused")];
      await new Promise((resolve) => setTimeout(resolve, 500));
      assert(held[0]! + held[1]! < HARD_KIB, `${held}`);
      assert(held[0]! + held[1]! > HARD_KIB * 0.7, `${held}`);
      for (const one of held) assert(one > 1024, `each got a share: ${held}`);
      for (const one of small) {
        assertEquals(one.said, ["here"], "it was never refused a page");
        assertEquals(dataLimits(one.pid), ["unlimited", "unlimited"]);
      }
      const peak = (await toom.status()).users.find(({ uid }) => uid === UID)!.peakPages;
      assert(peak <= HARD_KIB / 4, `the user had ${peak} pages at most`);
      assertEquals(toom.of("kill"), []);
      assertEquals(
        toom.of("refused").map((line) => line["pid"]).sort(),
        growers.map(({ pid }) => pid).sort(),
      );
    }),
});

Deno.test({
  ...needing(POSSIBLE, NEEDS, "who has mapped all beforehand, or raises its limit, dies at hard"),
  fn: () =>
    withProgram(async (path) => {
      await using toom = await Toom.start([`--limit=${UID}=${HARD_MIB}MiB`, "--brake=growers"]);
      {
        await using hog = new BrakeProcess(UID, [path, "beforehand", "256"]);
        await hog.until("mapped");
        await hog.go();
        assertEquals((await hog.end()).signal, "SIGKILL");
        await toom.waitFor("kill", (line) => line["pid"] === hog.pid);
      }
      await using hostile = new BrakeProcess(UID, [path, "hostile", "256"]);
      await hostile.until("here");
      await hostile.go();
      assertEquals((await hostile.end()).signal, "SIGKILL");
      assert(hostile.said.some((line) => line.startsWith("refused")), "it was refused first");
      const kill = await toom.waitFor("kill", (line) => line["pid"] === hostile.pid);
      assert(Number(kill["overshootBytes"]) < 4 * 2 ** 20, JSON.stringify(kill));
      await givenBack();
    }),
});

/** A user near its soft limit, and a process of it that is refused and has made children. */
class Crowd implements AsyncDisposable {
  private readonly holder: BrakeProcess;
  private readonly grower: BrakeProcess;

  constructor(path: string, forks: number) {
    // Just below soft, so that the user stays above it whatever the children share.
    this.holder = new BrakeProcess(UID, [path, "beforehand", "57"]);
    this.grower = new BrakeProcess(UID, [path, "forks", `${forks}`, "64"]);
  }

  async lower(toom: Toom): Promise<void> {
    const { holder, grower } = this;
    await holder.until("mapped");
    await holder.go();
    await holder.until("touched");
    await grower.until("here");
    await grower.go();
    await grower.until("refused");
    await toom.waitFor("refused", (line) => line["pid"] === grower.pid);
    await grower.until("forked", 60_000);
  }

  async giveBack(): Promise<void> {
    await this.grower.go();
    await this.grower.until("freed");
    await this.holder.go();
    await this.holder.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.grower[Symbol.asyncDispose]();
    await this.holder[Symbol.asyncDispose]();
    await eventually(() => pidsOf(UID).length === 0, () => `children live: ${pidsOf(UID)}`);
  }
}

Deno.test({
  ...needing(POSSIBLE, NEEDS, "nothing stays lowered: after 1000 forks, a stop, and kill -9"),
  fn: () =>
    withProgram(async (path) => {
      const stateDir = await Deno.makeTempDir({ prefix: "toom-test-" });
      const args = [`--limit=${UID}=${HARD_MIB}MiB`, "--brake=growers"];
      try {
        {
          await using toom = await Toom.start(args, { stateDir });
          await using crowd = new Crowd(path, 1000);
          await crowd.lower(toom);
          const inherited = loweredOf(UID).length;
          assert(inherited > 1000, `${inherited} of ${pidsOf(UID).length} have inherited it`);
          await crowd.giveBack();
          await givenBack();
          assertEquals(toom.of("kill"), []);
        }
        {
          await using toom = await Toom.start(args, { stateDir });
          await using crowd = new Crowd(path, 20);
          await crowd.lower(toom);
          assert(loweredOf(UID).length > 20);
          await toom.stop();
          assertEquals(loweredOf(UID), [], "stopped");
          assertEquals(toom.of("error"), []);
        }
        {
          await using toom = await Toom.start(args, { stateDir });
          await using crowd = new Crowd(path, 20);
          await crowd.lower(toom);
          await toom.stop("SIGKILL");
          assert(loweredOf(UID).length > 20, "nobody could give it back");
          await using next = await Toom.start([`--limit=${UID}=${HARD_MIB}MiB`], { stateDir });
          await givenBack();
          assertEquals(next.of("error"), []);
        }
      } finally {
        await Deno.remove(stateDir, { recursive: true });
      }
    }),
});

Deno.test({
  ...needing(
    POSSIBLE,
    NEEDS,
    "limits are given back when the limit is raised, cleared, or has no brake",
  ),
  fn: () =>
    withProgram(async (path) => {
      await using toom = await Toom.start([`--limit=${UID}=${HARD_MIB}MiB`]);
      const commands = [
        ["limit", "set", `${UID}`, "256MiB"],
        ["limit", "clear", `${UID}`],
        ["limit", "set", `${UID}`, "64MiB", "--brake", "off"],
      ];
      for (const command of commands) {
        const set = await toom.command("limit", "set", `${UID}`, "64MiB", "--brake", "growers");
        assertEquals(set.code, 0, set.err);
        await using program = new BrakeProcess(UID, [path, "checks", "512"]);
        await program.until("here");
        await program.go();
        await program.until("refused");
        assertEquals(loweredOf(UID).length, 1);
        assertEquals((await toom.command(...command)).code, 0);
        await givenBack();
        assertEquals(toom.of("kill"), []);
      }
    }),
});

Deno.test({
  ...needing(POSSIBLE, NEEDS, "what was promised stays usable, and who asks is not braked"),
  fn: () =>
    withProgram(async (path) => {
      await using toom = await Toom.start([`--limit=${UID}=${HARD_MIB}MiB`, "--brake=growers"]);
      await using asker = await Asker.start(UID, toom.tmallocPath);
      const promisedMib = 24;
      assertEquals((await asker.ask("reserve", promisedMib * 2 ** 20)).status, 0);
      await using program = new BrakeProcess(UID, [path, "checks", "256"]);
      await program.until("here");
      await program.go();
      const heldKib = await program.until("refused");
      assert(heldKib < HARD_KIB - promisedMib * 1024, `${heldKib} KiB are left of it`);
      assert(heldKib > HARD_KIB / 4, `${heldKib} KiB`);
      assertEquals(loweredOf(UID).length, 1, "the one that does not ask");
      assertEquals(toom.of("kill"), []);
    }),
});

Deno.test({
  ...needing(POSSIBLE, NEEDS, "a lower ulimit -d is never raised, a hard one never touched"),
  fn: () =>
    withProgram(async (path) => {
      await using toom = await Toom.start([`--limit=${UID}=${HARD_MIB}MiB`, "--brake=growers"]);
      const own = 62 * 1024;
      const script = `ulimit -S -d ${own}; ulimit -H -d 200000; exec ${path} checks 256`;
      await using program = new BrakeProcess(UID, ["/bin/sh", "-c", script]);
      await program.until("here");
      await program.go();
      await program.until("refused");
      for (let looks = 0; looks < 20; looks++) {
        const [soft, hard] = dataLimits(program.pid)!;
        assert(Number(soft) <= own * 1024, soft);
        assertEquals(hard, String(200_000 * 1024));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      await program.go();
      await program.until("freed");
      await eventually(
        () => dataLimits(program.pid)![0] === String(own * 1024),
        () => `${dataLimits(program.pid)}`,
      );
      assertEquals(toom.of("kill"), []);
    }),
});

Deno.test({
  ...needing(POSSIBLE, NEEDS, "--brake all: who maps all beforehand is refused it, and lives"),
  fn: () =>
    withProgram(async (path) => {
      await using toom = await Toom.start([`--limit=${UID}=${HARD_MIB}MiB`, "--brake=all"]);
      await using shell = new BrakeProcess(UID, [
        "/bin/sh",
        "-c",
        `echo here; read go; ${path} beforehand 256; echo ended $?; read go`,
      ]);
      await shell.until("here");
      await eventually(() => loweredOf(UID).length === 1, () => "the shell is braked");
      await shell.go();
      await shell.until("refused");
      await shell.go();
      assertEquals(await shell.until("ended"), 0);
      assertEquals(toom.of("kill"), []);
      await toom.stop();
      assertEquals(loweredOf(UID), []);
    }),
});
