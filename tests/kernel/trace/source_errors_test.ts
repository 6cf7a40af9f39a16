import { assertEquals, assertThrows } from "@std/assert";
import { Errno, isPassing, KernelError } from "../../../kernel/ffi/errno.ts";
import { closeFd, openFd, OpenFlag } from "../../../kernel/ffi/fd.ts";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import { RawSource } from "../../../kernel/trace/raw_source.ts";
import { TextSource } from "../../../kernel/trace/text_source.ts";
import { RECORD_BYTES } from "../../../pipeline/memory/layout.ts";
import { RecordWriter } from "../../../pipeline/messages/record_writer.ts";
import { ringBytes, RingProducer } from "../../../pipeline/memory/ring.ts";
import { captureFormats, PAGE_BYTES } from "../../_support/captures.ts";

openLibc();

function writer(): RecordWriter {
  const place = { byteOffset: 0, records: 16, recordBytes: RECORD_BYTES };
  const memory = new SharedArrayBuffer(ringBytes(16, RECORD_BYTES));
  return new RecordWriter(new RingProducer(memory, place), () => {});
}

Deno.test("a source throws when its pipe cannot be read any more", () => {
  const fd = openFd("/", OpenFlag.O_RDONLY);
  const pipes = [{ cpu: 0, fd }];
  const raw = new RawSource(pipes, captureFormats(), writer(), () => {});
  assertThrows(() => raw.read(), KernelError, "EISDIR");
  const text = new TextSource(pipes, PAGE_BYTES, writer(), () => {});
  assertThrows(() => text.read(), KernelError, "EISDIR");
  closeFd(fd);
});

Deno.test("isPassing() tells an empty pipe and a moment without memory from a broken one", () => {
  const passing = [Errno.EAGAIN, Errno.EINTR, Errno.ENOMEM].map((errno) => isPassing(-errno));
  assertEquals(passing, [true, true, true]);
  assertEquals([Errno.EBADF, Errno.EIO].map((errno) => isPassing(-errno)), [false, false]);
});
