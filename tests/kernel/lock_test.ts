import { assertEquals, assertThrows } from "@std/assert";
import { invariant } from "../../pipeline/invariant.ts";
import { KernelError } from "../../kernel/errno.ts";
import { acquireLock } from "../../kernel/lock.ts";
import { kernelModule, runDeno, spawnAs } from "../_support/real_kernel.ts";

Deno.test("acquireLock() names the holder when the lock is taken, and takes it when released", () => {
  const path = Deno.makeTempFileSync();
  const first = acquireLock(path);
  invariant("release" in first, "the lock is free");
  assertEquals(acquireLock(path), { holderPid: Deno.pid });
  first.release();
  first.release();
  const second = acquireLock(path);
  invariant("release" in second, "the lock is free");
  second.release();
  Deno.removeSync(path);
});

Deno.test("acquireLock() covers a longer pid that was there before", () => {
  const path = Deno.makeTempFileSync();
  Deno.writeTextFileSync(path, "4294967295\n");
  const lock = acquireLock(path);
  invariant("release" in lock, "the lock is free");
  assertEquals(Deno.readTextFileSync(path).trim(), String(Deno.pid));
  lock.release();
  Deno.removeSync(path);
});

Deno.test("acquireLock() keeps another process out, and children do not inherit it", async () => {
  const path = await Deno.makeTempFile();
  const lock = acquireLock(path);
  invariant("release" in lock, "the lock is free");
  const code = `import { acquireLock } from "${kernelModule("lock.ts")}";
    console.log(JSON.stringify(acquireLock("${path}")));`;
  assertEquals(JSON.parse(await runDeno(code)), { holderPid: Deno.pid });
  await using _child = spawnAs(Deno.uid() ?? 0, ["sleep", "60"]);
  lock.release();
  assertEquals(JSON.parse(await runDeno(code)), {});
  await Deno.remove(path);
});

Deno.test("acquireLock() throws a KernelError when the file cannot be made", () => {
  assertThrows(() => acquireLock("/does/not/exist/lock"), KernelError, "ENOENT");
});
