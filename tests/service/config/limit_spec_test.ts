import { assertEquals, assertThrows } from "@std/assert";
import { type LimitHost, parseLimitSpec, parseUser } from "../../../service/config/limit_spec.ts";
import { NO_LIMIT_PAGES } from "../../../pipeline/books/books.ts";
import { SOFT_DEFAULT } from "../../../pipeline/limits/limits.ts";
import { FormatError } from "../../../pipeline/limits/units.ts";

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
    assertThrows(
      () => parseUser(text, HOST),
      FormatError,
      "expected the number 0 instead of the name",
    );
  }
  assertThrows(() => parseUser("0-1000", HOST), FormatError, "without uid 0");
});

Deno.test("parseUser() does not look up what cannot be a name", () => {
  const asked: string[] = [];
  const resolver = { uidOf: (name: string) => (asked.push(name), undefined) };
  for (const text of ["", "user:", "a:b", "a\nb", "a\0b", "x".repeat(5000)]) {
    assertThrows(() => parseUser(text, resolver), FormatError, "no user is");
  }
  assertEquals(asked, []);
});

const LOOKALIKES: Readonly<Record<string, number>> = {
  "60310": 60311,
  "60320-60329": 60312,
  "60340-60330": 60313,
  "0": 60314,
  "00": 60315,
  "60316": 60316,
  "007": 7,
  "0xeb98": 60317,
  "4four": 60318,
};
const LOOKALIKE_HOST: LimitHost = { ...HOST, uidOf: (name) => LOOKALIKES[name] };

Deno.test("parseUser() refuses a name that reads like another's uid, and says how to write each", () => {
  for (const name of ["60310", "60320-60329", "60340-60330", "0", "00"]) {
    const { message } = assertThrows(() => parseUser(name, LOOKALIKE_HOST), FormatError);
    assertEquals(
      message,
      `expected uid:${name} or user:${name}, as "${name}" is also the name of a user, ` +
        `with uid ${LOOKALIKES[name]}`,
    );
    const uid = LOOKALIKES[name]!;
    assertEquals(parseUser(`user:${name}`, LOOKALIKE_HOST), { uidFirst: uid, uidLast: uid });
  }
  assertEquals(parseUser("uid:60310", LOOKALIKE_HOST), { uidFirst: 60310, uidLast: 60310 });
  assertEquals(parseUser("uid:60320-60329", LOOKALIKE_HOST), { uidFirst: 60320, uidLast: 60329 });
  // Whose name is its uid, and who reads like no number, can be meant by nothing else.
  for (const name of ["60316", "007", "0xeb98", "4four"]) {
    assertEquals(parseUser(name, LOOKALIKE_HOST).uidFirst, LOOKALIKES[name], name);
  }
  assertEquals(parseUser("60319", LOOKALIKE_HOST).uidFirst, 60319);
  for (const text of ["uid:bob", "uid:", "uid:-1", "uid: 5", "uid:5-4", "uid:0-5"]) {
    assertThrows(() => parseUser(text, LOOKALIKE_HOST), FormatError, "expected ");
  }
  for (const text of ["user:root", "user:toor"]) {
    assertThrows(
      () => parseUser(text, HOST),
      FormatError,
      "expected the number 0 instead of the name",
    );
  }
});

Deno.test("parseUser() reads numbers when the directory does not answer", () => {
  const away = {
    uidOf: (): number => {
      throw new Error("the directory is away");
    },
  };
  assertEquals(parseUser("1000-59999", away), { uidFirst: 1000, uidLast: 59999 });
  assertThrows(() => parseUser("bob", away), Error, "away");
});

Deno.test("parseLimitSpec() takes whatever name a directory gives out", () => {
  const names = [
    "CORP\\anna",
    "anna@corp.example",
    "anna lee",
    "CORP\\anna lee",
    "host$",
    "andré",
    "a/b",
    `${"u".repeat(20)}@${"d".repeat(255)}`,
    "anna=lee",
    "lee, anna",
    "a=1,soft=2",
    " ",
    "blank ",
  ];
  for (const [index, name] of names.entries()) {
    const host = { ...HOST, uidOf: (asked: string) => asked === name ? 2000 + index : undefined };
    const uids = { uidFirst: 2000 + index, uidLast: 2000 + index };
    const hard = { ...uids, hardPages: 2 ** 20 };
    for (const user of [name, `user:${name}`]) {
      const plain = parseLimitSpec(`${user}=4G`, host, SOFT_DEFAULT);
      assertEquals(plain, { ...hard, softPages: 943718 }, user);
      const soft = parseLimitSpec(`${user}=4G,soft=50%`, host, SOFT_DEFAULT);
      assertEquals(soft, { ...hard, softPages: 2 ** 19 }, user);
    }
  }
  assertEquals(parseLimitSpec(" bob = 4G ", HOST, SOFT_DEFAULT).uidFirst, 1001);
});

Deno.test("parseLimitSpec() refuses mistakes of units, and says what was perhaps meant", () => {
  const cases: ReadonlyArray<readonly [string, string]> = [
    ["4096", "such as 4096MiB or 4096KiB (4096B if bytes are meant)"],
    ["16000", "such as 16000MiB"],
    ["100", "such as 100MiB"],
    ["1.5", "such as 1.5MiB"],
    ["1048575", "such as 1048575MiB"],
    ["1048577", "(1048577B to have them rounded down)"],
    ["1,5G", "1.5G"],
    ["1,5 GiB,soft=1G", "1.5 GiB"],
    ["64MB", "64MiB"],
    ["64M,soft=90", "expected 90% (of the hard limit)"],
    ["64M,soft=1", "expected 1%"],
    ["64M,soft=60000", "such as 60000MiB"],
    ["64M,soft=1,5M", "1.5M"],
    ["0", "or none for no limit"],
    ["-1", "or none for no limit"],
    ["max", "or none for no limit"],
    ["none,soft=80%", "no soft limit where there is no limit"],
  ];
  for (const [size, hint] of cases) {
    const problem = problemOf(`bob=${size}`);
    assertEquals(problem.includes(hint), true, `${size}: ${problem}`);
  }
  for (
    const size of ["4Gi", "4gi", "4GiB", "4g", "4096Mi", "4194304Ki", "4294967296", "0.00390625Ti"]
  ) {
    assertEquals(parseLimitSpec(`bob=${size}`, HOST, SOFT_DEFAULT).hardPages, 2 ** 20, size);
  }
  assertEquals(parseLimitSpec("bob=4096B", HOST, SOFT_DEFAULT).hardPages, 1);
  // Whole pages of the machine that it is for.
  const host = { ...HOST, pageBytes: 65536 };
  assertEquals(parseLimitSpec("bob=1048576", host, SOFT_DEFAULT).hardPages, 16);
  assertThrows(() => parseLimitSpec("bob=1052672", host, SOFT_DEFAULT), FormatError, "of 65536");
});

Deno.test("parseLimitSpec() knows words for no limit", () => {
  for (const word of ["none", "unlimited", "infinity", " None "]) {
    assertEquals(parseLimitSpec(`bob=${word}`, HOST, SOFT_DEFAULT), {
      uidFirst: 1001,
      uidLast: 1001,
      hardPages: NO_LIMIT_PAGES,
      softPages: NO_LIMIT_PAGES,
    });
  }
  assertEquals(parseLimitSpec("1000-1999=none", HOST, SOFT_DEFAULT).hardPages, NO_LIMIT_PAGES);
});
