/** Rules in force, and those that tags of a moment ago are about. */
import { assertEquals } from "@std/assert";
import { VICTIM_RULES_REGION_WORDS } from "../../../pipeline/memory/layout.ts";
import { VictimRulesView } from "../../../pipeline/rules/published_victim_rules.ts";
import { packTag, TagState } from "../../../pipeline/rules/tag.ts";
import { DEFAULT_RULES, Effect, type VictimRule } from "../../../pipeline/rules/victim_rule.ts";
import { RulesInForce } from "../../../service/rules/rules_in_force.ts";

function rule(place: string): VictimRule {
  const match = { command: { equals: "x" } };
  return { match, effect: "protect", weight: 1, place, text: 'command: "x"' };
}

function tag(edition: number, number: number): number {
  const state = TagState.found;
  return packTag({ effect: Effect.protect, weight: 1, number, edition, state, generation: 1 });
}

Deno.test("what toom brings along comes before the rules of files, unless it is switched off", () => {
  const victimRules = new Int32Array(new SharedArrayBuffer(VICTIM_RULES_REGION_WORDS * 4));
  const rules = new RulesInForce({ victimRules });
  const view = new VictimRulesView(victimRules);
  rules.put({ victimRules: [], defaultRules: false });
  assertEquals(view.take(), undefined, "nothing is published where there is nothing");
  rules.put({ victimRules: [rule("/a:3")], defaultRules: true });
  assertEquals(view.take()?.rules, [...DEFAULT_RULES, rule("/a:3")]);
  rules.put({ victimRules: [rule("/a:3")], defaultRules: true });
  assertEquals(view.take(), undefined, "nor where nothing is another");
  rules.put({ victimRules: [], defaultRules: false });
  assertEquals(view.take()?.rules, []);
});

Deno.test("a tag's rule is named by its own edition of the list, with file and line", () => {
  const victimRules = new Int32Array(new SharedArrayBuffer(VICTIM_RULES_REGION_WORDS * 4));
  const rules = new RulesInForce({ victimRules });
  const view = new VictimRulesView(victimRules);
  const put = (...places: string[]): number => {
    rules.put({ victimRules: places.map(rule), defaultRules: false });
    return view.take()!.edition;
  };
  const before = put("/a:3", "/a:4");
  const now = put("/b:1");
  assertEquals(rules.nameOf(tag(before, 2)), "protect /a:4");
  assertEquals(rules.nameOf(tag(now, 1)), "protect /b:1");
  assertEquals([rules.nameOf(tag(now, 2)), rules.nameOf(tag(now, 0)), rules.nameOf(0)], [
    null,
    null,
    null,
  ]);
  const defaults = new RulesInForce({
    victimRules: new Int32Array(new SharedArrayBuffer(VICTIM_RULES_REGION_WORDS * 4)),
  });
  defaults.put({ victimRules: [], defaultRules: true });
  assertEquals(defaults.nameOf(tag(1, 1)), "avoid built in (sessionLeader: true)");
});
