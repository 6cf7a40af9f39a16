/** Who of a user goes, how many, and what is done with each. */
import { PATIENCE_NS } from "../../../pipeline/memory/timing.ts";
import { assert, assertEquals } from "@std/assert";

import { ANN, makeScene, Scene } from "../../_support/killer_scene.ts";

Deno.test("what is told of a victim is what it was before the signal", () => {
  const scene = makeScene();
  const { users, processes } = scene.desk.memory;
  scene.hands.whileKilled = (pid) => {
    // Accounting has heard of its end before the call returns.
    const slot = scene.desk.books.findProcess(pid);
    users.usagePages[scene.desk.books.findUser(ANN)]! -= processes.pages[slot]!;
    processes.pages[slot] = 0;
  };
  scene.grow(12, 201).killer.step();
  const [kill, ...more] = scene.reports("kill");
  assertEquals(more, []);
  assertEquals([kill?.values["usagePages"], kill?.values["victimPages"]], [1001, 500]);
});

Deno.test("the largest process of the user goes, is reaped, and is told of", () => {
  const scene = makeScene();
  scene.grow(12, 201).run();
  assertEquals(scene.hands.killed, [10]);
  assert(scene.hands.done.includes("reap 10"));
  const [kill] = scene.reports("kill");
  assertEquals(
    [kill?.values["uid"], kill?.values["pid"], kill?.values["usagePages"]],
    [ANN, 10, 1001],
  );
  assertEquals(
    [kill?.values["hardPages"], kill?.values["victimPages"], kill?.values["dryRun"]],
    [1000, 500, 0],
  );
  assertEquals(
    [kill?.rows[0]?.["pid"], kill?.rows[0]?.["pages"], kill?.rows[1]?.["pid"]],
    [11, 300, 12],
  );
  assertEquals(new TextDecoder().decode(kill?.text), "name10");
  scene.die(10);
  assertEquals(scene.desk.usage(ANN), 501);
  assertEquals(scene.reports("killed").map(({ values }) => values["pid"]), [10]);
  assertEquals(scene.hands.killed, [10]);
});

Deno.test("a child that its victim was forking is counted", () => {
  const scene = makeScene();
  scene.grow(12, 201).run();
  assertEquals(scene.hands.killed, [10]);
  scene.desk.foreign(10, 0x7777, { anon: 400 }).step();
  scene.die(10);
  scene.desk.fork(10, 13).step();
  assertEquals([scene.desk.pages(10), scene.desk.pages(13)], [-1, 400]);
  assertEquals(scene.desk.usage(ANN), 901);
});

Deno.test("I2: what remains without the dying is at or below hard: nobody else goes", () => {
  const scene = makeScene();
  scene.grow(12, 2000).run();
  assertEquals(scene.hands.killed, [12]);
  // The dying one still gets pages: they go with it.
  scene.grow(12, 2400).grow(11, 500).run();
  scene.pass(PATIENCE_NS / 2);
  assertEquals(scene.hands.killed, [12], "1000 remain");
  scene.die(12);
  assertEquals(scene.hands.killed, [12]);
});

Deno.test("I2: what remains without the dying is over hard: the next goes at once", () => {
  const scene = makeScene();
  scene.grow(12, 2000).run();
  assertEquals(scene.hands.killed, [12]);
  scene.grow(11, 501).run();
  assertEquals(scene.hands.killed, [12, 11], "1001 remain");
  scene.grow(10, 900).run();
  assertEquals(scene.hands.killed, [12, 11], "900 remain");
});

Deno.test("I2: several go within one order when one is not enough", () => {
  const scene = makeScene();
  scene.desk.limit(ANN, 250);
  scene.run();
  assertEquals(scene.hands.killed, [10, 11], "of 500, 300 and 100 the last may stay");
});

Deno.test("I2: a victim that gives nothing back for a second is not dying any more", () => {
  const scene = makeScene();
  scene.grow(12, 900).run();
  assertEquals(scene.hands.killed, [12]);
  scene.pass(PATIENCE_NS + 1000);
  // 900 stay, so 800 of the others must go.
  assertEquals(scene.hands.killed, [12, 10, 11]);
  assertEquals(scene.hands.handles.size, 3, "it is watched still");
  scene.die(12);
  assertEquals(scene.desk.pages(12), -1);
});

Deno.test("I2: a victim that gives memory back takes as long as it takes", () => {
  const scene = makeScene();
  scene.grow(12, 900).run();
  for (let pages = 890; pages > 800; pages -= 10) scene.pass(PATIENCE_NS / 2).grow(12, pages).run();
  assertEquals(scene.hands.killed, [12]);
});

Deno.test("I2: nobody goes for a stuck victim that is over the limit by itself", () => {
  const scene = makeScene();
  scene.grow(12, 2000).run().pass(PATIENCE_NS + 1000).pass(PATIENCE_NS + 1000);
  assertEquals(scene.hands.killed, [12], "the death of all others would not help");
  assertEquals(scene.reports("noVictim").map(({ values }) => values["stuckPages"]), [2000]);
});

Deno.test("who has shrunk by the time the killer looks is spared", () => {
  const scene = makeScene();
  scene.grow(12, 201).grow(12, 100).run();
  assertEquals(scene.hands.killed, []);
  scene.grow(12, 201).run();
  assertEquals(scene.hands.killed, [10]);
});

Deno.test("twenty processes of 4 MiB, room for half of them: exactly ten go", () => {
  for (const isSlow of [false, true]) {
    const scene = new Scene();
    for (let i = 0; i < 20; i++) scene.add(100 + i, ANN, 1024);
    scene.desk.limit(ANN, 10 * 1024);
    scene.run();
    for (let i = 0; i < 40; i++) {
      if (isSlow) scene.pass(PATIENCE_NS / 3);
      for (const pid of scene.hands.killed) scene.die(pid);
    }
    assertEquals(new Set(scene.hands.killed).size, 10);
    assertEquals(scene.hands.killed.length, 10);
    assertEquals(scene.desk.usage(ANN), 10 * 1024);
    assert(scene.hands.handles.size <= 1, "but for the next candidate, no handle is left open");
  }
});

Deno.test("a restarted killer watches the victims of its predecessor and lets go of candidates", () => {
  const scene = makeScene();
  scene.grow(12, 201).run();
  scene.grow(11, 700).run();
  assertEquals(scene.hands.killed, [10]);
  scene.start();
  assertEquals([...scene.hands.handles.values()], [10]);
  scene.run();
  scene.grow(11, 799).run();
  assertEquals(scene.hands.killed, [10], "the first is dying still, and 1000 remain");
  scene.grow(11, 800).run();
  assertEquals(scene.hands.killed, [10, 11]);
});
