import { assert, assertEquals, assertThrows } from "@std/assert";
import { Errno, KernelError } from "../../../kernel/ffi/errno.ts";
import { parseEventFormat, parseHeaderPage } from "../../../kernel/trace/formats.ts";
import { SENTINEL_PID, TraceInstance } from "../../../kernel/trace/trace_instance.ts";
import { hasFile, hasTracefs, needing, spawnAs, waitUntil } from "../../_support/real_kernel.ts";

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
