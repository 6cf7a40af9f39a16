/** Whether two tasks share memory. */
import { assertEquals } from "@std/assert";
import { ProcReader } from "../../../kernel/proc/proc.ts";
import { sharesMm } from "../../../kernel/proc/kcmp.ts";
import { needing, spawnAs } from "../../_support/real_kernel.ts";

const OWN_UID = Deno.uid() ?? 0;
const NO_PID = 1_073_741_823;

const hasKcmp = sharesMm(Deno.pid, Deno.pid);
Deno.test(needing(hasKcmp, "kcmp", "sharesMm() tells threads from processes"), async () => {
  await using process = spawnAs(OWN_UID, ["sleep", "60"]);
  const tid = new ProcReader().listTids(Deno.pid).find((tid) => tid !== Deno.pid)!;
  assertEquals(sharesMm(Deno.pid, tid), true);
  assertEquals(sharesMm(Deno.pid, process.pid), false);
  assertEquals(sharesMm(Deno.pid, NO_PID), false);
});
