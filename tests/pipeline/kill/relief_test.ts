/** Who goes when the machine is short of memory. */
import { RELIEF_HOLDS_NS } from "../../../pipeline/memory/timing.ts";
import { PRESSURE } from "../../../pipeline/messages/records.ts";
import { assertEquals } from "@std/assert";

import { PressureReason } from "../../../pipeline/memory/layout.ts";
import { BOB, makeScene } from "../../_support/killer_scene.ts";

Deno.test("under pressure somebody goes though nobody is over; while memory comes back, nobody", () => {
  const scene = makeScene();
  scene.grow(11, 450).grow(12, 20).run();
  const pressure = (): void => {
    scene.desk.put(PRESSURE, { reason: PressureReason.psi, missingPages: 100 });
    scene.run();
  };
  pressure();
  pressure();
  assertEquals(scene.hands.killed, [10]);
  scene.die(10);
  pressure();
  assertEquals(scene.hands.killed, [10], "who is below half of its limit loses nobody");
  scene.grow(11, 600).run();
  pressure();
  assertEquals(scene.hands.killed, [10, 11]);
});

Deno.test("under pressure a reading that is old by now costs nobody his life", () => {
  const scene = makeScene();
  scene.desk.put(PRESSURE, { reason: PressureReason.psi, missingPages: 100 }).step();
  scene.desk.tick(RELIEF_HOLDS_NS + 1);
  scene.run();
  assertEquals(scene.hands.killed, []);
  scene.desk.put(PRESSURE, { reason: PressureReason.psi, missingPages: 100 });
  scene.run();
  assertEquals(scene.hands.killed, [10], "the next reading counts");
});

Deno.test("under pressure who gives back too little is no victim, and the user is left out", () => {
  const scene = makeScene();
  scene.desk.limit(BOB, 8000, 7500);
  scene.run();
  scene.hands.person(20).isProtected = true;
  const pressure = (): void => {
    scene.desk.put(PRESSURE, { reason: PressureReason.psi, missingPages: 400 });
    scene.run();
  };
  scene.grow(20, 7400).run();
  pressure();
  assertEquals(scene.hands.killed, [], "20 gives back most, and is protected");
  pressure();
  assertEquals(scene.hands.killed, [10], "the other user's has 500 of the 400 that are missing");
});
