/** What real processes say of themselves, hostile ones too. */
import { assert, assertEquals } from "@std/assert";
import { ProcProcessFacts } from "../../../kernel/rules/process_facts.ts";
import { TEXT_BYTES_MAX } from "../../../pipeline/rules/victim_rule.ts";
import { needing } from "../../_support/real_kernel.ts";
import { PYTHON } from "../../_support/workload.ts";

const HOSTILE = 'x) S 1 (\n";\u001b[2J';

Deno.test("of this process: its name, program, arguments, directory, cgroup, score", () => {
  const facts = new ProcProcessFacts();
  facts.begin(Deno.pid);
  assertEquals(facts.executable(), Deno.execPath());
  assertEquals(facts.directory(), Deno.cwd());
  assert(facts.commandLine()!.includes("test"), facts.commandLine());
  assert(facts.command()!.length > 0);
  assert(facts.cgroup()!.startsWith("/"), facts.cgroup());
  assertEquals(facts.oomScoreAdj(), Number(Deno.readTextFileSync("/proc/self/oom_score_adj")));
});

Deno.test("of a process that is not there: nothing", () => {
  const facts = new ProcProcessFacts();
  facts.begin(0x3fffff);
  assertEquals(
    [facts.command(), facts.isSessionLeader(), facts.executable(), facts.commandLine()],
    [undefined, undefined, undefined, undefined],
  );
  assertEquals(
    [facts.cgroup(), facts.directory(), facts.oomScoreAdj()],
    [undefined, undefined, undefined],
  );
});

Deno.test({
  ...needing(
    PYTHON !== undefined,
    "python3",
    "a hostile name and 2 MiB of arguments are read as they are",
  ),
  fn: async () => {
    const script = "import ctypes,os,sys\nos.setsid()\n" +
      `ctypes.CDLL(None).prctl(15, ${JSON.stringify(HOSTILE)}.encode())\n` +
      "print('here', flush=True)\nsys.stdin.read()";
    // One argument has 128 KiB at most, MAX_ARG_STRLEN.
    const more = Array.from({ length: 15 }, () => "\n\u001b]0;".repeat(25_000));
    const child = new Deno.Command(PYTHON!, {
      args: ["-S", "-c", script, ...more],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    try {
      await reader.read();
      const facts = new ProcProcessFacts();
      facts.begin(child.pid);
      assertEquals(facts.command(), HOSTILE.slice(0, 15));
      assertEquals(facts.isSessionLeader(), true, "the name forges no field");
      const line = facts.commandLine()!;
      assertEquals(new TextEncoder().encode(line).length <= TEXT_BYTES_MAX, true);
      assert(line.endsWith("\u001b]0;") || line.includes("\n\u001b]0;"));
    } finally {
      await child.stdin.close();
      await child.status;
      await reader.cancel();
    }
  },
});
