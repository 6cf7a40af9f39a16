import { assertEquals } from "@std/assert";
import { didYouMean } from "../../../pipeline/limits/did_you_mean.ts";
import { editDistance, nearestWord } from "../../../pipeline/limits/nearest_word.ts";

Deno.test("editDistance() counts what was added, left out, replaced and swapped", () => {
  const pairs: readonly [string, string, number][] = [
    ["", "", 0],
    ["", "abc", 3],
    ["limit", "limit", 0],
    ["limt", "limit", 1],
    ["limiit", "limit", 1],
    ["linit", "limit", 1],
    ["limti", "limit", 1],
    ["kitten", "sitting", 3],
    ["ca", "abc", 3],
  ];
  for (const [a, b, distance] of pairs) {
    assertEquals(editDistance(a, b), distance, `${a} ${b}`);
    assertEquals(editDistance(b, a), distance, `${b} ${a}`);
    if (distance > 0) assertEquals(editDistance(a, b, distance - 1), distance);
  }
});

Deno.test("nearestWord() finds what was probably meant, and nothing far away", () => {
  const words = ["limits", "soft", "victim", "dryRun", "machine"];
  assertEquals(nearestWord("limts", words), "limits");
  assertEquals(nearestWord("Limits", words), "limits");
  assertEquals(nearestWord("dryrun", words), "dryRun");
  assertEquals(nearestWord("sotf", words), "soft");
  assertEquals(nearestWord("hardware", words), undefined);
  assertEquals(nearestWord("so", words), undefined);
  assertEquals(nearestWord("x".repeat(100_000), words), undefined);
  assertEquals(nearestWord("abcd", ["abcf", "abdc", "abcd"]), "abcd");
});

Deno.test("didYouMean() stands behind a message, harmless whatever the word is", () => {
  assertEquals(didYouMean("limts", ["limits"]), ', did you mean "limits"?');
  assertEquals(didYouMean("limts", []), "");
  assertEquals(didYouMean("bob\u001b", ["bob\u001c"]), ', did you mean "bob\\u001c"?');
});
