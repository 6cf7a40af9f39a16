/** Rules on their way to the sweeper. */
import { assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../../../pipeline/memory/invariant.ts";
import { VICTIM_RULES_REGION_WORDS } from "../../../pipeline/memory/layout.ts";
import {
  rulesFit,
  VictimRulesPublisher,
  VictimRulesView,
} from "../../../pipeline/rules/published_victim_rules.ts";
import { DEFAULT_RULES, type VictimRule } from "../../../pipeline/rules/victim_rule.ts";

function region(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(VICTIM_RULES_REGION_WORDS * 4));
}

function named(text: string): VictimRule {
  const match = { command: { equals: text } };
  return { match, effect: "prefer", weight: 2, place: "/etc/ü.jsonc:1", text };
}

Deno.test("what is published is taken once, whatever texts are in it", () => {
  const words = region();
  const view = new VictimRulesView(words);
  const publisher = new VictimRulesPublisher(words);
  assertEquals(view.take(), undefined);
  const rules = ["", "a", "ab", "abc", "abcd", '\n"\\\u0000\u{1f600}', "ü".repeat(1000)].map(named);
  for (let length = 0; length <= rules.length; length++) {
    const edition = publisher.publish(rules.slice(0, length));
    assertEquals(view.take(), { edition, rules: rules.slice(0, length) });
    assertEquals(view.take(), undefined);
  }
  assertEquals(new VictimRulesView(words).take()?.rules, rules, "a successor takes them too");
});

Deno.test("rules for which there is no room are refused, and what is published stays", () => {
  const words = region();
  const publisher = new VictimRulesPublisher(words);
  publisher.publish(DEFAULT_RULES);
  const many = Array.from({ length: 500 }, () => named("x".repeat(1000)));
  assertEquals([rulesFit(DEFAULT_RULES), rulesFit(many)], [true, false]);
  assertThrows(() => publisher.publish(many), InvariantError);
  assertEquals(new VictimRulesView(words).take()?.rules, DEFAULT_RULES);
});
