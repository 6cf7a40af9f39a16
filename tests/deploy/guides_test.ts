/**
 * Each command and each configuration of the guides and of deploy/container/README.md: toom's own are
 * parsed by its table of commands, configurations are loaded, units are read by systemd, and of programs
 * of others it is known which are named, and that the files of this repository which they get are there.
 */
import { assert, assertEquals } from "@std/assert";
import { parse } from "@std/yaml";
import { type CommandSpec, parseCommand } from "../../cli/args.ts";
import { EXEC_COMMAND } from "../../cli/exec.ts";
import { RUN_COMMAND } from "../../cli/run_command.ts";
import { parseRunFlags } from "../../cli/run_options.ts";
import { COMMAND_LIST, wordsOf } from "../../docs/command_list.ts";
import { parseSizeBytes } from "../../pipeline/limits/units.ts";
import { checkConfig } from "../../service/config/load.ts";
import { problemLine } from "../../service/config/place.ts";
import { CONFIG_HOST } from "../_support/config.ts";
import { hasFile, needing } from "../_support/real_kernel.ts";
import { missingTool, ROOT, runTool } from "../_support/tools.ts";

const GUIDES = `${ROOT}docs/guides/`;
const PATHS = [
  ...[...Deno.readDirSync(GUIDES)].map(({ name }) => `docs/guides/${name}`).sort(),
  "deploy/container/README.md",
];
/** Programs of others, and what the first word behind them may be; undefined: anything. */
const OTHERS: Readonly<Record<string, readonly string[] | undefined>> = {
  "ansible-playbook": undefined,
  apt: ["install", "purge"],
  choom: ["-n"],
  deno: ["task", "run"],
  editor: ["/etc/toom/config.jsonc"],
  install: undefined,
  journalctl: undefined,
  kubectl: ["apply", "-n"],
  podman: ["build", "run", "exec"],
  ps: undefined,
  "systemd-analyze": ["security"],
  systemctl: ["enable", "disable", "reload", "daemon-reload", "set-property", "status"],
};
const noAnalyze = missingTool("systemd-analyze");

interface Block {
  readonly path: string;
  /** Of the fence; "" of an indented one: commands. */
  readonly language: string;
  readonly text: string;
}

function blocksOf(path: string): Block[] {
  const text = Deno.readTextFileSync(`${ROOT}${path}`);
  const blocks: Block[] = [];
  for (const [, language, body] of text.matchAll(/^```(\w*)\n([^]*?)^```/gm)) {
    blocks.push({ path, language: language!, text: body! });
  }
  for (const [body] of text.replace(/^```[^]*?^```/gm, "").matchAll(/(?:^ {4}.*\n)+/gm)) {
    blocks.push({ path, language: "", text: body.replace(/^ {4}/gm, "") });
  }
  return blocks;
}

const BLOCKS = PATHS.flatMap(blocksOf);

/** Commands of a block, without what they print: lines of toom's own log and receipts. */
function commandsIn({ text }: Block): string[] {
  return text.replace(/\\\n\s*/g, "").split("\n").map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("toom has ended your process"));
}

/** Commands that stand within lines and tables: `toom ...`. */
function commandsInLines(path: string): string[] {
  const text = Deno.readTextFileSync(`${ROOT}${path}`).replace(/^```[^]*?^```/gm, "");
  return [...text.matchAll(/`((?:toom|systemctl|apt|deno task) [^`\n]+)`/g)].map((match) =>
    match[1]!
  );
}

function specOf(words: readonly string[]): CommandSpec | undefined {
  return COMMAND_LIST.find((one) => wordsOf(one).every((word, index) => words[index] === word));
}

/** @throws {Error} When toom would refuse it as a wrong use. */
function checkToom(words: readonly string[]): void {
  const spec = specOf(words);
  if (spec === undefined) throw new Error(`no command of toom: ${words.join(" ")}`);
  const rest = words.slice(wordsOf(spec).length);
  if (spec === RUN_COMMAND) {
    return void parseRunFlags([...rest], { ...CONFIG_HOST, uidOf: () => 1000 });
  }
  const { positionals } = parseCommand(spec, rest);
  if (spec.name === "toom limit set") parseSizeBytes(positionals[1]!, CONFIG_HOST.totalMemoryBytes);
}

function checkOther(program: string, words: readonly string[]): void {
  assert(Object.hasOwn(OTHERS, program), `nobody has told this test of ${program}`);
  const allowed = OTHERS[program];
  assert(allowed === undefined || allowed.includes(words[0]!), `${program} ${words[0]}`);
  for (const word of words) {
    if (/^(deploy|docs|tests|tmalloc)\//.test(word)) assert(hasFile(`${ROOT}${word}`), word);
  }
  if (program === "deno" && words[0] === "task") {
    const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`));
    assert(Object.hasOwn(tasks, words[1]!), `the task ${words[1]}`);
  }
  // Those that run a command: that one counts too.
  const inner = program === "podman" && words[0] === "exec"
    ? words.slice(2)
    : program === "choom"
    ? words.slice(words.indexOf("--") + 1)
    : [];
  if (inner[0] === "toom") checkToom(inner.slice(1));
}

function checkLine(line: string): void {
  const [program, ...words] = line.replace(/\s+#.*$/, "").split(/\s+/);
  if (program === "toom") checkToom(words);
  else if (program === "toom-exec") parseCommand(EXEC_COMMAND, words);
  else checkOther(program!, words);
}

function assertRight(path: string, line: string): void {
  try {
    checkLine(line);
  } catch (error) {
    throw new Error(`${path}: ${line}: ${error instanceof Error ? error.message : error}`);
  }
}

Deno.test("each command of the guides is one that its program takes", () => {
  let commands = 0;
  for (const block of BLOCKS.filter(({ language }) => language === "")) {
    for (const line of commandsIn(block)) {
      assertRight(block.path, line);
      commands++;
    }
  }
  for (const path of PATHS) {
    for (const line of commandsInLines(path)) {
      // A command may be spoken of without what it gets.
      const words = line.split(" ").slice(1);
      const spec = line.startsWith("toom ") ? specOf(words) : undefined;
      if (spec === undefined || wordsOf(spec).length < words.length) assertRight(path, line);
      commands++;
    }
  }
  assert(commands > 40, `${commands} commands`);
});

Deno.test("a command that is wrong is found", () => {
  for (
    const line of [
      "toom stauts",
      "toom top --prometheus",
      "toom limit set alice 4Gib!",
      "toom run --victm newest",
      "toom-exec --falback=fail ls",
      "systemctl relaod toom",
      "apt remove toom",
      "deno task dep",
      "kubectl apply -f deploy/kubernetes/tomm.yaml",
      "podman exec toom toom stauts",
    ]
  ) {
    let isRefused = false;
    try {
      checkLine(line);
    } catch {
      isRefused = true;
    }
    assert(isRefused, line);
  }
});

/** Users and groups of the guides are known, whatever they are called. */
const HOST = {
  ...CONFIG_HOST,
  findUid: (name: string) => Promise.resolve(/^[a-z]/.test(name) ? 1000 : undefined),
  findGroup: () => Promise.resolve({ gid: 1000, memberUids: [1000, 1001] }),
};

Deno.test("each configuration of the guides loads", async () => {
  const found = BLOCKS.filter(({ language }) => language === "jsonc");
  assert(found.length >= 8, `${found.length} configurations`);
  for (const { path, text } of found) {
    const sources = [{ file: path, text }];
    const { problems = [] } = await checkConfig(sources, HOST);
    assertEquals(problems.map(problemLine), [], text);
  }
});

Deno.test("settings that the guides name in lines and tables load", async () => {
  let settings = 0;
  for (const path of PATHS) {
    const text = (await Deno.readTextFile(`${ROOT}${path}`)).replace(/^```[^]*?^```/gm, "");
    for (const [, setting] of text.matchAll(/`("[\w@*-]+": [^`\n]+)`/g)) {
      const isLimit = /^"(?:[@*\d]|alice)/.test(setting!);
      const whole = isLimit ? `{ "limits": { ${setting} } }` : `{ ${setting} }`;
      const { problems = [] } = await checkConfig([{ file: path, text: whole }], HOST);
      assertEquals(problems.map(problemLine), [], whole);
      settings++;
    }
  }
  assert(settings > 8, `${settings} settings`);
});

Deno.test("data of others in the guides is well-formed, and a kernel asks by toom-exec", () => {
  const languages = new Set(BLOCKS.map(({ language }) => language));
  for (const language of languages) {
    assert(["", "jsonc", "json", "yaml", "ini"].includes(language), `a block of ${language}`);
  }
  for (const { language, text } of BLOCKS) {
    if (language === "yaml") assert(parse(text) !== undefined);
    if (language !== "json") continue;
    const [program, ...words] = (JSON.parse(text) as { argv: string[] }).argv;
    assertEquals(program, "toom-exec");
    parseCommand(EXEC_COMMAND, words);
  }
});

Deno.test({
  ...needing(noAnalyze === undefined, "systemd-analyze", "systemd reads the guides' drop-ins"),
  async fn(): Promise<void> {
    const unit = await Deno.readTextFile(`${ROOT}deploy/toom.service`);
    const base = unit.replaceAll("/usr/local/bin/toom", "/bin/true");
    const dropIns = BLOCKS.filter(({ language }) => language === "ini");
    assert(dropIns.length >= 1);
    const dir = await Deno.makeTempDir({ prefix: "toom-guides-" });
    try {
      for (const { path, text } of dropIns) {
        await Deno.writeTextFile(`${dir}/toomtest.service`, `${base}\n${text}`);
        const said = await runTool("systemd-analyze", [
          "verify",
          "--man=no",
          `${dir}/toomtest.service`,
        ]);
        const own = said.text.split("\n").filter((line) => line.includes("toomtest.service:"));
        assertEquals(own, [], `${path}: ${text}`);
      }
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});

Deno.test("the quick start's five commands are those that the machine's test runs", async () => {
  const [first] = blocksOf("docs/guides/quick-start.md").filter(({ language }) => language === "");
  const commands = commandsIn(first!);
  assertEquals(commands.length, 5);
  const script = await Deno.readTextFile(`${ROOT}tests/vm/quick.sh`);
  for (const command of commands) {
    // Who tests does not edit by hand.
    if (!command.startsWith("editor ")) assert(script.includes(`" ${command}\n`), command);
  }
});

Deno.test("the index names every guide", async () => {
  const index = await Deno.readTextFile(`${GUIDES}README.md`);
  for (const path of PATHS.filter((one) => one.startsWith("docs/guides/"))) {
    const name = path.slice("docs/guides/".length);
    if (name !== "README.md") assert(index.includes(`](${name})`), name);
  }
});
