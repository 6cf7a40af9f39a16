import { assertEquals, assertThrows } from "@std/assert";
import {
  bytesToPages,
  formatBytes,
  FormatError,
  parseSizeBytes,
  quote,
  unitMeant,
} from "../../../pipeline/limits/units.ts";

const TOTAL_BYTES = 8 * 2 ** 30;

Deno.test("parseSizeBytes() reads sizes in 1024s, whatever the case", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["0", 0],
    ["4096", 4096],
    ["4096B", 4096],
    ["512K", 512 * 1024],
    ["512k", 512 * 1024],
    ["64MiB", 64 * 2 ** 20],
    ["64mib", 64 * 2 ** 20],
    ["64 MiB", 64 * 2 ** 20],
    [" 4G ", 4 * 2 ** 30],
    ["1.5G", 1.5 * 2 ** 30],
    ["2T", 2 * 2 ** 40],
    ["1.0001K", 1024],
    ["25%", TOTAL_BYTES / 4],
    ["0%", 0],
    ["100%", TOTAL_BYTES],
    ["12.5 %", TOTAL_BYTES / 8],
  ];
  for (const [text, bytes] of cases) assertEquals(parseSizeBytes(text, TOTAL_BYTES), bytes, text);
});

Deno.test("parseSizeBytes() says what it expected when the text is no size", () => {
  const wrong = [
    "",
    "x",
    "4X",
    "-1",
    "+1",
    "1e9",
    "0x10",
    "1,5G",
    ".5G",
    "5.",
    "G",
    "%",
    "101%",
    "4GiBs",
    "1 2",
    "NaN",
    "Infinity",
    "9999999999T",
    "99999999999999999999",
    "1constructor",
  ];
  for (const text of wrong) {
    const error = assertThrows(() => parseSizeBytes(text, TOTAL_BYTES), FormatError, "expected");
    assertEquals(error.message.includes("\n"), false);
  }
});

Deno.test("parseSizeBytes() refuses KB, MB, GB, TB and says what to write", () => {
  const error = assertThrows(() => parseSizeBytes("64MB", TOTAL_BYTES), FormatError);
  assertEquals(error.message, 'expected 64MiB (1024-based) instead of the ambiguous "64MB"');
});

Deno.test("bytesToPages() rounds down", () => {
  assertEquals(bytesToPages(4095, 4096), 0);
  assertEquals(bytesToPages(4096, 4096), 1);
  assertEquals(bytesToPages(16777216, 4096), 4096);
});

Deno.test("formatBytes() chooses the unit and never shows 1024 of it", () => {
  assertEquals(formatBytes(0), "0 B");
  assertEquals(formatBytes(512), "512 B");
  assertEquals(formatBytes(1023), "1023 B");
  assertEquals(formatBytes(1024), "1.0 KiB");
  assertEquals(formatBytes(64 * 2 ** 20), "64.0 MiB");
  assertEquals(formatBytes(2 ** 20 - 1), "1.0 MiB");
  assertEquals(formatBytes(1.5 * 2 ** 30), "1.5 GiB");
  assertEquals(formatBytes(-3 * 2 ** 40), "-3.0 TiB");
  assertEquals(formatBytes(2 ** 70), "1048576.0 PiB");
});

Deno.test("quote() keeps anything on one harmless line", () => {
  assertEquals(quote('a"b'), '"a\\"b"');
  const shown = quote("a\nb\r\x1b[31m\x7f\x9b\u2028\u202e\ud800" + "x".repeat(500));
  // deno-lint-ignore no-control-regex
  assertEquals(/[\x00-\x1f\x7f-\x9f\u2028\u202e\ud800]/.test(shown), false);
  assertEquals(shown.length < 160, true);
});

Deno.test("unitMeant() guesses what stands behind a number", () => {
  const sizes = ["KiB", "MiB", "GiB", "TiB", "B"];
  const durations = ["ms", "", "s", "m", "h"];
  const cases: readonly [string, readonly string[], string][] = [
    ["1Gig", sizes, "1GiB"],
    ["1.5 gibibytes", sizes, "1.5GiB"],
    ["64megs", sizes, "64MiB"],
    ["64MIBS", sizes, "64MiB"],
    ["10bytes", sizes, "10B"],
    ["5sec", durations, "5s"],
    ["5 minutes", durations, "5m"],
    ["5msec", durations, "5ms"],
    ["5milliseconds", durations, "5ms"],
    ["2hours", durations, "2h"],
  ];
  for (const [text, units, meant] of cases) {
    assertEquals(unitMeant(text, units), `, did you mean "${meant}"?`, text);
  }
  for (const text of ["", "Gig", "1", "1 2", "1x", "1 day", "-1G", `1${"g".repeat(99)}`]) {
    assertEquals(unitMeant(text, durations), "", text);
  }
});
