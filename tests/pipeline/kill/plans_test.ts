/** Plans: a first signal with a grace and a ceiling, and what goes with a victim. */
import { assert, assertEquals } from "@std/assert";
import { type KillPlan, Unit } from "../../../pipeline/memory/kill_plan.ts";
import { GraceOutcome, HeaderWord, PressureReason } from "../../../pipeline/memory/layout.ts";
import { PRESSURE } from "../../../pipeline/messages/records.ts";
import { DEFAULT_SETTINGS } from "../../../pipeline/memory/settings.ts";
import { putTag } from "../../_support/tags.ts";
import { ANN, BOB, makeScene, type Scene } from "../../_support/killer_scene.ts";

const SIGTERM = 15;

/** As makeScene(): 10, 11, 12 of ann have 500, 300 and 100 of 1000 pages. The ceiling is at 1200. */
function planned(plan: Partial<KillPlan> = {}): Scene {
  return makeScene({
    plan: {
      ...DEFAULT_SETTINGS.plan,
      signal: SIGTERM,
      graceMs: 1000,
      ceilingPermille: 1200,
      ...plan,
    },
  });
}

function graces(scene: Scene): (number | undefined)[][] {
  return scene.reports("grace").map(({ values }) => [values["pid"], values["outcome"]]);
}

Deno.test("a plan asks first, and kills when the grace is over", () => {
  const scene = planned();
  scene.grow(12, 201).run();
  assertEquals([scene.hands.asked, scene.hands.killed], [["signal15 10"], []]);
  assert(!scene.hands.done.includes("reap 10"), "who was asked is not hurried to its end");
  const [kill] = scene.reports("kill");
  assertEquals(
    [kill?.values["signal"], kill?.values["graceMs"], kill?.values["ceilingPages"]],
    [SIGTERM, 1000, 1200],
  );
  scene.pass(999e6);
  assertEquals([scene.hands.asked.length, scene.hands.killed], [1, []]);
  scene.pass(2e6);
  assertEquals([scene.hands.asked.length, scene.hands.killed], [1, [10]]);
  assert(scene.hands.done.includes("reap 10"));
  assertEquals(graces(scene), [[10, GraceOutcome.over]]);
  scene.die(10);
  assertEquals(
    scene.reports("killed").map(({ values }) => [values["pid"], values["outcome"]]),
    [[10, GraceOutcome.over]],
  );
  assertEquals(scene.desk.usage(ANN), 501);
  assertEquals(scene.hands.handles.size, 0, "no handle is left open");
});

Deno.test("who ends by itself within its grace is not sent SIGKILL", () => {
  const scene = planned();
  scene.grow(12, 201).run();
  scene.pass(300e6).die(10);
  scene.pass(2e9);
  assertEquals(scene.hands.killed, []);
  const reports = scene.reports("killed");
  assertEquals(
    reports.map(({ values }) => [values["pid"], values["outcome"], values["exitUs"]]),
    [[10, GraceOutcome.ended, 300_000]],
  );
  assertEquals(scene.desk.usage(ANN), 501);
  assertEquals(scene.hands.handles.size, 0);
});

Deno.test("I2: nobody else is asked while somebody has a grace, whatever is used", () => {
  const scene = planned();
  scene.grow(12, 201).run();
  scene.grow(12, 300).run();
  scene.grow(11, 390).pass(500e6);
  assertEquals(scene.hands.asked, ["signal15 10"], "1190 of 1000 pages");
  assertEquals(scene.hands.killed, []);
});

Deno.test("above the ceiling SIGKILL comes at once", () => {
  const scene = planned();
  scene.grow(12, 201).run();
  scene.grow(12, 400).run();
  assertEquals(scene.hands.killed, [], "1200 pages are at the ceiling");
  scene.grow(12, 401).run();
  assertEquals(scene.hands.killed, [10]);
  assertEquals(graces(scene), [[10, GraceOutcome.ceiling]]);
  assertEquals(scene.hands.asked, ["signal15 10"]);
  scene.die(10);
  assertEquals(scene.hands.killed, [10], "701 remain");
});

Deno.test("who jumps above the ceiling is not asked", () => {
  const scene = planned();
  scene.grow(12, 2000).run();
  assertEquals([scene.hands.asked, scene.hands.killed], [[], [12]]);
});

Deno.test("I2: what remains after SIGKILL is over hard: the next is asked, with a grace of its own", () => {
  const scene = planned({ ceilingPermille: 3000 });
  scene.grow(12, 1201).run();
  assertEquals(scene.hands.asked, ["signal15 12"]);
  scene.grow(11, 600).pass(1001e6);
  assertEquals(scene.hands.killed, [12]);
  assertEquals(scene.hands.asked, ["signal15 12", "signal15 11"], "1100 remain");
  scene.pass(500e6);
  assertEquals(scene.hands.killed, [12]);
  scene.pass(501e6);
  assertEquals(scene.hands.killed, [12, 11]);
});

Deno.test("I2: a user that is below its limit when the grace is over loses nobody", () => {
  const scene = planned();
  scene.grow(12, 201).run();
  scene.grow(12, 10).pass(2e9);
  assertEquals(scene.hands.killed, []);
  assertEquals(graces(scene), [[10, GraceOutcome.spared]]);
  assertEquals(scene.hands.handles.size, 0);
  scene.grow(12, 210).run();
  assertEquals(scene.hands.asked, ["signal15 10", "signal15 10"]);
});

Deno.test("a limit that is raised within the grace spares, too", () => {
  const scene = planned();
  scene.grow(12, 201).run();
  scene.desk.limit(ANN, 5000, 4500);
  scene.pass(2e9);
  assertEquals(scene.hands.killed, []);
});

Deno.test("I1: who is protected, or another's, when the grace is over is not killed", () => {
  for (const change of [{ isProtected: true }, { uid: BOB }]) {
    const scene = planned();
    scene.grow(12, 201).run();
    Object.assign(scene.hands.person(10), change);
    scene.pass(1001e6);
    assertEquals(scene.hands.killed.filter((pid) => pid === 10), []);
  }
});

Deno.test("I4: no grace ends in SIGKILL by books that are in doubt", () => {
  const scene = planned();
  scene.grow(12, 201).run();
  const { memory, books } = scene.desk;
  memory.header[HeaderWord.degraded] = 1;
  books.users.doubtTsNs[books.findUser(ANN)] = 1;
  scene.pass(1500e6);
  assertEquals(scene.hands.killed, []);
  books.users.doubtTsNs[books.findUser(ANN)] = 0;
  scene.pass(1e6);
  assertEquals(scene.hands.killed, [10]);
});

Deno.test("a killer that is started anew goes on with the grace of its predecessor", () => {
  const scene = planned();
  scene.grow(12, 201).run();
  scene.pass(600e6);
  scene.start();
  scene.pass(399e6);
  assertEquals(scene.hands.killed, []);
  scene.pass(2e6);
  assertEquals(scene.hands.killed, [10]);
});

Deno.test("too many processes: nobody has a grace", () => {
  const scene = planned();
  const { users } = scene.desk.books;
  users.excessProcesses[scene.desk.books.findUser(ANN)] = 1;
  scene.grow(12, 201).run();
  assertEquals(scene.hands.asked, []);
  assertEquals(scene.hands.killed[0], 10);
});

Deno.test("a dry run asks nobody, and says what it would send", () => {
  const scene = makeScene({
    dryRun: true,
    plan: { ...DEFAULT_SETTINGS.plan, signal: SIGTERM, unit: "session" },
  });
  scene.families.units.set(10, { [Unit.session]: 7 }).set(11, { [Unit.session]: 7 });
  scene.grow(12, 201).run();
  assertEquals([scene.hands.asked, scene.hands.killed], [[], []]);
  const [kill] = scene.reports("kill");
  assertEquals([kill?.values["dryRun"], kill?.values["signal"]], [1, SIGTERM]);
});

Deno.test("when the machine is short, whoever has a grace has it no longer", () => {
  const scene = planned({ graceMs: 60_000 });
  scene.grow(12, 201).run();
  assertEquals(scene.hands.asked, ["signal15 10"]);
  scene.desk.put(PRESSURE, { reason: PressureReason.psi, missingPages: 100 });
  scene.run();
  assertEquals(scene.hands.killed, [10]);
  assertEquals(graces(scene), [[10, GraceOutcome.pressure]]);
});

Deno.test("whom a rule has come to protect within its grace is not killed, nor in a unit", () => {
  const asked = planned();
  asked.grow(12, 201).run();
  putTag(asked.desk.memory, asked.desk.books.findProcess(10), "protect");
  asked.pass(1001e6);
  assertEquals(asked.hands.killed.filter((pid) => pid === 10), []);
  for (const killsScopes of [false, true]) {
    const scene = makeScene({ plan: { ...DEFAULT_SETTINGS.plan, unit: "scope" } });
    scene.families.killsScopes = killsScopes;
    for (const pid of [10, 11, 12]) scene.families.units.set(pid, { [Unit.scope]: 7 });
    putTag(scene.desk.memory, scene.desk.books.findProcess(11), "protect");
    scene.pass(3e9).grow(12, 201).run();
    assertEquals([scene.families.scopesKilled, scene.hands.killed], [[], [10, 12]]);
  }
});

Deno.test("a unit goes with the victim: of its user, and nobody who is protected", () => {
  for (const [unit, number] of [["group", 1], ["session", 2], ["scope", 3]] as const) {
    const scene = makeScene({ plan: { ...DEFAULT_SETTINGS.plan, unit } });
    scene.add(13, ANN, 20).add(14, ANN, 20).run();
    scene.hands.person(14).isProtected = true;
    for (const pid of [10, 11, 14, 20]) scene.families.units.set(pid, { [number]: 7 });
    scene.families.units.set(12, { [number]: 8 });
    scene.grow(12, 170).run();
    assertEquals(scene.hands.killed, [10, 11], unit);
    const [kill] = scene.reports("kill");
    assertEquals([kill?.values["unit"], kill?.values["unitProcesses"]], [number, 1]);
    // I2: what all of the unit have is being freed.
    scene.grow(12, 900).run();
    assertEquals(scene.hands.killed, [10, 11], unit);
    scene.die(10).die(11);
    assertEquals(scene.reports("killed").map(({ values }) => values["pid"]), [10]);
    assertEquals(scene.desk.usage(ANN), 940);
  }
});

Deno.test("the kernel ends a cgroup at once, unless somebody is in it who must stay", () => {
  for (const isProtected of [false, true]) {
    const scene = makeScene({ plan: { ...DEFAULT_SETTINGS.plan, unit: "scope" } });
    scene.families.killsScopes = true;
    for (const pid of [10, 11, 12]) scene.families.units.set(pid, { [Unit.scope]: 7 });
    scene.hands.person(11).isProtected = isProtected;
    scene.grow(12, 201).run();
    assertEquals(scene.families.scopesKilled, isProtected ? [] : [7]);
    assertEquals(scene.hands.killed, isProtected ? [10, 12] : [10]);
    assertEquals(scene.reports("kill")[0]?.values["unitProcesses"], isProtected ? 1 : 2);
    for (const pid of isProtected ? [10, 12] : [10, 11, 12]) scene.die(pid);
    assertEquals(scene.desk.usage(ANN), isProtected ? 300 : 0);
  }
});

Deno.test("a unit takes nobody of another who shares the account, at once or asked first", () => {
  for (const killsScopes of [true, false]) {
    for (const signal of [9, SIGTERM]) {
      const scene = makeScene({
        plan: { ...DEFAULT_SETTINGS.plan, signal, graceMs: 1000, unit: "scope" },
      });
      scene.families.killsScopes = killsScopes;
      for (const pid of [10, 11, 12]) scene.families.units.set(pid, { [Unit.scope]: 7 });
      // 12 is another member's, and grows.
      scene.families.sharers.set(10, 2001).set(11, 2001).set(12, 2002);
      scene.grow(12, 201).run();
      if (signal === SIGTERM) scene.pass(1001e6);
      assertEquals(scene.hands.killed, [10, 11], `${killsScopes} ${signal}`);
      assertEquals(scene.families.scopesKilled, [], "somebody else is in the cgroup");
    }
  }
});

Deno.test("all of a unit are asked, and who came into it goes with those that do not end", () => {
  const scene = planned({ unit: "session" });
  for (const pid of [10, 11]) scene.families.units.set(pid, { [Unit.session]: 7 });
  scene.grow(12, 201).run();
  assertEquals(scene.hands.asked, ["signal15 10", "signal15 11"]);
  scene.die(11);
  scene.add(13, ANN, 400).run();
  scene.families.units.set(13, { [Unit.session]: 7 });
  scene.pass(1001e6);
  assertEquals(scene.hands.killed, [10, 13]);
});

Deno.test("without a unit of its own a victim goes alone", () => {
  const scene = makeScene({ plan: { ...DEFAULT_SETTINGS.plan, unit: "scope" } });
  scene.grow(12, 201).run();
  assertEquals(scene.hands.killed, [10]);
  const [kill] = scene.reports("kill");
  assertEquals([kill?.values["unit"], kill?.values["unitProcesses"]], [0, 0]);
});

Deno.test("whom a rule protects stays: in a unit, in a cgroup, and when its grace is over", () => {
  const protect = (scene: Scene, pid: number): void =>
    putTag(scene.desk.memory, scene.desk.books.findProcess(pid), "protect");
  for (const killsScopes of [false, true]) {
    const scene = makeScene({ plan: { ...DEFAULT_SETTINGS.plan, unit: "scope" } });
    scene.families.killsScopes = killsScopes;
    for (const pid of [10, 11, 12]) scene.families.units.set(pid, { [Unit.scope]: 7 });
    protect(scene, 11);
    scene.grow(12, 201).run();
    assertEquals([scene.hands.killed, scene.families.scopesKilled], [[10, 12], []]);
  }
  const scene = planned();
  scene.grow(12, 201).run();
  assertEquals(scene.hands.asked, ["signal15 10"]);
  protect(scene, 10);
  scene.pass(1001e6);
  assertEquals(scene.hands.killed.includes(10), false);
});
