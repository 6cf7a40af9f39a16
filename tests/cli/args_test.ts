import { assert, assertEquals, assertThrows } from "@std/assert";
import { type CommandSpec, helpText, parseCommand } from "../../cli/args.ts";
import {
  errorLine,
  exitCodeOf,
  FailedError,
  UnsupportedError,
  UsageError,
} from "../../cli/errors.ts";

const COMMAND: CommandSpec = {
  name: "toom test",
  summary: "Does nothing.",
  positionals: [
    { name: "FILE", help: "What to read" },
    { name: "MORE", help: "More of it", optional: true },
  ],
  options: [
    { name: "limit", kind: "collect", value: "USER=SIZE", help: "Limit a user" },
    { name: "readers", kind: "string", value: "N", default: "1", help: "Reader workers" },
    { name: "soft", kind: "string", value: "S", help: "Soft limit ".repeat(20).trim() },
    { name: "dry-run", kind: "boolean", help: "Kill nothing" },
    { name: "secret", kind: "boolean", hidden: true, help: "Not to be seen" },
  ],
};
const EXEC: CommandSpec = {
  name: "toom exec",
  summary: "Runs a program.",
  rest: { name: "COMMAND", help: "The program and its arguments" },
  options: [{ name: "json", kind: "boolean", help: "As JSON" }],
};

function problemOf(...args: string[]): string {
  const error = assertThrows(() => parseCommand(COMMAND, args), UsageError);
  assertEquals(exitCodeOf(error), 2);
  assertEquals(error.message.includes("\n"), false);
  return error.message;
}

Deno.test("parseCommand() takes options in both forms, before and behind positionals", () => {
  const parsed = parseCommand(COMMAND, [
    "--limit",
    "bob=1G",
    "in.txt",
    "--limit=ann=2G,soft=80%",
    "--readers=007",
    "--dry-run",
  ]);
  assertEquals(parsed.options, {
    limit: ["bob=1G", "ann=2G,soft=80%"],
    readers: "007",
    "dry-run": true,
    secret: false,
  });
  assertEquals(parsed.positionals, ["in.txt"]);
});

Deno.test("parseCommand() gives defaults, empty collections, and nothing for what is not given", () => {
  assertEquals(parseCommand(COMMAND, ["-"]).options, {
    limit: [],
    readers: "1",
    "dry-run": false,
    secret: false,
  });
});

Deno.test("parseCommand() keeps values as they are written", () => {
  for (const value of ["-5", "1e3", "true", "a=b=c", "a\nb", " ", "--x", "__proto__", "0"]) {
    assertEquals(parseCommand(COMMAND, ["f", `--soft=${value}`]).options["soft"], value);
    assertEquals(parseCommand(COMMAND, ["f", `--limit=${value}`]).options["limit"], [value]);
  }
});

Deno.test("parseCommand() ends options at --", () => {
  assertEquals(parseCommand(COMMAND, ["--", "--limit", "-x"]).positionals, ["--limit", "-x"]);
});

Deno.test("parseCommand() leaves the rest alone", () => {
  const words = ["make", "--json", "-j4", "--", "--help"];
  assertEquals(parseCommand(EXEC, ["--json", ...words]).rest, words);
  assertEquals(parseCommand(EXEC, ["--", "-x", "--json"]).rest, ["-x", "--json"]);
  assertEquals(parseCommand(EXEC, ["-h"]).help, true);
});

Deno.test("parseCommand() says what is wrong in one line that leads to the help", () => {
  const see = " (see toom test --help)";
  assertEquals(problemOf("f", "--foo"), `toom test: unknown option --foo${see}`);
  assertEquals(problemOf("f", "--foo=1"), `toom test: unknown option --foo${see}`);
  assertEquals(problemOf("f", "-x"), `toom test: unknown option -x${see}`);
  assertEquals(problemOf("f", "--no-dry-run"), `toom test: unknown option --no-dry-run${see}`);
  assertEquals(problemOf("f", "--lim=a"), `toom test: unknown option --lim${see}`);
  assertEquals(
    problemOf("f", "--limit.x=1"),
    `toom test: unknown option --limit.x, did you mean --limit?${see}`,
  );
  assertEquals(problemOf("f", "--__proto__=1"), `toom test: unknown option --__proto__${see}`);
  assertEquals(
    problemOf("f", "--limit"),
    `toom test: --limit needs a value: --limit USER=SIZE${see}`,
  );
  assertEquals(
    problemOf("f", "--limit="),
    `toom test: --limit needs a value: --limit USER=SIZE${see}`,
  );
  assertEquals(problemOf("f", "--soft", ""), `toom test: --soft needs a value: --soft S${see}`);
  assertEquals(
    problemOf("f", "--limit", "--dry-run"),
    `toom test: --limit needs a value: --limit USER=SIZE${see}`,
  );
  assertEquals(
    problemOf("f", "--readers", "1", "--readers=2"),
    `toom test: --readers is given twice${see}`,
  );
  assertEquals(
    problemOf("f", "--dry-run", "--dry-run"),
    `toom test: --dry-run is given twice${see}`,
  );
  assertEquals(
    problemOf("f", "--dry-run=no"),
    `toom test: --dry-run takes no value, not "no"${see}`,
  );
  assertEquals(problemOf(), `toom test: FILE is missing${see}`);
  assertEquals(problemOf("a", "b", "c"), `toom test: unexpected argument "c"${see}`);
  assertEquals(
    problemOf("f", "--a\n\x1b[31mb"),
    `toom test: unknown option "--a\\n\\u001b[31mb"${see}`,
  );
});

Deno.test("parseCommand() prefers help to complaints", () => {
  for (const args of [["--help"], ["-h"], ["--foo", "--help"], ["--limit", "-h"]]) {
    assert(parseCommand(COMMAND, args).help);
  }
  assertThrows(() => parseCommand(COMMAND, ["--help=yes"]), UsageError);
  assertEquals(parseCommand(COMMAND, ["--", "--help"]).help, false);
});

Deno.test("helpText() shows what was declared within 100 columns, and nothing hidden", () => {
  const help = helpText(COMMAND);
  const lines = help.split("\n");
  assertEquals(lines[0], "Does nothing.");
  assertEquals(lines[2], "Usage: toom test [OPTION]... FILE [MORE]");
  assert(lines.every((line) => line.length <= 100 && line === line.trimEnd()), help);
  assert(help.includes("--limit USER=SIZE  Limit a user (repeatable)"), help);
  assert(help.includes("Reader workers (default: 1)"), help);
  assert(help.includes("--help"), help);
  assert(!help.includes("secret"), help);
  assert(helpText(EXEC).includes("Usage: toom exec [OPTION]... [--] COMMAND..."), helpText(EXEC));
});

Deno.test("exitCodeOf() and errorLine() cover whatever was thrown", () => {
  assertEquals(exitCodeOf(new FailedError("x")), 1);
  assertEquals(exitCodeOf(new UsageError("x")), 2);
  assertEquals(exitCodeOf(new UnsupportedError("x", "y")), 3);
  assertEquals(exitCodeOf(new TypeError("x")), 1);
  assertEquals(exitCodeOf("x"), 1);
  assertEquals(errorLine(new UnsupportedError("no tracefs", "mount it")), "no tracefs: mount it");
  assertEquals(errorLine(new Error("a\n  b\r\nc")), "a b c");
  assertEquals(errorLine(new TypeError()), "TypeError");
  assertEquals(errorLine(7), "7");
});
