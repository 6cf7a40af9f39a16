import { assert, assertEquals } from "@std/assert";
import { type OwnerOf, PidfdKillKernel, PidKillKernel } from "../../../kernel/kill/kill_kernel.ts";
import { Helper } from "../../../kernel/brake/helper.ts";
import { Errno } from "../../../kernel/ffi/errno.ts";
import { Refusal, Signal } from "../../../pipeline/kill/killer.ts";
import {
  hasFile,
  isRoot,
  kernelModule,
  mayBeRealTime,
  needing,
  runDeno,
  spawnAs,
  threadsOf,
  waitUntil,
} from "../../_support/real_kernel.ts";

const UID = 60031;

/** Pid of a child, as soon as it has that name. */
async function childNamed(pid: number, comm: string): Promise<number> {
  const path = `/proc/${pid}/task/${pid}/children`;
  let found = 0;
  await waitUntil(() => {
    for (const child of Deno.readTextFileSync(path).trim().split(" ")) {
      if (child === "") continue;
      if (Deno.readTextFileSync(`/proc/${child}/comm`).trim() === comm) found = Number(child);
    }
    return found !== 0;
  }, `a child named ${comm}`);
  return found;
}

for (
  const [name, make] of [
    [
      "PidfdKillKernel",
      (isRehearsal = false, ownerOf?: OwnerOf) => new PidfdKillKernel(true, isRehearsal, ownerOf),
    ],
    [
      "PidKillKernel",
      (isRehearsal = false, ownerOf?: OwnerOf) => new PidKillKernel(isRehearsal, ownerOf),
    ],
  ] satisfies [string, (isRehearsal?: boolean, ownerOf?: OwnerOf) => PidfdKillKernel][]
) {
  Deno.test({
    ...needing(isRoot(), "root", `${name} checks who it is, kills it, and sees its end`),
    fn: async () => {
      const kernel = make();
      await using process = spawnAs(UID, ["sleep", "60"]);
      const handle = kernel.open(process.pid);
      assert(handle >= 0, `open: ${handle}`);
      assertEquals(kernel.check(handle, process.pid, UID), Refusal.none);
      assertEquals(kernel.check(handle, process.pid, UID + 1), Refusal.otherUser);
      assertEquals(kernel.exited(handle), false);
      assertEquals(new TextDecoder().decode(kernel.comm(process.pid)), "sleep");
      assertEquals(kernel.kill(handle, process.pid, Signal.none), 0);
      assertEquals(kernel.exited(handle), false, "0 goes nowhere");
      assertEquals(kernel.kill(handle, process.pid, Signal.kill), 0);
      kernel.reap(handle, process.pid, false);
      await waitUntil(() => kernel.exited(handle), "the victim has exited");
      assertEquals((await process.child.status).signal, "SIGKILL");
      assertEquals(kernel.check(handle, process.pid, UID), Refusal.gone);
      await waitUntil(() => kernel.reapsUnderWay === 0, "the reaping has ended");
      kernel.close(handle);
    },
  });

  Deno.test({
    ...needing(
      isRoot(),
      "root",
      `${name} leaves toom's own helpers alone, and nobody of that name`,
    ),
    fn: async () => {
      const kernel = make();
      const helper = Helper.start(UID, UID);
      const rename = "echo toom-brake > /proc/self/comm; sleep 5 & wait";
      await using other = spawnAs(UID, ["/bin/sh", "-c", `/bin/sh -c '${rename}'; true`]);
      try {
        const handle = kernel.open(helper.pid);
        assertEquals(kernel.check(handle, helper.pid, UID), Refusal.otherUser);
        kernel.close(handle);
        const pid = await childNamed(other.pid, "toom-brake");
        const liar = kernel.open(pid);
        assertEquals(kernel.check(liar, pid, UID), Refusal.none);
        kernel.close(liar);
      } finally {
        helper.close();
      }
    },
  });

  Deno.test({
    ...needing(isRoot(), "root", `${name} asks whose a process is by its real uid`),
    fn: async () => {
      const kernel = make(false, (uid) => uid === UID ? 4_000_000_001 : uid);
      await using process = spawnAs(UID, ["sleep", "60"]);
      const handle = kernel.open(process.pid);
      assertEquals(kernel.check(handle, process.pid, 4_000_000_001 | 0), Refusal.none);
      assertEquals(kernel.check(handle, process.pid, UID), Refusal.otherUser);
      kernel.close(handle);
    },
  });

  Deno.test({
    ...needing(isRoot(), "root", `${name} refuses pid 1, kernel threads, and itself`),
    fn: () => {
      const kernel = make();
      assert(kernel.open(1) < 0, "pid 1");
      const own = kernel.open(Deno.pid);
      assertEquals(kernel.check(own, Deno.pid, 0), Refusal.protected);
      kernel.close(own);
      // kthreadd, which no process is
      const kthread = kernel.open(2);
      if (kthread >= 0) {
        assertEquals(kernel.check(kthread, 2, 0), Refusal.protected);
        kernel.close(kthread);
      }
    },
  });

  Deno.test({
    ...needing(isRoot(), "root", `${name} in rehearsal kills nobody`),
    fn: async () => {
      const kernel = make(true);
      await using process = spawnAs(UID, ["sleep", "60"]);
      const handle = kernel.open(process.pid);
      assert(handle >= 0, `open: ${handle}`);
      assertEquals(kernel.check(handle, process.pid, UID), Refusal.none);
      assertEquals(kernel.kill(handle, process.pid, Signal.kill), 0);
      kernel.reap(handle, process.pid, false);
      assertEquals(kernel.reapsUnderWay, 0);
      assertEquals(kernel.exited(handle), true, "as the rehearsal wants it");
      kernel.close(handle);
      // Whoever has been sent SIGKILL has no way back.
      const status = await Deno.readTextFile(`/proc/${process.pid}/status`);
      assert(/^State:\s+[RS]/m.test(status), status);
      assert(/^ShdPnd:\s+0+$/m.test(status), status);
    },
  });

  Deno.test(`${name} says that a process is gone`, () => {
    assert(make().open(2 ** 22 - 1) < 0, "nobody has the largest pid");
  });
}

const PYTHON = "/usr/bin/python3";
const THREADS_SCRIPT = `
import threading, time
for _ in range(3): threading.Thread(target=time.sleep, args=(60,)).start()
`;

for (const threads of [1, 4]) {
  Deno.test({
    ...needing(
      isRoot() && mayBeRealTime() && hasFile(PYTHON),
      `root, real-time priority and ${PYTHON}`,
      `who is reaped runs before all ordinary tasks: ${threads} threads`,
    ),
    fn: async () => {
      const kernel = new PidfdKillKernel(true);
      const command = threads === 1 ? ["sleep", "60"] : [PYTHON, "-c", THREADS_SCRIPT];
      await using process = spawnAs(UID, command);
      await waitUntil(
        () => threadsOf(process.pid).length === threads,
        "all threads are there",
      );
      const handle = kernel.open(process.pid);
      kernel.reap(handle, process.pid, threads > 1);
      const scheduled = threadsOf(process.pid)
        .map(({ policy, priority }) => `policy ${policy} priority ${priority}`);
      assertEquals(scheduled, Array(threads).fill("policy 1 priority 1"));
      await waitUntil(() => kernel.reapsUnderWay === 0, "the reaping has ended");
      kernel.close(handle);
    },
  });
}

Deno.test({
  ...needing(isRoot(), "root", "PidKillKernel does not kill who has the pid of a dead one"),
  fn: async () => {
    const kernel = new PidKillKernel();
    const first = spawnAs(UID, ["sleep", "60"]);
    const handle = kernel.open(first.pid);
    await first.end();
    await waitUntil(() => kernel.exited(handle), "it is gone");
    assert(kernel.kill(handle, first.pid, Signal.kill) < 0, "no signal to a number");
    kernel.close(handle);
  },
});

/** Kills a process with as many descriptors open as there may be; tells what each call said. */
const WITHOUT_DESCRIPTORS = (pid: number, uid: number): string => `
import { PidfdKillKernel } from ${JSON.stringify(kernelModule("kill/kill_kernel.ts"))};
import { openLibc } from ${JSON.stringify(kernelModule("ffi/libc.ts"))};
import { tryOpenFd } from ${JSON.stringify(kernelModule("ffi/fd.ts"))};
import { pidfdOpen } from ${JSON.stringify(kernelModule("kill/pidfd.ts"))};
const kernel = new PidfdKillKernel(true);
new PidfdKillKernel(false, true).check(0, ${pid}, ${uid});
// RLIMIT_NOFILE: as many as there are, once the gaps are filled.
const highest = Math.max(...[...Deno.readDirSync("/proc/self/fd")].map(({ name }) => Number(name)));
const limit = BigInt(highest + 1);
openLibc().setrlimit(7, new Uint8Array(new BigUint64Array([limit, limit]).buffer));
while (tryOpenFd("/dev/null", 0) >= 0);
const direct = pidfdOpen(${pid});
const handle = kernel.open(${pid});
const check = kernel.check(handle, ${pid}, ${uid});
const before = kernel.exited(handle);
const kill = kernel.kill(handle, ${pid}, 9);
kernel.reap(handle, ${pid}, true);
const comm = kernel.comm(${pid}).length;
for (let i = 0; i < 200 && !kernel.exited(handle); i++) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
const after = kernel.exited(handle);
kernel.close(handle);
console.log(JSON.stringify({ direct, opened: handle >= 0, check, before, kill, comm, after }));
`;

Deno.test({
  ...needing(isRoot(), "root", "without a free descriptor, a process is not gone, and is killed"),
  fn: async () => {
    await using process = spawnAs(UID, ["sleep", "60"]);
    const output = await runDeno(WITHOUT_DESCRIPTORS(process.pid, UID));
    const { comm, ...said } = JSON.parse(output);
    assertEquals(said, {
      direct: -Errno.EMFILE,
      opened: true,
      check: Refusal.none,
      before: false,
      kill: 0,
      after: true,
    });
    assert(comm >= 0);
    assertEquals((await process.child.status).signal, "SIGKILL");
  },
});

class OpensNothing extends PidfdKillKernel {
  readonly errno: number;

  constructor(errno: number) {
    super(true);
    this.errno = errno;
  }

  protected override pidfdOf(): number {
    return -this.errno;
  }
}

Deno.test({
  ...needing(isRoot(), "root", "whatever but ESRCH pidfd_open says, the process is killed by pid"),
  fn: async () => {
    for (const errno of [Errno.EMFILE, Errno.ENFILE, Errno.ENOMEM, Errno.EPERM, Errno.ENOSYS]) {
      using kernel = new OpensNothing(errno);
      await using process = spawnAs(UID, ["sleep", "60"]);
      const handle = kernel.open(process.pid);
      assert(handle >= 0, `${errno}: ${handle}`);
      assertEquals(kernel.check(handle, process.pid, UID), Refusal.none);
      assertEquals(kernel.check(handle, process.pid, UID + 1), Refusal.otherUser);
      assertEquals(kernel.kill(handle, process.pid, Signal.kill), 0);
      kernel.reap(handle, process.pid, false);
      await waitUntil(() => kernel.exited(handle), "it has exited");
      assertEquals((await process.child.status).signal, "SIGKILL");
      assertEquals(kernel.check(handle, process.pid, UID), Refusal.gone);
      kernel.close(handle);
    }
    for (const errno of [Errno.ESRCH, Errno.ENOENT, Errno.EINVAL]) {
      using kernel = new OpensNothing(errno);
      assertEquals(kernel.open(Deno.pid), -Errno.ESRCH, `${errno}`);
    }
  },
});

const LEADERLESS_SCRIPT = `
import ctypes, os, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
`;

Deno.test({
  ...needing(
    isRoot() && hasFile(PYTHON),
    `root and ${PYTHON}`,
    "a process whose first thread has ended is not gone",
  ),
  fn: async () => {
    for (using kernel of [new PidfdKillKernel(true), new PidKillKernel()]) {
      await using process = spawnAs(UID, [PYTHON, "-c", LEADERLESS_SCRIPT]);
      const status = `/proc/${process.pid}/status`;
      await waitUntil(
        () => /State:\tZ/.test(Deno.readTextFileSync(status)),
        "the leader has ended",
      );
      const handle = kernel.open(process.pid);
      assert(handle >= 0);
      assertEquals(kernel.check(handle, process.pid, UID), Refusal.none);
      assertEquals(kernel.check(handle, process.pid, UID + 1), Refusal.otherUser);
      assertEquals(kernel.exited(handle), false);
      assertEquals(kernel.kill(handle, process.pid, Signal.kill), 0);
      await waitUntil(() => kernel.exited(handle), "it has exited");
      kernel.close(handle);
    }
  },
});

Deno.test({
  ...needing(
    isRoot(),
    "root",
    "the kernel tells who shares an mm, and whose oom_score_adj is what",
  ),
  fn: async () => {
    using kernel = new PidfdKillKernel(true);
    await using process = spawnAs(UID, ["sleep", "60"]);
    assertEquals(kernel.sharesMm(process.pid, process.pid), true);
    assertEquals(kernel.sharesMm(process.pid, Deno.pid), false);
    assertEquals(kernel.sharesMm(process.pid, 2 ** 22 - 1), true, "it cannot be told");
    assertEquals(kernel.oomScoreAdj(2 ** 22 - 1), 0);
    await Deno.writeTextFile(`/proc/${process.pid}/oom_score_adj`, "800");
    assertEquals(kernel.oomScoreAdj(process.pid), 800);
  },
});
