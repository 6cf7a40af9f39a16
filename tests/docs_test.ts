/** What the documents say about the code, compared with the code. */
import { assert, assertEquals } from "@std/assert";
import { RUN_COMMAND } from "../cli/run_command.ts";
import { VICTIM_POLICIES } from "../pipeline/memory/settings.ts";
import { VERSION } from "../version.ts";
import { folderImports, PROGRAM_FOLDERS, sourcesIn, structureDocument } from "../docs/structure.ts";

const ROOT = new URL("../", import.meta.url);
const DOCUMENTS = [
  "README.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "tmalloc/README.md",
  "deploy/toom.service",
  ".ci/run",
  ".ci/compile-kit.sh",
  ".ci/machine.sh",
  ...documentsIn("docs"),
  ...documentsIn("docs/decisions"),
  ...documentsIn("docs/guides"),
  "deploy/container/README.md",
  ...rooms().map((room) => `${room}/README.md`),
];
const CODE_FOLDERS = ["cli", "kernel", "pipeline", "workers", "service", "bench", "tests"];

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** Documents in a folder, without the folders in it. */
function documentsIn(folder: string): string[] {
  return [...Deno.readDirSync(new URL(`${folder}/`, ROOT))]
    .filter(({ name }) => name.endsWith(".md")).map(({ name }) => `${folder}/${name}`).sort();
}

/** Folders of the code with modules in them, and the folders in these; each has a README.md. */
function rooms(): string[] {
  const found = new Set<string>();
  for (const top of [...PROGRAM_FOLDERS.filter((name) => name !== "tmalloc"), "bench", "tests"]) {
    for (const { path } of sourcesIn(ROOT, top)) {
      found.add(top);
      const [, room, file] = path.split("/");
      if (file !== undefined) found.add(`${top}/${room}`);
    }
  }
  return [...found].sort();
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
    for (const { path, text } of sourcesIn(ROOT, folder)) {
      for (const [, name] of text.matchAll(/(?<![\w$.])([IS]\d{1,2})(?![\w$])/g)) {
        assert(known.has(name!), `${path} cites ${name}`);
        cited++;
      }
    }
  }
  assert(cited > 10, `only ${cited} citations were found`);
});

/**
 * Words in backticks that are paths of this repository: they end like a file or a folder, or begin
 * with one of its folders. Those of the kernel (`/proc/...`, `per_cpu/cpu0/stats`) are not.
 */
function pathsIn(text: string): string[] {
  const tops = [...Deno.readDirSync(ROOT)].filter(({ isDirectory }) => isDirectory)
    .map(({ name }) => `${name}/`);
  return [...text.matchAll(/`([\w.@-][\w./@-]*)`/g)].map((match) => match[1]!).filter((word) =>
    word.endsWith(".ts") || word.endsWith(".md") || tops.some((top) => word.startsWith(top))
  );
}

function exists(path: string): boolean {
  try {
    Deno.statSync(new URL(path, ROOT));
    return true;
  } catch {
    return false;
  }
}

Deno.test("each folder of code has its README", () => {
  const found = rooms();
  assert(found.length > 30, found.join());
  assertEquals(found.filter((room) => !exists(`${room}/README.md`)), []);
  for (const room of found) {
    const lines = read(`${room}/README.md`).trimEnd().split("\n");
    assert(lines.length <= 20, `${room}/README.md has ${lines.length} lines`);
  }
});

/**
 * Whether a README allows imports from a folder: by its name, by that of a file in it, or, of
 * `kernel/` and its like, by the name of the folder at the root.
 */
function allows(readme: string, folder: string): boolean {
  const paragraph = /\nMay import: [^]*?(?:\n\n|$)/.exec(readme)?.[0] ?? "";
  return [...paragraph.matchAll(/`([\w/]+)(\/|\/\w+\.ts)`/g)].some(([, named, end]) =>
    folder === named || (end === "/" && !named!.includes("/") && folder.startsWith(`${named}/`))
  );
}

Deno.test("a folder of the program imports only what its README says that it may", () => {
  const sources = PROGRAM_FOLDERS.flatMap((folder) => sourcesIn(ROOT, folder));
  const told = rooms().filter((room) => exists(`${room}/README.md`));
  const wrong: string[] = [];
  for (const [room, imported] of folderImports(sources)) {
    if (!told.includes(room)) continue;
    const readme = read(`${room}/README.md`);
    for (const folder of imported) if (!allows(readme, folder)) wrong.push(`${room}: ${folder}/`);
  }
  assertEquals(wrong, [], "not in the README's paragraph `May import:`");
});

Deno.test("what a README allows is told from what it does not", () => {
  const readme = "# a\n\nMay import: `kernel/`, `pipeline/ports.ts`,\n`pipeline/books/`.\n\n`cli/`";
  const folders = ["kernel", "kernel/ffi", "pipeline", "pipeline/books", "pipeline/kill", "cli"];
  assertEquals(folders.filter((folder) => allows(readme, folder)), folders.slice(0, 4));
  assert(!allows("# a\n\nMay import: nothing.\n", "kernel"));
});

/** What a document names and is not there. */
function missingIn(path: string, tasks: Readonly<Record<string, unknown>>): string[] {
  if (!exists(path)) return [`${path} is not there`];
  // What a code block shows is an example, or the file of another place.
  const text = read(path).replace(/^```[^]*?^```/gm, "");
  const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/") + 1) : "";
  const links = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map((match) => match[1]!);
  const files = [...text.matchAll(/(?<![\w./])((?:\w+\/)+\w+\.(?:ts|md|sh|service|txt))\b/g)]
    .map((match) => match[1]!);
  if (path.endsWith(".md")) files.push(...pathsIn(text));
  const missing = links.filter((link) => !exists(folder + link));
  for (const file of files) if (!exists(file) && !exists(folder + file)) missing.push(file);
  for (const [, file, names] of text.matchAll(/`([\w/]+\.ts)`\s\(((?:`\w+`(?:,\s)?)+)\)/g)) {
    const place = exists(file!) ? file! : folder + file;
    const code = exists(place) ? read(place) : "";
    for (const [, name] of names!.matchAll(/`(\w+)`/g)) {
      if (!new RegExp(`\\b${name}\\b`).test(code)) missing.push(`${file} (${name})`);
    }
  }
  for (const [, task] of text.matchAll(/deno(?:@[\d.]+)? task ([\w:]+)/g)) {
    if (!Object.hasOwn(tasks, task!)) missing.push(`the task ${task}`);
  }
  return [...new Set(missing)].map((name) => `${path} names ${name}`);
}

Deno.test("documents name only files, functions and tasks that exist", () => {
  const { tasks } = JSON.parse(read("deno.json"));
  assertEquals(DOCUMENTS.flatMap((path) => missingIn(path, tasks)), []);
});

Deno.test("docs/structure.md is of these sources", () => {
  // But for how deno fmt breaks lines.
  const plain = (text: string): string => text.replace(/\s+/g, " ").trim();
  assertEquals(
    plain(read("docs/structure.md")),
    plain(structureDocument(ROOT)),
    "run deno task docs",
  );
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
