/** Storms: processes that come back as they are killed. */
import { assertEquals } from "@std/assert";
import { type StormBrake, Unit } from "../../../pipeline/memory/kill_plan.ts";
import { DEFAULT_SETTINGS } from "../../../pipeline/memory/settings.ts";
import { putTag } from "../../_support/tags.ts";
import { ANN, BOB, makeScene, type Scene } from "../../_support/killer_scene.ts";

const SHELL = 50;

function stormy(storm: Partial<StormBrake>): Scene {
  const scene = makeScene({
    storm: { ...DEFAULT_SETTINGS.storm, kills: 3, seconds: 10, ...storm },
  });
  scene.grow(10, 10).grow(11, 10).grow(12, 10).add(SHELL, ANN, 20).run();
  return scene;
}

/** A hog of a user comes, is killed, and ends. */
function hog(scene: Scene, pid: number, parent = SHELL): void {
  scene.families.parents.set(pid, parent);
  scene.families.units.set(pid, { [Unit.session]: 7 });
  scene.add(pid, ANN, 1500).run();
  scene.die(pid);
  scene.pass(100e6);
}

Deno.test("a storm is told of when it begins and when it ends, and its kills are marked", () => {
  const scene = stormy({});
  for (let i = 0; i < 6; i++) hog(scene, 100 + i);
  assertEquals(scene.hands.killed, [100, 101, 102, 103, 104, 105], "enforcement goes on");
  scene.pass(20e9);
  const told: [string, number][] = [];
  for (const { name, values } of scene.allReports()) {
    if (name === "kill") told.push(["kill", values["isStorm"]!]);
    if (name === "storm") told.push([values["isOver"] === 0 ? "begins" : "ends", values["kills"]!]);
  }
  assertEquals(told, [
    ["kill", 0],
    ["kill", 0],
    ["kill", 0],
    ["kill", 0],
    ["begins", 4],
    ["kill", 1],
    ["kill", 1],
    ["ends", 6],
  ]);
  hog(scene, 110);
  assertEquals(scene.reports("kill")[0]?.values["isStorm"], 0);
});

Deno.test("kills that are further apart are no storm", () => {
  const scene = stormy({});
  for (let i = 0; i < 8; i++) {
    hog(scene, 100 + i);
    scene.pass(3.4e9);
  }
  assertEquals(scene.reports("storm"), []);
  const never = stormy({ kills: 0 });
  for (let i = 0; i < 8; i++) hog(never, 100 + i);
  assertEquals(never.reports("storm"), []);
});

Deno.test("in a storm the parent goes too, once there is one", () => {
  const scene = stormy({ then: "parent" });
  for (let i = 0; i < 3; i++) hog(scene, 100 + i);
  assertEquals(scene.hands.killed, [100, 101, 102]);
  hog(scene, 103);
  assertEquals(scene.hands.killed, [100, 101, 102, 103, SHELL]);
  const [storm] = scene.reports("storm");
  assertEquals([storm?.values["actedPid"], storm?.values["acted"]], [SHELL, 1]);
  assertEquals(new TextDecoder().decode(storm?.text), `name${SHELL}`);
});

Deno.test("I1: a parent of another user, or a protected one, stays", () => {
  for (const change of [{ isProtected: true }, { uid: BOB }]) {
    const scene = stormy({ then: "parent" });
    Object.assign(scene.hands.person(SHELL), change);
    for (let i = 0; i < 6; i++) hog(scene, 100 + i);
    assertEquals(scene.hands.killed.includes(SHELL), false);
    assertEquals(scene.hands.killed.length, 6);
  }
  const scene = stormy({ then: "parent" });
  for (let i = 0; i < 6; i++) hog(scene, 100 + i, 20);
  assertEquals(scene.hands.killed.length, 6, "20 is bob's");
  const ruled = stormy({ then: "parent" });
  putTag(ruled.desk.memory, ruled.desk.books.findProcess(SHELL), "protect");
  for (let i = 0; i < 6; i++) hog(ruled, 100 + i);
  assertEquals(ruled.hands.killed.length, 6, "a rule protects it");
});

Deno.test("in a storm the session goes too, of the user only", () => {
  const scene = stormy({ then: "session" });
  for (const pid of [SHELL, 12, 20]) scene.families.units.set(pid, { [Unit.session]: 7 });
  for (let i = 0; i < 4; i++) hog(scene, 100 + i);
  assertEquals(scene.hands.killed.slice(4).sort((a, b) => a - b), [12, SHELL]);
});

Deno.test("one user's storm is not another's", () => {
  const scene = stormy({ then: "parent" });
  scene.desk.limit(BOB, 1000, 950);
  scene.run();
  scene.die(20);
  const others = scene.hands.killed.length;
  for (let i = 0; i < 3; i++) hog(scene, 100 + i);
  assertEquals(scene.hands.killed.length, others + 3);
  assertEquals(scene.reports("storm"), []);
});
