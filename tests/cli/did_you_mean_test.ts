/** Wrong words of every kind, each answered with what was probably meant. */
import { assertEquals } from "@std/assert";
import { main } from "../../cli/main.ts";
import { openLibc } from "../../kernel/ffi/libc.ts";

// Not in a test, where the sanitizer would call it a leak.
openLibc();

const CASES: readonly (readonly [words: string, meant: string])[] = [
  ["runn", '"run"'],
  ["limits", '"limit"'],
  ["check-confg", '"check-config"'],
  ["run --limt bob=1G", "--limit"],
  ["run --dryrun", "--dry-run"],
  ["run --source bfp", '"bpf"'],
  ["run --victim larges", '"largest"'],
  ["run --machine-victim over-sotf", '"over-soft"'],
  ["run --log-format jsn", '"json"'],
  ["run --count anno+swap", '"anon"'],
  ["run --interval 5sec", '"5s"'],
  ["run --min-available 1Gig", '"1GiB"'],
  ["run --limit rooot=1G", '"root"'],
  ["run --limit 1000=64megs", '"64MiB"'],
  ["run --soft 1gigs", '"1GiB"'],
  ["limit sett 1000 1G", '"set"'],
  ["limit set rooot 1G", '"root"'],
  ["limit set 1000 1Gig", '"1GiB"'],
  ["limit set 1000 1G --sotf 50%", "--soft"],
  ["limit set 1000 1G --victim newst", '"newest"'],
  ["limit set 1000 1G --max-proceses 5", "--max-processes"],
  ["limit get rooot", '"root"'],
  ["config shwo", '"show"'],
  ["config show --usr root", "--user"],
  ["config show --user rooot", '"root"'],
  ["status --jsn", "--json"],
  ["reload --jsn", "--json"],
  ["check-config --jsn", "--json"],
  ["exec --scoket x true", ""],
  ["replay x --limit rooot=1G", '"root"'],
  ["replay x --victim newst", '"newest"'],
  ["doctor --hlep", "--help"],
];

Deno.test("wrong commands, options, words, users and units are answered with what was meant", async () => {
  for (const [words, meant] of CASES) {
    const err: string[] = [];
    const io = { out: () => {}, err: (line: string) => void err.push(line) };
    assertEquals(await main(words.split(" "), io), 2, `${words}: ${err.join("; ")}`);
    assertEquals(err.length, 1);
    const wanted = meant === "" ? "unknown option" : `, did you mean ${meant}?`;
    assertEquals(err[0]!.includes(wanted), true, `${words}: ${err[0]}`);
  }
});

Deno.test("a soft limit without a unit and a limit for root say what was probably meant", async () => {
  const answers: string[] = [];
  const io = { out: () => {}, err: (line: string) => void answers.push(line) };
  for (const words of ["limit set 1000 1G --soft 95", "run --soft 95", "limit set root 1GiB"]) {
    assertEquals(await main(words.split(" "), io), 2);
  }
  const others = [
    ["*", 'expected a user\'s name, a uid or a range; "*" stands in the configuration only'],
    ["@nobody here", 'expected @ and the name of a group with a shared limit, not "@nobody here"'],
  ] as const;
  for (const [who, expected] of others) {
    assertEquals(await main(["limit", "set", who, "1G"], io), 2);
    assertEquals(answers.pop(), `toom limit set: ${expected} (see toom limit set --help)`);
  }
  assertEquals(answers, [
    'toom limit set: --soft: expected 95% (of the hard limit) or a size with a unit, not "95" ' +
    "(see toom limit set --help)",
    'toom run: --soft: expected 95% (of the hard limit) or a size with a unit, not "95" ' +
    "(see toom run --help)",
    'toom limit set: expected the number 0 instead of the name "root": a limit for root can take ' +
    "the machine down, so that it must be meant (see toom limit set --help)",
  ]);
});
