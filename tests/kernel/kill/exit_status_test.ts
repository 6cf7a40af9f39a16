import { assert, assertEquals } from "@std/assert";
import { closeFd } from "../../../kernel/ffi/fd.ts";
import { exitStatusOf, statusOfPidfd } from "../../../kernel/kill/exit_status.ts";
import { pidfdExited, pidfdOpen, probePidfd } from "../../../kernel/kill/pidfd.ts";
import { needing, spawnAs, waitUntil } from "../../_support/real_kernel.ts";
import { PYTHON } from "../../_support/workload.ts";

const support = probePidfd();
const OWN_UID = Deno.uid() ?? 0;
const [major, minor] = Deno.osRelease().split(".").map(Number) as [number, number];
const TELLS = major > 6 || (major === 6 && minor >= 15);

Deno.test(
  needing(
    support.open && TELLS,
    "Linux 6.15",
    "a pidfd tells how the process ended, once waited for",
  ),
  async () => {
    for (const [script, status] of [["kill -9 $$", 9], ["exit 3", 3 << 8]] as const) {
      await using child = spawnAs(OWN_UID, ["/bin/sh", "-c", `sleep 1; ${script}`]);
      const pidfd = pidfdOpen(child.pid);
      assertEquals(exitStatusOf(pidfd, child.pid), -1, "it lives");
      await child.child.status;
      assertEquals(statusOfPidfd(pidfd), status);
      assertEquals(exitStatusOf(pidfd, child.pid), status);
      closeFd(pidfd);
    }
  },
);

Deno.test(
  needing(support.open && PYTHON !== undefined, "python3", "a zombie's status is told too"),
  async () => {
    const script = "import os, time\n" +
      "pid = os.fork()\nif pid == 0: time.sleep(0.3); os.kill(os.getpid(), 9)\n" +
      "open('/proc/self/comm', 'w').write(str(pid))\ntime.sleep(60)";
    await using parent = spawnAs(OWN_UID, [PYTHON!, "-S", "-c", script]);
    const commOf = (): number => Number(Deno.readTextFileSync(`/proc/${parent.pid}/comm`));
    await waitUntil(() => commOf() > 0, "the child is born");
    const pid = commOf();
    const pidfd = pidfdOpen(pid);
    assert(pidfd >= 0);
    await waitUntil(() => pidfdExited(pidfd), "the child ends");
    assertEquals(statusOfPidfd(pidfd), -1, "nobody has waited for it");
    assertEquals(exitStatusOf(pidfd, pid), 9);
    assertEquals(exitStatusOf(pidfd, 1), -1, "another process is no zombie");
    closeFd(pidfd);
  },
);
