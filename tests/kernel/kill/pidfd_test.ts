import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../../kernel/ffi/errno.ts";
import { closeFd } from "../../../kernel/ffi/fd.ts";
import {
  killByPid,
  pidfdExited,
  pidfdOpen,
  pidfdSendSignal,
  probePidfd,
  processMrelease,
  processMreleaseAsync,
} from "../../../kernel/kill/pidfd.ts";
import { ProcReader } from "../../../kernel/proc/proc.ts";
import { Signal } from "../../../pipeline/kill/killer.ts";
import { isRoot, needing, spawnAs, waitUntil } from "../../_support/real_kernel.ts";

const support = probePidfd();
const OWN_UID = Deno.uid() ?? 0;

Deno.test(
  needing(support.sendSignal, "pidfds", "pidfdSendSignal() kills what was opened"),
  async () => {
    await using victim = spawnAs(OWN_UID, ["sleep", "60"]);
    const pidfd = pidfdOpen(victim.pid);
    assert(pidfd >= 0);
    assertEquals(pidfdExited(pidfd), false);
    assertEquals(pidfdSendSignal(pidfd, 0), 0);
    assertEquals(pidfdSendSignal(pidfd, Signal.kill), 0);
    await waitUntil(() => pidfdExited(pidfd), "the victim exits");
    assertEquals((await victim.child.status).signal, "SIGKILL");
    assertEquals(pidfdSendSignal(pidfd, Signal.kill), -Errno.ESRCH);
    closeFd(pidfd);
  },
);

Deno.test(
  needing(isRoot() && support.open, "root and pidfds", "pidfdOpen() opens another user's process"),
  async () => {
    await using other = spawnAs(60001, ["sleep", "60"]);
    const pidfd = pidfdOpen(other.pid);
    assert(pidfd >= 0);
    assertEquals(pidfdSendSignal(pidfd, 0), 0);
    closeFd(pidfd);
  },
);

Deno.test(
  needing(support.open, "pidfds", "pidfdOpen() gives ESRCH when there is no process"),
  () => {
    assertEquals(pidfdOpen(1_073_741_823), -Errno.ESRCH);
    assertEquals(pidfdOpen(-1), -Errno.EINVAL);
  },
);

Deno.test(
  needing(
    support.mrelease,
    "process_mrelease",
    "processMrelease() refuses a process that is not dying",
  ),
  async () => {
    await using bystander = spawnAs(OWN_UID, ["sleep", "60"]);
    const pidfd = pidfdOpen(bystander.pid);
    assertEquals(processMrelease(pidfd), -Errno.EINVAL);
    assertEquals(await processMreleaseAsync(pidfd), -1);
    closeFd(pidfd);
  },
);

Deno.test(
  needing(
    support.mrelease,
    "process_mrelease",
    "processMrelease() reaps a process that was killed",
  ),
  async () => {
    for (const reap of [processMrelease, processMreleaseAsync]) {
      await using victim = spawnAs(OWN_UID, ["sleep", "60"]);
      const pidfd = pidfdOpen(victim.pid);
      assertEquals(pidfdSendSignal(pidfd, Signal.kill), 0);
      const result = await reap(pidfd);
      // Either it was in time, or the memory was gone before.
      assert(result === 0 || result === -Errno.ESRCH || result === -1, String(result));
      closeFd(pidfd);
    }
  },
);

Deno.test("killByPid() kills only the process of that start time", async () => {
  await using victim = spawnAs(OWN_UID, ["sleep", "60"]);
  const startTicks = new ProcReader().readStartTicks(victim.pid);
  assertEquals(killByPid(victim.pid, startTicks + 1, Signal.kill), -Errno.ESRCH);
  assertEquals(killByPid(victim.pid, startTicks, Signal.none), 0);
  assertEquals(killByPid(victim.pid, startTicks, Signal.kill), 0);
  assertEquals((await victim.child.status).signal, "SIGKILL");
  assertEquals(killByPid(victim.pid, startTicks, Signal.kill), -Errno.ESRCH);
});

Deno.test("killByPid() never reaches a group or everybody", () => {
  for (const pid of [0, -1, -Deno.pid, NaN]) {
    assertEquals(killByPid(pid, -1, Signal.none), -Errno.ESRCH);
  }
});

Deno.test("probePidfd() finds what kernels of these versions have", () => {
  const [major = 0, minor = 0] = Deno.osRelease().split(".").map(Number);
  const version = major * 1000 + minor;
  if (version >= 5003 && isRoot()) assertEquals([support.open, support.sendSignal], [true, true]);
  if (version >= 5015 && isRoot()) assertEquals(support.mrelease, true);
  if (version < 5001) assertEquals(support.open, false);
});
