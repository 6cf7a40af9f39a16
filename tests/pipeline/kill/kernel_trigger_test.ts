import { DEFAULT_SETTINGS } from "../../../pipeline/memory/settings.ts";
import { assertEquals } from "@std/assert";
import { Trigger } from "../../../pipeline/memory/layout.ts";
import type { Settings } from "../../../pipeline/memory/settings.ts";
import { PATIENCE_NS } from "../../../pipeline/memory/timing.ts";
import { INHERITED, KERNEL_KILL, KERNEL_OVER } from "../../../pipeline/messages/records.ts";
import { TableNumber } from "../../../pipeline/books/books.ts";
import { Desk } from "../../_support/desk.ts";
import { FakeKernelTrigger } from "../../_support/fake_kernel_trigger.ts";
import { ANN, BOB, Scene } from "../../_support/killer_scene.ts";

interface Stage {
  readonly kernel: FakeKernelTrigger;
  readonly desk: Desk;
  readonly scene: Scene;
}

/** Ann may have 1000 pages, soft 950. A sweep has read everybody. */
function makeStage(settings: Partial<Settings> = {}): Stage {
  const kernel = new FakeKernelTrigger();
  const desk = new Desk({ settings, kernel });
  const scene = new Scene(settings, desk, PATIENCE_NS, kernel);
  desk.limit(ANN, 1000, 950);
  desk.sweep(() => {}).step();
  return { kernel, desk, scene };
}

Deno.test("programs are told each user's line: hard, and what is credited", () => {
  const { kernel, desk, scene } = makeStage();
  scene.add(10, ANN, 400).run();
  assertEquals(kernel.lines.get(ANN), { limitPages: 1000, mayKill: true });
  // A fork: what the child inherits is credited.
  desk.foreign(10, 777, { anon: 400 }).fork(10, 11).step();
  assertEquals(kernel.lines.get(ANN)!.limitPages, 1400);
  desk.limit(ANN, 2000).step();
  assertEquals(kernel.lines.get(ANN)!.limitPages, 2400);
});

Deno.test("what a fork copied is charged by programs when the credit has it, not before", () => {
  const { kernel, desk, scene } = makeStage();
  scene.add(10, ANN, 400).run();
  desk.foreign(10, 777, { anon: 400 }).step();
  assertEquals(kernel.inheritedPages.get(ANN), undefined);
  desk.fork(10, 11).put(INHERITED, { pages: 400, uid: ANN }).step();
  assertEquals([kernel.inheritedPages.get(ANN), kernel.lines.get(ANN)!.limitPages], [400, 1400]);
});

Deno.test("programs only tell while toom must not kill by itself", async (t) => {
  await t.step("in a dry run", () => {
    const { kernel, scene } = makeStage({ dryRun: true });
    scene.add(10, ANN, 400).run();
    assertEquals(kernel.lines.get(ANN)!.mayKill, false);
  });
  await t.step("without the kernel trigger", () => {
    const { kernel, scene } = makeStage({ kernelTrigger: false });
    scene.add(10, ANN, 400).run();
    assertEquals(kernel.lines.get(ANN)!.mayKill, false);
  });
  await t.step("with a plan that needs thought", () => {
    for (const plan of [{ signal: 15 }, { unit: "session" }] as const) {
      const { kernel, scene } = makeStage({ plan: { ...DEFAULT_SETTINGS.plan, ...plan } });
      scene.add(10, ANN, 400).run();
      assertEquals(kernel.lines.get(ANN)!.mayKill, false);
      scene.publish({ plan: DEFAULT_SETTINGS.plan });
      scene.run();
      assertEquals(kernel.lines.get(ANN)!.mayKill, true, "when it is plain again");
    }
  });
  await t.step("of a user whose policy asks who took the page", () => {
    for (const victimPolicy of ["culprit", "largest=9,culprit=1"] as const) {
      const { kernel, scene } = makeStage({ victimPolicy });
      scene.add(10, ANN, 400).run();
      assertEquals(kernel.lines.get(ANN)!.mayKill, false);
      scene.publish({ victimPolicy: "largest=1,growing=1" });
      scene.run();
      assertEquals(kernel.lines.get(ANN)!.mayKill, true, "where a victim can be chosen ahead");
    }
  });
  await t.step("while nobody is armed", () => {
    const { kernel, scene } = makeStage({ arms: false });
    scene.add(10, ANN, 400).run();
    assertEquals(kernel.lines.get(ANN)!.mayKill, false);
  });
  await t.step("after a loss, until the user was read (I4)", () => {
    const { kernel, desk, scene } = makeStage();
    scene.add(10, ANN, 400).run();
    desk.lost().step();
    assertEquals(kernel.lines.get(ANN)!.mayKill, false);
    desk.tick(1e6);
    desk.sweep(() => desk.proc(10, ANN, { anon: 400 })).step();
    assertEquals(kernel.lines.get(ANN)!.mayKill, true);
  });
  await t.step("before the first sweep has read everybody", () => {
    const kernel = new FakeKernelTrigger();
    const desk = new Desk({ kernel });
    desk.limit(ANN, 1000);
    let during: boolean | undefined;
    desk.sweep(() => {
      desk.proc(10, ANN, { anon: 400 });
      desk.step();
      during = kernel.lines.get(ANN)!.mayKill;
    }).step();
    assertEquals([during, kernel.lines.get(ANN)!.mayKill], [false, true]);
  });
});

Deno.test("the candidate that the killer has armed is the programs' too", () => {
  const { kernel, scene } = makeStage();
  scene.add(10, ANN, 500).add(11, ANN, 300).run();
  assertEquals(kernel.candidates.size, 0, "below soft");
  scene.grow(10, 660).run();
  assertEquals(kernel.candidates.get(ANN), [10, 70]);
  scene.grow(10, 10).run();
  assertEquals(kernel.candidates.get(ANN), undefined, "below soft again");
});

Deno.test("one that lends its mm is not the programs' candidate: its borrowers go with it", () => {
  const { kernel, desk, scene } = makeStage();
  scene.add(10, ANN, 500).run();
  scene.hands.people.set(11, { ...scene.hands.person(10) });
  desk.vfork(10, 11).step();
  scene.grow(10, 960).run();
  assertEquals(kernel.candidates.get(ANN), undefined);
});

/** A program has ended a process of Ann's. */
function killed({ desk }: Stage, tid: number, usagePages: number): void {
  desk.put(KERNEL_KILL, { tid, uid: ANN, victimPages: 700, usagePages, tookNs: 12_000 });
}

/** A user is over, and no program could end anybody. */
function over({ desk, scene }: Stage): void {
  desk.put(KERNEL_OVER, { uid: ANN, refusal: -1001 });
  scene.run();
}

Deno.test("a page past the line is left to programs that may decide, and not where they may not", () => {
  const { scene } = makeStage();
  scene.add(10, ANN, 500).run();
  scene.grow(10, 1100).run();
  assertEquals(scene.hands.killed, []);
  const other = makeStage({ kernelTrigger: false });
  other.scene.add(10, ANN, 500).run();
  other.scene.grow(10, 1100).run();
  assertEquals(other.scene.hands.killed, [10]);
});

Deno.test("who was signalled by both at once is one victim, told of once", () => {
  const stage = makeStage();
  const { scene } = stage;
  scene.add(10, ANN, 500).add(11, ANN, 300).run();
  scene.grow(10, 1100).run();
  over(stage);
  killed(stage, 10, 1001);
  scene.run();
  assertEquals(scene.reports("kill").length, 1);
});

Deno.test("whom a program has ended is a victim as others: told of, reaped, watched", () => {
  const stage = makeStage();
  const { scene, desk } = stage;
  scene.add(10, ANN, 500).add(11, ANN, 300).run();
  scene.grow(10, 690).run();
  killed(stage, 10, 1001);
  scene.run();
  assertEquals(scene.hands.killed, [], "no signal of ours");
  assertEquals(scene.hands.done.includes("reap 10"), true);
  const [report] = scene.reports("kill");
  assertEquals(
    [
      report!.values["uid"],
      report!.values["pid"],
      report!.values["trigger"],
      report!.values["usagePages"],
    ],
    [ANN, 10, Trigger.kernel, 1001],
  );
  assertEquals(report!.values["latencyUs"], 12);
  assertEquals(desk.memory.users.kills[desk.books.findUser(ANN)], 1);
  scene.die(10);
  assertEquals(scene.reports("killed").map(({ values }) => values["pid"]), [10]);
});

Deno.test("whom a program has ended, and who is gone before the killer hears of it, is told of in full", () => {
  const stage = makeStage();
  const { scene, desk } = stage;
  scene.add(10, ANN, 500).add(11, ANN, 300).run();
  scene.grow(10, 690).run();
  desk.exit(10).foreign(10, 70, { anon: 0 }).free(10).step();
  assertEquals(desk.books.findProcess(10), -1);
  scene.die(10).pass(1e9);
  killed(stage, 10, 1001);
  scene.run();
  const reports = scene.allReports();
  const kill = reports.find(({ name }) => name === "kill");
  assertEquals([kill!.values["pid"], kill!.values["usagePages"]], [10, 1001]);
  // What its user has less than then.
  const usagePages = desk.usage(ANN);
  const ends = reports.filter(({ name }) => name === "killed")
    .map(({ values }) => [values["pid"], values["freedPages"]]);
  assertEquals(ends, [[10, 1001 - usagePages]]);
});

Deno.test("I2: while whom a program has ended suffices, nobody else goes", () => {
  const stage = makeStage();
  const { scene } = stage;
  scene.add(10, ANN, 500).add(11, ANN, 300).run();
  scene.grow(10, 690).run();
  killed(stage, 10, 1001);
  scene.grow(11, 320).run();
  assertEquals(scene.hands.killed, []);
  scene.grow(11, 1100).run();
  assertEquals(scene.hands.killed, [], "programs are asked first");
  over(stage);
  assertEquals(scene.hands.killed, [11], "what remains is over by itself");
});

Deno.test("programs hear of whom the killer has signalled", () => {
  const stage = makeStage();
  const { kernel, scene } = stage;
  scene.add(10, ANN, 500).add(11, ANN, 300).run();
  scene.grow(10, 1100).run();
  over(stage);
  assertEquals(scene.hands.killed, [10]);
  assertEquals(kernel.dying, [[ANN, 10, 70]]);
});

Deno.test("a kill of a user that is not known any more is nobody's", () => {
  const stage = makeStage();
  stage.scene.add(20, BOB, 10).run();
  killed(stage, 99, 1001);
  stage.scene.run();
  assertEquals(stage.scene.reports("kill"), []);
});

Deno.test("a user for whom programs have no room is told of after a sweep, and killed all the same", () => {
  const { kernel, desk, scene } = makeStage();
  kernel.unknown.add(ANN);
  scene.add(10, ANN, 400).run();
  desk.tick(1e9);
  desk.sweep(() => desk.proc(10, ANN, { anon: 400 })).step();
  const full = desk.reports("tableFull");
  assertEquals(full.map(({ values }) => [values["table"], values["uid"]]), [[
    TableNumber.kernelUsers,
    ANN,
  ]]);
  scene.grow(10, 1100).run();
  assertEquals(scene.hands.killed, [10]);
});

Deno.test("a user whose address spaces find no slot in the kernel is told of, once a minute", () => {
  const { kernel, desk, scene } = makeStage();
  kernel.inexact.add(ANN);
  scene.add(10, ANN, 400).run();
  desk.tick(1e9);
  desk.sweep(() => desk.proc(10, ANN, { anon: 400 })).step();
  const full = desk.reports().filter(({ name }) => name === "tableFull");
  assertEquals(full.map(({ values }) => [values["table"], values["uid"]]), [[
    TableNumber.kernelSlots,
    ANN,
  ]]);
});
