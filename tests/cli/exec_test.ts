import { assertEquals, assertMatch } from "@std/assert";
import { linkageOf, linkageOfFile } from "../../kernel/elf.ts";
import { execCommand } from "../../cli/exec.ts";

const SHELL = "/bin/sh";
const SIGPIPE = 13;

/** Runs the command in a process of its own, as it becomes another program. */
async function run(args: string[], env: Record<string, string> = {}): Promise<
  { code: number; out: string; err: string }
> {
  const program = new URL("../../mod.ts", import.meta.url).pathname;
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", program, "exec", ...args],
    env,
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return { code: output.code, out: text.decode(output.stdout), err: text.decode(output.stderr) };
}

/** A library that can be loaded anywhere: the test is about how the program is started. */
async function withLibrary(body: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile({ suffix: ".so" });
  try {
    await body(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("toom exec becomes the program, with its arguments, environment and exit code", async () => {
  await withLibrary(async (library) => {
    const script = 'echo "$0 $1 $LD_PRELOAD $TMALLOC_SOCKET $TMALLOC_FALLBACK $KEPT"; ' +
      "grep SigIgn /proc/self/status; exit 7";
    const { code, out } = await run([
      `--preload=${library}`,
      "--tmalloc-socket=/nowhere/t.sock",
      "--fallback=fail",
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
    assertEquals(first, `name two words ${loaded} /nowhere/t.sock fail kept`);
    const ignored = parseInt(/^SigIgn:\s+([0-9a-f]+)$/.exec(second!)![1]!, 16);
    assertEquals(ignored & 1 << SIGPIPE - 1, 0, "what Deno ignores is not ignored");
  });
});

Deno.test("toom exec finds programs on the PATH, and says when nobody answers", async () => {
  await withLibrary(async (library) => {
    const { code, err } = await run([
      `--preload=${library}`,
      "--tmalloc-socket=/nowhere/t.sock",
      "true",
    ]);
    assertEquals(code, 0);
    assertMatch(err, /^toom exec: nobody answers at \/nowhere\/t\.sock: goes on without asking$/m);
  });
});

Deno.test("toom exec says what is wrong, in a line", async () => {
  const lines: string[] = [];
  const io = { out: () => {}, err: (line: string) => lines.push(line) };
  const codes: number[] = [];
  await withLibrary(async (library) => {
    for (
      const args of [
        [],
        ["--fallback=maybe", "true"],
        ["--preload=/nowhere.so", "true"],
        [`--preload=${library}`, "no-such-program"],
        [`--preload=${library}`, "/no/such/program"],
      ]
    ) codes.push(await execCommand(args, io));
  });
  assertEquals(codes, [2, 2, 3, 1, 1]);
  assertEquals(lines.length, 5);
  assertMatch(lines[0]!, /no command given/);
  assertMatch(lines[1]!, /malloc/);
  assertMatch(lines[2]!, /there is no \/nowhere\.so.*make -C tmalloc/);
  assertMatch(lines[3]!, /no program no-such-program on the PATH/);
  assertMatch(lines[4]!, /there is no \/no\/such\/program/);
});

Deno.test("linkageOf() tells how a program is linked", () => {
  assertEquals(linkageOfFile(SHELL), "dynamic");
  assertEquals(linkageOfFile("/nowhere"), "other");
  assertEquals(linkageOf(new TextEncoder().encode("#!/bin/sh\n")), "other");
  // A header without a program header that names a loader.
  const head = new Uint8Array(128);
  head.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  assertEquals(linkageOf(head), "static");
  // One that names musl's.
  const view = new DataView(head.buffer);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 3, true);
  view.setBigUint64(72, 108n, true);
  view.setBigUint64(96, 12n, true);
  head.set(new TextEncoder().encode("/lib/ld-musl"), 108);
  assertEquals(linkageOf(head), "musl");
  assertEquals(linkageOf(head.subarray(0, 90)), "other", "cut off");
});
