/** Which rule holds for a process. */
import { assertEquals, assertThrows } from "@std/assert";
import { Matcher, needsPatterns } from "../../../pipeline/rules/matcher.ts";
import {
  DEFAULT_RULES,
  type RuleMatch,
  type VictimRule,
} from "../../../pipeline/rules/victim_rule.ts";
import { FakeFacts, type FakeProcess } from "../../_support/fake_facts.ts";

function rule(match: RuleMatch): VictimRule {
  return { match, effect: "avoid", weight: 1, place: "a:1", text: "" };
}

function find(rules: readonly VictimRule[], process: FakeProcess, uid = 1000): number {
  const facts = new FakeFacts();
  facts.processes.set(7, process);
  return new Matcher(rules, facts).find(7, uid);
}

Deno.test("each thing that a rule asks for must hold", () => {
  const whole: Required<RuleMatch> = {
    command: { equals: "hog" },
    executable: { equals: "/bin/hog" },
    commandLine: { equals: "hog -x" },
    cgroup: { equals: "/a" },
    directory: { equals: "/srv" },
    uids: [[5, 6], [1000, 1001]],
    oomScoreAdj: [-5, 200],
    sessionLeader: true,
  };
  const process: Required<Omit<FakeProcess, "realUid">> = {
    command: "hog",
    executable: "/bin/hog",
    commandLine: "hog -x",
    cgroup: "/a",
    directory: "/srv",
    oomScoreAdj: 200,
    isSessionLeader: true,
  };
  assertEquals(find([rule(whole)], process), 0);
  for (const name of Object.keys(process) as (keyof typeof process)[]) {
    const { [name]: _, ...unknown } = process;
    assertEquals(find([rule(whole)], unknown), -1, `${name} is not known`);
    const other = name === "oomScoreAdj" ? 201 : name === "isSessionLeader" ? false : "other";
    assertEquals(find([rule(whole)], { ...process, [name]: other }), -1, name);
  }
  assertEquals(find([rule(whole)], process, 1002), -1);
  assertEquals(find([rule(whole)], process, 5), 0);
  assertEquals(find([rule({ sessionLeader: false })], { isSessionLeader: false }), 0);
});

Deno.test("the last rule that matches holds", () => {
  const named = (command: string): VictimRule => rule({ command: { equals: command } });
  const rules = [named("a"), named("b"), named("a")];
  assertEquals(find(rules, { command: "a" }), 2);
  assertEquals(find(rules, { command: "b" }), 1);
  assertEquals(find(rules, { command: "c" }), -1);
});

Deno.test("a fact is read once for each process, and not where no rule asks for it", () => {
  const facts = new FakeFacts();
  facts.processes.set(7, { command: "x" });
  const rules = Array.from({ length: 200 }, (_, i) => rule({ command: { equals: `n${i}` } }));
  const matcher = new Matcher(
    [...rules, rule({ uids: [[1, 2]], commandLine: { equals: "y" } })],
    facts,
  );
  assertEquals(matcher.find(7, 1000), -1);
  assertEquals(facts.asked, ["command"]);
  facts.processes.set(7, { command: "n3" });
  assertEquals(matcher.find(7, 1000), 3, "another time it is read anew");
});

Deno.test("what decides is the process's own where it is about the first of a session", () => {
  const facts = new FakeFacts();
  facts.processes.set(7, { command: "bash", isSessionLeader: true });
  facts.processes.set(8, { command: "sshd", isSessionLeader: false });
  const matcher = new Matcher(DEFAULT_RULES, facts);
  assertEquals([matcher.find(7, 1) >= 0, matcher.isHeritable], [true, false]);
  assertEquals([matcher.find(8, 1) >= 0, matcher.isHeritable], [true, true]);
});

Deno.test("a rule about a user is about a member of a group with one limit, too", () => {
  const rules = [rule({ uids: [[1000, 1000]] })];
  assertEquals(find(rules, { realUid: 1000 }, 2 ** 31 + 5), 0);
  assertEquals(find(rules, { realUid: 1001 }, 2 ** 31 + 5), -1);
  assertEquals(find(rules, { realUid: 1000 }, 1001), -1, "whom it counts for is what is asked for");
});

Deno.test("patterns are asked for where there are any", () => {
  const rules = [rule({ commandLine: { pattern: "a+" } })];
  assertEquals([needsPatterns(rules), needsPatterns(DEFAULT_RULES)], [true, false]);
  assertThrows(() => new Matcher(rules, new FakeFacts()), Error, "no patterns");
  const facts = new FakeFacts();
  facts.processes.set(7, { commandLine: "x" });
  const matcher = new Matcher(rules, facts, { compile: (text) => (given) => given + "+" === text });
  assertEquals(matcher.find(7, 1), -1);
  facts.processes.set(7, { commandLine: "a" });
  assertEquals(matcher.find(7, 1), 0);
});
