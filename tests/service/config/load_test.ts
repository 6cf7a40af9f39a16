import { assertEquals } from "@std/assert";
import { accountUidOf } from "../../../pipeline/limits/shared_groups.ts";
import { type FileLimit, rulesOf } from "../../../service/config/limits_section.ts";
import { checkTexts } from "../../_support/config.ts";

const MAIN = "/etc/toom/config.jsonc";

/** Rules as `1001 4GiB/8GiB @staff`, by uid; sizes in pages. */
function shown(limits: readonly FileLimit[]): string[] {
  return rulesOf(limits).map(({ uidFirst, uidLast, hardPages, subject }) =>
    `${uidFirst}-${uidLast} ${hardPages} ${subject}`
  );
}

Deno.test("a configuration is read, with comments, trailing commas and a place for each value", async () => {
  const { config, lines } = await checkTexts(`{
  // Who may use how much.
  "limits": { "bob": "4GiB", },
  "soft": "80%", /* of hard */
  "machine": { "minAvailable": "25%", "psi": false },
  "sockets": { "tmalloc": "none" },
  "tracing": { "cpu": 3, "subbufKib": 64 },
}`);
  assertEquals(lines, []);
  assertEquals(config?.values, {
    soft: { kind: "percent", percent: 80 },
    "machine.minAvailable": 2 ** 32,
    "machine.psi": false,
    "sockets.tmalloc": null,
    "tracing.cpu": 3,
    "tracing.subbufKib": 64,
  });
  assertEquals(config?.settings.map(({ path, written, place }) => [path, written, place]), [
    ["soft", "80%", `${MAIN}:4`],
    ["machine.minAvailable", "25%", `${MAIN}:5`],
    ["machine.psi", false, `${MAIN}:5`],
    ["sockets.tmalloc", "none", `${MAIN}:6`],
    ["tracing.subbufKib", 64, `${MAIN}:7`],
    ["tracing.cpu", 3, `${MAIN}:7`],
  ]);
  assertEquals(config?.limits, [{
    subject: "bob",
    kind: "user",
    place: `${MAIN}:3`,
    origin: "config",
    uids: [{ uidFirst: 1001, uidLast: 1001 }],
    limit: { hardPages: 2 ** 20, softPages: Math.floor(2 ** 20 * 0.8) },
  }]);
});

Deno.test("a later file replaces what an earlier one says of the same key and subject", async () => {
  const { config, lines } = await checkTexts(
    '{ "victim": "newest", "log": { "format": "text" }, "limits": { "bob": "1G", "carol": "2G" } }',
    '{ "log": { "format": "json" }, "limits": {\n "bob": "8KiB" } }',
    "{}",
  );
  assertEquals(lines, []);
  assertEquals(config?.values, { victim: "newest", "log.format": "json" });
  assertEquals(config?.files, [MAIN, "/etc/toom/config.d/1.jsonc", "/etc/toom/config.d/2.jsonc"]);
  assertEquals(config?.limits.map(({ subject, place }) => [subject, place]), [
    ["carol", `${MAIN}:1`],
    ["bob", "/etc/toom/config.d/1.jsonc:2"],
  ]);
  assertEquals(shown(config!.limits), ["1002-1002 524288 carol", "1001-1001 2 bob"]);
});

Deno.test("of several limits for a user the narrowest holds", async () => {
  const { config, lines } = await checkTexts(`{ "limits": {
    "*": "1MiB", "1000-59999": "2MiB", "1000-1999": "none", "@students": "4MiB", "@staff": "8MiB",
    "bob": { "hard": "16MiB", "soft": "8KiB", "maxProcesses": 7 }, "0": "32MiB", "@empty": "1G"
  } }`);
  assertEquals(lines, []);
  const rules = rulesOf(config!.limits);
  const none = rules.find(({ subject }) => subject === "1000-1999")!.hardPages;
  assertEquals(
    shown(config!.limits),
    [
      "1001-1001 4096 bob",
      "0-0 8192 0",
      "1000-1000 2048 @staff", // The smaller group; bob has one of his own.
      "1002-1002 1024 @students",
      "2000-2000 1024 @students",
      `1000-1999 ${none} 1000-1999`,
      "1000-59999 512 1000-59999",
      "1-4294967294 256 *",
    ].toSorted((a, b) => order(a) - order(b)),
  );
  function order(line: string): number {
    return shown(config!.limits).indexOf(line);
  }
  const bob = rules.find(({ subject }) => subject === "bob");
  assertEquals(bob, {
    uidFirst: 1001,
    uidLast: 1001,
    hardPages: 4096,
    softPages: 2,
    processesMax: 7,
    origin: "config",
    subject: "bob",
    place: `${MAIN}:3`,
  });
});

Deno.test("a group of fewer members comes before a larger one, of two as large the lower limit", async () => {
  const limits = '"@staff": "8MiB", "@students": "4MiB", "@wheel": "2MiB"';
  for (const text of [limits, limits.split(", ").reverse().join(", ")]) {
    const { config } = await checkTexts(`{ "limits": { ${text} } }`);
    // Root is in wheel, and is limited by its own number only.
    assertEquals(shown(config!.limits), [
      "1000-1000 512 @wheel",
      "1001-1001 2048 @staff",
      "1002-1002 1024 @students",
      "2000-2000 1024 @students",
    ]);
  }
});

Deno.test("names with blanks and forced kinds are subjects too", async () => {
  const { config, lines } = await checkTexts(
    '{ "limits": { "anna lee": "1G", "user:60310": "1G", "uid:60310": "1G", " bob ": "1G" } }',
  );
  assertEquals(lines, []);
  assertEquals(rulesOf(config!.limits).map(({ uidFirst }) => uidFirst).sort(), [
    1001,
    1003,
    1004,
    60310,
  ]);
});

Deno.test("a shared limit is one rule for the group's account; who has an own one takes no part", async () => {
  const { config, lines } = await checkTexts(`{ "limits": {
    "@students": { "hard": "4MiB", "shared": true }, "bob": "8MiB", "@staff": "2MiB"
  } }`);
  assertEquals(lines, []);
  const account = accountUidOf(3000);
  assertEquals(shown(config!.limits), [
    "1001-1001 2048 bob",
    "1000-1000 512 @staff",
    `${account}-${account} 1024 @students`,
  ]);
  const rule = rulesOf(config!.limits).find(({ subject }) => subject === "@students");
  assertEquals(rule?.memberUids, [1002, 2000]);
  const crowd = await checkTexts('{ "limits": { "@crowd": { "hard": "1G", "shared": true } } }');
  assertEquals([crowd.lines, rulesOf(crowd.config!.limits).length], [[], 1], "one rule for 2000");
});
