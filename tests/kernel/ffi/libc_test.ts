import { assert, assertEquals, assertThrows } from "@std/assert";
import { gettid, libcPaths, openFirst, openLibc, pageBytes } from "../../../kernel/ffi/libc.ts";
import { kernelModule, runDeno } from "../../_support/real_kernel.ts";

Deno.test("openLibc() gives the same functions when called again", () => {
  assert(openLibc() === openLibc());
});

Deno.test("openFirst() lists every path when none can be opened", () => {
  const error = assertThrows(() => openFirst(["/none/a.so", "/none/b.so"]), Error);
  assert(error.message.includes("/none/a.so: "), error.message);
  assert(error.message.includes("/none/b.so: "), error.message);
});

Deno.test("libcPaths() puts the libc that Deno was made for first", () => {
  assertEquals(libcPaths("x86_64", "gnu")[0], "/lib/x86_64-linux-gnu/libc.so.6");
  assertEquals(libcPaths("aarch64", "musl")[0], "/lib/ld-musl-aarch64.so.1");
});

Deno.test("openLibc() rethrows NotCapable untouched when FFI is not allowed", async () => {
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-read", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = output.stdin.getWriter();
  await writer.write(new TextEncoder().encode(`
    import { openLibc } from "${kernelModule("ffi/libc.ts")}";
    try { openLibc(); } catch (error) { console.log(error instanceof Deno.errors.NotCapable); }
  `));
  await writer.close();
  const { stdout } = await output.output();
  assertEquals(new TextDecoder().decode(stdout), "true\n");
});

Deno.test("import of kernel modules opens nothing", async () => {
  const files = [
    "ffi/fd.ts",
    "kill/pidfd.ts",
    "proc/proc.ts",
    "trace/trace_instance.ts",
    "trace/tracefs.ts",
    "proc/proc_connector.ts",
    "users/passwd.ts",
  ];
  const imports = files.map((file) => `await import("${kernelModule(file)}");`).join("\n");
  const out = await runDeno(`
    let opened = 0; const real = Deno.dlopen;
    Deno.dlopen = (...args) => { opened++; return real(...args); };
    ${imports}
    console.log(opened);`);
  assertEquals(out, "0\n");
});

Deno.test("pageBytes() is a power of two from 4096", () => {
  const bytes = pageBytes();
  assert(bytes >= 4096 && (bytes & (bytes - 1)) === 0, String(bytes));
});

Deno.test("gettid() is a task of this process", () => {
  assert([...Deno.readDirSync("/proc/self/task")].some(({ name }) => name === String(gettid())));
});
