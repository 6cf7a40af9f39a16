import { assert, assertEquals } from "@std/assert";
import { invariant } from "../../../pipeline/memory/invariant.ts";
import { closeFd } from "../../../kernel/ffi/fd.ts";
import { POLLERR, POLLPRI, PollSet } from "../../../kernel/ffi/poll.ts";
import { openPsiTrigger, PSI_MEMORY_PATH } from "../../../kernel/pressure/psi.ts";
import { hasFile, isRoot, needing } from "../../_support/real_kernel.ts";

const possible = isRoot() && hasFile(PSI_MEMORY_PATH);

Deno.test(
  needing(possible, "root and PSI", "openPsiTrigger() gives a descriptor that poll takes"),
  () => {
    const trigger = openPsiTrigger({ stallUs: 150_000, windowUs: 1_000_000 });
    invariant(trigger.ok, trigger.ok ? "" : trigger.reason);
    // 15 % of the time, in a window of 1 s, or of 2 s without CAP_SYS_RESOURCE.
    assertEquals(trigger.stallUs / trigger.windowUs, 0.15);
    const set = new PollSet(1);
    const index = set.add(trigger.fd, POLLPRI);
    assert(set.wait(0) >= 0);
    assertEquals(set.revents(index) & POLLERR, 0);
    closeFd(trigger.fd);
  },
);

Deno.test("openPsiTrigger() gives a reason, not an exception, when the kernel refuses", () => {
  const trigger = openPsiTrigger({ stallUs: 10, windowUs: 1 });
  assertEquals(trigger.ok, false);
  assert(!trigger.ok && trigger.reason.length > 20);
});
