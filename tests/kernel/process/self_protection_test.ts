import { assert, assertEquals } from "@std/assert";
import { setOomScoreAdj, setThreadName } from "../../../kernel/process/self_protection.ts";
import { gettid } from "../../../kernel/ffi/libc.ts";
import { invariant } from "../../../pipeline/memory/invariant.ts";
import {
  hasCapability,
  isRoot,
  kernelModule,
  needing,
  runDeno,
} from "../../_support/real_kernel.ts";

const MODULE = kernelModule("process/self_protection.ts");
const root = isRoot();

// In processes of their own: what they set would stay with the test run.

/** Bit of CAP_SYS_RESOURCE, capabilities(7). */
const CAP_SYS_RESOURCE = 24;

Deno.test(
  needing(hasCapability(CAP_SYS_RESOURCE), "CAP_SYS_RESOURCE", "setOomScoreAdj() takes effect"),
  async () => {
    const out = await runDeno(`
      import { setOomScoreAdj } from "${MODULE}";
      console.log(setOomScoreAdj(-1000).ok, Deno.readTextFileSync("/proc/self/oom_score_adj"));`);
    assertEquals(out.trim(), "true -1000");
  },
);

Deno.test("setOomScoreAdj() raises for anybody, and says how to lower when denied", async () => {
  const out = await runDeno(`
    import { setOomScoreAdj } from "${MODULE}";
    const raised = setOomScoreAdj(17);
    const now = Number(Deno.readTextFileSync("/proc/self/oom_score_adj"));
    console.log(JSON.stringify([raised.ok, now, setOomScoreAdj(-1000)]));`);
  const [raised, now, lowered] = JSON.parse(out);
  assertEquals([raised, now], [true, 17]);
  if (!lowered.ok) assert(lowered.mend.includes("CAP_SYS_RESOURCE"), JSON.stringify(lowered));
});

Deno.test(needing(root, "root", "setNice() is for the calling thread"), async () => {
  const out = await runDeno(`
    import { setNice } from "${MODULE}";
    console.log(setNice(-20).ok);
    console.log(Deno.readTextFileSync("/proc/thread-self/stat").split(") ")[1].split(" ")[16]);`);
  assertEquals(out.split("\n"), ["true", "-20", ""]);
});

Deno.test(
  needing(root, "root", "lockMemory() and lockBuffer() lock code and tables, and V8 survives it"),
  async () => {
    const out = await runDeno(`
      import { lockBuffer, lockMemory } from "${MODULE}";
      const shared = new SharedArrayBuffer(64 * 1024 * 1024);
      const done = [lockMemory(), lockBuffer(shared)];
      let kept = [];
      for (let round = 0; round < 3_000_000; round++) {
        kept.push({ round });
        if (round % 500_000 === 0) kept = [new Uint8Array(32 * 1024 * 1024).fill(1)];
      }
      const status = Deno.readTextFileSync("/proc/self/status");
      const lockedKib = Number(/^VmLck:\\s+(\\d+)/m.exec(status)[1]);
      console.log(JSON.stringify([done, lockedKib > 64 * 1024, lockedKib < 400 * 1024]));`);
    assertEquals(JSON.parse(out), [[{ ok: true }, { ok: true }], true, true]);
  },
);

Deno.test(
  needing(root, "root", "setFifo() is for the calling thread, not for what it starts"),
  async () => {
    const out = await runDeno(`
    import { setFifo } from "${MODULE}";
    const policy = (stat) => stat.slice(stat.lastIndexOf(")") + 2).split(" ")[38];
    const done = setFifo(10);
    const own = policy(Deno.readTextFileSync("/proc/thread-self/stat"));
    const child = new Deno.Command("cat", { args: ["/proc/self/stat"] }).outputSync();
    console.log(JSON.stringify([done, own, policy(new TextDecoder().decode(child.stdout))]));`);
    const [done, own, child] = JSON.parse(out);
    assertEquals(child, "0");
    // Containers may forbid it; then there is a way to mend it.
    if (done.ok) assertEquals(own, "1");
    else assert(done.mend.includes("CAP_SYS_NICE"), JSON.stringify(done));
  },
);

Deno.test("setFifo() gives reason and mend when the priority is none", async () => {
  const out = await runDeno(`
    import { setFifo } from "${MODULE}"; console.log(JSON.stringify(setFifo(1000)));`);
  const { ok, reason, mend } = JSON.parse(out);
  assertEquals([ok, reason], [false, "sched_setscheduler: EINVAL"]);
  assert(mend.includes("CAP_SYS_NICE"));
});

Deno.test("setOomScoreAdj() gives reason and mend when the number is out of range", () => {
  const result = setOomScoreAdj(-5000);
  invariant(!result.ok, "out of range");
  assertEquals(result.reason, "oom_score_adj: EINVAL");
});

Deno.test("setThreadName() names the calling thread, cut at 15 bytes", () => {
  const comm = `/proc/self/task/${gettid()}/comm`;
  const before = Deno.readTextFileSync(comm).trimEnd();
  assertEquals(setThreadName("toom-reader-0123456789"), { ok: true });
  assertEquals(Deno.readTextFileSync(comm), "toom-reader-012\n");
  setThreadName(before);
});
