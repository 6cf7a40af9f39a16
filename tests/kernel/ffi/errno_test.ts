import { assertEquals } from "@std/assert";
import {
  Errno,
  errno,
  errnoName,
  KernelError,
  orErrno,
  settledErrno,
} from "../../../kernel/ffi/errno.ts";
import { cString, tryOpenFd } from "../../../kernel/ffi/fd.ts";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import "../../_support/real_kernel.ts";

Deno.test("errno() is right after every failed call while the collector is busy", () => {
  const libc = openLibc();
  const path = cString("/does/not/exist");
  const kept: unknown[] = [];
  let wrong = 0;
  for (let round = 0; round < 100_000; round++) {
    // Garbage of all sizes, some of it kept for a while, so that minor and major collections run.
    kept[round % 997] = { round, bytes: new Uint8Array(round % 512), text: `${round}` };
    if (round % 1000 === 0) kept.push(new Uint8Array(1 << 20));
    if (libc.close(-1) === -1 && errno() !== Errno.EBADF) wrong++;
    if (libc.open(path, 0, 0) === -1 && errno() !== Errno.ENOENT) wrong++;
    if (round % 10_000 === 0) kept.length = 0;
  }
  assertEquals(wrong, 0);
});

Deno.test("orErrno() passes results on and turns -1 into the error", () => {
  assertEquals(orErrno(7), 7);
  assertEquals(orErrno(openLibc().close(-1)), -Errno.EBADF);
  assertEquals(tryOpenFd("/does/not/exist", 0), -Errno.ENOENT);
});

Deno.test("errno() is the worker's own in each worker", async () => {
  const url = new URL("../../_support/errno_worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  const answer = await new Promise((resolve) => worker.onmessage = (event) => resolve(event.data));
  worker.terminate();
  assertEquals(answer, [Errno.EBADF, Errno.ENOENT]);
});

Deno.test("errnoName() names the usual numbers and shows the others", () => {
  assertEquals(errnoName(3), "ESRCH");
  assertEquals(errnoName(999), "errno 999");
});

Deno.test("KernelError says call, path, error and detail", () => {
  const error = new KernelError("open", 13, { path: "/x\ny", detail: "run as root" });
  assertEquals(error.message, 'Cannot open "/x\\ny": EACCES: run as root');
  assertEquals([error.call, error.errno, error.errnoName], ["open", 13, "EACCES"]);
  assertEquals(new KernelError("poll", 22).message, "Cannot poll: EINVAL");
});

Deno.test("settledErrno() does not take an error that came in between for the call's own", () => {
  const libc = openLibc();
  const path = cString("/does/not/exist");
  let calls = 0;
  const disturbed = settledErrno(() => {
    const result = libc.close(-1);
    if (++calls === 1) libc.open(path, 0, 0);
    return result;
  });
  assertEquals([disturbed, calls], [-Errno.EBADF, 3]);
  assertEquals(settledErrno(() => 7), 7);
  calls = 0;
  const never = settledErrno(() => ++calls % 2 === 0 ? libc.close(-1) : libc.open(path, 0, 0));
  assertEquals([never, calls], [-Errno.EBADF, 4]);
});
