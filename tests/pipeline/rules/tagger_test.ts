/** Tags follow processes and rules. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { VictimState } from "../../../pipeline/memory/layout.ts";
import type { Patterns } from "../../../pipeline/rules/matcher.ts";
import { VictimRulesPublisher } from "../../../pipeline/rules/published_victim_rules.ts";
import { effectOf, ruleNumberOf, tagOf } from "../../../pipeline/rules/tag.ts";
import { Tagger } from "../../../pipeline/rules/tagger.ts";
import { Effect, type EffectName, type VictimRule } from "../../../pipeline/rules/victim_rule.ts";
import { Desk } from "../../_support/desk.ts";
import { FakeFacts } from "../../_support/fake_facts.ts";

const ANN = 1000;

function named(command: string, effect: EffectName = "avoid"): VictimRule {
  return { match: { command: { equals: command } }, effect, weight: 1, place: "a:1", text: "" };
}

class Stage {
  readonly desk = new Desk();
  readonly facts = new FakeFacts();
  readonly publisher = new VictimRulesPublisher(this.desk.memory.victimRules);
  readonly disarmed: number[] = [];
  nowNs = 1e9;
  /** What a look takes. */
  lookNs = 1000;
  loads = 0;
  patterns: () => Promise<Patterns> = () => Promise.reject(new Error("no patterns here"));
  readonly tagger = new Tagger({
    memory: this.desk.memory,
    facts: this.facts,
    loadPatterns: () => {
      this.loads++;
      return this.patterns();
    },
    nowNs: () => this.nowNs += this.lookNs,
    disarm: (uid) => void this.disarmed.push(uid),
  });

  add(pid: number, command: string, pages = 10): this {
    this.facts.processes.set(pid, { command });
    this.desk.proc(pid, ANN, { anon: pages }).step();
    return this;
  }

  /** Lets time pass, in turns as the sweeper has them. */
  turns(ns = 0): this {
    for (let turn = 0; turn < 10_000; turn++) {
      this.tagger.step(this.nowNs);
      this.nowNs += 10e6;
      ns -= 10e6;
      if (ns <= 0) break;
    }
    return this;
  }

  effect(pid: number): number {
    return effectOf(this.tag(pid));
  }

  tag(pid: number): number {
    return tagOf(this.desk.memory.processes, this.desk.books.findProcess(pid));
  }
}

Deno.test("where there is no rule nobody is looked at, and nothing is loaded", () => {
  const stage = new Stage().add(10, "a").turns(5e9);
  stage.publisher.publish([]);
  stage.turns(5e9).tagger.changed(10);
  stage.turns(1e9);
  assertEquals([stage.facts.asked, stage.loads, stage.tag(10)], [[], 0, 0]);
  assertEquals(stage.tagger.nextNs, Infinity);
});

Deno.test("rules hold for those who are there, who come, who execute, and who change their name", () => {
  const stage = new Stage().add(10, "a").add(11, "b");
  stage.publisher.publish([named("b"), named("a")]);
  stage.turns(300e6);
  assertEquals([ruleNumberOf(stage.tag(10)), ruleNumberOf(stage.tag(11))], [2, 1]);
  stage.add(12, "a").turns(300e6);
  assertEquals(ruleNumberOf(stage.tag(12)), 2);
  stage.facts.processes.set(10, { command: "c" });
  stage.turns(300e6);
  assertEquals(ruleNumberOf(stage.tag(10)), 2, "of whom nothing is told, it was looked at lately");
  stage.tagger.changed(10);
  stage.turns();
  assertEquals([ruleNumberOf(stage.tag(10)), stage.effect(10)], [0, Effect.none]);
  stage.facts.processes.set(10, { command: "b" });
  stage.turns(40e9);
  assertEquals(ruleNumberOf(stage.tag(10)), 1);
});

Deno.test("other rules hold at once for all, none for nobody", () => {
  const stage = new Stage().add(10, "a");
  stage.publisher.publish([named("a")]);
  stage.turns(300e6);
  stage.publisher.publish([named("a", "protect")]);
  assertEquals(stage.effect(10), Effect.avoid, "until it is looked at");
  stage.turns();
  assertEquals(stage.effect(10), Effect.protect);
  stage.publisher.publish([]);
  stage.turns(100e6);
  assertEquals(stage.effect(10), Effect.none);
});

Deno.test("the nearer the user to its limit, the sooner a new name is found", () => {
  for (const [hard, soft, withinNs] of [[1000, 900, 31e9], [19, 18, 700e6], [100, 9, 120e6]]) {
    const stage = new Stage().add(10, "a");
    stage.desk.limit(ANN, hard!, soft!);
    stage.desk.own(10, 70, { anon: 10 }).step();
    stage.publisher.publish([named("b")]);
    stage.turns(300e6);
    stage.facts.processes.set(10, { command: "b" });
    stage.turns(withinNs);
    assertEquals(stage.effect(10), Effect.avoid, `${hard}`);
  }
});

Deno.test("a flood of looks takes no more than a fifth of the time, and everybody gets a turn", () => {
  const stage = new Stage();
  const count = 15;
  for (let i = 0; i < count; i++) stage.add(100 + i, "a");
  stage.lookNs = 500_000;
  stage.publisher.publish([named("a")]);
  let busyNs = 0;
  const beganNs = stage.nowNs;
  for (let turn = 0; turn < 3000; turn++) {
    const before = stage.nowNs;
    for (let i = 0; i < count; i++) stage.tagger.changed(100 + i);
    stage.tagger.step(stage.nowNs);
    busyNs += stage.nowNs - before;
    stage.nowNs += 200_000;
  }
  assert(busyNs < (stage.nowNs - beganNs) * 0.25, `${busyNs / (stage.nowNs - beganNs)}`);
  for (let i = 0; i < count; i++) assertEquals(stage.effect(100 + i), Effect.avoid);
});

Deno.test("a candidate that is avoided or protected from now on is disarmed in the kernel", () => {
  const stage = new Stage().add(10, "a").add(11, "b");
  const { victims, processes } = stage.desk.memory;
  const slot = stage.desk.books.findProcess(10);
  victims.state[3] = VictimState.armed;
  victims.processSlot[3] = slot;
  victims.processGeneration[3] = processes.generation[slot]!;
  stage.publisher.publish([named("b", "protect"), named("a", "prefer")]);
  stage.turns(300e6);
  assertEquals(stage.disarmed, []);
  stage.publisher.publish([named("a", "protect")]);
  stage.turns(300e6);
  assertEquals(stage.disarmed, [ANN]);
});

Deno.test("patterns are loaded where a rule has one; until then the former rules hold", async () => {
  const stage = new Stage().add(10, "aaa");
  stage.publisher.publish([named("aaa", "prefer")]);
  stage.turns(300e6);
  const gate = Promise.withResolvers<Patterns>();
  stage.patterns = () => gate.promise;
  const match = { command: { pattern: "a+" } };
  stage.publisher.publish([{ ...named("x", "protect"), match }]);
  stage.turns(300e6);
  assertEquals([stage.loads, stage.tagger.isWaiting, stage.effect(10)], [1, true, Effect.prefer]);
  gate.resolve({ compile: () => () => true });
  await gate.promise;
  await Promise.resolve();
  stage.turns(300e6);
  assertEquals([stage.tagger.isWaiting, stage.effect(10)], [false, Effect.protect]);
});

Deno.test("patterns that cannot be loaded are told by a sweeper that is replaced", async () => {
  const stage = new Stage().add(10, "aaa");
  stage.publisher.publish([{ ...named("x"), match: { command: { pattern: "a+" } } }]);
  stage.turns();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertThrows(() => stage.turns(), Error, "no patterns here");
});
