/**
 * "Must be seen": files that are broken in every way that there is, each refused with its place and
 * with what was expected.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { escapeJsonLine } from "../../../pipeline/limits/units.ts";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import { NO_LIMIT_PAGES } from "../../../pipeline/books/books.ts";
import { RULES_MAX } from "../../../pipeline/limits/limits.ts";
import { RulesView } from "../../../pipeline/limits/published_rules.ts";
import { attachMemory, createMemory, DEFAULT_CAPACITY } from "../../../pipeline/memory/memory.ts";
import { DEFAULT_SETTINGS } from "../../../pipeline/memory/settings.ts";
import { parseRunFlags, runOptions } from "../../../cli/run_options.ts";
import { Journal } from "../../../service/journal/journal.ts";
import { settingsOf } from "../../../service/lifecycle/settings.ts";
import type { LoadedOptions } from "../../../service/lifecycle/start_over.ts";
import type { SupervisorOptions } from "../../../service/lifecycle/options.ts";
import { LimitControl } from "../../../service/limits/limit_control.ts";
import { LimitState } from "../../../service/limits/state_file.ts";
import { Reloader } from "../../../service/reloader.ts";
import { BROKEN } from "../../_support/broken_configs.ts";
import { checkTexts, CONFIG_HOST } from "../../_support/config.ts";

// Not in a test, where the sanitizer would call it a leak.
openLibc();

Deno.test(`${BROKEN.length} broken files are refused, with place and expectation`, async () => {
  assert(BROKEN.length >= 60);
  const wrong: string[] = [];
  for (const [text, place, path, message] of BROKEN) {
    const { config, problems, lines } = await checkTexts(text);
    const [line, column] = place.split(":").map(Number);
    const found = problems.find((one) => one.line === line && one.column === column);
    const isTold = config === undefined && found?.path === path && found.message.includes(message);
    const isClear = lines.every((one) => one.includes("expected ") && escapeJsonLine(one) === one);
    if (!isTold || !isClear) wrong.push(`${text.slice(0, 80)} at ${place}: ${lines.join("; ")}`);
  }
  assertEquals(wrong, []);
});

Deno.test("all problems of all files are told, not only the first", async () => {
  const { config, lines } = await checkTexts(
    '{\n  "sotf": "80%",\n  "victim": "oldest",\n  "limits": { "bbo": "1G", "bob": "4X" }\n}',
    '{ "limits": { "@nobody": "1G" } }',
    '{ "soft" }',
  );
  assertEquals(config, undefined);
  // As somebody would find them who reads the files.
  assertEquals(lines.map((line) => line.split(": ").slice(0, 2).join(": ")), [
    "/etc/toom/config.jsonc:2:3: sotf",
    "/etc/toom/config.jsonc:3:13: victim",
    "/etc/toom/config.jsonc:4:15: limits.bbo",
    "/etc/toom/config.jsonc:4:35: limits.bob",
    "/etc/toom/config.d/1.jsonc:1:15: limits.@nobody",
    '/etc/toom/config.d/2.jsonc:1:10: expected a colon between key and value, not "}"',
  ]);
});

/** What `toom run` would do by a file, or what is wrong with it. */
async function load(text: string): Promise<LoadedOptions> {
  const { config, lines } = await checkTexts(text);
  if (config === undefined) return { problems: lines };
  const host = { ...CONFIG_HOST, uidOf: () => undefined };
  const options = runOptions(parseRunFlags([], host)!, config, host);
  return { options: { ...options, version: "0", memberNames: "", pageBytes: 4096 } };
}

Deno.test("a reload of any of the broken files leaves limits and settings that are in force", async () => {
  const dirPath = await Deno.makeTempDir();
  const journal = new Journal({ nowNs: () => 1, now: () => new Date(0) });
  const memory = attachMemory(createMemory({ ...DEFAULT_CAPACITY, rules: RULES_MAX }, 1));
  const first = await load('{ "victim": "newest", "limits": { "bob": "64MiB", "*": "none" } }');
  let running: SupervisorOptions = first.options!;
  let text = "";
  const state = await LimitState.open({
    dirPath,
    base: running.limits,
    pageBytes: 4096,
    now: () => new Date(),
  });
  const limits = new LimitControl({
    memory,
    state,
    settings: settingsOf(running, journal),
    journal,
    subuidPath: undefined,
    groups: [],
    pageBytes: 4096,
    wake: () => {},
  });
  try {
    limits.begin(0);
    await limits.set({ uidFirst: 7, uidLast: 7, hardPages: 100, softPages: 90 });
    const view = new RulesView(memory.settings);
    view.refresh();
    const before = [view.list(), { ...view.settings }];
    const reloader = new Reloader({
      limits,
      victimRules: { put: () => {} },
      journal,
      loadOptions: () => load(text),
      running: () => running,
      put: (options) => void (running = options),
      isClosed: () => false,
    });
    for (const [broken] of BROKEN) {
      text = broken;
      const { reloaded, problems } = await reloader.reload(false);
      assertEquals([reloaded, problems.length > 0], [false, true], broken.slice(0, 80));
      assertEquals(view.refresh(), false, broken.slice(0, 80));
    }
    assertEquals([view.list(), { ...view.settings }], before);
    assertEquals(running, first.options);
    assertEquals(view.settings.victimPolicy, "newest");
    assertEquals(view.list().map(({ uidFirst, hardPages }) => [uidFirst, hardPages]), [
      [1001, 16384],
      [7, 100],
      [1, NO_LIMIT_PAGES],
    ]);
    // The next one that is right counts.
    text = "{}";
    assertEquals((await reloader.reload(false)).reloaded, true);
    assertEquals(view.refresh(), true);
    assertEquals(view.settings.victimPolicy, DEFAULT_SETTINGS.victimPolicy);
  } finally {
    limits.close();
    await Deno.remove(dirPath, { recursive: true });
  }
});
