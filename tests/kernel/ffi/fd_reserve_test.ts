import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../../kernel/ffi/errno.ts";
import {
  asBuffer,
  closeFd,
  openFd,
  OpenFlag,
  tryOpenFd,
  useSpareDescriptors,
} from "../../../kernel/ffi/fd.ts";
import { FdReserve, lacksDescriptor } from "../../../kernel/ffi/fd_reserve.ts";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import { Syscall } from "../../../kernel/ffi/symbols.ts";

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

Deno.test("where no descriptor is left, a spare one is taken, as long as there is one", () => {
  using reserve = new FdReserve(2);
  const free = openFd("/dev/null", OpenFlag.O_RDONLY);
  closeFd(free);
  const libc = openLibc();
  const RLIMIT_NOFILE = 7;
  const before = new BigUint64Array(2);
  assertEquals(libc.prlimit64(Syscall.prlimit64, 0, RLIMIT_NOFILE, null, asBuffer(before)), 0);
  const opened: number[] = [];
  const limits = BigUint64Array.of(BigInt(free), before[1]!);
  assertEquals(libc.prlimit64(Syscall.prlimit64, 0, RLIMIT_NOFILE, asBuffer(limits), null), 0);
  try {
    assertEquals(tryOpenFd("/dev/null", OpenFlag.O_RDONLY), -Errno.EMFILE);
    useSpareDescriptors(reserve);
    for (let i = 0; i < 3; i++) opened.push(tryOpenFd("/dev/null", OpenFlag.O_RDONLY));
    assertEquals(tryOpenFd("/not/there", OpenFlag.O_RDONLY), -Errno.ENOENT);
    reserve.refill();
    assertEquals(reserve.size, 0, "who holds spare ones takes none");
  } finally {
    useSpareDescriptors(undefined);
    libc.prlimit64(Syscall.prlimit64, 0, RLIMIT_NOFILE, asBuffer(before), null);
    for (const fd of opened) if (fd >= 0) closeFd(fd);
  }
  assertEquals([opened[0]! >= 0, opened[1]! >= 0, opened[2]], [true, true, -Errno.EMFILE]);
  reserve.refill();
  assertEquals(reserve.size, 2);
});
