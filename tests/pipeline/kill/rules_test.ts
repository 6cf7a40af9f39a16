/** Rules that prefer, avoid and protect, where the victim is chosen. */
import { assert, assertEquals } from "@std/assert";
import { ownPages } from "../../../pipeline/books/charge.ts";
import { Ranking } from "../../../pipeline/kill/ranking.ts";
import { Fate } from "../../../pipeline/messages/reports.ts";
import { packPolicy } from "../../../pipeline/memory/victim_policy.ts";
import { effectOf, ruleNumberOf, tagOf, weightOf } from "../../../pipeline/rules/tag.ts";
import { Effect } from "../../../pipeline/rules/victim_rule.ts";
import { Desk } from "../../_support/desk.ts";
import { FakeKernelTrigger } from "../../_support/fake_kernel_trigger.ts";
import { ANN, makeScene, Scene } from "../../_support/killer_scene.ts";
import { Random } from "../../_support/random.ts";
import { putTag } from "../../_support/tags.ts";

function tag(scene: Scene, pid: number, ...what: [keyof typeof Effect, number?, number?]): void {
  putTag(scene.desk.memory, scene.desk.books.findProcess(pid), ...what);
}

/** Nobody has grown within the last second. */
function settled(): Scene {
  const scene = makeScene();
  scene.pass(3e9);
  return scene;
}

Deno.test("an avoided process lives while the others suffice", () => {
  const scene = settled();
  tag(scene, 10, "avoid", 1, 7);
  scene.grow(12, 201).run();
  assertEquals(scene.hands.killed, [11]);
  const [kill] = scene.reports("kill");
  const kept = kill!.rows.find(({ fate }) => fate === Fate.avoided);
  assertEquals([kept?.["pid"], ruleNumberOf(kept!["tag"]!)], [10, 7]);
});

Deno.test("an avoided process dies when all others together do not suffice", () => {
  const scene = settled();
  tag(scene, 10, "avoid", 1, 7);
  // 900 before; the avoided grows by more than the others have.
  scene.grow(10, 1100).run();
  assertEquals(scene.hands.killed, [10]);
  assertEquals(ruleNumberOf(scene.reports("kill")[0]!.values["victimTag"]!), 7);
});

Deno.test("what the avoided grow by within a second counts as more to come", () => {
  const scene = settled();
  tag(scene, 10, "avoid");
  // Over by 10; the others hold 400, and it has grown by 110: they suffice.
  scene.grow(10, 610).run();
  assertEquals(scene.hands.killed, [11]);
});

Deno.test("of the avoided the lightest yields first, and all of them to no rule", () => {
  const scene = settled();
  tag(scene, 10, "avoid", 9);
  tag(scene, 11, "avoid", 2);
  tag(scene, 12, "avoid", 3);
  scene.grow(10, 610).run();
  assertEquals(scene.hands.killed, [11]);
});

Deno.test("a protected process is never killed, and is told when nothing else helps", () => {
  const scene = settled();
  tag(scene, 10, "protect", 1, 4);
  scene.grow(10, 2000).run();
  assertEquals(scene.hands.killed, []);
  const [told] = scene.reports("noVictim");
  assertEquals([told?.values["protected1Pid"], told?.values["protectedPages"]], [10, 2000]);
  assertEquals(ruleNumberOf(told!.values["protectedTag"]!), 4);
  // The rule is gone.
  tag(scene, 10, "none");
  scene.pass(2e9);
  assertEquals(scene.hands.killed, [10]);
});

Deno.test("a protected process lives while another's end helps", () => {
  const scene = settled();
  tag(scene, 10, "protect");
  scene.grow(12, 201).run();
  assertEquals(scene.hands.killed, [11]);
});

Deno.test("who shares the mm of a victim and is protected keeps both alive", () => {
  const scene = settled();
  scene.hands.people.set(30, { ...scene.hands.person(10) });
  scene.desk.vfork(10, 30).step();
  tag(scene, 30, "protect");
  scene.grow(12, 201).run();
  assertEquals(scene.hands.killed, [11]);
});

Deno.test("a preferred process goes first if it suffices, the heaviest of them, before volunteers", () => {
  const scene = settled();
  scene.hands.person(11).oomScoreAdj = 1000;
  tag(scene, 12, "prefer", 3);
  scene.add(13, ANN, 30).run();
  tag(scene, 13, "prefer", 2);
  scene.grow(10, 580).run();
  assertEquals(scene.hands.killed, [12]);
  const other = settled();
  tag(other, 12, "prefer", 3);
  // Over by 300, and it has 100.
  other.grow(10, 900).run();
  assertEquals(other.hands.killed, [10]);
});

Deno.test("a child has its parent's rule at once", () => {
  const scene = settled();
  tag(scene, 10, "protect", 1, 3);
  scene.hands.people.set(30, { ...scene.hands.person(10) });
  scene.desk.fork(10, 30).step();
  const child = tagOf(scene.desk.memory.processes, scene.desk.books.findProcess(30));
  assertEquals([effectOf(child), ruleNumberOf(child)], [Effect.protect, 3]);
});

Deno.test("who took the page goes by culprit, with rules and sizes behind it", () => {
  for (const [effect, expected] of [["none", 12], ["avoid", 10], ["protect", 10]] as const) {
    const scene = new Scene({ victimPolicy: "culprit" });
    scene.desk.limit(ANN, 1000, 950);
    scene.add(10, ANN, 500).add(11, ANN, 300).add(12, ANN, 100).run();
    scene.pass(3e9);
    tag(scene, 12, effect);
    scene.grow(12, 110).grow(11, 301).grow(12, 201).run();
    assertEquals(scene.hands.killed, [expected], effect);
    assertEquals(scene.reports("kill")[0]?.values["policy"], packPolicy("culprit"));
  }
});

Deno.test("a limit's policy holds for its user, weights mix policies", () => {
  const scene = settled();
  const { users } = scene.desk.memory;
  users.victimPolicy[scene.desk.books.findUser(ANN)] = packPolicy("culprit");
  scene.grow(12, 201).run();
  assertEquals(scene.hands.killed, [12]);
  const desk = new Desk();
  desk.proc(10, ANN, { anon: 100 }, { startTicks: 1 }).proc(11, ANN, { anon: 90 }, {
    startTicks: 99,
  });
  desk.step();
  const first = (policy: Parameters<typeof packPolicy>[0]): number => {
    const ranking = new Ranking(desk.memory, policy);
    ranking.rank(desk.books.findUser(ANN), desk.nowNs, undefined);
    return ranking.best[0]!.pid;
  };
  assertEquals(first("largest"), 10);
  assertEquals(first("newest"), 11);
  assertEquals(first("largest=1,newest=1"), 11);
  assertEquals(first("largest=100,newest=1"), 10);
});

Deno.test("a candidate that a rule has come to protect is not left armed in the kernel", () => {
  const kernel = new FakeKernelTrigger();
  const scene = new Scene({}, new Desk(), 1e9, kernel);
  scene.desk.limit(ANN, 1000, 950);
  scene.add(10, ANN, 500).add(11, ANN, 300).run();
  scene.grow(11, 480).run();
  assertEquals(kernel.candidates.get(ANN)?.[0], 10);
  tag(scene, 10, "protect");
  scene.pass(2e6).grow(11, 495).run();
  assertEquals(kernel.candidates.get(ANN)?.[0], 11);
});

/** What {@link Ranking} must do, as slowly and plainly as can be. */
function expected(desk: Desk, userSlot: number, needPages: number): { kept: Set<number> } {
  const { processes } = desk.memory;
  const rows = Array.from(processes.tgid.keys()).filter((slot) =>
    processes.userSlot[slot] === userSlot && processes.state[slot] !== 0 &&
    processes.pages[slot]! > 0 && processes.tgid[slot]! > 0
  );
  const tags = new Map(rows.map((slot) => [slot, tagOf(processes, slot)]));
  const weights = [...new Set(rows.map((slot) => weightOf(tags.get(slot)!)))].sort((a, b) => a - b);
  const ranking = new Ranking(desk.memory, "largest");
  let kept = new Set<number>();
  for (const upTo of [0, ...weights]) {
    kept = new Set(rows.filter((slot) => {
      const tag = tags.get(slot)!;
      return effectOf(tag) === Effect.protect ||
        (effectOf(tag) === Effect.avoid && weightOf(tag) > upTo);
    }));
    const free = rows.filter((slot) => !kept.has(slot));
    const held = free.reduce((sum, slot) => sum + ownPages(processes, slot), 0);
    const growth = [...kept].reduce(
      (sum, slot) => sum + Math.max(0, ranking.gainedPages(slot, desk.nowNs)),
      0,
    );
    const isAnyAvoided = [...kept].some((slot) => effectOf(tags.get(slot)!) === Effect.avoid);
    if (!isAnyAvoided || held >= needPages + growth) break;
  }
  return { kept };
}

Deno.test("whatever rules say of whom: never a protected one, an avoided one only if the others fall short", () => {
  const random = new Random(20261128);
  const effects = Object.keys(Effect) as (keyof typeof Effect)[];
  for (let turn = 0; turn < 300; turn++) {
    const desk = new Desk();
    const count = 1 + random.below(8);
    for (let i = 0; i < count; i++) desk.proc(10 + i, ANN, { anon: 1 + random.below(200) });
    desk.step().tick(random.below(2) === 0 ? 1000 : 3e9);
    for (let i = 0; i < count; i++) {
      const slot = desk.books.findProcess(10 + i);
      putTag(desk.memory, slot, effects[random.below(4)]!, 1 + random.below(3));
    }
    const userSlot = desk.books.findUser(ANN);
    const needPages = 1 + random.below(300);
    const ranking = new Ranking(desk.memory, "largest");
    ranking.rank(userSlot, desk.nowNs, undefined, 0, undefined, needPages);
    const { kept } = expected(desk, userSlot, needPages);
    const ranked = ranking.best.slice(0, ranking.count).map(({ slot }) => slot);
    assertEquals(ranked.length, count - kept.size, `turn ${turn}`);
    for (const slot of ranked) assert(!kept.has(slot), `turn ${turn}: ${slot}`);
    for (const slot of kept) {
      const isAvoided = effectOf(tagOf(desk.memory.processes, slot)) === Effect.avoid;
      assertEquals(ranking.avoids(slot), isAvoided);
    }
  }
});
