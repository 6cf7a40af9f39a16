/** What is told of a user agrees with what the killer would do. */
import { assertEquals } from "@std/assert";
import type { Settings } from "../../../pipeline/memory/settings.ts";
import { nearPages } from "../../../pipeline/discovery/nearness.ts";
import { explain } from "../../../service/status/explanation.ts";
import { UsageSamples } from "../../../service/status/usage_samples.ts";
import { userFacts } from "../../../service/status/user_facts.ts";
import { ruleNumberOf } from "../../../pipeline/rules/tag.ts";
import { Explanation } from "../../../service/control/control_api.ts";
import { makeScene, type Scene } from "../../_support/killer_scene.ts";

const ANN = 1000;

interface Told {
  readonly scene: Scene;
  readonly samples: UsageSamples;
  explain(uid?: number): Explanation;
}

function tell(settings: Partial<Settings> = {}): Told {
  const scene = makeScene(settings);
  const { memory } = scene.desk;
  const samples = new UsageSamples(memory);
  const rule = { uidFirst: ANN, uidLast: ANN, hardPages: 1000, softPages: 950, origin: "control" };
  return {
    scene,
    samples,
    explain: (uid = ANN) =>
      Explanation.parse(explain({
        memory,
        rules: [{ ...rule, origin: "control" }],
        ownerOf: (one) => one === 100_000 ? ANN : one,
        ruleNameOf: (tag) => ruleNumberOf(tag) === 0 ? null : `rule ${ruleNumberOf(tag)}`,
        names: {
          comm: (pid) => `name${pid}`,
          oomScoreAdj: (pid) => {
            const person = scene.hands.people.get(pid);
            return person?.isProtected === true ? -1000 : person?.oomScoreAdj;
          },
        },
        nameOf: (one) => one === ANN ? "ann" : null,
        nowNs: scene.desk.nowNs,
        samples,
        nearPages: 60,
        pageBytes: 4096,
        memberNames: "anon+swap+shmem",
        degraded: false,
        near: undefined,
        source: "raw",
      }, uid)),
  };
}

Deno.test("it names who would be killed, and the killer then kills that one", () => {
  for (const victimPolicy of ["largest", "newest"] as const) {
    const { scene, explain } = tell({ victimPolicy });
    const told = explain();
    assertEquals(told.unmet, ["not-over"]);
    assertEquals([told.user!.usagePages, told.user!.hardPages, told.user!.processes], [
      900,
      1000,
      3,
    ]);
    const next = told.processes.find(({ fate }) => fate === "next")!;
    scene.grow(11, 500).run();
    assertEquals(scene.hands.killed, [next.pid], victimPolicy);
  }
});

Deno.test("it is so with protected processes and volunteers too", () => {
  const { scene, explain } = tell();
  scene.hands.person(10).isProtected = true;
  scene.hands.person(12).oomScoreAdj = 700;
  const told = explain();
  assertEquals(told.processes.map(({ pid, fate }) => [pid, fate]), [
    [10, "protected"],
    [11, "candidate"],
    [12, "next"],
  ]);
  assertEquals([told.protectedPages, told.freeablePages, told.dyingPages], [500, 400, 0]);
  scene.grow(11, 450).run();
  assertEquals(scene.hands.killed, [12]);
  // 12 is dying and does not suffice when more comes.
  const during = explain();
  assertEquals(during.processes.find(({ pid }) => pid === 12)!.fate, "dying");
  assertEquals([during.dyingPages, during.unmet], [100, ["dying-suffice"]]);
});

Deno.test("it tells what is missing: nobody that may be killed, protected ones that hold it", () => {
  const { scene, explain } = tell({ dryRun: true });
  for (const pid of [10, 11, 12]) scene.hands.person(pid).isProtected = true;
  scene.grow(11, 700);
  assertEquals(explain().unmet, ["no-candidate", "dry-run"]);
  scene.hands.person(12).isProtected = false;
  scene.grow(11, 900);
  assertEquals(explain().unmet, ["protected-hold-it", "dry-run"]);
});

Deno.test("it tells growth, time to the limits, and what was charged lately", () => {
  const { scene, samples, explain } = tell();
  assertEquals([explain().secondsToHard, explain().samples], [null, []]);
  samples.take(scene.desk.nowNs);
  scene.desk.tick(1e9);
  scene.grow(12, 120);
  const { user, secondsToSoft, secondsToHard, samples: told } = explain();
  assertEquals([user!.usagePages, user!.growthPagesPerSecond], [920, 20]);
  assertEquals([secondsToSoft, secondsToHard], [1.5, 4]);
  assertEquals(told, [{ agoSeconds: 1, usagePages: 900 }]);
  assertEquals(user!.isNear, true, "30 pages from soft");
  assertEquals(nearPages(100, 4096), Math.ceil(30e6 * 100 / 4096));
});

Deno.test("a subordinate uid is explained by its owner, and who has no limit has none", () => {
  const { explain } = tell();
  const sub = explain(100_000);
  assertEquals([sub.uid, sub.ownerUid, sub.user!.user], [100_000, ANN, "ann"]);
  assertEquals(sub.rule, "1000 by toom limit set");
  const other = explain(77);
  assertEquals([other.user, other.rule, other.processes], [null, null, []]);
});

Deno.test("the receipt's facts are those of the user at that moment", () => {
  const { scene } = tell();
  const rules = [{
    uidFirst: 0,
    uidLast: 5000,
    hardPages: 9,
    softPages: 8,
    origin: "command-line",
  }];
  const { memory } = scene.desk;
  const facts = userFacts(memory, ANN, [{ ...rules[0]!, origin: "command-line" }]);
  assertEquals(facts, {
    softPages: 950,
    promisedPages: 0,
    peakPages: 900,
    processes: 3,
    rule: "0-5000 by toom run --limit",
  });
  assertEquals(userFacts(memory, 77, []).rule, null);
});

Deno.test("it tells of a plan, and until when somebody has a grace", () => {
  const { scene, explain } = tell({
    plan: { signal: 15, graceMs: 2000, ceilingPermille: 1500, unit: "session" },
  });
  assertEquals(explain().plan, {
    signal: "SIGTERM",
    graceMs: 2000,
    ceilingPercent: 150,
    unit: "session",
  });
  assertEquals([explain().graceSeconds, explain().kernelTrigger], [null, false]);
  scene.grow(12, 201).run();
  scene.pass(500e6);
  const told = explain();
  assertEquals([told.unmet, told.graceSeconds], [["has-grace"], 1.5]);
  assertEquals(told.processes.find(({ pid }) => pid === 10)?.fate, "asked");
});
