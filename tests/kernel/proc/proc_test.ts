import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../../kernel/ffi/errno.ts";
import { PF_KTHREAD, ProcReader } from "../../../kernel/proc/proc.ts";
import { printable } from "../../../kernel/proc/proc_text.ts";
import { StatusHandle } from "../../../kernel/proc/status_handle.ts";
import { ProcStatus, STATE_ZOMBIE } from "../../../pipeline/ports.ts";
import { hasFile, isRoot, needing, spawnAs, waitUntil } from "../../_support/real_kernel.ts";

const OWN_UID = Deno.uid() ?? 0;
const NO_PID = 1_073_741_823;

Deno.test("ProcReader.readStatus() agrees with the text of /proc/self/status", () => {
  const out = new ProcStatus();
  assertEquals(new ProcReader().readStatus(Deno.pid, out), true);
  const text = Deno.readTextFileSync("/proc/self/status");
  const field = (key: string): number =>
    Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(text)![1]);
  assertEquals(out.tgid, Deno.pid);
  assertEquals(out.ppid, Deno.ppid);
  assertEquals(out.realUid, OWN_UID);
  assertEquals(out.effectiveUid, OWN_UID);
  assertEquals(out.threads, field("Threads"));
  assertEquals([out.kthread, out.hasMemory], [false, true]);
  // Memory may change between the two readings, but not by much.
  assert(Math.abs(out.rssAnonKib - field("RssAnon")) < 16_384, `${out.rssAnonKib}`);
  assert(Math.abs(out.rssFileKib - field("RssFile")) < 16_384, `${out.rssFileKib}`);
  assertEquals([out.rssShmemKib, out.vmSwapKib], [field("RssShmem"), field("VmSwap")]);
});

Deno.test("ProcReader.readStatus() names the process when given a thread", () => {
  const reader = new ProcReader();
  const tid = reader.listTids(Deno.pid).find((tid) => tid !== Deno.pid)!;
  const out = new ProcStatus();
  assert(reader.readStatus(tid, out));
  assertEquals(out.tgid, Deno.pid);
});

Deno.test(
  needing(isRoot(), "root", "ProcReader.readStatus() reads the uids of another user's process"),
  async () => {
    await using process = spawnAs(60_002, ["sleep", "60"]);
    const out = new ProcStatus();
    assert(new ProcReader().readStatus(process.pid, out));
    assertEquals([out.realUid, out.effectiveUid, out.threads], [60_002, 60_002, 1]);
  },
);

Deno.test(
  needing(
    isRoot() && hasFile("/usr/bin/setpriv"),
    "root and setpriv",
    "ProcReader.readStatus() reads past a line of thousands of groups",
  ),
  async () => {
    const groups = Array.from({ length: 6000 }, (_, index) => 100_000 + index).join();
    await using process = spawnAs(0, [
      "setpriv",
      "--reuid=60006",
      `--groups=${groups}`,
      "sleep",
      "60",
    ]);
    const reader = new ProcReader();
    const out = new ProcStatus();
    // setpriv changes the uid first, then the groups.
    await waitUntil(() => reader.readComm(process.pid) === "sleep", "setpriv is done");
    assert(reader.readStatus(process.pid, out));
    assert((await Deno.readTextFile(`/proc/${process.pid}/status`)).length > 40_000);
    assertEquals([out.realUid, out.threads, out.hasMemory], [60_006, 1, true]);
  },
);

Deno.test("ProcReader says so when a process is gone", async () => {
  const process = spawnAs(OWN_UID, ["sleep", "60"]);
  await process.end();
  const reader = new ProcReader();
  for (const pid of [process.pid, NO_PID]) {
    assertEquals(reader.readStatus(pid, new ProcStatus()), false);
    assertEquals(reader.readStartTicks(pid), -1);
    assertEquals(reader.readFlags(pid), -1);
    assertEquals(reader.readOomScoreAdj(pid), undefined);
    assertEquals(reader.readComm(pid), undefined);
    assertEquals(reader.listTids(pid), []);
    assertEquals(reader.exists(pid), false);
    assertEquals(StatusHandle.open(pid), undefined);
  }
});

Deno.test("ProcReader.readStatus() sees a zombie as one without memory, not as a kernel thread", async () => {
  const parent = new Deno.Command("sh", {
    args: ["-c", "sleep 0.01 & echo $!; exec sleep 60"],
    stdout: "piped",
  }).spawn();
  const output = parent.stdout.getReader();
  const { value } = await output.read();
  const zombie = Number(new TextDecoder().decode(value));
  const reader = new ProcReader();
  const out = new ProcStatus();
  await waitUntil(() => reader.readStatus(zombie, out) && out.state === STATE_ZOMBIE, "it is one");
  assertEquals([out.kthread, out.hasMemory, out.rssAnonKib], [false, false, 0]);
  parent.kill("SIGKILL");
  await output.cancel();
  await parent.status;
});

const KTHREADD = new ProcReader().readComm(2) === "kthreadd";
Deno.test(needing(KTHREADD, "kthreadd", "ProcReader knows a kernel thread"), () => {
  const reader = new ProcReader();
  const out = new ProcStatus();
  assert(reader.readStatus(2, out));
  assertEquals(out.kthread, true);
  assertEquals(reader.readFlags(2) & PF_KTHREAD, PF_KTHREAD);
  assertEquals(reader.readFlags(Deno.pid) & PF_KTHREAD, 0);
});

/** Programs are named by their file: copies of sleep(1) under names that try to fool parsers. */
const HOSTILE_NAMES = [
  "a) Z 1\n(",
  "x\nUid:\t0\t0",
  ") S 2 2 2 2",
  "\\n\nTgid:\t1",
  "\x1b[31m\xff)",
];

Deno.test("ProcReader reads processes of hostile names correctly", async () => {
  const directory = await Deno.makeTempDir();
  await Deno.chmod(directory, 0o755);
  const reader = new ProcReader();
  const reference = spawnAs(OWN_UID, ["sleep", "60"]);
  const referenceTicks = reader.readStartTicks(reference.pid);
  for (const name of HOSTILE_NAMES) {
    const program = `${directory}/${name}`;
    await Deno.copyFile(await Deno.realPath("/bin/sleep"), program);
    await Deno.chmod(program, 0o755);
    await using process = spawnAs(OWN_UID, [program, "60"]);
    const shown = printable(new TextEncoder().encode(name).subarray(0, 15));
    // Multi-call programs (busybox) refuse other names, and end.
    await waitUntil(() => reader.readComm(process.pid) !== undefined, "it runs");
    const out = new ProcStatus();
    assert(reader.readStatus(process.pid, out));
    assertEquals([out.tgid, out.ppid, out.realUid], [process.pid, Deno.pid, OWN_UID], shown);
    const ticks = reader.readStartTicks(process.pid);
    assert(ticks >= referenceTicks && ticks < referenceTicks + 3000, `${ticks} ${shown}`);
    assertEquals(reader.readFlags(process.pid) & PF_KTHREAD, 0);
    assertEquals(reader.readComm(process.pid), shown);
    using handle = StatusHandle.open(process.pid)!;
    assertEquals(handle.realUid(), OWN_UID);
  }
  await reference.end();
  await Deno.remove(directory, { recursive: true });
});

Deno.test("ProcReader.readStartTicks() is field 22 of stat", () => {
  const text = Deno.readTextFileSync("/proc/self/stat");
  const field = text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  assertEquals(new ProcReader().readStartTicks(Deno.pid), Number(field));
});

Deno.test("ProcReader.readOomScoreAdj() reads signs", async () => {
  await using process = spawnAs(OWN_UID, ["sleep", "60"]);
  await Deno.writeTextFile(`/proc/${process.pid}/oom_score_adj`, "313");
  assertEquals(new ProcReader().readOomScoreAdj(process.pid), 313);
});

Deno.test("ProcReader.listPids() finds every process, and says how many when there is no room", async () => {
  await using process = spawnAs(OWN_UID, ["sleep", "60"]);
  const reader = new ProcReader();
  const pids = new Int32Array(65_536);
  const count = reader.listPids(pids);
  const found = pids.subarray(0, count);
  for (const pid of [1, Deno.pid, process.pid]) assert(found.includes(pid), String(pid));
  assertEquals(found.every((pid, index) => index === 0 || pid > found[index - 1]!), true);
  const small = new Int32Array(2);
  assert(Math.abs(reader.listPids(small) - count) < 20);
  assertEquals([...small], [...pids.subarray(0, 2)]);
});

Deno.test({
  name: "ProcReader.listChildren() finds the children of a process",
  ignore: !hasFile(`/proc/${Deno.pid}/task/${Deno.pid}/children`),
  fn: async () => {
    const reader = new ProcReader();
    const shell = new Deno.Command("/bin/sh", {
      args: ["-c", "sleep 60 & sleep 60 & echo $! here; wait"],
      stdout: "piped",
    }).spawn();
    const lines = shell.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const second = Number((await lines.read()).value?.split(" ")[0]);
    const children = reader.listChildren(shell.pid);
    assertEquals([children.length, children[1]], [2, second]);
    assertEquals(reader.listChildren(second), []);
    for (const pid of [...children, shell.pid]) Deno.kill(pid, "SIGKILL");
    await shell.status;
    await lines.cancel();
    assertEquals(reader.listChildren(shell.pid), []);
  },
});

Deno.test("ProcReader.listTids() finds this thread and others", () => {
  const tids = new ProcReader().listTids(Deno.pid);
  assert(tids.includes(Deno.pid) && tids.length > 1, tids.join());
});

Deno.test("ProcReader gives back every descriptor", () => {
  const reader = new ProcReader();
  const pids = new Int32Array(65_536);
  const count = (): number => [...Deno.readDirSync("/proc/self/fd")].length;
  const before = count();
  const out = new ProcStatus();
  for (let round = 0; round < 50; round++) {
    reader.readStatus(Deno.pid, out);
    reader.readStatus(NO_PID, out);
    reader.readStartTicks(Deno.pid);
    reader.listPids(pids);
    reader.listTids(Deno.pid);
    reader.exists(Deno.pid);
    StatusHandle.open(Deno.pid)?.close();
  }
  assertEquals(count(), before);
});

Deno.test(
  needing(
    isRoot() && hasFile("/usr/bin/setpriv"),
    "root and setpriv",
    "StatusHandle.realUid() sees a change of uid",
  ),
  async () => {
    await using process = spawnAs(0, [
      "sh",
      "-c",
      "sleep 0.05; exec setpriv --reuid=60078 --clear-groups sleep 60",
    ]);
    using handle = StatusHandle.open(process.pid)!;
    assertEquals(handle.realUid(), 0);
    await waitUntil(() => handle.realUid() === 60_078, "the uid changes");
  },
);

Deno.test("StatusHandle.realUid() fails when the process is gone", async () => {
  const process = spawnAs(OWN_UID, ["sleep", "60"]);
  using handle = StatusHandle.open(process.pid)!;
  assertEquals(handle.realUid(), OWN_UID);
  await process.end();
  assertEquals(handle.realUid(), -Errno.ESRCH);
});
