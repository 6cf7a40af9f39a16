/** What the killer does by the published settings: dry run, victim policy. */
import { PATIENCE_NS } from "../../../pipeline/memory/timing.ts";
import { attachRole } from "../../../pipeline/memory/doorbell.ts";
import { HeaderWord, Role, RoleWord } from "../../../pipeline/memory/layout.ts";
import { assertEquals } from "@std/assert";
import { makeScene } from "../../_support/killer_scene.ts";

Deno.test("a dry run signals nobody, and tells so every ten seconds", () => {
  const scene = makeScene({ dryRun: true });
  scene.grow(12, 201).run();
  assertEquals(scene.hands.killed, []);
  assertEquals(scene.reports("kill").map(({ values }) => values["dryRun"]), [1]);
  scene.pass(PATIENCE_NS * 2);
  scene.grow(12, 300).run();
  assertEquals(scene.reports("kill"), []);
  scene.pass(9e9);
  assertEquals(scene.reports("kill").length, 1);
});

Deno.test("the killer follows the victim policy that is published", () => {
  const scene = makeScene();
  scene.publish({ victimPolicy: "growing" });
  scene.grow(12, 350).run();
  assertEquals(scene.hands.killed, [12], "10 is larger");
});

Deno.test("a dry run ends when that is published, and whom it named is a victim in earnest", () => {
  const scene = makeScene({ dryRun: true });
  scene.grow(10, 700).run();
  assertEquals([scene.hands.killed, scene.reports("kill").length], [[], 1]);
  scene.publish({ dryRun: false });
  scene.grow(10, 701).run();
  assertEquals(scene.hands.killed, [10]);
});

Deno.test("who was signalled before a dry run is a victim still when it ends", () => {
  const scene = makeScene();
  scene.grow(10, 700).run();
  assertEquals(scene.hands.killed, [10]);
  scene.publish({ dryRun: true });
  scene.run();
  scene.publish({ dryRun: false });
  // What remains without it is below hard.
  scene.grow(11, 301).run();
  assertEquals(scene.hands.killed, [10]);
  scene.die(10);
  assertEquals(scene.reports("killed").length, 1);
});

Deno.test("a killer that takes another's place forgets whom a dry run named", () => {
  const scene = makeScene({ dryRun: true });
  scene.grow(10, 700).run();
  assertEquals([scene.hands.killed, scene.desk.memory.header[HeaderWord.victimsDying]], [[], 1]);
  scene.publish({ dryRun: false });
  scene.start();
  assertEquals(scene.desk.memory.header[HeaderWord.victimsDying], 0);
  Atomics.add(attachRole(scene.desk.memory, Role.killer), RoleWord.epoch, 1);
  scene.run();
  assertEquals(scene.hands.killed, [10]);
});
