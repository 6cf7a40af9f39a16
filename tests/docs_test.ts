/** What the documents say about the code, compared with the code. */
import { assert, assertEquals } from "@std/assert";
import { RUN_COMMAND } from "../cli/run_options.ts";
import { VICTIM_POLICIES } from "../pipeline/kill/ranking.ts";
import { VERSION } from "../version.ts";
import { hasFile } from "./_support/real_kernel.ts";

const ROOT = new URL("../", import.meta.url);
const DOCUMENTS = [
  "README.md",
  "CHANGELOG.md",
  "docs/ARCHITECTURE.md",
  "docs/INVARIANTS.md",
  "docs/PERFORMANCE.md",
  "docs/tmalloc-protocol.md",
  "tmalloc/README.md",
  "deploy/toom.service",
  ".ci/run",
  ".ci/compile-kit.sh",
];
const CODE_FOLDERS = ["cli", "kernel", "pipeline", "workers", "bench", "tests"];

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** The text below a heading, up to the next of the same or a higher level. */
function section(path: string, heading: string): string {
  const level = /^#+/.exec(heading)![0].length;
  const lines = read(path).split("\n");
  const start = lines.indexOf(heading);
  assert(start >= 0, `${path} has no "${heading}"`);
  const length = lines.slice(start + 1).findIndex((line) =>
    new RegExp(`^#{1,${level}} `).test(line)
  );
  return lines.slice(start + 1, length < 0 ? undefined : start + 1 + length).join("\n");
}

/** Rows of the tables in a text, without heads: cells, trimmed. */
function tableRows(text: string): string[][] {
  const rows: string[][] = [];
  for (const line of text.split("\n")) {
    if (!line.startsWith("|")) continue;
    if (/^\|[ -|]+\|$/.test(line) && line.includes("--- ")) rows.pop();
    else rows.push(line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim()));
  }
  return rows;
}

function* sources(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(`${folder}/`, ROOT))) {
    if (isDirectory) yield* sources(`${folder}/${name}`);
    else if (name.endsWith(".ts")) yield `${folder}/${name}`;
  }
}

function plain(cell: string): string {
  return cell.replaceAll("\\|", "|").replaceAll("`", "");
}

Deno.test("README has every option of toom run, its value and its default, and no other", () => {
  const told = tableRows(section("README.md", "## Options of toom run"))
    .map(([option, fallback]) => [plain(option!), plain(fallback!)]);
  const declared = RUN_COMMAND.options.filter(({ hidden }) => hidden !== true)
    .map(({ name, value, default: fallback }) => [
      value === undefined ? `--${name}` : `--${name} ${value}`,
      fallback ?? "",
    ]);
  assertEquals(told, declared);
});

Deno.test("README says for whom each victim policy is, and what counts in a container", () => {
  const rows = tableRows(section("README.md", "### toom run"));
  assertEquals(rows.map(([policy]) => plain(policy!)).sort(), [...VICTIM_POLICIES].sort());
  const growing = rows.find(([policy]) => plain(policy!) === "growing")!.at(-1)!;
  for (const word of ["server", "workers", "notebook"]) assert(growing.includes(word), growing);
  const counted = section("README.md", "## What is counted");
  for (const word of ["container", "subordinate", "/etc/subuid", "--no-subuids"]) {
    assert(counted.includes(word), word);
  }
});

Deno.test("README has every event of the log with all its fields, and no other", () => {
  const told = tableRows(section("README.md", "## Log events"))
    .map(([event, , fields]) => {
      const names = [...fields!.matchAll(/`(\w+)`/g)].map((match) => match[1]!);
      return [plain(event!), ...names].join(" ");
    });
  const code = read("service/journal/events.ts");
  const rules = ["uidFirst", "uidLast", "hardPages", "softPages"];
  const union = /export type JournalEvent =([^;]*);/.exec(code)![1]!;
  const declared = [...union.matchAll(/\w+/g)].map(([type]) => {
    const body = new RegExp(`interface ${type}( extends LimitRule)? \\{([^}]*)\\}`).exec(code)!;
    const fields = [...body[2]!.matchAll(/readonly (\w+):/g)].map((match) => match[1]!)
      .filter((name) => name !== "event");
    const event = /readonly event: "([^"]+)"/.exec(body[2]!)![1]!;
    return [event, ...fields, ...(body[1] === undefined ? [] : rules)];
  });
  const sorted = (events: string[][]): string[] =>
    events.map(([event, ...fields]) => [event, ...fields.sort()].join(" ")).sort();
  assertEquals(sorted(told.map((event) => event.split(" "))), sorted(declared));
});

Deno.test("every invariant that code or tests cite is in docs/INVARIANTS.md", () => {
  const known = new Set(
    [...read("docs/INVARIANTS.md").matchAll(/^## ([IS]\d+): /gm)].map((match) => match[1]!),
  );
  for (let number = 1; number <= 9; number++) assert(known.has(`I${number}`), `I${number}`);
  let cited = 0;
  for (const folder of CODE_FOLDERS) {
    for (const path of sources(folder)) {
      for (const [, name] of read(path).matchAll(/(?<![\w$.])([IS]\d{1,2})(?![\w$])/g)) {
        assert(known.has(name!), `${path} cites ${name}`);
        cited++;
      }
    }
  }
  assert(cited > 10, `only ${cited} citations were found`);
});

Deno.test("documents name only files and tasks that exist", () => {
  const { tasks } = JSON.parse(read("deno.json"));
  for (const path of DOCUMENTS) {
    const text = read(path);
    const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/") + 1) : "";
    const links = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map((match) =>
      folder + match[1]!
    );
    const files = [...text.matchAll(/(?<![\w./])((?:\w+\/)+\w+\.(?:ts|md|sh|service|txt))\b/g)]
      .map((match) => match[1]!);
    for (const file of [...links, ...files]) {
      assert(hasFile(new URL(file, ROOT).pathname), `${path} names ${file}`);
    }
    for (const [, task] of text.matchAll(/deno(?:@[\d.]+)? task ([\w:]+)/g)) {
      assert(Object.hasOwn(tasks, task!), `${path} names the task ${task}`);
    }
  }
});

Deno.test("versions agree", () => {
  const { version, imports } = JSON.parse(read("deno.json"));
  assertEquals(VERSION, version);
  assert(read("CHANGELOG.md").includes(`## [${version}]`), "CHANGELOG");
  const deno = /DENO_VERSION=([\d.]+)/.exec(read(".ci/run"))![1]!;
  for (const [, used] of read("README.md").matchAll(/deno@([\d.]+)/g)) assertEquals(used, deno);
  const [std] = Object.values<string>(imports).map((url) => /npm:deno-std@[\d.]+/.exec(url)?.[0])
    .filter((found) => found !== undefined);
  assert(read("README.md").includes(`\`${std}\``), `README names ${std}`);
});

Deno.test("README's quick start is two commands, one for the demo and one for the tests", () => {
  const commands = section("README.md", "## Quick start").split("\n")
    .filter((line) => /^ {4}(npx|deno|npm|sudo) /.test(line)).map((line) => line.trim());
  assertEquals(commands.map((command) => command.split(" ").slice(0, 2)), [["npx", "-y"], [
    "npx",
    "-y",
  ]]);
  assertEquals(commands.map((command) => command.split(" ").at(-1)), ["demo", "test"]);
});
