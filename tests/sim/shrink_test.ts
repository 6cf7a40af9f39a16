import { assert, assertEquals, assertThrows } from "@std/assert";
import type { SimOptions } from "./options.ts";
import { formatScript, parseScript, scriptOf } from "./script.ts";
import { describe, failureOf, kindOf, runOrShrink, shrink } from "./shrink.ts";
import { optionsOf } from "./variants.ts";

/** A run that fails: a protected process is killed. */
function failingOptions(): SimOptions {
  for (let seed = 1; seed <= 100; seed++) {
    const options: SimOptions = { ...optionsOf({}, seed), mistake: "killer-identity" };
    if (failureOf(options, scriptOf(options)) !== undefined) return options;
  }
  throw new Error("no seed fails");
}

Deno.test("a failing seed shrinks to a short script, which fails in the same way when it is read back", () => {
  const options = failingOptions();
  const failure = failureOf(options, scriptOf(options))!;
  const short = shrink(options, failure);
  assert(short.script.length < failure.script.length / 4, `${short.script.length} steps are left`);
  assertEquals(kindOf(short.message), "I1");
  const text = describe(options, short);
  const lines = text.split("\n").slice(3).join("\n");
  assertEquals(parseScript(lines), [...short.script]);
  assertThrows(() => runOrShrink(options, lines), Error, "I1");
});

Deno.test("a script that does not fail is played to its end", () => {
  const options = optionsOf({}, 1);
  assertEquals(failureOf(options, scriptOf(options).slice(0, 50)), undefined);
  runOrShrink(options, formatScript(scriptOf(options).slice(0, 50)));
});

Deno.test("a line that is no step is quoted", () => {
  assertEquals(parseScript("kernel 1a2b  pid 5 +20\n\n time 0"), [
    { name: "kernel", seed: 0x1a2b },
    { name: "time", seed: 0 },
  ]);
  assertThrows(() => parseScript("kernal 1a2b"), Error, '"kernal 1a2b"');
  assertThrows(() => parseScript("kernel"), Error, '"kernel"');
});

Deno.test("failures of one rule are of one kind, whatever the numbers", () => {
  assertEquals(kindOf("Error: I4: uid 5"), kindOf("Error: I4: uid 7, and more"));
  assert(kindOf("Error: I4: uid 5") !== kindOf("Error: liveness: uid 5"));
  assert(kindOf("InvariantError: accounting: x") !== kindOf("InvariantError: killer: x"));
});
