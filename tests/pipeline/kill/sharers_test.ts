/** Processes that share the mm of a victim go with it, or keep it. */
import { assert, assertEquals } from "@std/assert";
import { ProcFlag } from "../../../pipeline/memory/layout.ts";
import { ANN, BOB, makeCrowd } from "../../_support/killer_scene.ts";

Deno.test("who shares the mm of a victim goes with it: one kill, the owner last", () => {
  const scene = makeCrowd(200);
  scene.grow(10, 701).run();
  assertEquals(new Set(scene.hands.killed).size, 201);
  assertEquals(scene.hands.killed.length, 201);
  assertEquals(scene.hands.killed.at(-1), 10);
  const [kill, ...more] = scene.reports("kill");
  assertEquals([kill?.values["pid"], kill?.values["sharers"]], [10, 200]);
  assertEquals(more, []);
  const firstKill = scene.hands.done.findIndex((what) => what.startsWith("kill"));
  const lastCheck = scene.hands.done.findLastIndex((what) => what.startsWith("open 1"));
  assert(lastCheck < firstKill, "all are opened and checked before the first is signalled");
  // The mm grows on until the last of them has let go, and that is no reason for a second kill.
  scene.desk.own(105, 70, { anon: 900 });
  scene.pass(1e6).desk.own(106, 70, { anon: 950 });
  scene.pass(1e6);
  assertEquals(scene.hands.killed.length, 201);
  for (const pid of scene.hands.killed) scene.hands.person(pid).isOver = true;
  for (let i = 0; i < 300; i++) scene.pass(1e6);
  assertEquals([scene.desk.usage(ANN), scene.hands.handles.size], [300, 0]);
  assertEquals(scene.hands.killed.length, 201, "11 lives");
  assertEquals(scene.reports("killed").length, 1);
});

Deno.test("when the owner ends before those who share its mm, it is one victim still", () => {
  const scene = makeCrowd(3);
  scene.grow(10, 701).run();
  assertEquals(scene.hands.killed, [100, 101, 102, 10]);
  scene.desk.exit(10).step();
  scene.die(10);
  assertEquals(scene.desk.pages(10), -1);
  assert(scene.desk.usage(ANN) >= 1001, "one of them holds the mm now");
  scene.desk.own(101, 70, { anon: 900 });
  scene.pass(1e6);
  assertEquals(scene.hands.killed.length, 4);
  for (const pid of [100, 101, 102]) scene.hands.person(pid).isOver = true;
  for (let i = 0; i < 10; i++) scene.pass(1e6);
  assertEquals([scene.desk.usage(ANN), scene.hands.handles.size], [300, 0]);
});

Deno.test("whatever /proc says of a signalled sharer meanwhile, it is of the same victim still", () => {
  for (const when of ["before the end of the owner", "after it, and no event told of it"]) {
    const scene = makeCrowd(1);
    scene.grow(10, 701).run();
    assertEquals(scene.hands.killed, [100, 10], when);
    const tsNs = scene.desk.tick();
    const pages = { anon: 701 };
    if (when === "before the end of the owner") {
      scene.desk.exit(10).step();
      scene.desk.proc(100, ANN, pages, { flags: ProcFlag.borrows, tsNs }).lender(100, 10, tsNs);
    } else {
      scene.desk.proc(100, ANN, pages, { tsNs: scene.desk.tick() }).step();
      scene.desk.exit(10, 1, tsNs);
    }
    scene.die(10);
    for (let i = 0; i < 3; i++) {
      scene.desk.tick(100e6);
      scene.desk.proc(100, ANN, pages);
      scene.grow(11, 310 + i).run();
    }
    assertEquals(scene.hands.killed, [100, 10], `${when}: 11 lives`);
    scene.desk.exit(100).foreign(100, 70, { anon: 0 }).step();
    scene.die(100);
    assertEquals([scene.desk.usage(ANN), scene.hands.handles.size], [312, 0], when);
  }
});

Deno.test("a signalled sharer is of the same victim when /proc has seen its owner's end before any event", () => {
  const scene = makeCrowd(1);
  scene.grow(10, 701).run();
  assertEquals(scene.hands.killed, [100, 10]);
  // The owner is gone, and with it whoever /proc could compare 100 with.
  scene.desk.proc(100, ANN, { anon: 701 }).step();
  scene.die(10);
  scene.grow(11, 310).run();
  assertEquals(scene.hands.killed, [100, 10], "11 lives");
  scene.desk.exit(10).step();
  scene.desk.exit(100).foreign(100, 70, { anon: 0 }).step();
  scene.die(100);
  assertEquals([scene.desk.usage(ANN), scene.hands.handles.size], [310, 0]);
});

Deno.test("who is said to borrow no more goes with the victim if the kernel says that it shares", () => {
  const scene = makeCrowd(2);
  for (const pid of [100, 101]) scene.desk.proc(pid, ANN, { anon: 500 }).step();
  scene.hands.apart.add(101);
  scene.grow(10, 701).run();
  assertEquals(scene.hands.killed, [100, 10]);
});

Deno.test("who comes to share the mm of a victim that is dying goes too", () => {
  const scene = makeCrowd(2);
  scene.grow(10, 701).run();
  scene.hands.people.set(300, { ...scene.hands.person(10) });
  scene.desk.vfork(10, 300).step();
  scene.pass(1e6);
  assertEquals(scene.hands.killed, [100, 101, 10, 300]);
  assertEquals(scene.reports("kill").length, 1);
});

Deno.test("one that must not be killed keeps the mm: the crowd is left alone, and it is named", () => {
  for (const why of ["protected", "other"] as const) {
    const scene = makeCrowd(20);
    if (why === "protected") scene.hands.person(110).isProtected = true;
    else scene.hands.person(110).uid = BOB;
    scene.pass(2e9).grow(11, 310).grow(10, 691).run();
    assertEquals(scene.hands.killed, [11], `${why}: 310 are enough, and can be freed`);
    scene.die(11);
    scene.pass(2e9).grow(10, 1001).run();
    assertEquals(scene.hands.killed, [11], why);
    assertEquals(
      scene.reports("noVictim").map(({ values }) => values["protected1Pid"]),
      [110],
      why,
    );
    const left = [...scene.hands.handles.values()].filter((pid) => pid >= 100);
    assertEquals(left, [], "no handle is left open");
  }
});

Deno.test("a vfork child that has executed a program is not killed with its parent", () => {
  const scene = makeCrowd(2);
  // The kernel knows already; the books are about to hear of it.
  scene.hands.apart.add(100);
  scene.grow(10, 701).run();
  assertEquals(scene.hands.killed, [101, 10]);
  scene.pass(1e6).pass(1e6);
  assertEquals(scene.hands.killed, [101, 10]);
});
