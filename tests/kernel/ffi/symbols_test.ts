import { assertEquals } from "@std/assert";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import { Syscall } from "../../../kernel/ffi/symbols.ts";
import "../../_support/real_kernel.ts";

Deno.test("Syscall names the calls of this architecture", () => {
  const libc = openLibc();
  assertEquals(libc.getpid(), Deno.pid);
  // A wrong number of gettid would hardly give an id that /proc/self/task knows.
  const tid = libc.gettid(Syscall.gettid);
  assertEquals(Deno.statSync(`/proc/self/task/${tid}`).isDirectory, true);
});
