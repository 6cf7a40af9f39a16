import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../../kernel/ffi/errno.ts";
import { FdReserve, lacksDescriptor } from "../../../kernel/ffi/fd_reserve.ts";
import { openLibc } from "../../../kernel/ffi/libc.ts";

// It stays loaded.
openLibc();

/** Descriptors that this process has open on /dev/null. */
function nulls(): number {
  let count = 0;
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${name}`) === "/dev/null") count++;
    } catch {
      // The directory's own.
    }
  }
  return count;
}

Deno.test("a reserve holds descriptors, gives them up one by one, and takes them back", () => {
  const before = nulls();
  using reserve = new FdReserve(3);
  assertEquals([reserve.size, nulls() - before], [3, 3]);
  assert(reserve.giveUp());
  assertEquals([reserve.size, nulls() - before], [2, 2]);
  assert(reserve.giveUp() && reserve.giveUp());
  assertEquals(reserve.giveUp(), false);
  reserve.refill();
  assertEquals([reserve.size, nulls() - before], [3, 3]);
  reserve[Symbol.dispose]();
  assertEquals(nulls() - before, 0);
});

Deno.test("a descriptor is what EMFILE and ENFILE lack", () => {
  assertEquals([Errno.EMFILE, Errno.ENFILE].map(lacksDescriptor), [true, true]);
  assertEquals([Errno.ENOMEM, Errno.ESRCH, Errno.EPERM].map(lacksDescriptor), [
    false,
    false,
    false,
  ]);
});
