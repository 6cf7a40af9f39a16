import { assert, assertEquals, assertMatch } from "@std/assert";
import { helpText } from "../../cli/args.ts";
import { EXEC_COMMAND, execCommand } from "../../cli/exec.ts";
import { needing } from "../_support/real_kernel.ts";
import { TMALLOC_BUILDABLE, TMALLOC_NEEDS, TmallocBuild } from "../_support/tmalloc_build.ts";

const SHELL = "/bin/sh";
const SIGPIPE = 13;
const PROGRAM = new URL("../../mod.ts", import.meta.url).pathname;

interface Told {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function output(program: string, args: string[], env: Record<string, string>): Promise<Told> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args, env, stdin: "null" })
    .output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}

/** Runs `toom exec` in a process of its own, as it becomes another program. */
async function run(args: string[], env: Record<string, string> = {}): Promise<Told> {
  return await output(Deno.execPath(), ["run", "-A", "--no-check", PROGRAM, "exec", ...args], env);
}

Deno.test({
  ...needing(
    TMALLOC_BUILDABLE,
    TMALLOC_NEEDS,
    "toom exec becomes the program, with its arguments, environment and exit code",
  ),
  fn: async () => {
    await using build = await TmallocBuild.make();
    const script = 'echo "$0 $1 $LD_PRELOAD $TMALLOC_SOCKET $TMALLOC_FALLBACK $KEPT"; ' +
      "grep SigIgn /proc/self/status; exit 7";
    const library = `${build.dir}/libtmalloc-preload.so`;
    const { code, out } = await run([
      `--preload=${library}`,
      "--tmalloc-socket=/nowhere/t.sock",
      "--",
      SHELL,
      "-c",
      script,
      "name",
      "two words",
    ], { KEPT: "kept" });
    assertEquals(code, 7);
    const [first, second] = out.split("\n");
    const loaded = await Deno.realPath(library);
    assertEquals(first, `name two words ${loaded} /nowhere/t.sock malloc kept`);
    const ignored = parseInt(/^SigIgn:\s+([0-9a-f]+)$/.exec(second!)![1]!, 16);
    assertEquals(ignored & 1 << SIGPIPE - 1, 0, "what Deno ignores is not ignored");
  },
});

/** Command lines that end before anything is run, or run `true`. */
const COMMAND_LINES: readonly (readonly string[])[] = [
  ["--help"],
  ["-h", "true"],
  ["--nonsense", "--help"],
  [],
  ["--"],
  ["--no-hints"],
  ["--nonsense", "true"],
  ["--nonsense=1", "true"],
  ['--a"b\\c\t\u0001', "true"],
  [`--${"x".repeat(100)}`, "true"],
  ["--fallback=maybe", "true"],
  ["--fallback=a\nb", "true"],
  ["--fallback"],
  ["--fallback", "--no-hints", "true"],
  ["--fallback=", "true"],
  ["--fallback", "", "true"],
  ["--fallback=fail", "--fallback=fail", "true"],
  ["--no-hints=yes", "true"],
  ["--no-hints", "--no-hints", "true"],
  [`--tmalloc-socket=/${"x".repeat(200)}`, "true"],
  ["--preload=/nowhere.so", "true"],
  ["--preload", "/dev/null", "true"],
  ["no-such-program"],
  ["/no/such/program"],
  ["--tmalloc-socket=/nowhere/t.sock", "true"],
  ["--tmalloc-socket", "/nowhere/t.sock", "--no-hints", "--", "true", "--help"],
];

Deno.test({
  ...needing(
    TMALLOC_BUILDABLE,
    TMALLOC_NEEDS,
    "toom exec and toom-exec say the same to the same command line",
  ),
  fn: async () => {
    await using build = await TmallocBuild.make();
    for (const args of COMMAND_LINES) {
      const [one, other] = await Promise.all([
        run([...args]),
        output(`${build.dir}/toom-exec`, [...args], {}),
      ]);
      assertEquals(other, one, JSON.stringify(args));
    }
    assertEquals((await run(["--help"])).out, `${helpText(EXEC_COMMAND)}\n`);
  },
});

Deno.test({
  ...needing(
    TMALLOC_BUILDABLE,
    TMALLOC_NEEDS,
    "toom exec finds programs on the PATH, and says when nobody answers",
  ),
  fn: async () => {
    await using _ = await TmallocBuild.make();
    const { code, err } = await run(["--tmalloc-socket=/nowhere/t.sock", "true"]);
    assertEquals(code, 0);
    assertEquals(
      err,
      "toom exec: cannot reach toom at /nowhere/t.sock: No such file or directory; " +
        "goes on without asking\n",
    );
  },
});

Deno.test("toom exec says what is wrong, in a line", async () => {
  const lines: string[] = [];
  const io = { out: () => {}, err: (line: string) => lines.push(line) };
  const codes: number[] = [];
  for (const args of [[], ["--fallback=maybe", "true"], ["--preload"]]) {
    codes.push(await execCommand(args, io));
  }
  assertEquals(codes, [2, 2, 2]);
  assertEquals(lines.length, 3);
  assertMatch(lines[0]!, /no command given/);
  assertMatch(lines[1]!, /--fallback: expected malloc, fail, not "maybe"/);
  assertMatch(lines[2]!, /--preload needs a value: --preload FILE/);
});

Deno.test({
  ...needing(
    TMALLOC_BUILDABLE,
    TMALLOC_NEEDS,
    "toom-exec needs no more address space than ulimit -v leaves on old hosts",
  ),
  fn: async () => {
    await using build = await TmallocBuild.make();
    const script = `ulimit -v 2097152; exec ${build.dir}/toom-exec --tmalloc-socket=/nowhere ` +
      "sh -c 'echo ran'";
    const { code, out } = await output(SHELL, ["-c", script], {});
    assertEquals([code, out], [0, "ran\n"]);
    assert((await Deno.stat(`${build.dir}/toom-exec`)).size < 2 ** 20, "it is no V8");
  },
});
