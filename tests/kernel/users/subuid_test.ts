import { assertEquals } from "@std/assert";
import { parseSubuid } from "../../../kernel/users/subuid.ts";

Deno.test("parseSubuid() reads names and uids, several lines of one, and tells of bad lines", () => {
  const text = [
    "# given by useradd",
    "anna:100000:65536",
    "",
    "60001:165536:65536\r",
    "anna:300000:1",
    "CORP\\bob:400000:10  ",
    "containers:2147483647:2147483648",
    "anna:5",
    "anna:x:5",
    ":5:5",
    "anna:5:0",
    "anna:0:5",
    "anna:4294967290:6",
    "anna:1:2:3",
    "anna:-5:5",
    "\u001b[2J:1:1:",
  ].join("\n");
  const { lines, problems } = parseSubuid(text);
  assertEquals(lines, [
    { owner: "anna", uidFirst: 100000, uidLast: 165535, line: 2 },
    { owner: "60001", uidFirst: 165536, uidLast: 231071, line: 4 },
    { owner: "anna", uidFirst: 300000, uidLast: 300000, line: 5 },
    { owner: "CORP\\bob", uidFirst: 400000, uidLast: 400009, line: 6 },
    { owner: "containers", uidFirst: 2147483647, uidLast: 4294967294, line: 7 },
  ]);
  assertEquals(problems.map((problem) => problem.split(":")[0]), [
    "line 8",
    "line 9",
    "line 10",
    "line 11",
    "line 12",
    "line 13",
    "line 14",
    "line 15",
    "line 16",
  ]);
  assertEquals(problems[0], 'line 8: expected NAME:FIRST:COUNT, not "anna:5"');
  assertEquals(problems[5], 'line 13: expected uids from 1 to 4294967294, not "anna:4294967290:6"');
  assertEquals(problems[8]!.includes("\u001b"), false);
  assertEquals(parseSubuid(""), { lines: [], problems: [] });
});
