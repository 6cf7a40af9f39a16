/** A grace outlasts whoever has given it: the killer, accounting, toom itself. */
import { assert, assertEquals } from "@std/assert";
import { type CarriedGrace, gracesOf, putGraces } from "../../../pipeline/kill/carried_graces.ts";
import { GraceOutcome } from "../../../pipeline/memory/layout.ts";
import { DEFAULT_SETTINGS } from "../../../pipeline/memory/settings.ts";
import { DegradedReason } from "../../../pipeline/messages/reports.ts";
import { Desk } from "../../_support/desk.ts";
import { ANN, BOB, makeScene, Scene } from "../../_support/killer_scene.ts";

/** As makeScene(): 10, 11, 12 of ann have 500, 300 and 100 of 1000 pages. The ceiling is at 1200. */
function planned(): Scene {
  const plan = { ...DEFAULT_SETTINGS.plan, signal: 15, graceMs: 1000, ceilingPermille: 1200 };
  return makeScene({ plan });
}

function graces(scene: Scene): (number | undefined)[][] {
  return scene.reports("grace").map(({ values }) => [values["pid"], values["outcome"]]);
}

function slotOf(scene: Scene, uid: number): number {
  return scene.desk.books.findUser(uid);
}

Deno.test("a restarted killer keeps a grace: nobody is asked again, and SIGKILL comes when it was to come", () => {
  const scene = planned();
  scene.grow(12, 201).run();
  scene.pass(400e6);
  scene.start();
  assertEquals([...scene.hands.handles.values()], [10]);
  scene.grow(12, 250).run();
  scene.grow(11, 310).pass(599e6);
  assertEquals([scene.hands.asked, scene.hands.killed], [["signal15 10"], []]);
  scene.pass(2e6);
  assertEquals([scene.hands.asked, scene.hands.killed], [["signal15 10"], [10]]);
  assertEquals(graces(scene), [[10, GraceOutcome.over]]);
  const { users } = scene.desk.memory;
  assertEquals(users.asked[slotOf(scene, ANN)], 0);
});

Deno.test("a killer counts anew who has a grace: its predecessor may have ended right before", () => {
  for (const wrong of [0, 2]) {
    const scene = planned();
    scene.grow(12, 201).run();
    const { users } = scene.desk.memory;
    users.asked[slotOf(scene, ANN)] = wrong;
    users.asked[slotOf(scene, BOB)] = wrong;
    scene.start();
    assertEquals(
      [users.asked[slotOf(scene, ANN)], users.asked[slotOf(scene, BOB)]],
      [1, 0],
    );
    scene.grow(12, 300).run();
    assertEquals(scene.hands.asked, ["signal15 10"], "I2");
    scene.pass(1001e6);
    assertEquals(scene.hands.killed, [10]);
    scene.die(10);
    assertEquals(users.asked[slotOf(scene, ANN)], 0);
  }
});

Deno.test("a grace outlasts accounting: while its books are read anew nobody is spared or asked", () => {
  const scene = planned();
  scene.grow(12, 201).run();
  scene.desk.startAccounting(DegradedReason.workerRestart);
  scene.pass(1100e6);
  assertEquals([scene.hands.asked, scene.hands.killed], [["signal15 10"], []], "nothing is known");
  scene.desk.sweep(() => {
    for (const [pid, anon] of [[10, 500], [11, 300], [12, 201]] as const) {
      scene.desk.proc(pid, ANN, { anon });
    }
  });
  scene.pass(100e6);
  assertEquals([scene.hands.asked, scene.hands.killed], [["signal15 10"], [10]]);
  assertEquals(graces(scene), [[10, GraceOutcome.over]]);
});

/** A descriptor that was handed over. */
const HANDED_FD = 77;

/** Another memory, with what was carried over from a scene in which 10 was asked; nothing is read yet. */
function startedOver(change: Partial<CarriedGrace> = {}): Scene {
  const before = planned();
  before.grow(12, 201).run();
  before.pass(400e6);
  const [grace, ...others] = gracesOf(before.desk.memory);
  assertEquals([grace?.uid, grace?.pid, others.length], [ANN, 10, 0]);
  const desk = new Desk({ settings: { plan: before.desk.settings.plan } });
  desk.nowNs = before.desk.nowNs;
  putGraces(desk.memory, [{ ...grace!, pidfd: HANDED_FD, ...change }], desk.nowNs);
  const scene = new Scene({}, desk);
  scene.hands.handles.set(HANDED_FD, 10);
  for (const [pid, person] of before.hands.people) scene.hands.people.set(pid, person);
  desk.limit(ANN, 1000, 950);
  return scene.run();
}

/** The first sweep finds the processes. */
function read(scene: Scene, sizes: readonly (readonly [pid: number, pages: number])[]): Scene {
  scene.desk.sweep(() => {
    for (const [pid, anon] of sizes) scene.desk.proc(pid, ANN, { anon });
  });
  return scene.run();
}

const OVER = [[10, 500], [11, 300], [12, 201]] as const;

Deno.test("a grace outlasts a start-over: nobody is asked again, and SIGKILL comes when it was to come", () => {
  const scene = startedOver();
  assert(scene.killer.busy, "it looks for whom it has to end");
  read(scene, OVER);
  scene.grow(11, 310).run();
  scene.pass(590e6);
  assertEquals([scene.hands.asked, scene.hands.killed], [[], []]);
  assertEquals(scene.desk.memory.users.asked[slotOf(scene, ANN)], 1);
  scene.pass(20e6);
  assertEquals([scene.hands.asked, scene.hands.killed], [[], [10]]);
  assertEquals(graces(scene), [[10, GraceOutcome.over]]);
  scene.die(10);
  const [killed] = scene.reports("killed");
  assertEquals([killed?.values["pid"], killed?.values["outcome"]], [10, GraceOutcome.over]);
  assertEquals(scene.desk.memory.users.asked[slotOf(scene, ANN)], 0);
  assertEquals(scene.hands.handles.size, 0, "what was handed over is closed");
});

Deno.test("a grace that ended while toom started over is over at once, and at the ceiling too", () => {
  const late = startedOver();
  late.pass(5e9);
  assertEquals(late.hands.killed, [], "nobody is killed by books that are not read");
  assertEquals(read(late, OVER).pass(1e6).hands.killed, [10]);
  const huge = read(startedOver(), [[10, 500], [11, 300], [12, 500]]);
  assertEquals([huge.hands.asked, huge.hands.killed], [[], [10]]);
  assertEquals(graces(huge), [[10, GraceOutcome.ceiling]]);
});

Deno.test("who has a grace from before a start-over is spared when its user is below its limit", () => {
  const scene = read(startedOver(), [[10, 500], [11, 300], [12, 10]]);
  scene.pass(2e9);
  assertEquals([scene.hands.asked, scene.hands.killed], [[], []]);
  assertEquals(graces(scene), [[10, GraceOutcome.spared]]);
  assertEquals(scene.hands.handles.size, 0);
});

Deno.test("who ended while toom started over is told of, though it is in no book", () => {
  const scene = startedOver();
  scene.pass(100e6).die(10);
  read(scene, [[11, 300]]).pass(200e6);
  const reports = scene.reports("killed").map(({ values }) => values);
  assertEquals(
    reports.map(({ uid, pid, outcome, exitUs }) => [uid, pid, outcome, exitUs! >= 500e3]),
    [[ANN, 10, GraceOutcome.ended, true]],
  );
  assertEquals([scene.killer.busy, scene.hands.handles.size], [false, 0]);
});

Deno.test("who is another's after a start-over, or in no book for long, has no grace any more", () => {
  const others = read(startedOver({ uid: BOB }), OVER);
  others.pass(700e6);
  assertEquals(
    [others.hands.asked, others.hands.killed],
    [["signal15 10"], []],
    "it is asked anew",
  );
  others.pass(31e9);
  assertEquals(others.hands.killed, [10], "when its own grace is over");
  assertEquals(others.hands.handles.has(HANDED_FD), false);
  const nowhere = read(startedOver(), [[11, 300]]);
  nowhere.pass(29e9);
  assertEquals(nowhere.hands.handles.has(HANDED_FD), true);
  nowhere.pass(2e9);
  assertEquals([nowhere.hands.asked, nowhere.hands.killed], [[], []]);
  assertEquals([nowhere.killer.busy, nowhere.hands.handles.size], [false, 0]);
});

Deno.test("a grace outlasts a second start-over, and a restart of the killer before anything is read", () => {
  const scene = startedOver();
  const [again] = gracesOf(scene.desk.memory);
  assertEquals([again?.uid, again?.pid, again?.pidfd], [ANN, 10, HANDED_FD]);
  scene.start();
  read(scene, OVER).pass(700e6);
  assertEquals([scene.hands.asked, scene.hands.killed], [[], [10]]);
});
