/** What documents say of the configuration, compared with its schema; every snippet is loaded. */
import { assert, assertEquals } from "@std/assert";
import { configDocuments } from "../docs/config_documents.ts";
import { EMPTY_CONFIG } from "../service/config/load.ts";
import { CONFIG_OPTIONS } from "../service/config/options.ts";
import { parseRunFlags, type RunOptions, runOptions } from "../cli/run_options.ts";
import { EFFECT_NAMES } from "../pipeline/rules/victim_rule.ts";
import { checkTexts, CONFIG_HOST } from "./_support/config.ts";

const ROOT = new URL("../", import.meta.url);

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** But for how deno fmt breaks lines and leaves out trailing commas. */
function plain(text: string): string {
  return text.replace(/,(?=\s*[\]}])/g, "").replace(/\s+/g, "").replace(/-{3,}/g, "---");
}

Deno.test("the documents of the configuration are of this schema", () => {
  const documents = configDocuments();
  assertEquals(Object.keys(documents).length, 4);
  for (const [path, text] of Object.entries(documents)) {
    assertEquals(plain(read(path)), plain(text), `${path}: run deno task docs`);
  }
});

/** The options of a configuration without any of the command line. */
async function optionsOf(text: string): Promise<Omit<RunOptions, "config" | "limits">> {
  const { config, lines } = await checkTexts(text);
  assertEquals(lines, []);
  const host = { ...CONFIG_HOST, uidOf: () => undefined };
  const { config: _, limits: __, ...options } = runOptions(parseRunFlags([], host)!, config!, host);
  return options;
}

Deno.test("the example has every setting, with what it is if it is left out or shipped", async () => {
  const text = read("deploy/config.jsonc");
  const host = { ...CONFIG_HOST, uidOf: () => undefined };
  const { config: _, limits: __, ...standard } = runOptions(
    parseRunFlags([], host)!,
    EMPTY_CONFIG,
    host,
  );
  assertEquals(await optionsOf(text), { ...standard, brake: "growers" });
  const { config } = await checkTexts(text);
  assertEquals(config!.limits.map(({ subject }) => subject), ["1000-59999"]);
  const said = config!.settings.map(({ path }) => path);
  const left = CONFIG_OPTIONS.map(({ path }) => path).filter((path) => !said.includes(path));
  assertEquals(left, [
    "maxUserProcesses",
    "notify.mail",
    "notify.webhook",
    "hooks.before",
    "hooks.after",
    "hooks.soft",
    "control.readGroup",
    "history",
    "metrics",
    "web",
    "tracing.subbufKib",
  ]);
});

Deno.test("the example loads with all that is commented out in it", async () => {
  const text = read("deploy/config.jsonc").replace(/^(\s*)\/\/ ("[^"]+": |\{ ")/gm, "$1$2");
  const { config, lines } = await checkTexts(text);
  assertEquals(lines, []);
  assertEquals(config!.settings.length, CONFIG_OPTIONS.length);
  const effects = new Set(config!.rules.map(({ effect }) => effect));
  assertEquals([...effects].sort(), [...EFFECT_NAMES].sort());
  assertEquals(config!.limits.map(({ subject }) => subject), [
    "bob",
    "alice",
    "0",
    "@students",
    "1000-59999",
    "*",
  ]);
});

/** Documents with their snippets of the configuration. */
function snippets(): { path: string; text: string }[] {
  const paths = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"];
  for (const folder of ["docs", "docs/decisions"]) {
    for (const { name } of Deno.readDirSync(new URL(`${folder}/`, ROOT))) {
      if (name.endsWith(".md")) paths.push(`${folder}/${name}`);
    }
  }
  return paths.flatMap((path) =>
    [...read(path).matchAll(/^```jsonc\n([^]*?)^```/gm)].map(([, text]) => ({ path, text: text! }))
  );
}

Deno.test("every snippet of the configuration in the documents loads", async () => {
  const found = snippets();
  assert(found.length >= 2, `${found.length} snippets`);
  for (const { path, text } of found) {
    assertEquals((await checkTexts(text)).lines, [], `${path}: ${text}`);
  }
});

Deno.test("the manual page is right troff, and names every setting", async () => {
  const path = new URL("deploy/man/toom.conf.5", ROOT).pathname;
  for (const { path: setting } of CONFIG_OPTIONS) {
    assert(read("deploy/man/toom.conf.5").includes(`.B ${setting}\n`));
  }
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command("groff", {
      args: ["-man", "-Tascii", "-ww", "-z", path],
      stdout: "null",
      stderr: "piped",
    }).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return; // No groff here.
    throw error;
  }
  assertEquals([output.code, new TextDecoder().decode(output.stderr)], [0, ""]);
});
