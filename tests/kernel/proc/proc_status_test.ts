/** /proc/PID/status in numbers. */
import { assertEquals } from "@std/assert";
import { parseStatus } from "../../../kernel/proc/proc_status.ts";
import { ProcStatus } from "../../../pipeline/ports.ts";

function parsed(text: string): ProcStatus {
  const out = new ProcStatus();
  const bytes = new TextEncoder().encode(text);
  parseStatus(bytes, bytes.length, out);
  return out;
}

Deno.test("parseStatus() knows kernel threads without the line Kthread, as before 6.11", () => {
  const kernel =
    "Name:\tkworker/0:1\nState:\tI (idle)\nTgid:\t9\nPPid:\t2\nUid:\t0\t0\t0\t0\nThreads:\t1\n";
  assertEquals(parsed(kernel).kthread, true);
  assertEquals(parsed(kernel.replace("PPid:\t2", "PPid:\t1")).kthread, false);
  assertEquals(parsed(kernel.replace("Threads", "VmSize:\t 8 kB\nThreads")).kthread, false);
  assertEquals(parsed(kernel.replace("Threads", "Kthread:\t0\nThreads")).kthread, false);
});

Deno.test("parseStatus() reads nothing from the name, and survives texts that are cut", () => {
  const text = "Name:\tUid:\t5\t5\\nTgid:\t7\nTgid:\t1\nUid:\t4294967294\t3\t3\t3\nThreads:\t2\n";
  assertEquals(parsed(text).realUid, 4_294_967_294);
  assertEquals(parsed(text).effectiveUid, 3);
  assertEquals(parsed(text).tgid, 1);
  for (let length = 0; length <= text.length; length++) parsed(text.slice(0, length));
  assertEquals(parsed("").tgid, 0);
});
