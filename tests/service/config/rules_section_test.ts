/** Rules about who dies, as files say them. */
import { assert, assertEquals } from "@std/assert";
import { checkTexts } from "../../_support/config.ts";

Deno.test("rules of all files come one after the other, each with its place", async () => {
  const { config, lines } = await checkTexts(
    '{\n  "rules": [\n    { "command": "a", "effect": "avoid" },\n' +
      '    { "user": "@students", "effect": "prefer", "weight": 7 }\n  ]\n}',
    '{ "rules": [{ "executable": "/bin/x", "effect": "protect" }] }',
  );
  assertEquals(lines, []);
  const [first, second, third] = config!.rules;
  assertEquals([first?.place, first?.effect, first?.weight, first?.text], [
    "/etc/toom/config.jsonc:3",
    "avoid",
    1,
    'command: "a"',
  ]);
  assertEquals(first?.match, { command: { equals: "a" } });
  assertEquals([second?.place, second?.weight], ["/etc/toom/config.jsonc:4", 7]);
  assertEquals(second?.match.uids, [[1001, 1001], [1002, 1002], [2000, 2000]]);
  assertEquals(third?.place, "/etc/toom/config.d/1.jsonc:1");
});

Deno.test("texts stand for themselves, globs and patterns become patterns of RE2", async () => {
  const { config, lines } = await checkTexts(`{ "rules": [
    { "command": "tmux: server", "effect": "avoid" },
    { "executable": "/usr/bin/python*", "effect": "avoid" },
    { "commandLine": { "pattern": "(a+)+$" }, "effect": "avoid" },
    { "user": "root", "oomScoreAdj": { "min": 5 }, "sessionLeader": false, "effect": "none" },
    { "oomScoreAdj": -17, "effect": "none" }
  ] }`);
  assertEquals(lines, []);
  const matches = config!.rules.map(({ match }) => match);
  assertEquals(matches[0], { command: { equals: "tmux: server" } });
  assert("pattern" in matches[1]!.executable!);
  assertEquals(matches[2], { commandLine: { pattern: "(a+)+$" } });
  assertEquals(matches[3], { uids: [[0, 0]], oomScoreAdj: [5, 1000], sessionLeader: false });
  assertEquals(matches[4], { oomScoreAdj: [-17, -17] });
});

Deno.test("a hostile text in a rule is one line wherever it is told", async () => {
  const { config } = await checkTexts(
    '{ "rules": [{ "command": "a\\nkill: \\u001b[2J", "effect": "avoid" }] }',
  );
  assert(/^[\x20-\x7e]*$/.test(config!.rules[0]!.text), config!.rules[0]!.text);
});

Deno.test("too many rules, or too long ones, are refused", async () => {
  const many = Array.from({ length: 500 }, () => ({ command: "a", effect: "avoid" }));
  const { lines } = await checkTexts(JSON.stringify({ rules: many }));
  assert(lines[0]?.includes("rules.494: expected at most 494 rules"), lines[0]);
  const long = Array.from(
    { length: 300 },
    () => ({ commandLine: "x".repeat(900), effect: "avoid" }),
  );
  const { lines: told } = await checkTexts(JSON.stringify({ rules: long }));
  assert(told[0]?.includes("take 256 KiB at most"), told[0]);
});
