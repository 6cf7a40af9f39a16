import { assertEquals } from "@std/assert";
import { readLivingThread } from "../../pipeline/living_thread.ts";
import { ProcStatus } from "../../pipeline/ports.ts";
import { FakeProc } from "../_support/fake_proc.ts";

const PID = 10;

Deno.test("a process is read by its leader, or by a thread that lives", () => {
  const proc = new FakeProc();
  const status = new ProcStatus();
  assertEquals(readLivingThread(proc, PID, status), 0);
  proc.entries.set(PID, { tids: [PID, 11], anonKib: 40 });
  assertEquals([readLivingThread(proc, PID, status), status.rssAnonKib], [PID, 40]);
  proc.entries.set(PID, { tids: [PID, 11], anonKib: 40, isLeaderDead: true });
  assertEquals([readLivingThread(proc, PID, status), status.rssAnonKib], [11, 40]);
  assertEquals(status.tgid, PID);
});

Deno.test("a process of which only the leader is left, and has exited, has ended", () => {
  const proc = new FakeProc();
  proc.entries.set(PID, { isLeaderDead: true });
  assertEquals(readLivingThread(proc, PID, new ProcStatus()), 0);
});
