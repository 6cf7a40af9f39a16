import { assertEquals, assertThrows } from "@std/assert";
import { type LimitHost, parseLimitSpec, parseUser } from "../../cli/limit_spec.ts";
import { SOFT_DEFAULT } from "../../pipeline/limits.ts";
import { FormatError } from "../../pipeline/units.ts";

const NAMES: Readonly<Record<string, number>> = { bob: 1001, root: 0, toor: 0, "a-b.c$": 1002 };
const HOST: LimitHost = {
  totalMemoryBytes: 2 ** 34,
  pageBytes: 4096,
  uidOf: (name) => NAMES[name],
};

function problemOf(text: string): string {
  const error = assertThrows(() => parseLimitSpec(text, HOST, SOFT_DEFAULT), FormatError);
  assertEquals(error.message.includes("\n"), false);
  return error.message;
}

Deno.test("parseLimitSpec() reads names, uids and ranges, with and without soft", () => {
  const uids = { uidFirst: 1001, uidLast: 1001 };
  assertEquals(parseLimitSpec("bob=4GiB", HOST, SOFT_DEFAULT), {
    ...uids,
    hardPages: 2 ** 20,
    softPages: Math.floor(2 ** 20 * 0.9),
  });
  assertEquals(parseLimitSpec("1001=64MiB,soft=50%", HOST, SOFT_DEFAULT), {
    ...uids,
    hardPages: 16384,
    softPages: 8192,
  });
  assertEquals(parseLimitSpec("1000-59999=25%,soft=1GiB", HOST, SOFT_DEFAULT), {
    uidFirst: 1000,
    uidLast: 59999,
    hardPages: 2 ** 20,
    softPages: 2 ** 18,
  });
  assertEquals(parseLimitSpec("a-b.c$=16777216", HOST, SOFT_DEFAULT).hardPages, 4096);
  assertEquals(parseLimitSpec("0=1G", HOST, SOFT_DEFAULT).uidFirst, 0);
});

Deno.test("parseLimitSpec() says what it expected", () => {
  const expected = "expected USER=SIZE[,soft=SIZE|PCT], for example bob=4GiB";
  for (
    const text of ["", "bob", "bob=", "=4G", "bob=4G,", "bob=4G,hard=1G", "bob=4G,soft=", "b=1=2"]
  ) {
    assertEquals(problemOf(text), `Cannot read limit ${JSON.stringify(text)}: ${expected}`);
  }
  assertEquals(
    problemOf("nobody-here=1G"),
    'Cannot read limit "nobody-here=1G": expected a user\'s name, a uid or a range, ' +
      'and no user is "nobody-here"',
  );
  for (
    const text of [
      "bob=4X",
      "bob=64MB",
      "bob=101%",
      "bob=-1",
      "bob=0",
      "bob=100",
      "bob=9T",
      "bob=1G,soft=2G",
      "bob=1G,soft=120%",
      "bob=1G,soft=x",
      "2000-1000=1G",
      "4294967295=1G",
    ]
  ) {
    assertEquals(problemOf(text).startsWith(`Cannot read limit "${text}": expected `), true, text);
  }
});

Deno.test("parseUser() limits root by its number only", () => {
  assertEquals(parseUser("0", HOST), { uidFirst: 0, uidLast: 0 });
  for (const text of ["root", "toor"]) {
    assertThrows(() => parseUser(text, HOST), FormatError, "expected 0 instead of");
  }
  assertThrows(() => parseUser("0-1000", HOST), FormatError, "without uid 0");
});

Deno.test("parseUser() does not look up what cannot be a name", () => {
  const asked: string[] = [];
  const resolver = { uidOf: (name: string) => (asked.push(name), undefined) };
  for (const text of ["", "a b", "a:b", "a\nb", "a/b", "x".repeat(300)]) {
    assertThrows(() => parseUser(text, resolver), FormatError, "no user is");
  }
  assertEquals(asked, []);
});
