import { assert, assertEquals, assertMatch } from "@std/assert";
import { closeFd, openFd, OpenFlag, readFd, writeTextFile } from "../../../kernel/ffi/fd.ts";
import { SENTINEL_PID, TraceInstance } from "../../../kernel/trace/trace_instance.ts";
import { guardedFiles, InstanceFiles, StatsFiles } from "../../../kernel/trace/guarded_files.ts";
import { InstanceGuard, type Tampering } from "../../../pipeline/discovery/instance_guard.ts";
import { ReaderGuard } from "../../../pipeline/discovery/reader_guard.ts";
import { attachCounters, attachMemory, createMemory } from "../../../pipeline/memory/memory.ts";
import { attachRole } from "../../../pipeline/memory/doorbell.ts";
import { CounterIndex, Role, RoleWord } from "../../../pipeline/memory/layout.ts";
import { ReadTurn } from "../../../pipeline/reading/read_turn.ts";
import { SMALL } from "../../_support/desk.ts";
import { hasFile, hasTracefs, needing } from "../../_support/real_kernel.ts";

const NEEDS = "root and tracefs with kmem:rss_stat";
const traced = hasTracefs();
const EVENT = { system: "kmem", event: "rss_stat", filter: "0" };

/** A recording instance, as toom makes it, and its guard. */
function guarded(purpose: string): Disposable & { trace: TraceInstance; guard: InstanceGuard } {
  const trace = TraceInstance.create(purpose);
  trace.configure({ bufferKib: 256, eventFork: true });
  trace.writePids([]);
  trace.enableEvent("kmem", "rss_stat");
  trace.setTracing(true);
  const fds: number[] = [];
  const open = (path: string): number => {
    fds.push(openFd(path, OpenFlag.O_RDONLY));
    return fds.at(-1)!;
  };
  const guard = new InstanceGuard(
    new InstanceFiles(guardedFiles(trace, "events", [EVENT], true, open)),
  );
  return {
    trace,
    guard,
    [Symbol.dispose](): void {
      for (const fd of fds) closeFd(fd);
      trace.remove();
    },
  };
}

/** What somebody else does, the file that it is found in, and what must be there afterwards. */
const DEEDS: readonly [file: string, text: string, flags: number, wanted: string][] = [
  ["tracing_on", "0", 0, "1"],
  ["events/enable", "0", 0, "0"],
  ["events/kmem/rss_stat/enable", "0", 0, "1"],
  ["events/kmem/rss_stat/filter", "member==9", 0, "none"],
  ["events/kmem/rss_stat/trigger", "traceoff", 0, ""],
  ["buffer_size_kb", "64", 0, ""],
  ["buffer_subbuf_size_kb", "8", 0, ""],
  ["buffer_percent", "50", 0, "0"],
  ["tracing_cpumask", "1", 0, ""],
  ["trace_clock", "local", 0, ""],
  ["trace_options", "nooverwrite", 0, ""],
  ["trace_options", "noevent-fork", 0, ""],
  ["set_event_pid", "", OpenFlag.O_TRUNC, String(SENTINEL_PID)],
  ["set_event_pid", "1\n", OpenFlag.O_TRUNC, `1\n${SENTINEL_PID}`],
];

Deno.test(needing(traced, NEEDS, "InstanceGuard finds nothing where nobody has meddled"), () => {
  using own = guarded("t_guard_calm");
  const found: Tampering[] = [];
  for (let i = 0; i < 3; i++) {
    assertEquals(own.guard.check(i * 2e9, (tampering) => found.push(tampering)), false);
  }
  assertEquals(found, []);
  // Tasks come and go, and toom itself adds some.
  own.trace.appendPids([Deno.pid]);
  assertEquals(own.guard.check(9e9, () => {}), false);
});

for (const [index, [file, text, flags, wanted]] of DEEDS.entries()) {
  Deno.test(
    needing(traced, NEEDS, `InstanceGuard mends ${file} when it is ${JSON.stringify(text)}`),
    () => {
      using own = guarded(`t_guard_${index}`);
      const { trace, guard } = own;
      if (!hasFile(`${trace.path}/${file}`)) return;
      const before = Deno.readTextFileSync(`${trace.path}/${file}`).trim();
      writeTextFile(`${trace.path}/${file}`, text, flags);
      if (Deno.readTextFileSync(`${trace.path}/${file}`).trim() === before && flags === 0) return;
      const found: Tampering[] = [];
      assertEquals(guard.check(1e9, (tampering) => found.push(tampering)), true);
      const seen = file === "events/enable" ? "events/kmem/rss_stat/enable" : file;
      assert(
        found.some(({ what, mended }) => mended && what.startsWith(`events/${seen} was `)),
        JSON.stringify(found),
      );
      const after = Deno.readTextFileSync(`${trace.path}/${seen}`).trim();
      const right = file === "events/enable" ? "1" : wanted === "" ? before : wanted;
      assertEquals(after, right);
      guard.check(3e9, () => {}); // A trigger leaves a mark on its event for one more look.
      assertEquals(guard.check(5e9, (one) => found.push(one)), false, JSON.stringify(found));
    },
  );
}

Deno.test(needing(traced, NEEDS, "InstanceGuard tells of the same once a second"), () => {
  using own = guarded("t_guard_rate");
  const found: Tampering[] = [];
  for (const atNs of [1e9, 1.2e9, 1.4e9, 2.1e9]) {
    own.trace.setTracing(false);
    assertEquals(own.guard.check(atNs, (tampering) => found.push(tampering)), true);
  }
  assertEquals(found.length, 2);
  assertMatch(found[0]!.what, /^events\/tracing_on was "0"$/);
});

Deno.test(
  needing(traced, NEEDS, "ReaderGuard finds who else reads, and is not misled by the own reader"),
  async () => {
    const trace = TraceInstance.create("t_thief");
    trace.configure({ bufferKib: 1024, eventFork: true });
    const flags = OpenFlag.O_RDONLY | OpenFlag.O_NONBLOCK;
    const cpus = trace.cpus();
    const own = cpus.map((cpu) => openFd(trace.cpuRawPipePath(cpu), flags));
    const stats = cpus.map((cpu) => openFd(`${trace.path}/per_cpu/cpu${cpu}/stats`, 0));
    const memory = attachMemory(createMemory(SMALL));
    Atomics.store(attachRole(memory, Role.reader), RoleWord.epoch, 1);
    const counters = attachCounters(memory, Role.reader);
    const guard = new ReaderGuard(memory, new StatsFiles(stats));
    let nowNs = 0;
    const check = (): string | undefined => guard.check(nowNs += 0.2e9);
    const page = new Uint8Array(new ArrayBuffer(65_536));
    // Without a list of pids everybody is traced; events of a fixed number are taken by counting.
    trace.enableEvent("kmem", "rss_stat");
    const take = (fds: readonly number[]): number => {
      const before = cpus.reduce((sum, cpu) => sum + trace.stats(cpu).read, 0);
      for (const fd of fds) while (readFd(fd, page) > 0);
      return cpus.reduce((sum, cpu) => sum + trace.stats(cpu).read, 0) - before;
    };
    const record = async (): Promise<void> => {
      trace.setTracing(true);
      await new Deno.Command("/bin/true").output();
      trace.setTracing(false);
    };
    for (let i = 0; i < 12; i++) {
      await record();
      counters[CounterIndex.events]! += take(own);
      assertEquals(check(), undefined);
      assertEquals(check(), undefined);
    }
    assert(counters[CounterIndex.events]! > 100, "events were read");
    // A reader that stands still between its read(2) and its counting.
    const turn = new ReadTurn(attachRole(memory, Role.reader));
    await record();
    turn.begin();
    const uncounted = take(own);
    assert(uncounted > 10);
    for (let look = 0; look < 8; look++) assertEquals(check(), undefined);
    counters[CounterIndex.events]! += uncounted;
    turn.end();
    assertEquals(check(), undefined);
    await record();
    const thief = cpus.map((cpu) => openFd(trace.cpuRawPipePath(cpu), flags));
    const stolen = take(thief);
    assert(stolen > 10);
    const told = Array.from({ length: 8 }, check);
    assertEquals(told.filter((one) => one !== undefined), [
      `${stolen} events were read by somebody else`,
    ]);
    await Deno.writeTextFile(`${trace.path}/trace`, "");
    assertEquals(check(), "the buffers were emptied");
    for (const fd of [...own, ...thief, ...stats]) closeFd(fd);
    trace.remove();
  },
);

Deno.test(needing(traced, NEEDS, "InstanceGuard costs little"), () => {
  using own = guarded("t_guard_cost");
  const looks = 200;
  const startMs = performance.now();
  for (let i = 0; i < looks; i++) own.guard.check(i * 1e9, () => {});
  const eachUs = (performance.now() - startMs) * 1000 / looks;
  assert(eachUs < 2000, `${eachUs} us a look`);
});
