import { assertEquals, assertThrows } from "@std/assert";
import { Errno, KernelError } from "../../../kernel/ffi/errno.ts";
import {
  closeFd,
  cString,
  EventFd,
  openFd,
  OpenFlag,
  preadFd,
  readFd,
  readFile,
  readTextFile,
  sizeT,
  tryOpenFd,
  writeFd,
  writeTextFile,
} from "../../../kernel/ffi/fd.ts";
import "../../_support/real_kernel.ts";

const { O_RDONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND, O_NONBLOCK } = OpenFlag;

Deno.test("openFd() throws a KernelError with the path when there is no file", () => {
  const error = assertThrows(() => openFd("/does/not/exist", O_RDONLY), KernelError);
  assertEquals([error.call, error.errnoName, error.path], ["open", "ENOENT", "/does/not/exist"]);
});

Deno.test("openFd() closes on exec", () => {
  const fd = openFd("/dev/null", O_RDONLY);
  const flags = /^flags:\s+(\d+)$/m.exec(Deno.readTextFileSync(`/proc/self/fdinfo/${fd}`))![1]!;
  closeFd(fd);
  assertEquals(parseInt(flags, 8) & OpenFlag.O_CLOEXEC, OpenFlag.O_CLOEXEC);
});

Deno.test("tryOpenFd() refuses a path with a NUL", () => {
  assertThrows(() => tryOpenFd("/dev/null\0.txt", O_RDONLY), TypeError, "NUL");
  assertEquals([...cString("é")], [0xc3, 0xa9, 0]);
});

Deno.test("readFd() fills shared memory from the view's own offset", () => {
  const path = Deno.makeTempFileSync();
  Deno.writeTextFileSync(path, "abcdef");
  const shared = new Uint8Array(new SharedArrayBuffer(16));
  const fd = openFd(path, O_RDONLY);
  assertEquals(readFd(fd, shared.subarray(4, 8)), 4);
  assertEquals([...shared.subarray(3, 9)], [0, 97, 98, 99, 100, 0]);
  assertEquals(readFd(fd, shared.subarray(4, 8)), 2);
  assertEquals(readFd(fd, shared.subarray(4, 8)), 0);
  assertEquals(preadFd(fd, shared.subarray(0, 1), 5), 1);
  assertEquals(shared[0], "f".charCodeAt(0));
  closeFd(fd);
  assertEquals(readFd(fd, shared), -Errno.EBADF);
  Deno.removeSync(path);
});

Deno.test("writeFd() returns what was written, and the error when it cannot", () => {
  const path = Deno.makeTempFileSync();
  const fd = openFd(path, O_RDWR | O_CREAT | O_TRUNC);
  assertEquals(writeFd(fd, cString("xy")), 3);
  closeFd(fd);
  assertEquals(readTextFile(path), "xy\0");
  const readOnly = openFd(path, O_RDONLY);
  assertEquals(writeFd(readOnly, cString("x")), -Errno.EBADF);
  closeFd(readOnly);
  Deno.removeSync(path);
});

Deno.test("readFile() reads more than one chunk", () => {
  const path = Deno.makeTempFileSync();
  const bytes = Uint8Array.from({ length: 50_000 }, (_, index) => index);
  Deno.writeFileSync(path, bytes);
  assertEquals(readFile(path), bytes);
  Deno.removeSync(path);
});

Deno.test("writeTextFile() appends, truncates, and names file and text when it fails", () => {
  const path = Deno.makeTempFileSync();
  writeTextFile(path, "one", O_TRUNC);
  writeTextFile(path, "two", O_APPEND);
  assertEquals(readTextFile(path), "onetwo");
  Deno.removeSync(path);
  const error = assertThrows(() => writeTextFile("/proc/version", "value"), KernelError);
  assertEquals(error.path, "/proc/version");
  assertEquals(error.detail, 'writing "value"');
});

Deno.test("readFd() gives EAGAIN when there is nothing and O_NONBLOCK", () => {
  using bell = new EventFd();
  assertEquals(readFd(bell.fd, new Uint8Array(8)), -Errno.EAGAIN);
  assertEquals(O_NONBLOCK, 2048);
});

Deno.test("EventFd.drain() says whether anybody rang", () => {
  using bell = new EventFd();
  assertEquals(bell.drain(), false);
  bell.ring();
  new EventFd(bell.fd).ring();
  assertEquals(bell.drain(), true);
  assertEquals(bell.drain(), false);
});

Deno.test("sizeT() gives the same number as BigInt", () => {
  for (const bytes of [0, 1, 4096, 2 ** 31, 2 ** 40]) assertEquals(sizeT(bytes), BigInt(bytes));
});
