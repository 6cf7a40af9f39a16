/** One toom a machine, and who has its lock for a moment more. */
import { assertEquals, assertRejects } from "@std/assert";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import { acquireLock, HeldLock } from "../../../kernel/process/lock.ts";
import { StartError } from "../../../service/lifecycle/errors.ts";
import { holdMachineLock } from "../../../service/lifecycle/machine_lock.ts";

// It stays loaded.
openLibc();

/** A number that no process has: the kernel gives none so large. */
const NOBODY_PID = 4_194_305;

async function withPath(body: (path: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await body(`${dir}/lock`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function held(path: string): HeldLock {
  const lock = acquireLock(path);
  if (!(lock instanceof HeldLock)) throw new Error("somebody has it");
  return lock;
}

Deno.test("the lock of a toom that lives is refused at once, with its pid", async () => {
  await withPath(async (path) => {
    const first = held(path);
    const error = await assertRejects(() => holdMachineLock(undefined, path), StartError);
    assertEquals(error.message.includes(`(pid ${Deno.pid})`), true, error.message);
    first.release();
    (await holdMachineLock(undefined, path)).release();
  });
});

Deno.test("the lock that a child of a dead toom has is waited for", async () => {
  await withPath(async (path) => {
    const heir = held(path);
    await Deno.writeTextFile(path, String(NOBODY_PID).padEnd(10));
    setTimeout(() => heir.release(), 100);
    (await holdMachineLock(undefined, path)).release();
  });
});

Deno.test("and not for ever", async () => {
  await withPath(async (path) => {
    const heir = held(path);
    await Deno.writeTextFile(path, String(NOBODY_PID).padEnd(10));
    await assertRejects(() => holdMachineLock(undefined, path), StartError, "another toom runs");
    heir.release();
  });
});
