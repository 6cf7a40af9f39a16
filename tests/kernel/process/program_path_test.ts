import { assertEquals } from "@std/assert";
import { programPath } from "../../../kernel/process/program_path.ts";

Deno.test("programPath() of a program whose file was replaced is where the new one is", async () => {
  const dir = await Deno.makeTempDir({ prefix: "toom-program-" });
  const path = `${dir}/sleep`;
  try {
    await Deno.copyFile("/bin/sleep", path);
    await Deno.chmod(path, 0o755);
    await using child = new Deno.Command(path, { args: ["60"] }).spawn();
    const exe = `/proc/${child.pid}/exe`;
    assertEquals(programPath(await Deno.readLink(exe)), path);
    // As dpkg does it.
    await Deno.copyFile("/bin/sleep", `${path}.new`);
    await Deno.rename(`${path}.new`, path);
    assertEquals(await Deno.readLink(exe), `${path} (deleted)`, "the kernel says so");
    assertEquals(programPath(await Deno.readLink(exe)), path);
    child.kill("SIGKILL");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
