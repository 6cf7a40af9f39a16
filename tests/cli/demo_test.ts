import { assert, assertEquals, assertMatch } from "@std/assert";
import { demoCommand } from "../../cli/demo.ts";
import { acquireLock } from "../../kernel/process/lock.ts";
import {
  commandOf,
  DEMO_OUTPUT,
  REPLAY_OUTPUT,
  runProgram,
  SOURCE_PROGRAM,
  whenAlone,
} from "../_support/program.ts";
import {
  hasFile,
  hasTracefs,
  isRoot,
  needing,
  runDeno,
  waitUntil,
} from "../_support/real_kernel.ts";

const SCRATCH_UID = 60998;
const LOCK_PATH = "/run/toom.lock";

Deno.test("toom demo takes no options", async () => {
  const out: string[] = [];
  const err: string[] = [];
  const io = { out: (line: string) => out.push(line), err: (line: string) => err.push(line) };
  assertEquals(await demoCommand(["--help"], io), 0);
  assertMatch(out.join("\n"), /^See toom kill the right process/);
  assertEquals(await demoCommand(["--json"], io), 2);
  assertEquals(err, ["toom demo: unknown option --json (see toom demo --help)"]);
});

Deno.test("toom demo-process refuses to be root", async () => {
  for (const words of [[], ["0"], ["root"], ["-1"]]) {
    const { code, err } = await runProgram(SOURCE_PROGRAM, ["demo-process", ...words]);
    assertEquals([code, err.trimEnd().split("\n").length], [2, 1]);
  }
});

Deno.test(
  needing(hasTracefs(), "root and tracefs", "toom demo: the hog dies, and nothing else does"),
  async () => {
    const { code, out, err } = await whenAlone(() => runProgram(SOURCE_PROGRAM, ["demo"]));
    assertEquals([code, err], [0, ""]);
    assertMatch(out, DEMO_OUTPUT);
  },
);

Deno.test("toom demo replays a capture where it is not root", async () => {
  const uid = isRoot() ? SCRATCH_UID : Deno.uid();
  const drop = `import { becomeUser } from ${module("kernel/users/drop_user.ts")};
    if (Deno.uid() === 0) becomeUser(${uid});`;
  // The user may be unable to read the modules: they are loaded before.
  const output = await runDeno(`import { demoCommand } from ${module("cli/demo.ts")};
    ${drop}
    const code = await demoCommand([], { out: console.log, err: console.error });
    Deno.exit(code);`);
  assertMatch(output, REPLAY_OUTPUT);
});

function module(path: string): string {
  return JSON.stringify(new URL(`../../${path}`, import.meta.url).href);
}

Deno.test(
  needing(hasTracefs(), "root and tracefs", "toom demo says when another toom runs"),
  async () => {
    // Whoever has it: it is not free.
    const lock = acquireLock(LOCK_PATH);
    try {
      const { code, out, err } = await runProgram(SOURCE_PROGRAM, ["demo"]);
      assertEquals([code, out], [3, ""]);
      assertMatch(err, /^another toom runs on this machine \(pid \d+\): stop it first.*\n$/);
    } finally {
      if ("release" in lock) lock.release();
    }
  },
);

Deno.test(
  needing(hasTracefs(), "root and tracefs", "toom demo ends all that it started when told to"),
  async () => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      const { code, err, children } = await whenAlone(() => interruptedDemo(signal));
      assertEquals(
        [code, err],
        [1, `toom demo: ended by ${signal}, and with it all that it had started\n`],
      );
      assert(children.length > 0);
      for (const pid of children) assertEquals(hasFile(`/proc/${pid}`), false, `${pid} lives`);
    }
  },
);

/** A demo that is interrupted as soon as it has children. */
async function interruptedDemo(
  signal: Deno.Signal,
): Promise<{ code: number; err: string; children: string[] }> {
  const child = commandOf(SOURCE_PROGRAM, ["demo"]).spawn();
  const output = child.output();
  const { pid } = child;
  let children: string[] = [];
  await waitUntil(
    () => {
      if (!hasFile(`/proc/${pid}/stat`)) return true;
      children = childrenOf(pid);
      return children.length > 0;
    },
    "the demo has a child",
    20_000,
  );
  try {
    child.kill(signal);
  } catch {
    // Refused, and over.
  }
  const { code, stderr } = await output;
  return { code, err: new TextDecoder().decode(stderr), children };
}

function childrenOf(pid: number): string[] {
  const found: string[] = [];
  try {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
      const text = Deno.readTextFileSync(`/proc/${pid}/task/${name}/children`);
      found.push(...text.split(" ").filter((word) => word !== ""));
    }
  } catch {
    // It has ended.
  }
  return found;
}
