import { assertEquals, assertThrows } from "@std/assert";
import { Broken } from "../context.ts";
import { inFlightPages } from "../invariants/in_flight.ts";
import { Sim } from "../sim.ts";
import { optionsOf } from "../variants.ts";
import { SimKillKernel } from "./sim_kill.ts";

Deno.test("a handle that is closed twice is found", () => {
  const sim = new Sim(optionsOf({}, 1));
  const kernel = new SimKillKernel(
    { ...sim, call: () => {}, failsNow: () => false, kernel: sim.kernel } as never,
    {
      sees: () => {},
    } as never,
  );
  const handle = kernel.open([...sim.kernel.processes.keys()][0]!);
  kernel.close(handle);
  assertThrows(() => kernel.close(handle), Broken, "closed twice");
});

Deno.test("only tasks on the list are recorded, and children of theirs", () => {
  const { kernel } = new Sim(optionsOf({}, 1));
  const [root] = kernel.alive();
  const { tracing } = kernel;
  const events = (): number => tracing.buffers.reduce((sum, { events }) => sum + events.length, 0);
  kernel.grow(root!, 1, 5);
  assertEquals(events(), 0);
  tracing.list.add(root!.pid);
  const child = kernel.fork(root!)!;
  const before = events();
  kernel.grow(child, 1, 5);
  assertEquals(events(), before + 1);
});

Deno.test("a buffer that is full loses its oldest events, which are counted", () => {
  const { kernel } = new Sim({ ...optionsOf({ loses: true, cpus: 1 }, 1) });
  const [root] = kernel.alive();
  kernel.tracing.list.add(root!.pid);
  for (let i = 0; i < 20; i++) kernel.grow(root!, 1, 1);
  const [buffer] = kernel.tracing.buffers;
  assertEquals([buffer!.lost, buffer!.events.length], [8, 12]);
  assertEquals(kernel.tracing.takeLost(buffer!), 8);
  assertEquals(buffer!.lost, 0);
});

Deno.test("what a process changes is on its way for its user of before and for that of now", () => {
  const { kernel } = new Sim(optionsOf({}, 1));
  const [root] = kernel.alive();
  const child = kernel.fork(root!)!;
  const sinceNs = kernel.nowNs;
  const inFlight = (uid: number): number => inFlightPages(kernel, uid, sinceNs + 1);
  kernel.grow(child, 1, 5);
  const uid = root!.uid + 1;
  assertEquals([inFlight(root!.uid), inFlight(uid)], [5, 0]);
  kernel.setUid(child, uid);
  kernel.grow(child, 1, 7);
  assertEquals([inFlight(root!.uid), inFlight(uid), inFlight(uid + 1)], [12, 12, 0]);
  kernel.grow(root!, 1, 3);
  assertEquals([inFlight(root!.uid), inFlight(uid)], [15, 12]);
});
