/** Instances that are left behind, and owners that are out of sight. */
import { assertEquals, assertThrows } from "@std/assert";
import { closeFd, openFd, OpenFlag } from "../../../kernel/ffi/fd.ts";
import { ProcReader } from "../../../kernel/proc/proc.ts";
import { findTracefs } from "../../../kernel/trace/tracefs.ts";
import { hasOwner } from "../../../kernel/trace/instance_owner.ts";
import { instanceName } from "../../../kernel/trace/instance_name.ts";
import { removeDeadInstances } from "../../../kernel/trace/dead_instances.ts";
import { TraceInstance } from "../../../kernel/trace/trace_instance.ts";
import { hasFile, hasTracefs, needing, spawnAs } from "../../_support/real_kernel.ts";

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
