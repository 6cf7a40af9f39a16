/** The table of fields, and what is made from it. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { z } from "zod";
import { csvCell, csvLines } from "../../../service/fields/csv.ts";
import { fieldsDocument } from "../../../service/fields/document.ts";
import { type FieldSpec, shapeOf } from "../../../service/fields/field.ts";
import { KILL_FIELDS } from "../../../service/fields/kill_fields.ts";
import { metricName, metricValue } from "../../../service/fields/metric_name.ts";
import { formatSeconds, show } from "../../../service/fields/show.ts";
import { FIELD_TABLES } from "../../../service/fields/tables.ts";
import { USER_FIELDS, type UserRow } from "../../../service/fields/user_fields.ts";

const USER: UserRow = {
  user: "anna",
  uid: 60001,
  usagePages: 8192,
  countedPages: 9216,
  sharedPages: 1024,
  promisedPages: 0,
  softPages: 0,
  hardPages: 16384,
  peakPages: 9000,
  refusals: 0,
  growthPagesPerSecond: -512,
  state: "ok",
  isNear: false,
  inDoubt: false,
  processes: 3,
  kills: 1,
};
/** What a user can call itself, or a process. */
const HOSTILE = [
  "=cmd|' /C calc'!A0",
  "+1+1",
  "-2+3",
  "@SUM(A1)",
  "\t=1",
  "a\u001b[2Jb",
  "a\nb,c",
  'say "hi"',
  "\u202eevil",
];

Deno.test("a field says its unit in its name, and its help is one sentence without a full stop", () => {
  for (const { title, fields } of FIELD_TABLES) {
    for (const [name, spec] of Object.entries<FieldSpec>(fields)) {
      const where = `${title}: ${name}`;
      if (spec.unit === "pages") assert(/Pages$|^pages$/.test(name), where);
      if (spec.unit === "bytes") assert(/Bytes$/.test(name), where);
      if (spec.unit === "microseconds") assert(/Us$/.test(name), where);
      assert(/[^.]$/.test(spec.help), where);
      assertEquals(spec.type === "choice", spec.choices !== undefined, where);
    }
  }
});

Deno.test("metrics have names by the conventions, and each name one meaning", () => {
  const seen = new Map<string, string>();
  for (const { fields } of FIELD_TABLES) {
    for (const [name, spec] of Object.entries<FieldSpec>(fields)) {
      if (spec.metric === undefined) continue;
      const full = metricName(spec);
      assert(/^(toom|process)_[a-z_]+$/.test(full), full);
      if (["pages", "bytes"].includes(spec.unit)) assert(/_bytes(_total)?$/.test(full), full);
      if (/seconds$/.test(spec.unit)) assert(/second/.test(full), full);
      assertEquals(full.endsWith("_total"), spec.type === "counter", full);
      const key = `${full}${JSON.stringify(spec.metric.labels ?? {})}`;
      assertEquals(seen.get(key), undefined, key);
      seen.set(key, name);
    }
  }
  assert(seen.size > 30);
  const pages: FieldSpec = { type: "gauge", unit: "pages", help: "x", metric: { name: "a_bytes" } };
  assertEquals(metricValue(pages, 3, 4096), 12288);
  assertEquals(metricValue({ ...pages, unit: "milliseconds" }, 745, 4096), 0.745);
  assertEquals(metricValue({ ...pages, type: "flag", unit: "none" }, true, 4096), 1);
  assertThrows(() => metricValue(pages, "x", 4096), TypeError);
});

Deno.test("a table checks its rows: types, choices, signs, null", () => {
  const schema = z.object(shapeOf(USER_FIELDS));
  assertEquals(schema.parse(USER), USER);
  const wrong = [
    { usagePages: 1.5 },
    { usagePages: -1 },
    { uid: null },
    { state: "gone" },
    { isNear: 1 },
    { user: 7 },
  ];
  for (const change of wrong) {
    assert(!schema.safeParse({ ...USER, ...change }).success, JSON.stringify(change));
  }
  assert(schema.safeParse({ ...USER, user: null, growthPagesPerSecond: -0.5 }).success);
});

Deno.test("values are shown with their units", () => {
  const shown = Object.fromEntries(
    Object.entries<FieldSpec>(USER_FIELDS).map((
      [name, spec],
    ) => [name, show(spec, USER[name as keyof UserRow], 4096)]),
  );
  assertEquals(shown["usagePages"], "32.0 MiB");
  assertEquals(shown["softPages"], "-");
  assertEquals(shown["growthPagesPerSecond"], "-2.0 MiB/s");
  assertEquals(shown["isNear"], "no");
  assertEquals(show(USER_FIELDS.user, null, 4096), "-");
  assertEquals(show(KILL_FIELDS.latencyUs, 42.06, 4096), "42.1 µs");
  assertEquals(show(KILL_FIELDS.exitUs, 10_570, 4096), "10.6 ms");
  assertEquals(show(KILL_FIELDS.exitUs, 2_500_000, 4096), "2.5 s");
  assertEquals([5, 65, 3725, 90_061].map(formatSeconds), [
    "5 s",
    "1 min 5 s",
    "1 h 2 min",
    "1 d 1 h",
  ]);
});

Deno.test("hostile names are harmless on a terminal and in a spreadsheet", () => {
  for (const name of HOSTILE) {
    const shown = show(USER_FIELDS.user, name, 4096);
    // deno-lint-ignore no-control-regex
    assert(!/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2028\u2029]/.test(shown), shown);
    const [, line] = csvLines(USER_FIELDS, [{ ...USER, user: name }]);
    // deno-lint-ignore no-control-regex
    assert(!/[\u0000-\u001f\u202e]/.test(line!), line);
    assert(!/^["]?[=+\-@]/.test(line!), line);
    // Quotes are closed: as many cells as there are names.
    const cells = line!.match(/("(?:[^"]|"")*"|[^,"]*)(,|$)/g)!.filter((cell) => cell !== "");
    assertEquals(cells.length, Object.keys(USER_FIELDS).length, line);
  }
  assertEquals(csvCell(-5), "-5", "a number is no formula");
  assertEquals(csvCell('a,"b"'), '"a,""b"""');
  assertEquals([csvCell(null), csvCell(true), csvCell("plain")], ["", "true", "plain"]);
});

Deno.test("docs/fields.md is of these tables", async () => {
  const path = new URL("../../../docs/fields.md", import.meta.url);
  const plain = (text: string): string => text.replace(/-{3,}/g, "---").replace(/\s+/g, " ").trim();
  assertEquals(plain(await Deno.readTextFile(path)), plain(fieldsDocument()), "run deno task docs");
});
