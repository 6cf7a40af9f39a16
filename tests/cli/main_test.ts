import { assert, assertEquals, assertMatch } from "@std/assert";
import { main } from "../../cli/main.ts";
import { canRunToom, runToomAs } from "../_support/other_user.ts";
import { isRoot, needing } from "../_support/real_kernel.ts";

const OTHER_UID = 60032;

async function run(...args: string[]): Promise<{ code: number; out: string[]; err: string[] }> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await main(args, { out: (line) => out.push(line), err: (line) => err.push(line) });
  return { code, out, err };
}

Deno.test("main() shows help and version", async () => {
  assertMatch((await run("--version")).out.join(), /^toom \d+\.\d+\.\d+$/);
  const help = await run("--help");
  assertEquals(help.code, 0);
  for (const command of ["run", "limit", "status", "replay", "doctor", "demo"]) {
    assert(help.out.some((line) => line.startsWith(`  ${command} `)), command);
    const own = await run(command, "--help");
    assertEquals([own.code, own.err], [0, []], command);
    assert(own.out.join("\n").includes(`toom ${command}`), command);
  }
  assert(!help.out.join("\n").includes("demo-process"), "hidden commands stay hidden");
});

Deno.test("main() answers wrong use with one line and exit code 2", async () => {
  const uses = [
    [],
    ["rnu"],
    ["__proto__"],
    ["run", "--limit", "bob"],
    ["run", "--limit", "60001=64XiB"],
    ["run", "--limit", "60001=64MB"],
    ["run", "--limit", "1000-10=1G"],
    ["run", "--limit", "0-10=1G"],
    ["run", "--limit", "no-such-user-here=1G"],
    ["run", "--limit"],
    ["run", "--source", "binary"],
    ["run", "--readers", "0"],
    ["run", "--readers", "65"],
    ["run", "--victim", "oldest"],
    ["run", "--count", "anon+heap"],
    ["run", "--interval", "1ms"],
    ["run", "--soft", "110%"],
    ["run", "--log-format", "xml"],
    ["run", "--buffer-kib", "3"],
    ["run", "--cpu", "first"],
    ["run", "--unknown"],
    ["run", "stray"],
    ["run", "--dry-run=maybe"],
    ["limit"],
    ["limit", "set", "60001"],
    ["limit", "raise", "60001", "1G"],
    ["status", "--jsn"],
    ["replay"],
    ["doctor", "--fix"],
    ["demo", "--fast"],
  ];
  for (const use of uses) {
    const { code, out, err } = await run(...use);
    assertEquals([code, out, err.length], [2, [], 1], `toom ${use.join(" ")}: ${err.join("\n")}`);
    assert(!err[0]!.includes("\n"), "one line");
  }
});

Deno.test({
  ...needing(
    isRoot() && canRunToom(OTHER_UID),
    "root, and a checkout that others may read",
    "toom run says what it needs to who is not root",
  ),
  fn: async () => {
    const { code, out, err } = await runToomAs(OTHER_UID, ["run", "--limit", "60001=64MiB"]);
    assertEquals([code, out], [3, ""]);
    assertMatch(err, /^toom run must be root: .*: run it with sudo.*\n$/);
  },
});
