import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../../kernel/ffi/errno.ts";
import { closeFd, EventFd, openFd, OpenFlag, readFd } from "../../../kernel/ffi/fd.ts";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import {
  connectSeqpacket,
  listenUnix,
  sendMessage,
  SocketType,
} from "../../../kernel/sockets/seqpacket.ts";
import { failureOf, openSockets } from "../../../kernel/sockets/tmalloc_sockets.ts";
import { SocketFailure, type Sockets } from "../../../pipeline/ports.ts";
import { REQUEST_BYTES } from "../../../pipeline/promises/tmalloc_message.ts";

openLibc();

/** Sockets in a folder of their own. */
function withSockets(body: (sockets: Sockets, path: string, wake: EventFd) => void): void {
  const folder = Deno.makeTempDirSync({ prefix: "toom-sockets-" });
  const path = `${folder}/s`;
  using wake = new EventFd();
  const spec = {
    wakeFd: wake.fd,
    listenFd: listenUnix(path, 0o600, SocketType.seqpacket),
    streamListenFd: listenUnix(`${path}.stream`, 0o600, SocketType.stream),
  };
  try {
    body(openSockets(spec), path, wake);
  } finally {
    closeFd(spec.listenFd);
    closeFd(spec.streamListenFd);
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("openSockets() tells who sent a message, when it is there, and when its sender has gone", () => {
  withSockets((sockets, path) => {
    const top = sockets.openSet(8)!;
    const [listener] = sockets.listeners;
    assertEquals(top.add(listener!.handle, 7), 0);
    assertEquals([top.wait(0), sockets.accept(listener!)], [0, SocketFailure.again]);
    const client = connectSeqpacket(path);
    assertEquals([top.wait(1000), top.key(0)], [1, 7]);
    const handle = sockets.accept(listener!);
    assert(handle >= 0);
    assertEquals(sockets.peerUid(handle), Deno.uid());
    // A set in a set, as the server has it.
    const inner = sockets.openSet(4)!;
    assertEquals([inner.add(handle, 3), top.add(inner.handle, 9)], [0, 0]);
    assertEquals([top.wait(0), sockets.receive(handle, REQUEST_BYTES)], [0, SocketFailure.again]);
    sendMessage(client, Uint8Array.of(1, 2, 3));
    assertEquals([top.wait(1000), top.key(0), inner.wait(0), inner.key(0)], [1, 9, 1, 3]);
    assertEquals(sockets.receive(handle, REQUEST_BYTES), 3);
    assertEquals([...sockets.message.subarray(0, 3)], [1, 2, 3]);
    assertEquals([sockets.senderPid, sockets.senderUid], [Deno.pid, Deno.uid()]);
    sendMessage(client, new Uint8Array(REQUEST_BYTES + 5));
    assertEquals(sockets.receive(handle, REQUEST_BYTES), REQUEST_BYTES + 1, "cut");
    const reply = new Uint8Array(100).fill(5);
    assertEquals(sockets.send(handle, reply), 100);
    assertEquals(readFd(client, new Uint8Array(200)), 100);
    let room = 0;
    while (sockets.send(handle, reply) === 100) room++;
    assertEquals(sockets.send(handle, reply), SocketFailure.again);
    assert(room > 1);
    closeFd(client);
    assertEquals([top.wait(1000), inner.wait(0)], [1, 1]);
    // Linux tells first that what it was sent is lost.
    assert(sockets.receive(handle, REQUEST_BYTES) <= 0);
    assert(sockets.send(handle, reply) < 0);
    for (const one of [handle, inner.handle, top.handle]) sockets.close(one);
  });
});

Deno.test("openSockets() hears the bell, and the end of a process", async () => {
  const child = new Deno.Command("/bin/sh", { args: ["-c", "read x"], stdin: "piped" }).spawn();
  let gone = -1;
  let top: ReturnType<Sockets["openSet"]>;
  withSockets((sockets, _, wake) => {
    top = sockets.openSet(8)!;
    top.add(sockets.wakeHandle, 1);
    assertEquals(sockets.drainWake(), false);
    wake.ring();
    assertEquals([top.wait(0), sockets.drainWake(), top.wait(0)], [1, true, 0]);
    gone = sockets.openProcess(child.pid);
    assert(gone >= 0);
    assertEquals(top.add(gone, 2), 0);
    assertEquals(top.wait(0), 0);
  });
  await child.stdin.close();
  await child.status;
  assertEquals([top!.wait(2000), top!.key(0)], [1, 2]);
  withSockets((sockets) => assertEquals(sockets.openProcess(child.pid), SocketFailure.gone));
  for (const fd of [gone, top!.handle]) closeFd(fd);
});

Deno.test("a handle that cannot be waited for is a value, not silence", () => {
  withSockets((sockets) => {
    const set = sockets.openSet(1)!;
    const file = openFd(Deno.execPath(), OpenFlag.O_RDONLY);
    assertEquals(set.add(file, 1), SocketFailure.refused, "EPERM: a file");
    assert(set.add(-1, 1) < 0);
    closeFd(file);
    sockets.close(set.handle);
  });
});

Deno.test("failureOf() tells what passes from what is used up", () => {
  const { again, exhausted, gone, refused } = SocketFailure;
  const told = (errnos: readonly number[]): number[] => [...new Set(errnos.map(failureOf))];
  assertEquals(told([Errno.EAGAIN, Errno.EINTR]), [again]);
  const { EMFILE, ENFILE, ENOMEM, ENOSPC, ENOBUFS } = Errno;
  assertEquals(told([EMFILE, ENFILE, ENOMEM, ENOSPC, ENOBUFS]), [exhausted]);
  assertEquals(told([Errno.ESRCH]), [gone]);
  assertEquals(told([Errno.EPIPE, Errno.EBADF, Errno.EPERM, Errno.ENOSYS, 103]), [refused]);
});
