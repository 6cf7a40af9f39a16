import { assert, assertEquals, assertThrows } from "@std/assert";
import { Errno, KernelError } from "../../../kernel/ffi/errno.ts";
import { closeFd, openFd, OpenFlag } from "../../../kernel/ffi/fd.ts";
import { parseEventFormat, parseHeaderPage } from "../../../kernel/trace/formats.ts";
import { ProcReader } from "../../../kernel/proc/proc.ts";
import { findTracefs, tracefsMounts } from "../../../kernel/trace/tracefs.ts";
import { hasOwner } from "../../../kernel/trace/instance_owner.ts";
import { instanceName, parseInstanceName } from "../../../kernel/trace/instance_name.ts";
import { parseTraceStats } from "../../../kernel/trace/trace_stats.ts";
import { removeDeadInstances } from "../../../kernel/trace/dead_instances.ts";
import { SENTINEL_PID, TraceInstance } from "../../../kernel/trace/trace_instance.ts";
import {
  hasFile,
  hasTracefs,
  kernelModule,
  needing,
  spawnAs,
  waitUntil,
} from "../../_support/real_kernel.ts";

const traced = hasTracefs();
const NEEDS = "root and tracefs with kmem:rss_stat";
const OPTIONS = { bufferKib: 256, eventFork: true } as const;

/** An instance for the length of a test. */
function instance(purpose: string): TraceInstance & Disposable {
  const made = TraceInstance.create(purpose);
  return Object.assign(made, { [Symbol.dispose]: () => made.remove() });
}

function read(trace: TraceInstance, file: string): string {
  return Deno.readTextFileSync(`${trace.path}/${file}`).trim();
}

/** Lines of events that are in the buffer. */
function events(trace: TraceInstance): string[] {
  return read(trace, "trace").split("\n").filter((line) => !line.startsWith("#") && line !== "");
}

Deno.test("tracefsMounts() prefers the customary place and decodes octal", () => {
  const mounts = [
    "proc /proc proc rw 0 0",
    "t /mnt/a\\040b tracefs rw 0 0",
    "t /sys/kernel/debug/tracing tracefs rw 0 0",
    "t /sys/kernel/tracing tracefs rw 0 0",
  ].join("\n");
  assertEquals(tracefsMounts(mounts), [
    "/sys/kernel/tracing",
    "/sys/kernel/debug/tracing",
    "/mnt/a b",
  ]);
  assertEquals(tracefsMounts(""), []);
});

Deno.test("parseInstanceName() is the reverse of instanceName(), and refuses other names", () => {
  const owner = { pid: 12, startTicks: 3_000_000_000, purpose: "rss" };
  assertEquals(instanceName(owner), "toom-12-3000000000-rss");
  assertEquals(parseInstanceName("toom-12-3000000000-rss"), owner);
  for (const name of ["toom", "toom-1-2", "toom-1-x-y", "xtoom-1-2-y", "toom-1-2-y/..", "foo"]) {
    assertEquals(parseInstanceName(name), undefined, name);
  }
  assertThrows(() => instanceName({ ...owner, purpose: "../x" }), TypeError);
  assertThrows(() => TraceInstance.attach("other", "/none"), TypeError);
});

Deno.test("parseTraceStats() tells overrun from commit overrun", () => {
  const text = "entries: 6\noverrun: 12\ncommit overrun: 1\nbytes: 99\nnow ts:  3.5\n" +
    "dropped events: 7\nread events: 8\n";
  const wanted = { entries: 6, overrun: 12, commitOverrun: 1, dropped: 7, read: 8 };
  assertEquals(parseTraceStats(text), wanted);
});

Deno.test(needing(traced, NEEDS, "TraceInstance.configure() sets what lines depend on"), () => {
  using trace = instance("t_configure");
  // As if the top level had all of it the other way round.
  const options = ["nocontext-info", "latency-format", "raw", "hex", "bin", "stacktrace", "block"];
  for (const option of [...options, "nooverwrite", "noirq-info", "event-fork"]) {
    Deno.writeTextFileSync(`${trace.path}/trace_options`, option);
  }
  trace.configure({ bufferKib: 512, eventFork: false });
  for (const name of ["context-info", "overwrite", "irq-info"]) {
    assertEquals(trace.option(name), true, name);
  }
  const off = ["latency-format", "raw", "hex", "bin", "stacktrace", "block", "event-fork"];
  for (const name of [...off, "verbose", "userstacktrace"]) {
    assertEquals(trace.option(name), false, name);
  }
  assertEquals(trace.option("no-such-option"), undefined);
  assert(read(trace, "trace_clock").includes("[mono]"));
  assertEquals(read(trace, "buffer_percent"), "0");
  assertEquals(Number(read(trace, "buffer_size_kb")) >= 512, true);
  assertEquals(read(trace, "tracing_on"), "0");
  trace.configure({ bufferKib: 512, eventFork: true, irqInfo: false });
  assertEquals([trace.option("event-fork"), trace.option("irq-info")], [true, false]);
});

Deno.test(
  needing(traced, NEEDS, "TraceInstance.configure() names file and value when one is refused"),
  () => {
    using trace = instance("t_refused");
    const error = assertThrows(
      () => trace.configure({ bufferKib: -1, eventFork: false }),
      KernelError,
    );
    assertEquals(error.path, `${trace.path}/buffer_size_kb`);
    assertEquals(error.detail, 'writing "-1"');
  },
);

Deno.test(
  needing(traced, NEEDS, "TraceInstance.headerPage() follows the sub-buffer's size"),
  () => {
    using trace = instance("t_subbuf");
    trace.configure(OPTIONS);
    const { dataOffset, dataBytes } = parseHeaderPage(trace.headerPage());
    if (!hasFile(`${trace.path}/buffer_subbuf_size_kb`)) return;
    const subbufKib = 4 * (dataOffset + dataBytes) / 1024;
    trace.configure({ ...OPTIONS, subbufKib });
    const larger = parseHeaderPage(trace.headerPage());
    assertEquals(larger.dataOffset + larger.dataBytes, subbufKib * 1024);
  },
);

Deno.test(
  needing(traced, NEEDS, "TraceInstance traces the listed task and its children only"),
  async () => {
    using trace = instance("t_pids");
    trace.configure(OPTIONS);
    await using stranger = spawnAs(60_003, ["sh", "-c", "while :; do /bin/true; done"]);
    await using listed = spawnAs(60_004, ["sh", "-c", "while :; do /bin/true; done"]);
    trace.writePids([]);
    trace.enableEvent("kmem", "rss_stat");
    trace.setTracing(true);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assertEquals(events(trace), [], "the sentinel keeps everybody out");
    assertEquals(read(trace, "set_event_pid"), String(SENTINEL_PID));

    trace.appendPids([listed.pid]);
    assertEquals(trace.readPids().includes(listed.pid), true);
    // Its children: its own thread is not the one that writes all of them.
    const isOfChild = (line: string): boolean => !line.includes(`-${listed.pid} `);
    await waitUntil(() => events(trace).filter(isOfChild).length > 20, "children are traced");
    const lines = events(trace);
    assertEquals(lines.some((line) => line.includes(`-${stranger.pid} `)), false);
    const stats = trace.cpus().map((cpu) => trace.stats(cpu));
    assert(stats.some(({ entries }) => entries > 0));

    // Even when all listed tasks have ended, nobody else is traced.
    await listed.end();
    trace.writePids([]);
    trace.setTracing(true);
    await Deno.writeTextFile(`${trace.path}/trace`, "");
    await new Promise((resolve) => setTimeout(resolve, 50));
    assertEquals(events(trace).filter((line) => line.includes(`-${stranger.pid} `)), []);
    trace.setTracing(false);
  },
);

Deno.test(needing(traced, NEEDS, "TraceInstance.writeNotracePids() hides a task"), async () => {
  using trace = instance("t_notrace");
  trace.configure(OPTIONS);
  await using hidden = spawnAs(60_005, ["sh", "-c", "while :; do /bin/true; done"]);
  if (!trace.writeNotracePids([hidden.pid])) return;
  trace.enableEvent("kmem", "rss_stat");
  trace.setTracing(true);
  await new Promise((resolve) => setTimeout(resolve, 30));
  trace.setTracing(false);
  assertEquals(events(trace).filter((line) => line.includes(`-${hidden.pid} `)), []);
});

Deno.test(needing(traced, NEEDS, "TraceInstance reads an event's format and id"), () => {
  using trace = instance("t_events");
  assertEquals(trace.hasEvent("kmem", "rss_stat"), true);
  assertEquals(trace.hasEvent("kmem", "no_such_event"), false);
  const format = parseEventFormat(trace.eventFormat("kmem", "rss_stat"));
  assertEquals(format.id, trace.eventId("kmem", "rss_stat"));
  assertEquals(format.fields.has("mm_id"), true);
  const error = assertThrows(() => trace.enableEvent("kmem", "no_such_event"), KernelError);
  assertEquals(error.errno, Errno.ENOENT);
  trace.enableEvent("kmem", "rss_stat");
  assertEquals(read(trace, "events/kmem/rss_stat/enable"), "1");
  trace.disableEvent("kmem", "rss_stat");
  assertEquals(read(trace, "events/kmem/rss_stat/enable"), "0");
});

Deno.test(
  needing(traced, NEEDS, "TraceInstance.setFilter() quotes the kernel when it refuses"),
  () => {
    using trace = instance("t_filter");
    trace.setFilter("kmem", "rss_stat", "member==1");
    assertEquals(read(trace, "events/kmem/rss_stat/filter"), "member==1");
    const error = assertThrows(
      () => trace.setFilter("kmem", "rss_stat", "nonsense==1"),
      KernelError,
    );
    assert(error.message.includes('filter "nonsense==1" refused'), error.message);
    trace.setFilter("kmem", "rss_stat", "0");
    assertEquals(read(trace, "events/kmem/rss_stat/filter"), "none");
  },
);

Deno.test(needing(traced, NEEDS, "TraceInstance has a pipe for each CPU"), () => {
  using trace = instance("t_cpus");
  const cpus = trace.cpus();
  assert(cpus.length >= navigator.hardwareConcurrency, cpus.join());
  assert(hasFile(trace.pipePath));
  for (const cpu of cpus) {
    assert(hasFile(trace.cpuPipePath(cpu)) && hasFile(trace.cpuRawPipePath(cpu)));
  }
});

Deno.test(
  needing(traced, NEEDS, "TraceInstance.configure() leaves the comms of other tracers alone"),
  () => {
    using other = instance("t_neighbour");
    other.configure({ ...OPTIONS, recordCmd: true });
    other.writePids([]);
    other.enableEvent("kmem", "rss_stat");
    using trace = instance("t_quiet");
    const before = trace.option("record-cmd");
    trace.configure(OPTIONS);
    assertEquals(trace.option("record-cmd"), before);
  },
);

Deno.test(needing(traced, NEEDS, "TraceInstance.create() is a KernelError when it exists"), () => {
  using trace = instance("t_twice");
  const error = assertThrows(() => TraceInstance.create("t_twice"), KernelError);
  assertEquals([error.call, error.errnoName, error.path], ["mkdir", "EEXIST", trace.path]);
  assertEquals(TraceInstance.attach(trace.name).path, trace.path);
});

Deno.test(
  needing(
    traced,
    NEEDS,
    "removeDeadInstances() removes the dead, keeps the live, busy and foreign",
  ),
  async () => {
    const instances = `${findTracefs()}/instances`;
    using mine = instance("t_alive");
    const gone = spawnAs(0, ["true"]);
    const startTicks = new ProcReader().readStartTicks(gone.pid);
    await gone.child.status;
    const dead = instanceName({ pid: gone.pid, startTicks, purpose: "t_dead" });
    // Same pid as ours, but another start: a recycled number.
    const recycled = instanceName({ pid: Deno.pid, startTicks: 1, purpose: "t_recycled" });
    const busy = instanceName({ pid: Deno.pid, startTicks: 1, purpose: "t_busy" });
    const foreign = `toomtest-${Deno.pid}`;
    for (const name of [dead, recycled, busy, foreign]) await Deno.mkdir(`${instances}/${name}`);
    await Deno.writeTextFile(`${instances}/${dead}/events/kmem/rss_stat/enable`, "1");
    const fd = openFd(`${instances}/${busy}/trace_pipe`, OpenFlag.O_RDONLY);

    const found = removeDeadInstances();
    assertEquals([dead, recycled].every((name) => found.removed.includes(name)), true);
    assertEquals(found.busy.includes(busy), true);
    assertEquals(found.live.some(({ name, pid }) => name === mine.name && pid === Deno.pid), true);
    assertEquals(hasFile(`${instances}/${foreign}`), true);
    assertEquals(hasFile(`${instances}/${dead}`), false);

    closeFd(fd);
    assertEquals(removeDeadInstances().removed.includes(busy), true);
    await Deno.remove(`${instances}/${foreign}`);
  },
);

Deno.test(
  needing(traced, NEEDS, "removeDeadInstances() writes nothing to one whose owner is out of sight"),
  () => {
    using mine = instance("t_unseen");
    mine.configure(OPTIONS);
    mine.writePids([]);
    mine.enableEvent("kmem", "rss_stat");
    mine.setTracing(true);
    // As from another container: nobody has that pid.
    const found = removeDeadInstances(() => false);
    assertEquals(found.removed.includes(mine.name), false);
    assertEquals(found.busy.includes(mine.name), true);
    assertEquals(read(mine, "tracing_on"), "1");
    assertEquals(read(mine, "events/kmem/rss_stat/enable"), "1");
    assertEquals(hasOwner(mine.name), true);
  },
);

Deno.test(
  needing(traced, NEEDS, "TraceInstance.create() has an owner from the start, remove() ends that"),
  () => {
    const trace = TraceInstance.create("t_owned");
    const path = trace.path;
    assertThrows(() => Deno.removeSync(path), Error, "os error 16");
    assertEquals(hasOwner(trace.name), true);
    trace.remove();
    assertEquals(hasFile(path), false);
    assertEquals(hasOwner(trace.name), false);
    // One that records, and that nobody has open, is removed as it is.
    Deno.mkdirSync(path);
    Deno.writeTextFileSync(`${path}/events/kmem/rss_stat/enable`, "1");
    assertEquals(hasOwner(trace.name), false);
    assertEquals(removeDeadInstances(() => false).removed.includes(trace.name), true);
  },
);

const hasUnshare = hasFile("/usr/bin/unshare");
Deno.test(
  needing(
    traced && hasUnshare,
    `${NEEDS} and unshare`,
    "findTracefs() mounts tracefs when it is nowhere",
  ),
  async () => {
    const code = `import { findTracefs } from "${kernelModule("trace/tracefs.ts")}";
      console.log(findTracefs(), Deno.statSync("/sys/kernel/tracing/instances").isDirectory);`;
    const script = "umount /sys/kernel/debug/tracing 2>/dev/null; umount /sys/kernel/tracing && " +
      'exec "$0" eval "$1"';
    const output = await new Deno.Command("unshare", {
      args: ["--mount", "sh", "-c", script, Deno.execPath(), code],
      stdout: "piped",
      stderr: "piped",
    }).output();
    assertEquals(
      new TextDecoder().decode(output.stdout),
      "/sys/kernel/tracing true\n",
      new TextDecoder().decode(output.stderr),
    );
  },
);

Deno.test(needing(traced, NEEDS, "a list that somebody else wrote is told from toom's own"), () => {
  using trace = instance("t_sentinel");
  trace.configure(OPTIONS);
  trace.writePids([Deno.pid]);
  assertEquals([trace.readPids(), trace.hadSentinel], [[Deno.pid], true]);
  Deno.writeTextFileSync(`${trace.path}/set_event_pid`, "1\n");
  assertEquals([trace.readPids(), trace.hadSentinel], [[1], false]);
  trace.restoreSentinel();
  assertEquals([trace.readPids(), trace.hadSentinel], [[1], true]);
});
