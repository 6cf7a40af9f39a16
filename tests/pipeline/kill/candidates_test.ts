/** Who is checked before the signal, passed over or spared, and why. */
import { assert, assertEquals } from "@std/assert";
import { ANN, BOB, EPERM, ESRCH, makeScene } from "../../_support/killer_scene.ts";

const EMFILE = 24;

Deno.test("I1: who is another's, protected, or gone is passed over", () => {
  for (const why of ["other", "protected", "over", "absent"] as const) {
    const scene = makeScene();
    const person = scene.hands.person(10);
    if (why === "other") person.uid = BOB;
    else if (why === "protected") person.isProtected = true;
    else if (why === "over") person.isOver = true;
    else scene.hands.people.delete(10);
    scene.grow(12, 201).run();
    const isGone = why === "over" || why === "absent";
    // Without the dead one on the books, the user is not over.
    assertEquals(scene.hands.killed, isGone ? [] : [11], why);
    if (!isGone) continue;
    assertEquals(scene.desk.pages(10), -1, why);
    assertEquals(scene.desk.usage(ANN), 501);
    scene.grow(12, 701).run();
    assertEquals(scene.hands.killed, [12], why);
  }
});

Deno.test("candidates that are gone do not stop the killing of one, if they were not enough", () => {
  const scene = makeScene();
  scene.hands.person(10).isOver = true;
  scene.hands.person(11).isOver = true;
  scene.grow(10, 1500).grow(11, 1400).grow(12, 1300).run();
  assertEquals(scene.hands.killed, [12]);
  assertEquals(scene.desk.usage(ANN), 1300);
});

Deno.test("I1: what changes between arming and the kill is noticed when the check is old", () => {
  const scene = makeScene();
  scene.grow(12, 160).run();
  assert(scene.hands.done.includes("open 10"), "armed");
  scene.hands.person(10).isProtected = true;
  scene.pass(60e6);
  scene.grow(12, 201).run();
  assertEquals(scene.hands.killed, [11]);
});

Deno.test("kill says ESRCH: it is gone; EPERM: told, and another one goes", () => {
  for (const errno of [ESRCH, EPERM]) {
    const scene = makeScene();
    scene.hands.person(10).killResult = -errno;
    scene.grow(11, 600).grow(12, 600).grow(10, 700).run();
    assertEquals(scene.hands.killed.slice(0, 2), [10, 11]);
    assertEquals(scene.desk.pages(10) === -1, errno === ESRCH);
    assertEquals(scene.reports("killFailed").map(({ values }) => values), [
      { uid: ANN, pid: 10, errno },
    ]);
  }
});

Deno.test("a process that cannot be opened is not gone: told, left on the books, tried again", () => {
  for (const how of ["open", "check"] as const) {
    const scene = makeScene();
    if (how === "open") scene.hands.person(10).openResult = -EMFILE;
    else scene.hands.person(10).isUnknown = true;
    scene.grow(12, 201).run();
    assertEquals(scene.hands.killed, [11], `${how}: the next one goes`);
    assertEquals(scene.desk.pages(10), 500, `${how}: it is on the books`);
    assertEquals(scene.reports("killFailed").map(({ values }) => values["pid"]), [10]);
    scene.die(11);
    scene.hands.person(10).openResult = 0;
    scene.hands.person(10).isUnknown = false;
    scene.pass(2e9).grow(12, 501).run();
    assertEquals(scene.hands.killed, [11, 12], how);
    scene.die(12).grow(10, 1001).run();
    assertEquals(scene.hands.killed, [11, 12, 10], how);
  }
});

Deno.test("nobody may be killed: told, and tried again", () => {
  const scene = makeScene();
  for (const pid of [10, 11, 12]) scene.hands.person(pid).isProtected = true;
  scene.grow(12, 201).run();
  assertEquals(scene.reports("noVictim").map(({ values }) => values), [
    {
      uid: ANN,
      usagePages: 1001,
      hardPages: 1000,
      protectedCount: 3,
      protectedPages: 1001,
      stuckPages: 0,
      protected1Pid: 10,
      protected2Pid: 11,
      protected3Pid: 12,
      protectedTag: 0,
    },
  ]);
  scene.hands.person(11).isProtected = false;
  scene.pass(2e9);
  assertEquals(scene.hands.killed, [11]);
});

Deno.test("a protected hog: nobody beside it dies, it is named, once a minute", () => {
  const scene = makeScene();
  scene.hands.person(10).isProtected = true;
  scene.pass(2e9).grow(10, 1200).run();
  for (let i = 0; i < 50; i++) scene.pass(100e6);
  assertEquals(scene.hands.killed, []);
  const told = scene.reports("noVictim");
  assertEquals(told.map(({ values }) => [values["protected1Pid"], values["protectedPages"]]), [
    [10, 1200],
  ]);
  assertEquals(new TextDecoder().decode(told[0]?.text), "name10");
  for (let i = 0; i < 600; i++) scene.pass(100e6);
  assertEquals(scene.reports("noVictim").length, 1, "again after a minute");
  assertEquals(scene.hands.killed, []);
  scene.hands.person(10).isProtected = false;
  scene.pass(2e9);
  assertEquals(scene.hands.killed, [10], "when it is protected no more, it goes");
});

Deno.test("a protected hog that has just grown would use up at once what others give back", () => {
  const scene = makeScene();
  scene.hands.person(10).isProtected = true;
  scene.grow(10, 200).pass(2e9);
  for (let pages = 200; pages <= 1000; pages += 50) scene.grow(10, pages).pass(5e6);
  assertEquals(scene.hands.killed, [], "at the crossing 400 could be had, and it gained as much");
});

Deno.test("a protected process that stands still does not protect the hog beside it", () => {
  const scene = makeScene();
  scene.hands.person(10).isProtected = true;
  scene.pass(2e9);
  for (let pages = 300; pages <= 450; pages += 25) scene.grow(11, pages).pass(5e6);
  assertEquals(scene.hands.killed, [11]);
});

Deno.test("before the first of several is killed, the others are looked at", () => {
  const scene = makeScene();
  // 900 pages in three processes, and all of them must go.
  scene.hands.person(12).isProtected = true;
  scene.pass(2e9).desk.limit(ANN, 50);
  scene.run();
  assertEquals(scene.hands.killed, [], "100 would stay");
  scene.desk.limit(ANN, 150);
  scene.run().pass(200e6);
  assertEquals(scene.hands.killed, [10, 11]);
});
