import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { invariant } from "../../../pipeline/memory/invariant.ts";
import { KernelError } from "../../../kernel/ffi/errno.ts";
import { acquireLock } from "../../../kernel/process/lock.ts";
import { isRoot, kernelModule, needing, runDeno, spawnAs } from "../../_support/real_kernel.ts";

/** Opens the file for reading, and locks it together with everybody else who does. */
async function holdShared(path: string, uid: number): Promise<AsyncDisposable> {
  const program = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_SH); " +
    "print('held', flush=True); sys.stdin.read()";
  const child = new Deno.Command("/usr/bin/python3", {
    args: ["-c", program, path],
    uid,
    gid: uid,
    cwd: "/",
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  assertMatch(new TextDecoder().decode(value), /^held/);
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      await child.stdin.close();
      await reader.cancel();
      await child.status;
    },
  };
}

function namesIn(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name);
}

function modeOf(path: string): number {
  return Deno.statSync(path).mode! & 0o7777;
}

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
  const code = `import { acquireLock } from "${kernelModule("process/lock.ts")}";
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

Deno.test("acquireLock() makes a file that is its owner's alone, whatever the umask", () => {
  const dir = Deno.makeTempDirSync();
  const umask = Deno.umask(0);
  try {
    const lock = acquireLock(`${dir}/lock`);
    invariant("release" in lock, "the lock is free");
    assertEquals(modeOf(`${dir}/lock`), 0o600);
    assertEquals(lock.mended, undefined);
    lock.release();
  } finally {
    Deno.umask(umask);
    Deno.removeSync(dir, { recursive: true });
  }
});

for (
  const [who, uid] of [
    ["a user who has the old file open", 60_030],
    ["what a user has executed with set-user-id and the lock in its hands", 0],
  ] as const
) {
  Deno.test(needing(isRoot(), "root", `acquireLock() is not kept out by ${who}`), async () => {
    const dir = await Deno.makeTempDir();
    await Deno.chmod(dir, 0o755);
    const path = `${dir}/lock`;
    await Deno.writeTextFile(path, "      4711\n", { mode: 0o644 });
    await Deno.chmod(path, 0o644);
    await using _holder = await holdShared(path, uid);
    const lock = acquireLock(path);
    invariant("release" in lock, "a user's lock does not count");
    assertMatch(lock.mended!, /its mode was 0644/);
    assertEquals(modeOf(path), 0o600);
    assertEquals(acquireLock(path), { holderPid: Deno.pid });
    lock.release();
    // And it is not to be had any more: the file is another.
    const again = acquireLock(path);
    invariant("release" in again, "the lock is free");
    assertEquals(again.mended, undefined);
    again.release();
    assertEquals(namesIn(dir), ["lock"]);
    await Deno.remove(dir, { recursive: true });
  });
}

Deno.test(
  needing(isRoot(), "root", "acquireLock() honours the lock of an older toom on a loose file"),
  async () => {
    const dir = await Deno.makeTempDir();
    const path = `${dir}/lock`;
    await Deno.writeTextFile(path, "");
    await Deno.chmod(path, 0o644);
    const code = `const f = Deno.openSync("${path}", { read: true, write: true });
      f.lockSync(true); console.log("held"); await Deno.stdin.read(new Uint8Array(1));`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", code],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    assertEquals(acquireLock(path), { holderPid: child.pid });
    await child.stdin.close();
    await reader.cancel();
    await child.status;
    const lock = acquireLock(path);
    invariant("release" in lock, "the lock is free");
    assertEquals(modeOf(path), 0o600);
    lock.release();
    await Deno.remove(dir, { recursive: true });
  },
);

Deno.test(
  needing(
    isRoot(),
    "root",
    "acquireLock() replaces a link and a stranger's file, not what is behind",
  ),
  async () => {
    const dir = await Deno.makeTempDir();
    const path = `${dir}/lock`;
    await Deno.writeTextFile(`${dir}/precious`, "kept");
    await Deno.symlink(`${dir}/precious`, path);
    const first = acquireLock(path);
    invariant("release" in first, "the lock is free");
    assertMatch(first.mended!, /symbolic link/);
    assertEquals((await Deno.lstat(path)).isSymlink, false);
    assertEquals(await Deno.readTextFile(`${dir}/precious`), "kept");
    first.release();

    await Deno.chown(path, 60_030, 60_030);
    const second = acquireLock(path);
    invariant("release" in second, "the lock is free");
    assertMatch(second.mended!, /belonged to uid 60030/);
    const { uid, mode } = await Deno.stat(path);
    assertEquals([uid, mode! & 0o7777], [0, 0o600]);
    second.release();

    await Deno.remove(path);
    await Deno.mkdir(path);
    assertThrows(() => acquireLock(path), KernelError, "EISDIR");
    await Deno.remove(dir, { recursive: true });
  },
);
