import { assert, assertEquals } from "@std/assert";
import { closeFd } from "../../../kernel/ffi/fd.ts";
import { keepPidfd } from "../../../kernel/kill/carried_pidfd.ts";
import { pidfdExited, pidfdOpen, pidfdSendSignal } from "../../../kernel/kill/pidfd.ts";
import { hasFile } from "../../_support/real_kernel.ts";

const SIGKILL = 9;

/** Descriptors of this process. */
function descriptors(): string[] {
  return [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => name).sort();
}

Deno.test("keepPidfd() keeps a descriptor of the process, and of no other", async () => {
  const child = new Deno.Command("sleep", { args: ["1000"] }).spawn();
  try {
    const pidfd = pidfdOpen(child.pid);
    assert(pidfd >= 0);
    const before = descriptors();
    assertEquals(keepPidfd(pidfd, child.pid + 1), -1, "another process");
    assertEquals(keepPidfd(0, child.pid), -1, "no pidfd");
    assertEquals(keepPidfd(1 << 29, child.pid), -1, "no descriptor at all");
    assertEquals(descriptors(), before, "nothing stays open");
    const kept = keepPidfd(pidfd, child.pid);
    assert(kept >= 0 && kept !== pidfd);
    closeFd(pidfd);
    assertEquals(pidfdExited(kept), false);
    assertEquals(pidfdSendSignal(kept, SIGKILL), 0);
    assertEquals((await child.status).signal, "SIGKILL");
    assertEquals(pidfdExited(kept), true);
    assertEquals(keepPidfd(kept, child.pid), -1, "it has been waited for");
    closeFd(kept);
    assertEquals(hasFile(`/proc/self/fd/${kept}`), false);
  } finally {
    await child.status;
  }
});
