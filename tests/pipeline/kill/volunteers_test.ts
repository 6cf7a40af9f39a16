/** Processes that raised their oom_score_adj go first. */
import { assertEquals } from "@std/assert";
import { ANN, makeScene, Scene } from "../../_support/killer_scene.ts";

Deno.test("who raised its oom_score_adj to 500 goes first, if that suffices", () => {
  for (const scoreAdj of [499, 500, 1000]) {
    const scene = makeScene();
    scene.hands.person(12).oomScoreAdj = scoreAdj;
    scene.grow(12, 160).run();
    scene.grow(10, 541).run();
    assertEquals(scene.hands.killed, [scoreAdj >= 500 ? 12 : 10], `${scoreAdj}`);
  }
  const little = makeScene();
  little.hands.person(12).oomScoreAdj = 800;
  little.grow(10, 580).run();
  little.grow(10, 701).run();
  assertEquals(little.hands.killed, [10], "100 would not be enough");
});

Deno.test("a volunteer is known at the kill though nothing was armed", () => {
  const scene = new Scene();
  scene.desk.limit(ANN, 1000, 1000);
  scene.add(10, ANN, 500).add(11, ANN, 300).run();
  scene.hands.person(11).oomScoreAdj = 800;
  scene.grow(10, 701).run();
  assertEquals(scene.hands.killed, [11]);
});

Deno.test("of several volunteers the readiest goes, and all of them are found in time", () => {
  const scene = new Scene();
  scene.desk.limit(ANN, 2000, 1800);
  for (let i = 0; i < 20; i++) scene.add(10 + i, ANN, 90 - i);
  scene.hands.person(29).oomScoreAdj = 700;
  scene.hands.person(20).oomScoreAdj = 600;
  scene.run();
  for (let i = 0; i < 400; i++) scene.grow(10, 370 + i % 10).pass(11e6);
  assertEquals(scene.hands.killed, []);
  scene.grow(10, 490).run();
  assertEquals(scene.hands.killed, [29]);
});
