/** A candidate is opened and checked before it is needed; rows for candidates and victims. */
import { assert, assertEquals } from "@std/assert";
import { VICTIMS_MAX } from "../../../pipeline/memory/layout.ts";
import { Desk } from "../../_support/desk.ts";
import { ANN, EPERM, ESRCH, makeScene, Scene } from "../../_support/killer_scene.ts";

const NO_VICTIM_RETRY_NS = 200e6;

Deno.test("armed at soft, no handle has to be opened at hard", () => {
  const scene = makeScene();
  scene.grow(12, 160).run();
  assertEquals(scene.hands.acts, ["open 10", "ask 10"]);
  const before = scene.hands.done.length;
  scene.grow(12, 201).run();
  assertEquals(
    scene.hands.done.slice(before, before + 2),
    ["kill 10", "reap 10"],
    "and no reading",
  );
});

Deno.test("arming goes the way of a kill: who cannot be signalled, or is gone, is known by then", () => {
  for (const errno of [ESRCH, EPERM]) {
    const scene = makeScene();
    scene.hands.person(10).askResult = -errno;
    scene.grow(11, 400).grow(12, 60).run();
    assertEquals(scene.hands.acts, ["open 10", "ask 10", "open 11", "ask 11"]);
    assertEquals([...scene.hands.handles.values()], [11]);
    const told = scene.reports("killFailed").map(({ values }) => values["errno"]);
    assertEquals(told, errno === EPERM ? [EPERM] : [], "who is gone is no failure");
    assertEquals(scene.desk.pages(10) === -1, errno === ESRCH);
    assertEquals(scene.reports("kill"), []);
  }
});

Deno.test("arming follows the ranking and keeps one handle a user", () => {
  const scene = makeScene();
  for (let i = 0; i < 60; i++) {
    scene.grow(i % 2 === 0 ? 11 : 10, 500 + 5 * (i % 5)).grow(12, 1).run();
    assert(scene.hands.handles.size <= 1);
  }
});

Deno.test("the largest that refuses does not keep the next from being armed, nor its handle open", () => {
  const scene = makeScene();
  scene.grow(12, 160).run();
  assertEquals([...scene.hands.handles.values()], [10]);
  // Now 11 is the largest and refuses, as do all others but 10.
  scene.hands.person(11).isProtected = true;
  scene.hands.person(12).isProtected = true;
  for (let i = 0; i < 20; i++) scene.grow(11, 460 + i).grow(10, 330).grow(12, 165).run();
  scene.pass(2e9).grow(10, 400).run();
  assertEquals(scene.hands.killed, [10]);
});

Deno.test("more users than rows: candidates leave room for victims, and give it up to them", () => {
  const users = VICTIMS_MAX + 40;
  const desk = new Desk({
    capacity: { users: users + 2, processes: users + 2, tasks: users + 2, mms: users + 2 },
  });
  const scene = new Scene({}, desk);
  desk.limit(ANN, 100, 50).limit(2000, 100, 50, 2000 + users);
  for (let i = 0; i < users; i++) scene.add(100 + i, 2000 + i, 60);
  for (let i = 0; i < users; i++) scene.grow(100 + i, 70).run();
  assert(scene.hands.handles.size <= VICTIMS_MAX);
  for (let i = 0; i < users; i++) scene.grow(100 + i, 101).run();
  assertEquals(new Set(scene.hands.killed).size, VICTIMS_MAX);
  for (const pid of scene.hands.killed) scene.hands.person(pid).isOver = true;
  scene.run();
  scene.pass(NO_VICTIM_RETRY_NS);
  assertEquals(new Set(scene.hands.killed).size, users, "the others when there is room");
});

Deno.test("no row is free: a user's new candidate takes the place of its old one", () => {
  const users = VICTIMS_MAX;
  const capacity = users + 4;
  const desk = new Desk({
    capacity: { users: capacity, processes: capacity, tasks: capacity, mms: capacity },
  });
  const scene = new Scene({}, desk);
  desk.limit(2000, 100, 50, 2000 + users);
  for (let i = 0; i < users; i++) scene.add(100 + i, 2000 + i, 60);
  for (let i = 0; i < users; i++) scene.grow(100 + i, 70).run();
  const armed = (): number[] => [...scene.hands.handles.values()];
  const full = armed().length;
  assert(full < users && armed().includes(100), `${full} of ${users} are armed`);
  scene.add(99, 2000, 10);
  for (let i = 0; i < 40; i++) scene.grow(100, 10).grow(99, 71 + i % 10).pass(1e6);
  assertEquals([armed().length, armed().includes(99), armed().includes(100)], [full, true, false]);
});
