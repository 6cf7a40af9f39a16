import { assertEquals } from "@std/assert";
import { RUN_FLAGS, withFlags } from "../../../kernel/process/relaunch.ts";

Deno.test("withFlags() adds what is missing to what is there, and nothing twice", () => {
  assertEquals(withFlags({ A: "1" }, ["--x"]), {
    A: "1",
    DENO_V8_FLAGS: "--x",
    DENO_UNSTABLE_LAZY_DYNAMIC_IMPORTS: "1",
  });
  assertEquals(withFlags({ DENO_V8_FLAGS: "--y,--x" }, ["--x", "--z"]), {
    DENO_V8_FLAGS: "--y,--x,--z",
    DENO_UNSTABLE_LAZY_DYNAMIC_IMPORTS: "1",
  });
  assertEquals(withFlags({ DENO_V8_FLAGS: "--x" }, ["--x"]), undefined);
});

Deno.test("ensureFlags() keeps pid, arguments and output, and starts over once", async () => {
  const module = new URL("../../../kernel/process/relaunch.ts", import.meta.url).href;
  const script = `import { ensureFlags } from ${JSON.stringify(module)};
    console.log(Deno.pid, Deno.args.join("+"));
    ensureFlags(["--no-short-builtin-calls"]);
    console.log("there");`;
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(path, script);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--no-config", path, "one", "two words"],
      stdout: "piped",
    }).spawn();
    const { stdout } = await child.output();
    const line = `${child.pid} one+two words`;
    assertEquals(new TextDecoder().decode(stdout), `${line}\n${line}\nthere\n`);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("a compiled program has the flags within, as it does not look at the variable", async () => {
  const url = new URL("../../../deno.json", import.meta.url);
  const { tasks } = JSON.parse(await Deno.readTextFile(url));
  const words: string[] = tasks.compile.command.split(" ");
  assertEquals(words.find((word) => word.startsWith("--v8-flags=")), `--v8-flags=${RUN_FLAGS}`);
});
