/** What is told of a kill. */
import { assertEquals } from "@std/assert";
import { Fate } from "../../../pipeline/messages/reports.ts";
import { ANN, makeScene } from "../../_support/killer_scene.ts";

Deno.test("a kill's report tells who was weighed with which score, and who was left out and why", () => {
  const scene = makeScene();
  scene.desk.limit(ANN, 1500, 1490);
  scene.add(13, ANN, 560).add(14, ANN, 20).run();
  scene.pass(2e9);
  scene.hands.person(13).isProtected = true;
  scene.hands.person(11).oomScoreAdj = 300;
  scene.grow(12, 150).run();
  const [first] = scene.reports("kill");
  assertEquals(scene.hands.killed, [10]);
  assertEquals(first?.rows, [
    {
      pid: 11,
      pages: 300,
      givesBackPages: 300,
      score: 300,
      oomScoreAdj: 300,
      fate: Fate.weighed,
      tag: 0,
    },
    {
      pid: 12,
      pages: 150,
      givesBackPages: 150,
      score: 150,
      oomScoreAdj: 0,
      fate: Fate.weighed,
      tag: 0,
    },
    {
      pid: 14,
      pages: 20,
      givesBackPages: 20,
      score: 20,
      oomScoreAdj: 0,
      fate: Fate.weighed,
      tag: 0,
    },
    {
      pid: 13,
      pages: 560,
      givesBackPages: 560,
      score: 0,
      oomScoreAdj: 0,
      fate: Fate.protected,
      tag: 0,
    },
  ]);
  assertEquals([first?.values["dyingPages"], first?.values["isDegraded"]], [500, 0]);
  // What remains is over hard again while the first is dying.
  scene.grow(11, 800).run();
  assertEquals(scene.hands.killed, [10, 11]);
  const fates = scene.reports("kill")[0]?.rows.map((row) => [row["pid"], row["fate"]]);
  assertEquals(fates, [[12, Fate.weighed], [14, Fate.weighed], [13, Fate.protected], [
    10,
    Fate.dying,
  ]]);
});

Deno.test("a kill's report tells what the brake had left the victim, of the same process only", () => {
  for (const [isBraked, left] of [[true, 7], [false, -1]] as const) {
    const scene = makeScene();
    const { processes } = scene.desk.memory;
    const slot = scene.desk.books.findProcess(10);
    processes.brakedGeneration1[slot] = processes.generation[slot]! + (isBraked ? 1 : 0);
    processes.brakeLeftPages[slot] = 7;
    scene.grow(12, 2000).run();
    const reports = scene.reports("kill");
    const report = reports.find(({ values }) => values["pid"] === 10) ?? reports[0]!;
    const expected = report.values["pid"] === 10 ? left : -1;
    assertEquals(report.values["brakeLeftPages"], expected);
  }
});
