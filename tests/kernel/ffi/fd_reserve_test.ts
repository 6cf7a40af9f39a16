import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../../kernel/ffi/errno.ts";
import {
  asBuffer,
  closeFd,
  OpenFlag,
  tryOpenFd,
  useSpareDescriptors,
} from "../../../kernel/ffi/fd.ts";
import { FdReserve, lacksDescriptor } from "../../../kernel/ffi/fd_reserve.ts";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import { Syscall } from "../../../kernel/ffi/symbols.ts";

/** resource.h */
const RLIMIT_NOFILE = 7;

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

Deno.test("where no descriptor is left, a spare one is taken, and not by who holds them", () => {
  using reserve = new FdReserve(2);
  assert(reserve.giveUp());
  const libc = openLibc();
  const before = new BigUint64Array(2);
  assertEquals(libc.prlimit64(Syscall.prlimit64, 0, RLIMIT_NOFILE, null, asBuffer(before)), 0);
  const set = (limits: BigUint64Array): void => {
    libc.prlimit64(Syscall.prlimit64, 0, RLIMIT_NOFILE, asBuffer(limits), null);
  };
  // Whichever number is free is above it, whatever else this process opens and closes.
  const none = BigUint64Array.of(0n, before[1]!);
  let given = 0;
  const withNone = (path: string): number => {
    set(none);
    try {
      return tryOpenFd(path, OpenFlag.O_RDONLY);
    } finally {
      set(before);
    }
  };
  assertEquals(withNone("/dev/null"), -Errno.EMFILE);
  useSpareDescriptors({
    giveUp: () => {
      set(before);
      return ++given === 1;
    },
  });
  try {
    const fd = withNone("/dev/null");
    assert(fd >= 0);
    closeFd(fd);
    assertEquals([withNone("/dev/null"), given], [-Errno.EMFILE, 2]);
    assertEquals([tryOpenFd("/not/there", OpenFlag.O_RDONLY), given], [-Errno.ENOENT, 2]);
    set(none);
    reserve.refill();
    set(before);
    assertEquals([reserve.size, given], [1, 2]);
  } finally {
    useSpareDescriptors(undefined);
  }
  reserve.refill();
  assertEquals(reserve.size, 2);
});
